/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/resync.h"

#include <errno.h>
#include <stdlib.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"

/* Little is read at first: of much damage, most is often followed by something sound at once. */
#define WINDOW_FIRST ((size_t)8 << 10)
#define WINDOW       ((size_t)256 << 10)

int resync_search(struct source *in, uint64_t from, size_t need, resync_fn fn, void *ctx,
                  uint64_t *found)
{
        cleanup_free uint8_t *window = NULL;
        size_t len = WINDOW_FIRST, size = 0;
        uint64_t at = from;

        for (;;) {
                size_t hit = RESYNC_NONE;
                ssize_t n;

                if (size < len) {
                        free(window);
                        window = malloc(len);
                        size = len;
                }
                if (!window)
                        return -ENOMEM;
                n = source_pread_partly(in, window, len, at);
                if (n == 0)
                        return 0;
                if (n >= (ssize_t)need)
                        hit = fn(ctx, window, (size_t)n, at);
                if (hit != RESYNC_NONE) {
                        *found = at + hit;
                        return 1;
                }
                at = source_next_window(at, n, need);
                len = (size_t)min_u64(2 * (uint64_t)len, WINDOW);
        }
}
