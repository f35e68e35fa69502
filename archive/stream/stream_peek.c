/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What contradicts the stored index is lost for all readers. But it may hold an intact header, and
 * a header that proves itself says where sound data belong. So it can still be peeked at.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/segments.h"
#include "archive/stream/stream_internal.h"

/* Decode as much of SEGMENT as possible into st->salvage. */
static int salvage(struct stream *st, const struct restart_segment *segment)
{
        size_t len = (size_t)(segment->end - segment->point.out);
        cleanup_free void *bytes = malloc(len);
        ssize_t n = bytes ? segments_salvage(st->segments, segment, bytes, len) : -ENOMEM;
        uint64_t start = segment->point.out, end = start + (uint64_t)(n > 0 ? n : 0);

        if (n == -ENOMEM)
                return -ENOMEM;
        free(st->salvage.bytes);
        st->salvage = (struct piece){start, end, steal_ptr(&bytes)};
        /* Remember this even if it is nothing, since a search asks for each page. */
        st->salvaged = segment->index + 1;
        return 0;
}

ssize_t stream_peek_disproved(struct stream *st, void *buf, size_t len, uint64_t offset)
{
        size_t done = 0;

        while (done < len) {
                uint64_t at = offset + done;
                struct restart_segment segment;
                size_t n;
                int rc = 0;

                if (!restart_find(st->table, at, &segment))
                        return -EIO;
                if (st->salvaged != segment.index + 1)
                        rc = salvage(st, &segment);
                if (rc == 0 && at >= st->salvage.end)
                        rc = -EIO;
                if (rc < 0)
                        return rc;
                n = (size_t)min_u64(len - done, st->salvage.end - at);
                memcpy((char *)buf + done, (char *)st->salvage.bytes + (at - st->salvage.start), n);
                done += n;
        }
        return (ssize_t)done;
}
