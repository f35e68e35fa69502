/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/zstd/zstd_history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/stream/restart_builder.h"
#include "archive/stream/zstd/zstd_parse.h"

/* A history that takes more is refused: a point is not worth more memory than a segment. */
#define PAGE      4096
#define PAGES_MAX (RESTART_SEGMENT_MAX / PAGE)

void zstd_history_free(struct zstd_history *h)
{
        free(h->bytes);
        *h = (struct zstd_history){0};
}

void zstd_history_begin(struct zstd_history *h)
{
        zstd_history_free(h);
        h->left = h->page = UINT32_MAX;
}

/* Room for REACH bytes. Zeros that nobody touches take no memory. */
static int grow(struct zstd_history *h, uint32_t reach)
{
        uint8_t *bytes;

        if (reach <= h->size)
                return 0;
        bytes = calloc(1, reach);
        if (!bytes)
                return -ENOMEM;
        /* What was gathered is at the far end, from the old size down to what is left. */
        if (h->size > h->left)
                memcpy(bytes + (reach - h->size), h->bytes, h->size - h->left);
        free(h->bytes);
        h->bytes = bytes;
        h->size = reach;
        return 0;
}

/* Count the memory of LEN bytes that begin BACK bytes before the boundary. */
static void count_memory(struct zstd_history *h, uint32_t back, uint32_t len)
{
        uint32_t far = (back - 1) / PAGE, near = (back - len) / PAGE;

        h->pages += (uint32_t)min_u64(far + 1, h->page) - (uint32_t)min_u64(near, h->page);
        h->page = near;
}

int zstd_history_gather(struct zstd_history *h, const struct zstd_parse *parse,
                        struct restart_builder *b, uint64_t boundary, uint32_t nearest)
{
        uint32_t reach = zstd_parse_reach(parse), len;
        uint32_t back = (uint32_t)min_u64(reach, h->left);
        int rc = grow(h, reach);

        while (rc == 0 && back > nearest && zstd_parse_next(parse, &back, &len) && back > nearest) {
                len = (uint32_t)min_u64(len, back - nearest);
                count_memory(h, back, len);
                if (back > boundary || h->pages > PAGES_MAX)
                        return -ERANGE;
                rc = restart_recall(b, boundary - back, h->bytes + (h->size - back), len);
                back -= len;
        }
        h->left = (uint32_t)min_u64(h->left, nearest);
        return rc;
}

const void *zstd_history_bytes(const struct zstd_history *h, uint32_t len)
{
        return len ? h->bytes + (h->size - len) : NULL;
}
