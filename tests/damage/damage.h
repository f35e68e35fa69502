/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Damages a file as disks, networks and people do, at random places, the same ones for the same
 * seed.
 */
#ifndef VMAFS_TESTS_DAMAGE_H
#define VMAFS_TESTS_DAMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "tests/fixtures/stream_fixture.h"

enum damage_kind {
        DAMAGE_FLIP,      /* one bit */
        DAMAGE_CUT,       /* a piece is missing, and what follows has moved up */
        DAMAGE_INSERT,    /* noise between two bytes */
        DAMAGE_ZERO,      /* a piece is zeros */
        DAMAGE_DUPLICATE, /* a piece is there twice, the second time right after the first */
        DAMAGE_SWAP,      /* two pieces have changed places */
        DAMAGE_KINDS,
};

extern const char *const damage_names[DAMAGE_KINDS];

enum { DAMAGE_STEPS = 3 };

/* What was done, in the order in which it was done; places are in the file as it was by then. */
struct damage_plan {
        unsigned count;
        struct damage_step {
                enum damage_kind kind;
                size_t at, len;
                size_t other; /* of a swap: where the second piece is */
        } steps[DAMAGE_STEPS];
};

/* The most by which one step makes a file longer, bytes. */
#define DAMAGE_GROWTH ((size_t)128 << 10)

/*
 * Damage B, which is not empty and whose data have room for DAMAGE_GROWTH more, as S says; what
 * does not fit into it is made to. NOISE is what an insertion is made of.
 */
void damage_step(struct bytes *b, struct damage_step *s, uint64_t noise);

/*
 * A copy of SOUND, which is not empty, with one to three damages of the kinds in KINDS (a bit
 * each), which is not the same as SOUND. PLAN is filled in. Freed by the caller.
 */
struct bytes damage_apply(struct bytes sound, uint64_t seed, unsigned kinds,
                          struct damage_plan *plan);

/* PLAN in words, into OUT of SIZE bytes. Returns OUT. */
const char *damage_describe(const struct damage_plan *plan, char *out, size_t size);

/* Has any of it moved what follows? */
int damage_moves(const struct damage_plan *plan);

#endif
