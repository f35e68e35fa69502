/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lzop: members one after another, each a header, blocks, and a length of 0 as its end. All
 * numbers are big-endian.
 *
 *   magic 9 | version 2 | library 2 | needed 2 | method 1 | level 1 | flags 4 | [filter 4]
 *           | mode 4 | mtime 4 | mtime high 4 | name length 1 | name | checksum 4
 *           | [extra: length 4, bytes, checksum 4]
 *   block:  out_len 4 | in_len 4 | [checksums of the output: Adler-32, CRC-32]
 *           | [checksums of the input, unless stored: Adler-32, CRC-32] | in_len bytes
 *
 * Header checksums cover what stands between the magic and themselves. A block is stored when
 * both lengths are equal. Every block can be entered alone, given its member's flags and filter,
 * which is what a restart point's aux holds; aux 0 is a point before a member's header.
 *
 * As with gzip, zeros may follow the last member and anything else is an error, though lzop only
 * warns: a damaged header before a further member must not pass for the end of the archive.
 */
#ifndef VMAFS_LZOP_READER_H
#define VMAFS_LZOP_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/source/input.h"

struct error;
struct restart_point;
struct source;

#define LZOP_MAX_BLOCK ((uint32_t)64 << 20) /* lzop's own limit */
#define LZOP_MAGIC     9                    /* bytes */
#define LZOP_LENGTHS   8                    /* bytes of a block's header before its checksums */
#define LZOP_HEADER    (LZOP_LENGTHS + 16)  /* bytes of a block's header, at most */

struct lzop_block {
        uint64_t offset; /* of its header */
        uint32_t out_len, in_len;
        unsigned char header[LZOP_HEADER]; /* as in the file … */
        uint32_t header_len;               /* … and its length */
};

struct lzop_reader {
        struct input in;
        bool first;     /* no member was read yet */
        bool in_member; /* flags and filter are those of the member we are in */
        uint32_t flags;
        uint32_t filter; /* 0 to MAX_FILTER; 0 is none */
        bool have_block; /* block is read, its data is what comes next */
        struct lzop_block block;
};

bool lzop_probe(const void *head, size_t len);

/* Prepare to read [OFFSET, LIMIT) of SOURCE. Call input_fini(&r->in) in either case. */
int lzop_reader_open(struct lzop_reader *r, struct source *source, uint64_t offset, uint64_t limit,
                     struct error *err);

/* The same for reading little but headers. */
int lzop_reader_open_sparse(struct lzop_reader *r, struct source *source, uint64_t offset,
                            uint64_t limit, struct error *err);

/* The same for the SIZE bytes at BYTES, as for input_init_memory. Call lzop_enter next. */
void lzop_reader_open_memory(struct lzop_reader *r, void *bytes, size_t size, uint64_t offset);

/* Go on from POINT, which may come from a sidecar, so it is checked like a header. */
int lzop_enter(struct lzop_reader *r, const struct restart_point *point, struct error *err);

/* The aux of a point before a block of R's member. */
uint64_t lzop_aux(const struct lzop_reader *r);

/* Called between members. 1: now in a member. 0: the stream ends. */
int lzop_next_member(struct lzop_reader *r, struct error *err);

/*
 * Set r->block to the next block of this or a later member. 1: have_block is set. 0: the stream
 * ends. After a failure, calling it again fails in the same way.
 */
int lzop_next_block(struct lzop_reader *r, struct error *err);

/* Do blocks of a member with these FLAGS carry checksums of their output? */
bool lzop_has_sums(uint32_t flags);

/*
 * The size of a block's header in a member with these FLAGS, at most LZOP_HEADER. STORED: its two
 * lengths are equal.
 */
size_t lzop_header_len(uint32_t flags, bool stored);

/*
 * Do the N bytes at BYTES begin with the header of a block of a member with these FLAGS, which
 * decompresses to OUT_LEN bytes? If so, fills in *BLOCK, except for its offset.
 */
bool lzop_load_header(const unsigned char *bytes, size_t n, uint32_t flags, uint32_t out_len,
                      struct lzop_block *block);

/* Go on after r->block without decoding it. */
void lzop_skip_block(struct lzop_reader *r);

/*
 * Decode BLOCK, of a member with these FLAGS and FILTER, from its in_len bytes at DATA into OUT,
 * which has room for its out_len bytes.
 */
int lzop_decode(const struct lzop_block *block, uint32_t flags, uint32_t filter,
                const unsigned char *data, unsigned char *out, struct error *err);

/* The same for r->block, whose data it reads. */
int lzop_decode_block(struct lzop_reader *r, unsigned char *out, struct error *err);

#endif
