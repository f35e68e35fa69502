/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/shared.h"

#include <errno.h>
#include <stdlib.h>

#include "archive/cache/blockcache.h"
#include "archive/error.h"
#include "archive/workers.h"

int shared_new(size_t cache_bytes, unsigned threads, struct shared **out, struct error *err)
{
        struct shared *s = calloc(1, sizeof *s);

        if (!s)
                return error_set(err, ENOMEM, "out of memory");
        if (blockcache_new(cache_bytes ? cache_bytes : SHARED_CACHE_DEFAULT, &s->cache) < 0 ||
            worker_pool_new(threads ? threads : workers_processors(), &s->pool) < 0) {
                shared_free(s);
                return error_set(err, ENOMEM, "out of memory");
        }
        *out = s;
        return 0;
}

void shared_release(struct shared *s)
{
        worker_pool_release(s->pool);
}

void shared_free(struct shared *s)
{
        if (!s)
                return;
        worker_pool_free(s->pool);
        blockcache_free(s->cache);
        free(s);
}
