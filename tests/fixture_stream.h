/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For tests of compressed streams: data that looks like a disk's, compressing it, and sources of
 * bytes in memory.
 */
#ifndef VMAFS_FIXTURE_STREAM_H
#define VMAFS_FIXTURE_STREAM_H

#include <stddef.h>
#include <stdint.h>

struct source;

struct bytes {
        uint8_t *data;
        size_t len;
};

#define MIB ((size_t)1 << 20)

uint64_t fixture_random(uint64_t *state);

/* LEN bytes, freed by the caller: random, fixed-size records, or a mixture with text-like data. */
struct bytes fixture_noise(size_t len, uint64_t seed);
struct bytes fixture_records(size_t len, uint64_t seed);
struct bytes fixture_mixture(size_t len, uint64_t seed);

/* A and B, both of which are freed. */
struct bytes fixture_join(struct bytes a, struct bytes b);

/* One frame from libzstd. WINDOW_LOG and JOB 0: as the level has it; WORKERS 0: one thread. */
struct bytes fixture_compress(struct bytes plain, int level, int window_log, int workers,
                              int checksum);

/*
 * Z, one frame without checksum, with BLOCKS raw blocks of noise put in front of its second block,
 * which goes on with the repeat offsets from in front of them. Z is freed.
 */
struct bytes fixture_interrupt(struct bytes z, size_t blocks);

/* What libzstd makes of Z in one go. */
struct bytes fixture_decompress(struct bytes z);

/* PLAIN through the command line COMMAND, which reads its input from stdin. */
struct bytes fixture_pipe(struct bytes plain, const char *command);

/* Where block I of the first member of Z begins, which lzop made without a filter. */
size_t fixture_lzop_block(struct bytes z, size_t i);

/* A source of LEN bytes, which must outlive it. */
struct source *fixture_source(const void *data, size_t len);

/* The file at PATH; .data is NULL where there is none. */
struct bytes fixture_file(const char *path);

#endif
