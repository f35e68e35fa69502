/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every codec has to hold, as cmocka assertions. */
#ifndef VMAFS_TESTS_CODEC_CHECKS_H
#define VMAFS_TESTS_CODEC_CHECKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/codec_fixture.h"

extern struct bytes disk;          /* 5 MiB of what disks hold, from make_disk to free_disk */
extern const struct bytes content; /* a few, for what does not depend on them */

/* Before and after all tests of a program. */
int make_disk(void **state);
int free_disk(void **state);

/* Leave the test as skipped, with a word on stderr, where the shell has no program NAME. */
void need_program(const char *name);

/*
 * The pass over COMPRESSED gives ORIGINAL, and every segment between points SPACING bytes apart,
 * decoded alone, the same bytes. Returns the number of points.
 */
size_t check_round_trip(const struct codec_ops *codec, const struct bytes *compressed,
                        const struct bytes *original, uint64_t spacing);

/* The same of what the shell command COMMAND makes of ORIGINAL. */
size_t check_command(const struct codec_ops *codec, const struct bytes *original,
                     const char *command, uint64_t spacing);

/*
 * The disk as COUNT members, made by the KINDS shell commands in turn, with empty ones and such of
 * one byte among them.
 */
struct bytes disk_in_members(size_t count, const char *const *commands, size_t kinds);

/*
 * With one bit flipped at each of COUNT places the pass fails, naming a byte, or gives ORIGINAL
 * all the same. BLOCKS_CHECKED: what comes before the failure, and every segment that decodes, is
 * right too.
 */
void check_bit_flips(const struct codec_ops *codec, const struct bytes *compressed,
                     const struct bytes *original, size_t count, bool blocks_checked);

/* Cut at each of COUNT places the pass fails, and what came before is the start of ORIGINAL. */
void check_truncation(const struct codec_ops *codec, const struct bytes *compressed,
                      const struct bytes *original, size_t count);

/* The pass fails with CODE, at the byte OFFSET of DATA, after GOOD bytes of output. */
void check_failure(const struct codec_ops *codec, const struct bytes *data, int code,
                   uint64_t offset, size_t good);

/* check_round_trip of /work/shared/reference's STEM and SUFFIX; skips where it is absent. */
void check_reference(const struct codec_ops *codec, const char *stem, const char *suffix);

#endif
