/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small VMA archive of one disk, of which every byte is known, to be damaged and read again.
 *
 *   make ─> wipe, insert, cut_out … (or compress, and damage that) ─> open ─> check ─> discard
 *
 * A block that was changed where it stands is nobody's to know, since the format has no sum for
 * it: who changes one marks it as touched.
 */
#ifndef VMAFS_SALVAGE_MODEL_H
#define VMAFS_SALVAGE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk;
struct index;

enum {
        BLOCK = 4096,
        CLUSTER = 65536,
        HEADER = 512,
        CLUSTERS = 24,
        SLOTS = 3,
        EXTENTS = CLUSTERS / SLOTS,
        BLOCKS = CLUSTERS * 16,
        ROOM = 1 << 20, /* for what is inserted */
};

extern const uint8_t salvage_uuid[16];

struct salvage {
        uint8_t *bytes; /* the archive, as it is damaged further and further */
        size_t len;
        uint64_t extent[EXTENTS + 1]; /* where each begins, and the end */
        uint32_t order[CLUSTERS];     /* clusters in the archive's order */
        uint16_t mask[CLUSTERS];      /* of each cluster */
        uint64_t block_at[BLOCKS];    /* where it is stored; 0: it is zero */
        uint8_t *disk;                /* what it should read as */
        bool *touched;                /* of each byte of the sound archive: changed in place */

        struct index *index;
        struct disk *d;
        bool lost[BLOCKS]; /* what check has seen */
};

/* Pseudo-random, and the same for the same *STATE. */
uint32_t salvage_random(uint64_t *state);
uint64_t salvage_below(uint64_t *state, uint64_t n);

/* A sound archive. CLUSTER_0 is what the disk's first cluster holds; NULL: the pattern. */
struct salvage salvage_make(uint64_t seed, const uint8_t *cluster_0);
void salvage_discard(struct salvage *m);

/* Damage; AT is a byte of the archive as it is by then. */
void salvage_overwrite(struct salvage *m, uint64_t at, size_t n, const void *with);
void salvage_wipe(struct salvage *m, uint64_t at, size_t n);
void salvage_insert(struct salvage *m, uint64_t at, size_t n, const void *with);
void salvage_cut_out(struct salvage *m, uint64_t at, size_t n);

/* N bytes of junk, at most ROOM. */
const uint8_t *salvage_junk(size_t n);

/* Open m->bytes and scan them. 0, or why its header cannot be had. */
int salvage_try(struct salvage *m);

/* The same, which must work. */
void salvage_open(struct salvage *m);

/* Each block is right or an error. Returns how many are errors. */
size_t salvage_check(struct salvage *m);

/* The blocks of extent E that are lost are those that are stored, with ZEROS all of them. */
void salvage_expect_lost(const struct salvage *m, unsigned e, bool zeros);
void salvage_expect_whole(const struct salvage *m, unsigned e);

/*
 * Open and check M, and see that each extent has the fate that FATES says: '.' all of it can be
 * read, '?' all but what it stores, 'x' nothing of it.
 */
void salvage_expect_fates(struct salvage *m, const char *fates);

/* Is damage reported at archive byte OFFSET, with WORD in its text? */
bool salvage_has_damage(const struct salvage *m, uint64_t offset, const char *word);

#endif
