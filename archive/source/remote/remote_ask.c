/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <sys/socket.h>

#include "archive/bytes.h"
#include "archive/source/remote/remote_internal.h"

int remote_refuses(const struct remote *r, uint32_t object)
{
        time_t until = r->files[object]->pause_until;
        struct timespec now;

        if (r->stale)
                return -ESTALE;
        if (r->gone)
                return -EREMOTEIO;
        if (until == 0)
                return 0;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec < until ? -EREMOTEIO : 0;
}

static struct remote_asked *find_unused(struct remote *r)
{
        for (size_t i = 0; i < REMOTE_REQUESTS; i++)
                if (!r->asked[i].used)
                        return &r->asked[i];
        return NULL;
}

static bool send_request(struct remote *r, const struct remote_asked *a, bool ahead)
{
        struct remote_request q = {.object = a->object,
                                   .number = (uint32_t)(a - r->asked),
                                   .offset = a->offset,
                                   .len = a->len,
                                   .ahead = ahead};
        ssize_t n;

        do
                n = send(r->fd, &q, sizeof q, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n == sizeof q;
}

/* Ask for the COUNT pieces from FIRST on, which are neither there nor on their way. */
static int ask_run(struct remote *r, uint32_t object, uint64_t first, uint64_t count, bool ahead)
{
        struct remote_asked *a = find_unused(r);
        uint64_t size = r->files[object]->is.size, offset = first * RANGE_PIECE;

        /* Those who wait for a reply come before those who may. */
        if (!a || (ahead && r->asked_count > REMOTE_REQUESTS / 2) ||
            range_cache_room(r->cache) < count)
                return -EAGAIN;
        *a = (struct remote_asked){.object = object, .offset = offset};
        for (uint64_t i = 0; i < count; i++) {
                a->pieces[i] = range_cache_add(r->cache, object, first + i);
                if (!a->pieces[i])
                        break;
                a->len = (uint32_t)min_u64((i + 1) * RANGE_PIECE, size - offset);
        }
        if (a->len == 0)
                return -ENOMEM;
        a->used = true;
        r->asked_count++;
        if (!send_request(r, a, ahead))
                remote_lose(r);
        return 0;
}

int remote_ask(struct remote *r, uint32_t object, uint64_t first, uint64_t end, uint64_t step,
               bool ahead)
{
        uint64_t run = 0;

        for (uint64_t i = first; i <= end; i++) {
                bool missing = i < end && !range_cache_find(r->cache, object, i);

                if (run > 0 && (!missing || run == step)) {
                        int rc = ask_run(r, object, i - run, run, ahead);

                        if (rc < 0)
                                return rc;
                        run = 0;
                }
                run += missing;
        }
        return 0;
}
