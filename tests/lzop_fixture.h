/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Members of lzop made by hand, with what lzop itself would not write. */
#ifndef VMAFS_TESTS_LZOP_FIXTURE_H
#define VMAFS_TESTS_LZOP_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "tests/codec_fixture.h"

#define LZOP_ADLER32_OUT  0x0001u
#define LZOP_ADLER32_IN   0x0002u
#define LZOP_EXTRA        0x0040u
#define LZOP_CRC32_OUT    0x0100u
#define LZOP_CRC32_IN     0x0200u
#define LZOP_MULTIPART    0x0400u
#define LZOP_FILTER       0x0800u
#define LZOP_HEADER_CRC32 0x1000u
#define LZOP_ALL_SUMS     (LZOP_ADLER32_OUT | LZOP_ADLER32_IN | LZOP_CRC32_OUT | LZOP_CRC32_IN)

/* What the header says, for headers that lzop would not write. */
struct lzop_header {
        uint32_t flags;
        uint32_t filter;
        unsigned version, needed, method;
        const char *extra; /* with flag LZOP_EXTRA */
};

extern const struct lzop_header lzop_plain; /* without flags */

void lzop_append_be32(struct bytes *b, uint32_t value);
void lzop_append_header(struct bytes *b, const struct lzop_header *h);
/* A block of LEN bytes with the checksums of FLAGS, stored where it does not shrink. */
void lzop_append_block(struct bytes *b, uint32_t flags, const unsigned char *data, size_t len);

/* A whole member with DATA in blocks of BLOCK bytes. */
struct bytes lzop_make_member(const struct lzop_header *h, const struct bytes *data, size_t block);

#endif
