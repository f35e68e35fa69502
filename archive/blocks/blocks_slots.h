/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which places of a file blocks have taken, each of them of one length, wherever they begin.
 *
 *   windows   |           |           |           |        each as long as a block
 *   blocks      |== A ==|     |== B ==|== C ==|
 *
 * In a sound file at most one block begins in a window, and none before the one before has ended.
 * Where that is not so, nobody can tell whose the bytes are: all of them are doubted.
 */
#ifndef VMAFS_BLOCKS_SLOTS_H
#define VMAFS_BLOCKS_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        BLOCKS_UNIT = 512,            /* bytes; blocks begin and end at multiples of it */
        BLOCKS_WINDOWS_MAX = 1 << 24, /* 128 MiB */
};

/* What begins in a window, in units from the window's start; 0 stands for nothing. */
struct blocks_window {
        uint32_t first; /* the number of the first block's unit, plus 1 */
        uint32_t last;  /* the last one's; BLOCKS_TWICE: somebody else claims a part of it */
};

struct blocks_slots {
        uint64_t from; /* byte of the file at which the first window begins */
        uint64_t len;  /* bytes of a block, and of a window */
        size_t count;
        struct blocks_window *list; /* NULL: there is none */
        uint64_t twice;             /* claims that were not the only ones */
};

/*
 * For blocks of LEN bytes between FROM and END, which are multiples of BLOCKS_UNIT from each other.
 * 0, -ENOMEM; -E2BIG for more than BLOCKS_WINDOWS_MAX windows.
 */
int blocks_slots_init(struct blocks_slots *s, uint64_t from, uint64_t end, uint64_t len);
void blocks_slots_fini(struct blocks_slots *s);

/* A block begins at byte START, which is between FROM and END. */
void blocks_slots_claim(struct blocks_slots *s, uint64_t start);

/* Does another block claim a part of the one that begins at byte START? */
bool blocks_slots_doubted(const struct blocks_slots *s, uint64_t start);

/* Does a block cover a part of the LEN bytes from START? LEN is at most a block's. */
bool blocks_slots_touch(const struct blocks_slots *s, uint64_t start, uint64_t len);

/*
 * The first range from byte *AT to END in which no block is; *AT moves past it, and past the block
 * that ends it. False: there is none.
 */
bool blocks_slots_gap(const struct blocks_slots *s, uint64_t *at, uint64_t end, uint64_t *start,
                      uint64_t *gap_end);

#endif
