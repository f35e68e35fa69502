/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where may a deflate block begin? Nothing marks one, and it may begin at any bit; but a block with
 * codes of its own states them in front, in a way that nearly nothing else looks like, and a stored
 * block states its length twice.
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
        DEFLATE_NEED = 16,   /* bytes that deflate_find looks at from where it looks */
};

/* What stands at bit BIT, at most 7, of P, which has two bytes. */
struct deflate_header deflate_header(const uint8_t *p, unsigned bit);

/* Are the four bytes at P, in front of which is another, the lengths of a stored block? */
bool deflate_is_stored(const uint8_t *p);

/*
 * The first place at or behind bit FROM of the N bytes at P where a block that is not its stream's
 * last and has codes of its own, or is stored, can begin, as far as is seen at a glance. The bit,
 * or UINT64_MAX: none in front of the last DEFLATE_NEED bytes.
 */
uint64_t deflate_find(const uint8_t *p, size_t n, uint64_t from);

#endif
