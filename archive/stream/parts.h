/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of a segment: a hash of each 256 KiB of it, so that a decode can stop after what was asked
 * for and is still checked.
 *
 *   segment  |===part 0===|===part 1===|===part 2===|=3=|      the last one may be shorter
 *               hash[0]      hash[1]      hash[2]  hash[3]     XXH3-64 of the bytes
 *   its hash  XXH3-64 of where it starts in the stream and of the hashes, each as 8 bytes, least
 *             significant first
 *
 * A part's hash says nothing of where the part belongs. So the segment's hash includes its start:
 * an index that has moved a segment contradicts itself, even if only a part of it is ever decoded.
 */
#ifndef VMAFS_PARTS_H
#define VMAFS_PARTS_H

#include <stddef.h>
#include <stdint.h>

#define PART_SIZE (UINT64_C(256) << 10) /* bytes of output */

/* No segment has more; see RESTART_SEGMENT_MAX. */
#define PARTS_MAX 128

/* In a segment of LEN bytes. */
static inline uint64_t part_count(uint64_t len)
{
        return len / PART_SIZE + (len % PART_SIZE != 0);
}

/* Of the LEN bytes of one part. */
uint64_t part_hash(const void *bytes, size_t len);

/* Of the segment at byte START of the stream whose parts have these COUNT hashes, PARTS_MAX at most. */
uint64_t parts_hash(uint64_t start, const uint64_t *hashes, size_t count);

/* Of the segment with these LEN bytes, RESTART_SEGMENT_MAX at most, at byte START of the stream. */
uint64_t segment_hash(uint64_t start, const void *bytes, size_t len);

#endif
