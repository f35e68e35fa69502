/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pass of a codec whose stream is blocks that can be entered: xz, bzip2, lz4. It decodes block
 * after block, names points before them, and returns where a point may be named.
 *
 *   | block | block     | block |     of the stream
 *   ^ point ^ too near  ^ point       every SPACING bytes of output, or where one is wanted
 */
#ifndef VMAFS_BLOCK_PASS_H
#define VMAFS_BLOCK_PASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "archive/stream/codec.h"

struct error;
struct input;
struct pass_state;
struct restart_builder;

/* The first member of a codec's pass. */
struct block_pass {
        const struct input *in;
        uint64_t out;   /* bytes returned so far */
        uint64_t named; /* out at the last point */
        bool resumed;   /* the point here was named in another process */
        bool dear;      /* a point here would need a history */
        struct codec_trust trust;
};

/* Where the block begins that next has found. */
struct block_point {
        uint64_t in_bit, aux;
        const void *history;
        size_t history_len;
};

/* What a codec does of it. */
struct block_ops {
        const char *name; /* the codec's */

        /* Is a part of the current block yet to be read? */
        bool (*inside)(const struct block_pass *p);

        /* Go to the next block, after OUT bytes of output. 1, 0 at the stream's end, or -errno. */
        int (*next)(struct block_pass *p, uint64_t out, struct error *err);

        /* Decode up to LEN bytes of the block: the count, 0 if it has ended, or -errno. */
        ssize_t (*read)(struct block_pass *p, void *buf, size_t len, struct error *err);

        /* The block has ended, at byte OUT of the output: codec_settle, unless more is to come. */
        void (*settle)(struct block_pass *p, uint64_t out);

        struct block_point (*point)(const struct block_pass *p);

        /* What resume needs at a point. NULL: the codec cannot be resumed. */
        void (*checkpoint)(const struct block_pass *p, struct pass_state *out);

        uint64_t spacing;    /* bytes of output between points that cost nothing */
        size_t return_after; /* bytes of output, at a block's end */
};

/* As codec_ops.pass. */
ssize_t block_pass_run(const struct block_ops *ops, struct block_pass *p, void *buf, size_t len,
                       struct restart_builder *b, struct error *err);

/* The pass goes on after damage, at byte OUT of the output. */
void block_pass_go_on(struct block_pass *p, uint64_t out);

/* Exactly LEN bytes of the blocks from here on. 0, -EIO, or another failure of OPS. */
int block_pass_exactly(const struct block_ops *ops, struct block_pass *p, uint8_t *out, size_t len,
                       struct error *err);

#endif
