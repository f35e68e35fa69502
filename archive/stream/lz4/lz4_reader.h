/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lz4: frames one after another. All numbers are little-endian.
 *
 *   frame:      0x184d2204 | flags 1 | block size 1 | [content size 8] | header checksum 1
 *               | blocks | 0 (4 bytes) | [content checksum 4]
 *   block:      length 4, of which the highest bit says that it is stored | data | [checksum 4]
 *   legacy:     0x184c2102 | blocks of 8 MiB of output, each with its length 4, up to the end of the
 *               file or the next frame
 *   skippable:  0x184d2a50 to 5f | length 4 | as many bytes
 *
 * Checksums are XXH32. Blocks are independent, or linked: then they refer to the 64 KiB before them.
 * What a block needs to know of its frame is what a restart point's aux holds; aux 0 is a point
 * before a frame.
 *
 * As with gzip, zeros may follow the last frame and anything else is an error.
 */
#ifndef VMAFS_LZ4_READER_H
#define VMAFS_LZ4_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <xxhash.h>

#include "archive/error.h"
#include "archive/source/input.h"

struct restart_point;
struct source;

#define LZ4_HISTORY ((size_t)64 << 10)

/* What a frame's header says. */
struct lz4_frame {
        bool legacy, linked, block_sums, content_sum;
        bool sized;    /* content is its size */
        unsigned code; /* of the block size: 4 to 7 */
        uint64_t content;
};

struct lz4_reader {
        struct input in;
        bool first;      /* no frame was read yet */
        bool in_frame;   /* or before the next one */
        uint64_t frames; /* that have ended */
        struct lz4_frame frame;
        uint64_t frame_out; /* bytes of its output so far … */
        bool whole; /* … all of which were seen, so that its checksum and size can be compared */
        XXH32_state_t *sum;

        /*
         * The block begins at byte LZ4_HISTORY of BUF, which has ROOM bytes; [at, last) are yet to be
         * handed out. Before it are HISTORY bytes for a linked block.
         */
        uint8_t *buf;
        size_t room, at, last, history;

        uint64_t block_at; /* byte of the file at which the block's length stands */
        bool have_block;   /* its length was read, and is sound; its data come next */
        bool stored;
        uint32_t in_len;
        struct error failure; /* what all further calls return; code 0: nothing */
};

bool lz4_probe(const void *head, size_t len);

/*
 * Prepare to read SOURCE from byte OFFSET on, where a frame begins. Call lz4_reader_fini in either
 * case.
 */
int lz4_reader_open(struct lz4_reader *r, struct source *source, uint64_t offset,
                    struct error *err);

/* The same for the SIZE bytes at BYTES, as for input_init_memory, without comparing checksums. */
int lz4_reader_open_memory(struct lz4_reader *r, void *bytes, size_t size, uint64_t offset,
                           struct error *err);

void lz4_reader_fini(struct lz4_reader *r);

/* Be where POINT says, with its HISTORY. It may come from a sidecar, so it is checked. */
int lz4_enter(struct lz4_reader *r, const struct restart_point *point, const void *history,
              struct error *err);

/* The aux of a point before a block of R's frame. */
uint64_t lz4_aux(const struct lz4_reader *r);

/* What a point before the current block needs: *LEN bytes, valid until it is decoded. */
const uint8_t *lz4_history(const struct lz4_reader *r, size_t *len);

/* The most that a block of R's frame holds, bytes. */
size_t lz4_block_max(const struct lz4_frame *f);

/* Is a part of the block yet to be handed out? */
static inline bool lz4_is_inside(const struct lz4_reader *r)
{
        return r->at < r->last;
}

/*
 * Go to the next block, of this or a later frame, and read its length. 1: have_block is set. 0: the
 * last frame has ended. After a failure it fails again in the same way, until lz4_enter.
 */
int lz4_next_block(struct lz4_reader *r, struct error *err);

/* Decode that block. What it holds, which may be nothing, is to be handed out. 0 or -errno. */
int lz4_decode_block(struct lz4_reader *r, struct error *err);

/* Hand out up to LEN bytes of the block. */
size_t lz4_take(struct lz4_reader *r, void *out, size_t len);

/* Does byte AT look like what follows a block of R's frame? */
bool lz4_goes_on(const struct lz4_reader *r, uint64_t at);

/* Is there a frame's header, but for a skippable one's, in the LEN bytes at HEAD? */
bool lz4_load_header(const uint8_t *head, size_t len, struct lz4_frame *f, size_t *size);

#endif
