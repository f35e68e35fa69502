/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tar: OVA, and raw images in a plain or sparse tar. What its files share; nobody else includes
 * this.
 *
 *   tar.c               shows members as files, as disks, and the disks in images
 *   tar_image.c         images in members (tar_image.h)
 *   tar_siblings.c      the members that an image names (tar_siblings.h)
 *   tar_volume.c        what is kept of a member, and its content
 */
#ifndef VMAFS_TAR_FILE_H
#define VMAFS_TAR_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/tarfile/tar_member.h"
#include "archive/volume.h"

struct source;

/*
 * What is kept of a member. There may be millions, so most have no more than this: their header is
 * the block before their data, and all of their data is stored.
 */
struct tar_file {
        struct volume volume; /* its content; the anchor is where its data begins */
        union {
                struct source *stream;       /* where that is */
                struct tar_unusual *unusual; /* of a file for which tar_file_unusual is not NULL */
        };
};

/* What is also kept of a member that is sparse or lost. */
struct tar_unusual {
        struct source *stream;
        struct tar_member member; /* without its name */
};

/*
 * The byte of the stream at which byte POS of M, which is sparse, is stored. False: it is not.
 */
bool tar_locate_run(const struct tar_member *m, uint64_t pos, uint64_t *offset);

/* A file of SIZE bytes at byte DATA of STREAM. */
struct tar_file tar_file_plain(struct source *stream, uint64_t data, uint64_t size);

/* Turn the plain F into an unusual file as M describes it; takes M's runs. 0 or -ENOMEM. */
int tar_file_be_unusual(struct tar_file *f, struct tar_member *m);

/* What is unusual about F; NULL: nothing. */
struct tar_member *tar_file_unusual(const struct tar_file *f);

/*
 * Open F as *OUT, which the caller closes before F is freed. The stream ends at END, perhaps before
 * F does, or after bytes of F that are displaced. 0 or -ENOMEM.
 */
int tar_file_open(struct tar_file *f, uint64_t end, struct source **out);

void tar_file_fini(struct tar_file *f);

#endif
