/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The search for the next extent header.
 *
 * The header may begin at any byte, since a missing or inserted piece can have any length. Every
 * byte is read once, except for the few that two windows share. A sum is computed only if magic and
 * uuid are right, so a hostile archive that consists of nothing else costs 512 summed bytes for
 * each 24 bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/source/source.h"
#include "archive/vma/vma_internal.h"

enum { WINDOW = 256 * 1024 };

/*
 * Move the window so that it begins at or before AT and, if possible, holds a header's length from
 * AT on. Returns how many bytes it holds from AT on; otherwise as source_peek_partly. Searches that
 * end early share a window, so that headers which follow each other closely do not cost a window
 * each.
 */
static ssize_t show(struct scan *s, uint64_t at)
{
        struct window *w = &s->window;
        ssize_t n;
        int rc;

        if (at >= w->at && at - w->at + EXTENT_HEADER <= w->len)
                return (ssize_t)(w->len - (at - w->at));
        if (!w->bytes)
                w->bytes = malloc(WINDOW);
        if (!w->bytes)
                return -ENOMEM;
        rc = vma_reach(s, at + WINDOW);
        if (rc < 0)
                return rc;
        w->at = at;
        w->len = 0;
        if (at >= s->end)
                return 0;
        n = source_peek_partly(s->vma->base.source, w->bytes, (size_t)min_u64(WINDOW, s->end - at),
                               at);
        if (n > 0)
                w->len = (size_t)n;
        return n;
}

const unsigned char *vma_find_header(const struct proof *proof, const unsigned char *p, size_t n,
                                     unsigned char out[EXTENT_HEADER])
{
        const unsigned char *end = p + n;

        while (end - p >= EXTENT_HEADER) {
                p = memmem(p, (size_t)(end - p), "VMAE", 4);
                if (!p || end - p < EXTENT_HEADER)
                        return NULL;
                if (memcmp(p + EXTENT_UUID, proof->uuid, UUID_LEN) == 0) {
                        memcpy(out, p, EXTENT_HEADER);
                        if (!vma_fault(proof, out))
                                return p;
                }
                p++;
        }
        return NULL;
}

/* Where to search after the N bytes from AT on. A lost range may be long, so skip all of it. */
static uint64_t next_window(const struct scan *s, uint64_t at, ssize_t n)
{
        struct source_lost_range gap;

        if (n < 0 && source_find_lost(s->vma->base.source, at, &gap) && gap.start <= at)
                return gap.end;
        return source_next_window(at, n, EXTENT_HEADER);
}

int vma_resync(struct scan *s, uint64_t from, struct place *out)
{
        uint64_t at = from;

        for (;;) {
                ssize_t n = show(s, at);
                const unsigned char *start, *p = NULL;
                int rc;

                if (n == 0)
                        return 0;
                if (n < 0 && n != -EIO)
                        return (int)n;
                start = s->window.bytes + (at - s->window.at);
                if (n > 0)
                        p = vma_find_header(&s->vma->proof, start, (size_t)n, out->header);
                if (p) {
                        out->pos = at + (uint64_t)(p - start);
                        out->found = FOUND_HEADER;
                        return 1;
                }
                at = next_window(s, at, n);
                rc = vma_progress(s, min_u64(at, s->end));
                if (rc < 0)
                        return rc;
        }
}
