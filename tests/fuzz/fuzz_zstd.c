/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a zstd stream, through the driver: what the pass gives is what libzstd gives, and
 * what every segment between its points gives alone.
 */
#include <errno.h>
#include <string.h>
#include <zstd.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/segments.h"
#include "archive/stream/stream.h"
#include "tests/fixtures/stream_fixture.h"
#include "tests/fuzz/fuzz.h"

#define OUTPUT     ((size_t)4 << 20) /* as much as one run looks at */
#define WINDOW     (UINT64_C(1) << 20)
#define DECODED    64 /* segments */
#define RECOVERIES 20

static const struct codec_limits limits = {.window = WINDOW, .keep = WINDOW};

/*
 * What libzstd makes of it, given STEP bytes at a time. *WHOLE: without an error, up to the end.
 * Returns the bytes of output, without those of the call that failed.
 */
static size_t decode_by(const uint8_t *data, size_t size, size_t step, uint8_t *out, bool *whole)
{
        ZSTD_DCtx *dctx = ZSTD_createDCtx();
        ZSTD_inBuffer from = {.src = data};
        ZSTD_outBuffer to = {.dst = out, .size = OUTPUT};
        size_t rc = 0;

        fuzz_require(dctx != NULL);
        for (;;) {
                size_t before = from.pos + to.pos, more;

                from.size = from.pos + (size_t)min_u64(step, size - from.pos);
                more = ZSTD_decompressStream(dctx, &to, &from);
                if (from.pos + to.pos == before)
                        break;
                rc = more; /* 0: a frame has ended here */
                if (ZSTD_isError(rc))
                        break;
        }
        *whole = rc == 0 && from.pos == size;
        ZSTD_freeDCtx(dctx);
        return to.pos;
}

/* As far as it gets. */
static size_t decode(const uint8_t *data, size_t size, uint8_t *out, bool *whole)
{
        size_t len = decode_by(data, size, size, out, whole);

        return *whole || len == OUTPUT ? len : decode_by(data, size, 1, out, whole);
}

static void check_segments(struct source *s, const uint8_t *data, size_t size,
                           const uint8_t *expected)
{
        struct restart_table *table = stream_table(s);
        struct source *in = fixture_source(data, size);
        size_t count = restart_count(table), step = count / DECODED + 1;
        struct blockcache *cache;
        struct cache_owner *owner;
        struct segments *segments;

        fuzz_require(blockcache_new((size_t)1 << 20, &cache) == 0);
        fuzz_require(blockcache_join(cache, CACHE_STREAM, &owner) == 0);
        fuzz_require(segments_new(&zstd_codec, &limits, in, table, owner, 1, &segments) == 0);
        for (size_t i = 0; i < count; i += step) {
                struct restart_segment segment;
                struct error err = {0};
                uint8_t *out;
                size_t len;

                fuzz_require(restart_get(table, i, &segment));
                len = (size_t)(segment.end - segment.point.out);
                out = malloc(len + !len);
                fuzz_require(segments_decode(segments, i, out, len, &err) == 0);
                fuzz_require(memcmp(out, expected + segment.point.out, len) == 0);
                free(out);
        }
        segments_free(segments);
        blockcache_leave(owner);
        blockcache_free(cache);
        source_close(in);
}

/* A sidecar that is not this file's: its positions and histories are right in form alone. */
static void decode_made_up_point(const uint8_t *data, size_t size)
{
        struct source *in = fixture_source(data, size);
        struct restart_point point = {.history_len = (uint32_t)size};
        struct blockcache *cache;
        struct cache_owner *owner;
        struct segments *s;
        uint8_t out[5000];
        uint64_t in_end;
        struct error err;

        fuzz_require(blockcache_new((size_t)1 << 20, &cache) == 0);
        fuzz_require(blockcache_join(cache, CACHE_STREAM, &owner) == 0);
        fuzz_require(segments_new(&zstd_codec, &limits, in, NULL, owner, 1, &s) == 0);
        if (size >= 32) {
                memcpy(&point.aux, data, sizeof point.aux);
                memcpy(&point.in_bit, data + 8, sizeof point.in_bit);
                memcpy(&in_end, data + 16, sizeof in_end);
                segments_enter(s, &point, data, in_end, out, sizeof out, &err);
                point.in_bit %= size * 8;
                point.in_bit &= ~UINT64_C(7);
                point.aux &= 0x3ff;
                segments_enter(s, &point, data, size * 8, out, sizeof out, &err);
        }
        segments_free(s);
        blockcache_leave(owner);
        blockcache_free(cache);
        source_close(in);
}

/* What the stream gives past damage it gives again, or fails again; what is lost, never. */
static void check_recovered(struct source *s)
{
        static uint8_t once[65536], again[65536];
        struct source_lost_range gap = {0};
        uint64_t end = 0, before = 0;

        source_reach(s, OUTPUT * 8, &end, NULL);
        while (source_find_lost(s, gap.end, &gap)) {
                fuzz_require(before <= gap.start && gap.start < gap.end && gap.end <= end);
                fuzz_require(source_pread(s, once, 1, gap.start) == -EIO);
                before = gap.end;
        }
        for (uint64_t at = 0; at < min_u64(end, OUTPUT * 8); at += sizeof once) {
                size_t len = (size_t)min_u64(sizeof once, end - at);
                ssize_t n = source_pread(s, once, len, at);

                fuzz_require(source_pread(s, again, len, at) == n);
                if (n > 0)
                        fuzz_require(memcmp(once, again, (size_t)n) == 0);
        }
}

static int note_damage(void *ctx, uint64_t at, const struct error *why)
{
        bool *damaged = ctx;
        (void)at;
        (void)why;

        *damaged = true;
        return 0;
}

static void check_stream(struct source *s, const uint8_t *data, size_t size)
{
        static uint8_t expected[OUTPUT], out[OUTPUT];
        struct error err = {0};
        uint64_t end = 0;
        bool whole, damaged = false;
        const struct source_observer observer = {&damaged, note_damage};
        size_t expected_len = decode(data, size, expected, &whole), len;
        struct source_lost_range gap;
        bool lost;
        int rc;

        source_observe(s, &observer);
        rc = source_reach(s, OUTPUT, &end, &err);
        len = (size_t)min_u64(end, OUTPUT);
        lost = source_find_lost(s, 0, &gap);
        /* What is damaged is reached, too, and what is lost of it is a gap. */
        if (lost)
                len = (size_t)min_u64(len, gap.start);
        if (rc == 0 && s->size == end && !damaged)
                fuzz_require(whole && end == expected_len);
        if (whole && expected_len < OUTPUT)
                fuzz_require(rc == 0 || rc == -ENOTSUP || rc == -EIO);
        fuzz_require(rc < 0 || len <= expected_len);
        fuzz_require(source_pread(s, out, len, 0) == (ssize_t)len);
        fuzz_require(memcmp(out, expected, min_u64(len, expected_len)) == 0);
        if (rc == 0 && s->size == end && !damaged)
                check_segments(s, data, size, expected);
        if (damaged)
                check_recovered(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct stream_options o = {
            .threads = 1, .window = WINDOW, .late_proofs = size % 2, .cache_bytes = 1 << 20};
        struct error err = {0};
        struct source *s;

        if (stream_open(&zstd_codec, fixture_source(data, size), &o, &s, &err) == 0) {
                check_stream(s, data, size);
                source_close(s);
        }
        decode_made_up_point(data, size);
        return 0;
}
