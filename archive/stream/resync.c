/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/resync.h"

#include <errno.h>
#include <stdlib.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"

#define WINDOW ((size_t)256 << 10)

int resync_search(struct source *in, uint64_t from, size_t need, resync_fn fn, void *ctx,
                  uint64_t *found)
{
        cleanup_free uint8_t *window = malloc(WINDOW);
        uint64_t at = from;

        if (!window)
                return -ENOMEM;
        for (;;) {
                ssize_t n = source_pread_partly(in, window, WINDOW, at);
                size_t hit = RESYNC_NONE;

                if (n == 0)
                        return 0;
                if (n >= (ssize_t)need)
                        hit = fn(ctx, window, (size_t)n, at);
                if (hit != RESYNC_NONE) {
                        *found = at + hit;
                        return 1;
                }
                at = source_next_window(at, n, need);
        }
}
