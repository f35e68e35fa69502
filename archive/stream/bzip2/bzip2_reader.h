/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bzip2: streams one after another, each of blocks that begin at any bit.
 *
 *   stream:  "BZh" | level 1 digit | blocks | end
 *   block:   0x314159265359 48 bits | CRC-32 32 bits | data
 *   end:     0x177245385090 48 bits | CRC-32 over those of all blocks 32 bits | padding to a byte
 *
 * Bits count from a byte's highest one. A block needs nothing from before it but the level, which
 * is what a restart point's aux holds; aux 0 is a point before a stream's header. Nothing says how
 * long a block is. libbz2 decodes streams alone, and such as begin at a byte: so each block is
 * presented as one, shifted, after a header. It is complete before the first byte of output comes,
 * and then libbz2 has taken no byte that it has no bits of. So the block's end is where, within the
 * last byte that it took, the next block or the stream's end begins.
 *
 * As with gzip, zeros may follow the last stream and anything else is an error.
 */
#ifndef VMAFS_BZIP2_READER_H
#define VMAFS_BZIP2_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <bzlib.h>

#include "archive/error.h"
#include "archive/source/input.h"

struct restart_point;
struct source;

#define BZIP2_BLOCK UINT64_C(0x314159265359)
#define BZIP2_END   UINT64_C(0x177245385090)

/*
 * What libbz2 takes for a block of any level. It gets the same memory for each, since new pages
 * would cost a twentieth of the time.
 */
#define BZIP2_MEMORY ((size_t)3600 << 10)

enum bzip2_place {
        BZIP2_BETWEEN, /* before a stream's header, or at the end */
        BZIP2_BLOCKS,  /* before a block or the stream's end */
        BZIP2_INSIDE,  /* inside a block, whose input has been read */
};

struct bzip2_reader {
        struct input in;
        unsigned shift; /* bits of the input's next byte that come before what is next */
        bool taken;     /* the decoder has had 8 bits from there; its block ends in them */
        bool first;     /* no stream was read yet */
        enum bzip2_place place;
        unsigned level; /* of the current stream, 1 to 9 */
        bool counted;   /* sum is of all blocks of the stream */
        uint32_t sum;

        bool at_block;      /* the current block has begun, and has not ended */
        uint64_t block_bit; /* at which the current block begins, or the last one */
        uint64_t block_out; /* bytes of its output so far */
        uint32_t block_sum;
        bz_stream z;
        uint8_t *memory;      /* BZIP2_MEMORY bytes for z, or NULL … */
        size_t used;          /* … of which it has so many */
        void *owned;          /* to be freed */
        bool open;            /* z is to be closed */
        struct error failure; /* what all further calls return; code 0: nothing */
};

bool bzip2_probe(const void *head, size_t len);

/*
 * Prepare to read SOURCE from byte OFFSET on, where a stream begins. Call bzip2_reader_fini in
 * either case.
 */
int bzip2_reader_open(struct bzip2_reader *r, struct source *source, uint64_t offset,
                      struct error *err);

/*
 * The same for the SIZE bytes at BYTES, as for input_init_memory, with the BZIP2_MEMORY bytes at
 * MEMORY, aligned as malloc would.
 */
void bzip2_reader_open_memory(struct bzip2_reader *r, void *bytes, size_t size, uint64_t offset,
                              void *memory);

void bzip2_reader_fini(struct bzip2_reader *r);

/* Be where POINT says, which may come from a sidecar, so it is checked; its byte comes next. */
int bzip2_enter(struct bzip2_reader *r, const struct restart_point *point, struct error *err);

/* The aux of a point before a block of R's stream. */
uint64_t bzip2_aux(const struct bzip2_reader *r);

/*
 * Go to the next block, of this or a later stream. 1: inside it. 0: the last stream has ended. After
 * a failure it fails again in the same way, until bzip2_enter.
 */
int bzip2_next_block(struct bzip2_reader *r, struct error *err);

/* Decode up to LEN bytes of the block into OUT. The count; 0: it has ended; -errno as above. */
ssize_t bzip2_read_block(struct bzip2_reader *r, void *out, size_t len, struct error *err);

#endif
