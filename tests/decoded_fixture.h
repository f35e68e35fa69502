/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A compressed stream as the program has it open: gone through to its end, past every gap, read,
 * and compared with another. Each function fails the test where what it does fails.
 */
#ifndef VMAFS_TESTS_DECODED_FIXTURE_H
#define VMAFS_TESTS_DECODED_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/error.h"
#include "archive/source/source.h"
#include "tests/fixture_stream.h"

struct codec_ops;
struct stream_options;

enum { DECODED_GAPS = 64 };

/* What a pass has met. */
struct passage {
        struct source_gap gaps[DECODED_GAPS];
        struct error errors[DECODED_GAPS]; /* what stopped it, for each gap */
        size_t count;
        bool lost_the_end; /* nothing is behind the last gap */
        uint64_t end;      /* of what is there, by the stream's own reckoning */
};

/* Takes IN, which is closed with the stream. */
struct source *decoded_open(const struct codec_ops *codec, struct source *in,
                            const struct stream_options *o);

/* To the end of S, behind whatever is damaged, which must be an I/O error each time. */
void decoded_pass(struct source *s, struct passage *p);

/* LEN bytes from OFFSET on are those of PLAIN. */
void decoded_expect(struct source *s, struct bytes plain, uint64_t offset, size_t len);

/* Both have the same segments, and can save the same ones. Returns how many those are. */
size_t decoded_expect_same_table(struct source *a, struct source *b);

#endif
