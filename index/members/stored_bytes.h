/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes of a stored index, which are read part by part when they are needed. To check them, all are
 * read once at first, through a window that stays in the processor's cache:
 *
 *   file     | part | part | part | par|       of 64 KiB, the last one shorter
 *   hashes   | 8    | 8    | 8    | 8  |       in memory from the start
 *   memory   |      | here |      |    |       a part that was not needed takes none
 *
 * So a tree of a million members is mounted without the hundred megabytes that it takes in memory.
 * A part that is read again must have the hash that it had, since the file may be overwritten. A
 * thread may wait for another to read a part, but no longer than the page cache takes to copy it:
 * checking has brought it there.
 *
 * Thread-safe, but for opening and freeing.
 */
#ifndef VMAFS_STORED_BYTES_H
#define VMAFS_STORED_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/checksum.h"

struct source;
struct stored_bytes;

enum { STORED_BYTES_PART = 1 << 16 };

/*
 * The LEN bytes at AT of FILE, which must outlive *OUT. Reads all of them, and adds the hash of each
 * part to SUM. WHOLE: they are in memory from then on, and FILE is not needed any more.
 * stored_bytes_free frees *OUT. 0, -ENOMEM, or as source_pread_all.
 */
int stored_bytes_open(struct source *file, uint64_t at, size_t len, bool whole, XXH3_state_t *sum,
                      struct stored_bytes **out);
void stored_bytes_free(struct stored_bytes *b); /* NULL is allowed */

/* The address of the first byte, which stays the same; aligned as malloc aligns. */
void *stored_bytes_at(const struct stored_bytes *b);

/*
 * Read LEN bytes from byte FROM on, unless they are in memory; both may be any number. 0; -EBADMSG
 * where they are not what they were, or not among the bytes; or as source_pread_all.
 */
int stored_bytes_need(struct stored_bytes *b, uint64_t from, uint64_t len);

/* Add to SUM what stored_bytes_open would, of LEN bytes of DATA. */
void stored_bytes_sum(const void *data, size_t len, XXH3_state_t *sum);

#endif
