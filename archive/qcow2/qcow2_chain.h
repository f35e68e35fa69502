/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The backing files of an image of the qcow2 family. */
#ifndef VMAFS_QCOW2_CHAIN_H
#define VMAFS_QCOW2_CHAIN_H

#include "archive/qcow2/qcow2_map.h"
#include "archive/qcow2/qcow2_reader.h"

struct archive_origin;
struct error;

/* The state of one or more lookups in a chain; zero before the first. */
struct qcow2_look {
        struct qcow2_cursor at[QCOW2_LAYERS_MAX];
};

/* The same for walking over a whole disk. */
static inline struct qcow2_look qcow2_wide_look(void)
{
        struct qcow2_look look;

        for (unsigned i = 0; i < QCOW2_LAYERS_MAX; i++)
                look.at[i] = qcow2_wide_cursor();
        return look;
}

/*
 * Open the backing files, as far as ORIGIN allows. -EPERM where it does not, -ELOOP for too many of
 * them, and as opening an image.
 */
int qcow2_open_chain(struct qcow2 *q, const struct archive_origin *origin, struct error *err);
void qcow2_close_chain(struct qcow2 *q);

/*
 * As qcow2_find, in D and its backing files: what remains QCOW2_UNALLOCATED is zeros.
 * LOOK is ended after the last one of a row.
 */
int qcow2_look(const struct qcow2_disk *d, uint64_t pos, uint64_t len, enum qcow2_alike alike,
               struct qcow2_look *look, struct qcow2_piece *out);
void qcow2_end_look(const struct qcow2 *q, struct qcow2_look *look);

/*
 * Is what D has as PIECE, which is QCOW2_UNALLOCATED, in a backing file of another format? Then
 * what it is there, one after it or more. As volume_ops.
 */
static inline bool qcow2_is_foreign(const struct qcow2_disk *d, const struct qcow2_piece *piece)
{
        return d->q->foreign && !d->is_state && piece->kind == QCOW2_UNALLOCATED &&
               !d->q->holes_doubted;
}
int qcow2_foreign_extent(const struct qcow2 *q, uint64_t pos, uint64_t len,
                         struct volume_extent *out);

/* The image that has what is at DEPTH; of a raw one, the source and its size. */
const struct qcow2_image *qcow2_image_at(const struct qcow2 *q, unsigned depth);

#endif
