/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/decoder/oneshot.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cache/bufpool.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/decoder/cursor.h"
#include "archive/stream/restart_table.h"

/* A segment with more input is decoded step by step. */
#define INPUT_MAX (UINT64_C(64) << 20)

bool oneshot_fits(const struct restart_segment *segment)
{
        return segment->in_end != RESTART_IN_UNKNOWN && segment->in_end >= segment->point.in_bit &&
               (segment->in_end - segment->point.in_bit) / 8 <= INPUT_MAX;
}

size_t oneshot_input(const struct restart_point *point, uint64_t in_end)
{
        return (size_t)(in_end / 8 + (in_end % 8 != 0) - point->in_bit / 8);
}

/* For SIZE bytes of input. */
static size_t memory_for(const struct codec_ops *codec, size_t size)
{
        return size + 2 * (size_t)CODEC_MARGIN + codec->scratch;
}

size_t oneshot_memory(const struct codec_ops *codec, const struct restart_segment *segment)
{
        return memory_for(codec, oneshot_input(&segment->point, segment->in_end));
}

/* The SIZE bytes of input at OFFSET. */
static int read_input(const struct decoding *d, uint8_t *input, size_t size, uint64_t offset,
                      struct error *err)
{
        ssize_t n = source_pread(d->in, input, size, offset);

        if (n < 0)
                /* What cannot be read now is not damaged. */
                return error_set_at(err, n == -EREMOTEIO ? EREMOTEIO : EIO, offset,
                                    "the compressed file cannot be read: %s", strerror((int)-n));
        if ((size_t)n < size)
                return error_set_at(err, EIO, offset + (uint64_t)n, "the %s stream is cut short",
                                    d->codec->name);
        return 0;
}

/* The input goes into memory that was used before: new pages would cost a tenth of the time. */
int oneshot_decode(struct decoding *d, const struct restart_point *point, const void *history,
                   uint64_t in_end, void *out, size_t len, struct error *err)
{
        uint64_t offset = point->in_bit / 8;
        size_t size = oneshot_input(point, in_end);
        struct buffer memory;
        uint8_t *input;
        int rc;

        /* Before it sizes anything: the positions may be a hostile sidecar's. */
        if (!range_within(offset, size, d->in->size))
                return error_set_at(err, EIO, d->in->size, "the %s stream is cut short",
                                    d->codec->name);
        rc = blockcache_pin_memory(d->cache, memory_for(d->codec, size), &memory);
        if (rc < 0)
                return rc;
        input = (uint8_t *)memory.data + CODEC_MARGIN;
        rc = read_input(d, input, size, offset, err);
        if (rc == 0) {
                turns_begin(&d->turns, point->out);
                rc = d->codec->decode(point, history, input, size, out, len, err);
                turns_end(&d->turns);
        }
        blockcache_unpin_memory(d->cache, &memory);
        if (rc == 0)
                atomic_fetch_add(&d->decoded, len);
        return rc;
}
