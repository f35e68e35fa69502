/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file of an OVA that is not one member as it is: it is cut into chunks, or compressed, or both.
 *
 *   members   | a.000000001 | ... | a.000000000 |      in any order
 *   joined    | 0 | 1 | 2 |                            a volume of them
 *   source    the same, or what it decompresses to
 */
#ifndef VMAFS_TAR_PACKED_H
#define VMAFS_TAR_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/array.h"
#include "archive/volume.h"

struct archive_origin;
struct error;
struct ovf_file;
struct source;
struct tar_faults;
struct tar_file;
struct tar_siblings;

enum { TAR_CHUNKS_MAX = 1 << 17 }; /* of all files of a tar together */

struct tar_piece {
        uint64_t start; /* of the file */
        struct tar_file *member;
};

struct tar_packed {
        struct volume volume; /* the members, one after another */
        ARRAY(struct tar_piece) pieces;
        struct source *source; /* what it holds, decompressed */
        bool compressed;
        bool entered;              /* its restart points come from an index */
        struct tar_faults *faults; /* where damage of the compressed stream is noted; the tar's */
};

/*
 * Open FILE of the OVF that S has as asking, in the tar of ORIGIN. MEMBERS, with a byte for each member of the tar, gets 1
 * for each that is part of it. 1 and *OUT, which tar_packed_close frees; 0: it is not in the tar, or
 * WHY says what is wrong with it; -ENOMEM. *CHUNKS counts those of all files.
 */
int tar_packed_open(struct tar_siblings *s, const struct ovf_file *file,
                    const struct archive_origin *origin, struct tar_faults *faults,
                    uint8_t *members, size_t *chunks, struct tar_packed **out, struct error *why);
void tar_packed_close(struct tar_packed *p); /* NULL is allowed */

/* The byte of the tar's stream that holds byte OFFSET of what P holds, or the nearest one known. */
uint64_t tar_packed_locate(const struct tar_packed *p, uint64_t offset);

/* The byte of the tar's stream at which the first of its members begins. */
uint64_t tar_packed_start(const struct tar_packed *p);

/* P will be gone through. */
void tar_packed_begin(struct tar_packed *p);

/*
 * Decode what is left of a compressed P, so that all damage is found; PROGRESS is called with CTX
 * after each piece. 0 or -errno with the reason in ERR.
 */
int tar_packed_finish(struct tar_packed *p, int (*progress)(void *ctx, uint64_t done), void *ctx,
                      struct error *err);

#endif
