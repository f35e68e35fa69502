/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images in the members of a tar. Their disks are shown in addition to the members. */
#ifndef VMAFS_TAR_IMAGE_H
#define VMAFS_TAR_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/array.h"
#include "archive/format.h"

struct tar_file;
struct tar_packed;

enum {
        TAR_IMAGES_MAX = 64,
        TAR_TRIES_MAX = 4096, /* of which so many are parts of others, or cannot be opened */
};

/* A folder that an image has emitted. Other images share it, if they have one of that name. */
struct tar_folder {
        char *name;
        uint32_t parent;
        size_t image; /* number of the last image that asked for it */
};

/* What the images of one tar share. The first four are set first, and all else is zero. */
struct tar_images {
        struct shared *shared;
        struct siblings *siblings;
        int64_t mtime; /* of the tar */
        uint64_t end;  /* bytes of the stream */
        size_t count;  /* images so far, with those that could not be opened */
        size_t opened;
        ARRAY(struct tar_folder) folders; /* number N is element N - 1 */
};

struct tar_image {
        const struct tar_file *file; /* or its first part */
        struct tar_packed *packed;   /* what it is stored in, if that is not a member as it is */
        struct archive *archive;
        struct source *source; /* what it is read from; that of PACKED where there is one */
        uint32_t first_disk;   /* the number of its own disk 0 among the tar's … */
        uint32_t disk_count;   /* … which the others follow */
        bool alone;            /* no other member is needed to read them */
};

/*
 * Open F, or what TAKE_PACKED holds, which F begins, and emit its disks, the first as number
 * FIRST_DISK. NAME is the file's. TAKE_PACKED is NULL or freed, on failure too. 1 and *OUT, which the
 * caller closes; 0: it is no image, or WHY says why it cannot be opened, and nothing was emitted;
 * -errno with the reason in ERR.
 */
int tar_image_open(struct tar_images *all, struct tar_file *f, struct tar_packed *take_packed,
                   const char *name, uint32_t first_disk, const struct archive_sink *sink,
                   struct tar_image **out, struct error *why, struct error *err);
void tar_image_close(struct tar_image *image); /* NULL is allowed */
void tar_images_fini(struct tar_images *all);

/*
 * Is IMAGE read by restart points from an index? Then all of it was judged when that was made, and its
 * tables are compared with the index's hashes, as its data are.
 */
bool tar_image_is_known(const struct tar_image *image);

/* As struct format's functions, in the tar's numbers. */
int tar_image_scan(struct tar_image *image, const struct archive_sink *sink, struct error *err);
void tar_image_skip_scan(struct tar_image *image);

#endif
