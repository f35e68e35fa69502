/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A range of a disk as a list of pieces in memory, for writev: with fewer copies and reads than
 * disk_read takes, where that can be.
 *
 *   disk      | stored | zeros | stored | stored |
 *   borrowed      |        |       \        /        from where the archive's source has it decoded
 *   gathered      |        |        \______/         from the caller's memory, filled by one read
 *   pieces    [   ^   ][   ^   ][      ^       ]     of what follows one another in the archive
 *                   a page of zeros
 *
 * Both are for the usual case alone, and leave every other one to disk_read: what is not seen yet,
 * lost, or cannot be read, and formats whose addresses are not bytes of the stream. Thread-safe, as
 * disk.h.
 */
#ifndef VMAFS_LOAN_H
#define VMAFS_LOAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "archive/source/source.h"

struct disk;

enum {
        LOAN_PIECES = 80,
        LOAN_HELD = 4, /* few: what is held is memory that the cache cannot use */
};

struct disk_loan {
        struct iovec pieces[LOAN_PIECES];
        size_t count;
        struct source_loan held[LOAN_HELD]; /* of the archive's source */
        size_t held_count;
};

/*
 * Borrow LEN bytes at OFFSET, all of them below the disk's size. True: LOAN has exactly these, to
 * be given back soon. False: they cannot be had so; nothing is borrowed.
 */
bool disk_borrow(struct disk *d, size_t len, uint64_t offset, struct disk_loan *loan);
void disk_give_back(struct disk *d, struct disk_loan *loan);

/*
 * The same by reading what is stored into MEMORY, of LEN bytes, which the pieces refer to: there is
 * nothing to be given back.
 */
bool disk_gather(struct disk *d, void *memory, size_t len, uint64_t offset, struct disk_loan *loan);

#endif
