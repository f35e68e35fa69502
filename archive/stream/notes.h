/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the pass's thread has read of a stream while it passed: the headers by which a format finds
 * its way. If the pass is interrupted, the next one has them at hand, and need not decode what was
 * passed only to find them again. A format that reads the same bytes finds the same things.
 *
 *   offset 8 | length 4 | bytes | offset 8 | …      little-endian, in the order of reading
 *
 * They save time, and nothing depends on them being there: what is not noted is decoded. All
 * functions but those that make and free are thread-safe.
 */
#ifndef VMAFS_NOTES_H
#define VMAFS_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct notes;

#define NOTES_MAX ((size_t)256 << 20) /* bytes that notes_load takes: of a stream of 2 TiB */

/* NULL: out of memory. */
struct notes *notes_new(void);
void notes_free(struct notes *n); /* NULL is allowed */

/*
 * The LEN bytes BUF have been read at OFFSET of a stream of which so many bytes were decoded. Long
 * reads are not noted but at its beginning, where headers are. IS_HEADER: they are of a header for
 * sure; of others only a small part of the stream is noted.
 */
void notes_add(struct notes *n, const void *buf, size_t len, uint64_t offset, uint64_t decoded,
               bool is_header);

/*
 * Take what was added since the last call: *OUT, *LEN bytes, which the caller frees; NULL if that
 * is nothing.
 */
void notes_take(struct notes *n, void **out, size_t *len);

/*
 * What notes_take returned to another process. 0; -EINVAL if it is not that; -EFBIG above
 * NOTES_MAX; -ENOMEM. Call it before any other thread uses N.
 */
int notes_load(struct notes *n, const void *bytes, size_t len);

/* The pass has ended: free all of them. */
void notes_clear(struct notes *n);

/* Copy the LEN bytes at OFFSET to BUF, if they were loaded. */
bool notes_find(struct notes *n, void *buf, size_t len, uint64_t offset);

#endif
