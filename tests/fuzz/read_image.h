/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must hold of an image of the qcow2 family, whatever is in it. */
#ifndef VMAFS_FUZZ_READ_IMAGE_H
#define VMAFS_FUZZ_READ_IMAGE_H

#include <stddef.h>
#include <stdint.h>

/*
 * SIZE bytes as an image, with the four bytes of MAGIC in front: header, tables, snapshots, bitmaps
 * and clusters, through the index and its reads.
 */
void check_image(const uint8_t *data, size_t size, const char *magic);

/* A part of an image: COUNT of them make one, in which all else is zeros. */
struct image_part {
        const void *data;
        size_t len;
        uint64_t at; /* byte of the image */
};

/* The same of an image of PARTS, of which later ones are written over earlier ones. */
void check_parts(const struct image_part *parts, size_t count);

#endif
