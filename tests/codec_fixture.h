/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the codecs' tests and fuzz targets share: a source in memory, a builder that only records
 * the points a codec names, and a driver for pass() and decode().
 *
 * The recorder defines restart_wanted and restart_here itself, so that a codec is tested alone;
 * it stands in front of the library on the link line.
 */
#ifndef VMAFS_TESTS_CODEC_FIXTURE_H
#define VMAFS_TESTS_CODEC_FIXTURE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/restart.h"

struct workers;

struct bytes {
        unsigned char *data;
        size_t len;
        size_t room; /* grows by doubling: bytes are appended one at a time, too */
};

void bytes_free(struct bytes *b);
/* Of its exact size, so that a sanitizer sees who reads behind it. */
struct bytes bytes_copy(const void *data, size_t len);
/* DATA may be in B. */
void bytes_append(struct bytes *b, const void *data, size_t len);

/* LEN bytes, the same for the same SEED. */
struct bytes bytes_random(size_t len, uint64_t seed);
struct bytes bytes_text(size_t len, uint64_t seed);
/* Text, random data and zeros in turn, as a disk has them. */
struct bytes bytes_mixed(size_t len, uint64_t seed);

/* The whole file, or data NULL. */
struct bytes bytes_of_file(const char *path);
/* What the shell command COMMAND makes of IN. Fails the test when its status is not 0. */
struct bytes bytes_through(const struct bytes *in, const char *command);

struct source *memory_source(const void *data, size_t len);

struct recorded {
        struct restart_point point;
        void *history;
};

/* What a pass said. */
struct record {
        uint64_t spacing; /* a point is wanted this far behind the last one; 0: no builder */
        uint64_t out;     /* returned so far */
        struct recorded *points;
        size_t count;
        struct bytes output;
        int rc; /* 0 at the stream's end, or the failure */
        struct error err;
};

/*
 * Run CODEC over IN, with calls for STEP bytes, until it ends or fails or more than MAX bytes came,
 * which leaves rc at -EFBIG. Point 0 is the stream's beginning.
 */
void record_pass(struct record *r, const struct codec_ops *codec, struct source *in,
                 uint64_t spacing, size_t step, size_t max);
/* The same with WORKERS to help. */
void record_pass_helped(struct record *r, const struct codec_ops *codec, struct source *in,
                        struct workers *workers, uint64_t spacing, size_t step, size_t max);
void record_free(struct record *r);

/* Bytes of output of segment I. */
size_t record_segment_len(const struct record *r, size_t i);

/*
 * decode() of the segment from POINT to bit IN_END of IN, which is read for it: -EIO where IN ends
 * before.
 */
int codec_segment(const struct codec_ops *codec, struct source *in,
                  const struct restart_point *point, const void *history, uint64_t in_end,
                  void *out, size_t len, struct error *err);

/* The same for segment I into OUT. */
int record_segment(const struct record *r, const struct codec_ops *codec, struct source *in,
                   size_t i, void *out, struct error *err);

#endif
