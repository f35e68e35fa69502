/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The search for the next extent header.
 *
 * It may begin at any byte, since a missing or an inserted piece can have any length. Every byte is
 * read once, but for the few that two windows share; a sum is taken only where magic and uuid are
 * right, so that a hostile archive made of nothing else costs 512 summed bytes for each 24 of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/source/source.h"
#include "archive/vma/vma_internal.h"

enum { WINDOW = 256 * 1024 };

/*
 * Have the window begin at AT or in front of it, with a header's bytes from there on if they can be
 * had. Returns the bytes from there on; otherwise as source_pread_partly. Searches that end early
 * share a window: headers that follow one another closely must not cost one each.
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
        n = source_pread_partly(s->vma->base.source, w->bytes, (size_t)min_u64(WINDOW, s->end - at),
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
                at = source_next_window(at, n, EXTENT_HEADER);
                rc = s->sink->progress(s->sink->ctx, min_u64(at, s->end));
                if (rc < 0)
                        return rc;
        }
}
