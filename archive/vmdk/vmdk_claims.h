/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What each sector of a sparse file belongs to. In a sound file no sector belongs to two owners,
 * and no data is without an owner.
 *
 *   header | descriptor | directory, tables | their copies | grains ...
 *
 * Used in three steps: add all claims, sort them, ask.
 *
 * Nearly all claims are for grains, side by side. Whole grains whose distances are multiples of
 * their size take two bits of memory each, whatever their order. Other claims are in a list.
 */
#ifndef VMAFS_VMDK_CLAIMS_H
#define VMAFS_VMDK_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/vmdk/vmdk_slots.h"

enum vmdk_claimant {
        CLAIM_FIXED,       /* the header, the descriptor */
        CLAIM_TABLES,      /* the directory and its tables */
        CLAIM_COPY_TABLES, /* their copies */
        CLAIM_GRAIN,       /* a grain that all tables in use name */
        CLAIM_TABLE_GRAIN, /* a grain that a table names and its copy does not */
        CLAIM_COPY_GRAIN,  /* the reverse */
        CLAIMANTS,
};

/* Sets of claimants, for vmdk_claims_settle. */
#define CLAIMS_OF_TABLES (1U << CLAIM_TABLES | 1U << CLAIM_TABLE_GRAIN)
#define CLAIMS_OF_COPY   (1U << CLAIM_COPY_TABLES | 1U << CLAIM_COPY_GRAIN)
#define CLAIMS_OF_ALL    ((1U << CLAIMANTS) - 1)

/* Sectors [start, end). */
struct vmdk_range {
        uint64_t start, end;
};

struct vmdk_ranges {
        struct vmdk_range *items;
        size_t count, room;
};

enum {
        CLAIM_RANKS = 3,
        CLAIM_GRAIN_KINDS = CLAIMANTS - CLAIM_GRAIN,
        CLAIMS_MAX = 1 << 22, /* in the list: 32 MiB, and as much while it is sorted */
};

struct vmdk_claims {
        uint32_t unit; /* sectors of a grain; 0: all claims are in the list */
        uint32_t rest; /* remainder of a grain's sector by that, for grains in slots */
        uint64_t end;  /* sectors of the file */
        struct vmdk_slots grains[CLAIM_GRAIN_KINDS];

        struct vmdk_claim *list; /* sorted by sector, once they are */
        size_t count, room;
        struct vmdk_ranges lost[CLAIM_RANKS]; /* what claimants of each rank do not get */
};

/* A position in all claims in the order of their sectors; zeroed before the first. */
struct vmdk_claims_walk {
        size_t next;                      /* of the list */
        uint64_t slot[CLAIM_GRAIN_KINDS]; /* from which slot on */
        bool again[CLAIM_GRAIN_KINDS];    /* the slot before was named twice: return it again */
};

/* Grains have UNIT sectors, the file END. */
void vmdk_claims_start(struct vmdk_claims *c, uint32_t unit, uint64_t end);

void vmdk_claims_fini(struct vmdk_claims *c);

/*
 * WHO claims COUNT sectors from SECTOR, all below 2^33. 0; -ENOMEM; -E2BIG where the list would
 * have more than CLAIMS_MAX.
 */
int vmdk_claims_add(struct vmdk_claims *c, enum vmdk_claimant who, uint64_t sector, uint64_t count);

/* Also joins claims that follow one another. */
void vmdk_claims_sort(struct vmdk_claims *c);

/* How often do the tables contradict themselves or the fixed parts? And their copies? */
void vmdk_claims_weigh(const struct vmdk_claims *c, uint64_t *tables, uint64_t *copy);

/*
 * Decide between the claimants of a set. Tables win over grains, and grains that all tables name
 * win over others; between equals nobody wins. 0; -ENOMEM; -E2BIG: so much is claimed twice that
 * none of it can be trusted.
 */
int vmdk_claims_settle(struct vmdk_claims *c, unsigned set);

/* Did WHO get all COUNT sectors from SECTOR on, which it has claimed? */
bool vmdk_claims_won(const struct vmdk_claims *c, enum vmdk_claimant who, uint64_t sector,
                     uint64_t count);

/* The first range from sector *AT to END that nobody claims; *AT moves past it. False: none. */
bool vmdk_claims_gap(const struct vmdk_claims *c, struct vmdk_claims_walk *w, uint64_t *at,
                     uint64_t end, struct vmdk_range *gap);

/* Free the claims. What was settled stays. */
void vmdk_claims_drop(struct vmdk_claims *c);

#endif
