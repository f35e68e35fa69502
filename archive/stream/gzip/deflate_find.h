/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds where a deflate block may begin. Nothing marks one, and it may begin at any bit. But a
 * block with its own codes begins with their description, which hardly anything else looks like,
 * and a stored block has its length twice.
 */
#ifndef VMAFS_DEFLATE_FIND_H
#define VMAFS_DEFLATE_FIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum deflate_kind {
        DEFLATE_STORED,
        DEFLATE_FIXED,
        DEFLATE_DYNAMIC,
        DEFLATE_RESERVED,
};

struct deflate_header {
        bool last;
        enum deflate_kind kind;
};

enum {
        DEFLATE_BITS = 3, /* of a header, whatever follows it */
        DEFLATE_STORED_MAX = 65535,
        DEFLATE_LENGTHS = 4, /* a stored block's length and its complement, bytes */
        DEFLATE_NEED = 16,   /* how many bytes deflate_find looks at from each place */
};

/* The byte at bit BIT, at most 7, of the two bytes at P. */
struct deflate_header deflate_header(const uint8_t *p, unsigned bit);

/* Are the four bytes at P, which another byte precedes, the lengths of a stored block? */
bool deflate_is_stored(const uint8_t *p);

/*
 * The first bit, at or after bit FROM of the N bytes at P, at which a block may begin that is
 * stored or has its own codes, and is not its stream's last, by a quick check. UINT64_MAX: none
 * before the last DEFLATE_NEED bytes.
 */
uint64_t deflate_find(const uint8_t *p, size_t n, uint64_t from);

#endif
