/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What must hold for any input: a pass ends, what it gave is what every segment between its
 * points gives alone, and no made-up restart point does harm.
 */
#ifndef VMAFS_TESTS_FUZZ_CODEC_H
#define VMAFS_TESTS_FUZZ_CODEC_H

#include <stdlib.h>
#include <string.h>

#include "tests/fixtures/standins/codec_fixture.h"

#define FUZZ_OUTPUT  ((size_t)4 << 20) /* as much as one run looks at */
#define FUZZ_SPACING 1000

static void fuzz_segments(const struct codec_ops *codec, struct source *in, const struct record *r)
{
        for (size_t i = 0; i < r->count; i++) {
                size_t len = record_segment_len(r, i);
                unsigned char *out = malloc(len + !len);
                int rc = record_segment(r, codec, in, i, out, NULL);

                if (rc != 0 || memcmp(out, r->output.data + r->points[i].point.out, len) != 0)
                        abort();
                free(out);
        }
}

/* A sidecar that is not this file's: its positions and histories are right in form alone. */
static void fuzz_made_up_point(const struct codec_ops *codec, struct source *in,
                               const unsigned char *data, size_t size)
{
        unsigned char out[5000];
        struct restart_point point = {.history_len = (uint32_t)size};
        uint64_t in_end;
        struct error err;

        if (size < 32)
                return;
        memcpy(&point.aux, data, sizeof point.aux);
        memcpy(&point.in_bit, data + 8, sizeof point.in_bit);
        memcpy(&in_end, data + 16, sizeof in_end);
        codec_segment(codec, in, &point, data, in_end, out, sizeof out, &err);
        /* The same within the file, where it does more. */
        point.in_bit %= size * 8;
        point.aux = data[0] % 3;
        codec_segment(codec, in, &point, data, size * 8, out, sizeof out, &err);
        point.aux = UINT64_C(1) << 63 | (uint64_t)(data[1] % 17) << 32 | (data[2] & 1) |
                    (uint64_t)(data[2] & 2) << 7;
        codec_segment(codec, in, &point, data, size * 8, out, sizeof out, &err);
}

static int fuzz_codec(const struct codec_ops *codec, const unsigned char *data, size_t size)
{
        struct source *in = memory_source(data, size);
        struct record r;

        record_pass(&r, codec, in, FUZZ_SPACING, (size_t)256 << 10, FUZZ_OUTPUT);
        if (r.output.data)
                fuzz_segments(codec, in, &r);
        record_free(&r);
        fuzz_made_up_point(codec, in, data, size);
        source_close(in);
        return 0;
}

#endif
