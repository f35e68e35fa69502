/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes VMDK images as VMware's tools do, which qemu-img does not: with the directory at the end,
 * grains in any order, grains of zeros. Independent of the reader.
 */
#ifndef VMAFS_TESTS_VMDK_WRITER_H
#define VMAFS_TESTS_VMDK_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/fixture_stream.h"

enum { VMDK_GRAIN = 65536, VMDK_SPAN = 512 * VMDK_GRAIN }; /* SPAN: what a table is for */

struct vmdk_image {
        bool stream;   /* streamOptimized; otherwise monolithicSparse with a redundant directory */
        uint64_t size; /* bytes of the disk */
        struct bytes file;
        uint32_t *grains; /* an entry of the grain tables each */
        size_t count;
        size_t gd, rgd; /* bytes: where they are, once finished */
};

/* Freed by vmdk_free. */
struct vmdk_image vmdk_start(bool stream, uint64_t size);
void vmdk_free(struct vmdk_image *v);

/* Store grain NUMBER behind what there is: VMDK_GRAIN bytes of DATA; NULL: it is marked as zeros.
 */
void vmdk_grain(struct vmdk_image *v, uint64_t number, const void *data);

/* Directory, tables, footer. */
void vmdk_finish(struct vmdk_image *v);

#endif
