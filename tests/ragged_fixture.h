/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMA archives for tests of loans, in memory (vma_fixture.h), whose clusters have another order
 * than the disk's, and ranges of a disk that are worth a try. Each function fails the test where
 * what it does fails.
 */
#ifndef VMAFS_TESTS_RAGGED_FIXTURE_H
#define VMAFS_TESTS_RAGGED_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "tests/vma_fixture.h"

enum {
        RAGGED = 24, /* clusters */
        RAGGED_SIZE = RAGGED * BACKUP_CLUSTER - 3 * BACKUP_BLOCK - 512,
        RAGGED_LENT = 8 * BACKUP_BLOCK, /* zeros from which on they are lent, by pin.c */
};

/* Ragged and whole clusters, and up to three that are zeros; the disk ends inside the last one. */
struct backup ragged_backup(void);
/* COUNT clusters of one MASK, in order; it can be written to still. */
struct backup ragged_alike(uint16_t mask, uint32_t count);
/* Three clusters, of which the second is missing. */
struct backup ragged_gap(void);

/* What was written, through the command line COMMAND. */
void ragged_compress(struct backup *f, const char *command);

/* Open and scan; what is lost reads as zeros. */
struct disk *ragged_scan_recovering(struct backup *f);

/*
 * CHECK ranges of D at the borders of blocks and beside them, and any others; up to the disk's end.
 */
void ragged_ranges(struct disk *d, void (*check)(struct disk *d, uint64_t at, size_t len));

#endif
