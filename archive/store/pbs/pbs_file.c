/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/store/pbs/pbs_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "archive/error.h"

int pbs_file_open(int dir, const char *name)
{
        const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
        int fd = openat(dir, name, flags | O_NOATIME);

        if (fd < 0 && errno == EPERM)
                fd = openat(dir, name, flags);
        return fd < 0 ? -errno : fd;
}

static int size_of(int fd, size_t max, size_t *out, struct error *err)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return error_set(err, errno, "%s", strerror(errno));
        if (!S_ISREG(st.st_mode))
                return error_set(err, EIO, "is not a regular file");
        if ((uint64_t)st.st_size > max)
                return error_set(err, EIO, "has more than %zu bytes", max);
        *out = (size_t)st.st_size;
        return 0;
}

ssize_t pbs_file_read(int dir, const char *name, size_t max, void **out, struct error *err)
{
        cleanup_close int fd = pbs_file_open(dir, name);
        cleanup_free char *p = NULL;
        size_t size = 0, done = 0;
        int rc;

        if (fd == -ELOOP)
                return error_set(err, EIO, "is a link");
        if (fd < 0)
                return error_set(err, -fd, "%s", strerror(-fd));
        rc = size_of(fd, max, &size, err);
        if (rc < 0)
                return rc;
        p = malloc(size + 1);
        if (!p)
                return error_set(err, ENOMEM, "out of memory");
        while (done < size) {
                ssize_t n = pread(fd, p + done, size - done, (off_t)done);

                if (n < 0)
                        return error_set(err, errno, "%s", strerror(errno));
                if (n == 0)
                        return error_set(err, EIO, "was cut while it was read");
                done += (size_t)n;
        }
        *out = steal_ptr(&p);
        return (ssize_t)size;
}
