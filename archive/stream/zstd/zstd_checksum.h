/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checksum of a zstd frame's contents, XXH64 with seed 0, whose state can be stored. That of
 * libxxhash is private to it and may change with each release, and a frame may be a whole archive:
 * a pass that was interrupted could not verify the checksum when it goes on.
 */
#ifndef VMAFS_ZSTD_CHECKSUM_H
#define VMAFS_ZSTD_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#define ZSTD_CHECKSUM_STRIPE 32 /* bytes */

struct zstd_checksum {
        uint64_t lanes[4];
        uint64_t len;                       /* bytes so far */
        uint8_t rest[ZSTD_CHECKSUM_STRIPE]; /* the last LEN % ZSTD_CHECKSUM_STRIPE of them */
};

void zstd_checksum_reset(struct zstd_checksum *c);
void zstd_checksum_update(struct zstd_checksum *c, const void *bytes, size_t len);
uint64_t zstd_checksum_digest(const struct zstd_checksum *c);

#endif
