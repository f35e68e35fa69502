/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a byte of a disk to where it is, in qcow2 and in QED. Tables are read when they are looked
 * at, in small aligned pieces that a bounded cache keeps, for readers who come from anywhere: of an
 * image of any size nothing else is in memory. Who goes through all of a table reads it in wide
 * pieces that nobody keeps.
 */
#ifndef VMAFS_QCOW2_MAP_H
#define VMAFS_QCOW2_MAP_H

#include "archive/qcow2/qcow2_image.h"

struct block;
struct error;

enum qcow2_kind {
        QCOW2_UNALLOCATED, /* zeros, or what the backing file has */
        QCOW2_ZERO,
        QCOW2_DATA,
        QCOW2_COMPRESSED,
        QCOW2_BAD, /* what the table says is impossible */
};

/* A range of a disk that is alike. */
struct qcow2_piece {
        enum qcow2_kind kind;
        uint64_t len;
        uint64_t offset; /* byte of the file where it begins; 0: it is not stored */
        uint64_t entry;  /* QCOW2_COMPRESSED: the cluster's entry in the L2 table … */
        uint64_t skip;   /* … and where in the cluster the piece starts */
        unsigned depth;  /* in the chain: 0 is the image itself, 1 its backing file … */
        const char *why; /* QCOW2_BAD */
        uint64_t where;  /* QCOW2_BAD: byte of the file that says so */
};

/* The piece of a table that was used last: makes the next lookup fast. */
struct qcow2_held {
        bool wide; /* set before the first use, then constant */
        uint64_t key;
        struct block *block; /* NULL: none is held */
        uint8_t *own;        /* the same where it is wide */
};

struct qcow2_cursor {
        struct qcow2_held l1, l2;
};

static inline struct qcow2_cursor qcow2_wide_cursor(void)
{
        return (struct qcow2_cursor){.l1.wide = true, .l2.wide = true};
}

/* What a piece may comprise. */
enum qcow2_alike {
        /* What lies together in the file, or is compressed: offset and entry are then those of the
           first cluster. */
        QCOW2_ALIKE_PLACE,
        QCOW2_ALIKE_KIND, /* by kind alone */
};

/* Is all of the L1 table of T in the file? 0, or -EIO with the reason in ERR. */
int qcow2_check_l1(const struct qcow2_image *image, const struct qcow2_table *t, struct error *err);

/*
 * What [POS, POS + LEN) of the disk of TABLE starts with, which is below the disk's size. CURSOR is
 * zeroed before the first call, or wide, and released in the end. 0 or -errno: -ENOMEM, -ESTALE …;
 * where a table cannot be read the piece is QCOW2_BAD.
 */
int qcow2_find(const struct qcow2_image *image, const struct qcow2_table *table, uint64_t pos,
               uint64_t len, enum qcow2_alike alike, struct qcow2_cursor *cursor,
               struct qcow2_piece *out);
void qcow2_release(const struct qcow2_image *image, struct qcow2_cursor *cursor);

/* Entries from byte OFFSET of the file on, which stay until HELD is used again or released; *END is
 * lowered to where they end. 0, or -errno as source_pread. What the file does not have reads as 0.
 */
int qcow2_hold(const struct qcow2_image *image, struct qcow2_held *held, uint64_t offset,
               uint64_t *end, const uint8_t **out);

void qcow2_let_go(const struct qcow2_image *image, struct qcow2_held *held);

/* The offset in the L1 entry at P. 0: there is no L2 table. */
uint64_t qcow2_table_offset(const struct qcow2_image *image, const uint8_t *p);

/* May an L2 table be at OFFSET, and is it in the file? */
bool qcow2_is_table(const struct qcow2_image *image, uint64_t offset);

/*
 * The bytes of the file that the entry of an L2 table at P names, *LEN 0 where it names none, or
 * they cannot be. Returns whether they are compressed.
 */
bool qcow2_entry(const struct qcow2_image *image, const uint8_t *p, uint64_t *offset,
                 uint64_t *len);

#endif
