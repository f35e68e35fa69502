/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xz: streams one after another, each a header, blocks, an index of them, and a footer.
 *
 *   stream:  magic 6 | flags 2 | CRC-32 4 | blocks | index | footer 12
 *   block:   header with its CRC-32 | LZMA2 data | padding to 4 bytes | check
 *   index:   0 | number of blocks | the two sizes of each | padding | CRC-32
 *
 * A block needs nothing from before it but the kind of its check, which is what a restart point's
 * aux holds; aux 0 is a point before a stream's header. Blocks decode by liblzma, which verifies
 * their checks. The index is compared here, in constant memory, since all that a reader has to keep
 * of the blocks is a hash over their sizes.
 *
 * As with gzip, zeros may follow the last stream and anything else is an error.
 */
#ifndef VMAFS_XZ_READER_H
#define VMAFS_XZ_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <lzma.h>

#include "archive/error.h"
#include "archive/source/input.h"

struct restart_point;
struct source;

enum xz_place {
        XZ_BETWEEN, /* before a stream's header, or at the end */
        XZ_BLOCKS,  /* before a block's header or the index */
        XZ_INSIDE,  /* inside a block */
};

struct xz_reader {
        struct input in;
        uint64_t window; /* largest dictionary that a block may ask for, bytes */
        bool verify;     /* compare the checks of blocks */
        bool first;      /* no stream was read yet */
        enum xz_place place;
        lzma_check check; /* of the current stream's blocks */

        /* Of the blocks of the current stream, for its index. */
        bool counted; /* all of them have been seen */
        uint64_t blocks, sizes;

        /* The current block, or the last one. */
        bool at_block;       /* its header or its data come next */
        uint64_t block_at;   /* byte of the file at which its header begins */
        uint64_t block_out;  /* bytes of its output so far */
        uint32_t dictionary; /* bytes */
        lzma_block block;
        lzma_stream z;
        struct error failure; /* what all further calls return; code 0: nothing */
};

bool xz_probe(const void *head, size_t len);

/*
 * Prepare to read SOURCE from byte OFFSET on, where a stream begins. Call xz_reader_fini in either
 * case.
 */
int xz_reader_open(struct xz_reader *r, struct source *source, uint64_t offset, uint64_t window,
                   struct error *err);

/* The same for the SIZE bytes at BYTES, as for input_init_memory, without comparing checks. */
void xz_reader_open_memory(struct xz_reader *r, void *bytes, size_t size, uint64_t offset);

void xz_reader_fini(struct xz_reader *r);

/* Be where POINT says, which may come from a sidecar, so it is checked. */
int xz_enter(struct xz_reader *r, const struct restart_point *point, struct error *err);

/* The aux of a point before a block of R's stream. */
uint64_t xz_aux(const struct xz_reader *r);

/*
 * Go to the next block, of this or a later stream. 1: inside it. 0: the last stream has ended. After
 * a failure it fails again in the same way, until xz_enter.
 */
int xz_next_block(struct xz_reader *r, struct error *err);

/* Decode up to LEN bytes of the block into OUT. The count; 0: it has ended; -errno as above. */
ssize_t xz_read_block(struct xz_reader *r, void *out, size_t len, struct error *err);

/* A block with these sizes belongs to the stream, though it was not read. */
void xz_count_block(struct xz_reader *r, uint64_t unpadded, uint64_t uncompressed);

/*
 * Do the LEN bytes at HEADER begin with a block's header whose checksum is right? Fills in B, but
 * for its filters.
 */
bool xz_load_header(const uint8_t *header, size_t len, lzma_check check, lzma_block *b);

#endif
