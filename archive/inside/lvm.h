/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LVM2: physical volumes, and the logical volumes that lie on them.
 *
 *   physical volume   [label | metadata areas | extent 0 | extent 1 | … ]
 *   volume group      which physical volumes, by their ids, and of each logical volume its segments
 *   segment           extents of one physical volume, of several in stripes, or a mirror's legs
 *
 * Each physical volume has the metadata of the whole group, or none. A volume group is made of the
 * newest text; then the volumes that were found are given to it; then each logical volume is laid
 * out, or it has a problem.
 */
#ifndef VMAFS_LVM_H
#define VMAFS_LVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/array.h"

struct error;
struct lvm_text;
struct lvm_value;
struct volume;

enum {
        LVM_ID_LEN = 33,    /* without its dashes, with its NUL */
        LVM_NAME_LEN = 128, /* with its NUL */
        LVM_STRIPES_MAX = 128,
        LVM_VOLUMES_MAX = 4096,   /* logical ones of a group that are taken, with the hidden ones */
        LVM_PIECES_MAX = 1 << 18, /* of all of a group together: 10 MiB of memory */
};

/* What was found on a volume that may be a physical one. */
struct lvm_label {
        bool found;
        char id[LVM_ID_LEN];
        char *text; /* the group's metadata, for lvm_group_parse; NULL: it has none */
        size_t len;
};

/*
 * Look at V, into *OUT, which lvm_label_fini frees in any case. That it is no physical volume, or
 * its metadata are damaged, is no error. -EAGAIN, -EIO and others as volume_read.
 */
int lvm_label_read(struct volume *v, struct lvm_label *out);
void lvm_label_fini(struct lvm_label *l);

struct lvm_physical {
        char name[LVM_NAME_LEN]; /* in the text: "pv0" */
        char id[LVM_ID_LEN];
        uint64_t start;        /* byte of extent 0 */
        uint64_t count;        /* extents */
        struct volume *volume; /* NULL: it was not found */
        bool twice;            /* it was found more than once */
};

/* Where a stripe begins. */
struct lvm_area {
        uint32_t physical; /* number */
        uint64_t extent;
};

/* A part of a logical volume: of a segment from byte SKIP on. */
struct lvm_piece {
        uint64_t start, len, skip; /* bytes */
        uint32_t area, stripes;    /* the first of the group's areas, and how many there are */
        uint64_t stripe;           /* bytes; 0: there is one alone */
};

struct lvm_logical {
        char name[LVM_NAME_LEN];
        char id[LVM_ID_LEN];
        bool visible;
        uint64_t size;    /* bytes */
        char problem[96]; /* why it cannot be read, after "it"; or "" */
        const struct lvm_value *section;
        ARRAY(struct lvm_piece) pieces; /* one after the other, without gaps */
};

struct lvm_group {
        char name[LVM_NAME_LEN];
        char id[LVM_ID_LEN];
        uint64_t seqno;  /* of two texts about one group the larger is the newer */
        uint64_t extent; /* bytes */
        size_t left_out; /* logical volumes over LVM_VOLUMES_MAX */
        ARRAY(struct lvm_physical) physical;
        ARRAY(struct lvm_logical) logical;
        ARRAY(struct lvm_area) areas;
        size_t pieces; /* of all together */
        char *buffer;
        struct lvm_text *text;
};

/*
 * The group of TAKE_TEXT, of LEN bytes, which it frees. Sets *OUT, which lvm_group_free frees.
 * -EBADMSG: it makes no sense; -ENOMEM.
 */
int lvm_group_parse(char *take_text, size_t len, struct lvm_group **out);
void lvm_group_free(struct lvm_group *g); /* NULL is allowed */

/* The physical volumes that were found are known: lay out the logical ones. 0 or -ENOMEM. */
int lvm_group_lay_out(struct lvm_group *g);

#endif
