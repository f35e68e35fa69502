/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images in the members of a tar, whose disks are shown besides the members. */
#ifndef VMAFS_TAR_IMAGE_H
#define VMAFS_TAR_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/format.h"

struct tar_member;

enum { TAR_IMAGES_MAX = 64 }; /* each has caches of its own */

/* A folder that an image has emitted. Others that have one of its name share it. */
struct tar_folder {
        char *name;
        uint32_t parent;
        size_t image; /* number of the image that was the last to ask for it */
};

/* What the images of one tar share; zeroed before the first but for cache_bytes. */
struct tar_images {
        size_t cache_bytes; /* what is left for the next ones */
        size_t count;
        struct tar_folder *folders; /* number N is element N - 1 */
        uint32_t folder_count;
};

struct tar_image {
        const struct tar_member *member;
        struct archive *archive;
        struct source *slice; /* what it is read from */
        uint64_t base;        /* its addresses are the tar's from here on; the tar's to set */
        uint32_t first_disk;  /* the number of its own disk 0 among the tar's … */
        uint32_t disk_count;  /* … which the others follow */
};

/*
 * Open M, of which LEN bytes are in SOURCE, and emit its disks, the first as number FIRST_DISK. 1
 * and *OUT, which the caller closes; 0: it is no image, or WHY says why it cannot be opened, and
 * nothing was emitted; -errno with the reason in ERR.
 */
int tar_image_open(struct tar_images *all, struct source *source, const struct tar_member *m,
                   uint64_t len, uint32_t first_disk, const struct archive_sink *sink,
                   struct tar_image **out, struct error *why, struct error *err);
void tar_image_close(struct tar_image *image); /* NULL is allowed */
void tar_images_fini(struct tar_images *all);

/* As archive_ops' functions, in the tar's numbers and addresses. */
int tar_image_scan(struct tar_image *image, const struct archive_sink *sink, struct error *err);
int tar_image_read(struct tar_image *image, const struct extent *extent, uint64_t skip, void *buf,
                   size_t len);
bool tar_image_locate(struct tar_image *image, const struct extent *extent, uint64_t *offset);
int tar_image_detail(struct tar_image *image, uint32_t disk, uint64_t start, uint64_t len,
                     struct archive_detail *out);

#endif
