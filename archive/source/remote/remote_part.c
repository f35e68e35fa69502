/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/source/remote/remote_part.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/remote/remote_internal.h"

/* Nothing that comes by this socket from now on would be understood. */
static int give_up(int *fd, const char *why, struct error *err)
{
        close(steal_fd(fd));
        return error_set(err, EREMOTEIO, "%s", why);
}

static int ask(int *fd, const char *path, const struct remote_part *part, struct error *err)
{
        struct remote_part_request q = {.offset = part->offset, .len = part->len, .max = part->max};
        size_t len = strlen(path);
        ssize_t n;

        if (len >= sizeof q.path)
                return error_set(err, ENAMETOOLONG, "%s", strerror(ENAMETOOLONG));
        memcpy(q.path, path, len);
        do
                n = send(*fd, &q, sizeof q, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n == sizeof q ? 0 : give_up(fd, "the process that fetches it has ended", err);
}

/* The next message, which is one of WHAT, or says why there is none. */
static int receive(int *fd, enum remote_what what, struct remote_message *m, struct error *err)
{
        ssize_t n;

        do
                n = read(*fd, m, sizeof *m);
        while (n < 0 && errno == EINTR);
        if (n <= 0)
                return give_up(fd, "the process that fetches it has ended", err);
        if ((size_t)n >= sizeof m->head && m->head.len == (size_t)n - sizeof m->head) {
                if (m->head.what == REMOTE_FAILED)
                        return remote_take_text(m, err);
                if (m->head.what == what)
                        return 0;
        }
        return give_up(fd, "the process that fetches it does not make sense", err);
}

static int receive_opened(int *fd, struct remote_part *part, struct remote_message *m,
                          struct error *err)
{
        struct remote_opened is;
        int rc = receive(fd, REMOTE_OPENED, m, err);

        if (rc < 0)
                return rc;
        memcpy(&is, m->bytes, sizeof is);
        if (m->head.len != sizeof is || is.size > INT64_MAX)
                return give_up(fd, "the process that fetches it does not make sense", err);
        part->size = is.size;
        part->version = is.version;
        if (is.size > part->max)
                return error_set(err, EFBIG, "has more than %llu bytes",
                                 (unsigned long long)part->max);
        return 0;
}

ssize_t remote_part_read(int *fd, const char *path, struct remote_part *part, void **out,
                         struct error *err)
{
        struct remote_message m;
        cleanup_free char *data = NULL;
        size_t want, done = 0;
        int rc = ask(fd, path, part, err);

        if (rc == 0)
                rc = receive_opened(fd, part, &m, err);
        if (rc < 0)
                return rc;
        want = part->offset < part->size ? min_u64(part->len, part->size - part->offset) : 0;
        data = malloc(want + 1);
        if (!data)
                return give_up(fd, "out of memory", err);
        while (done < want) {
                rc = receive(fd, REMOTE_DATA, &m, err);
                if (rc < 0)
                        return rc;
                if (m.head.len == 0 || m.head.len > want - done)
                        return give_up(fd, "the process that fetches it does not make sense", err);
                memcpy(data + done, m.bytes, m.head.len);
                done += m.head.len;
        }
        *out = steal_ptr(&data);
        return (ssize_t)want;
}
