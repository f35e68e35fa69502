/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small VMDK image of which every grain is known, scanned, and what must be in it. Each function
 * fails the test where what it does fails.
 */
#ifndef VMAFS_TESTS_VMDK_FIXTURE_H
#define VMAFS_TESTS_VMDK_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/image_fixture.h"
#include "tests/vmdk_writer.h"

enum { VMDK_BLOCK = 4096, VMDK_SECTOR = 512 };

/* VMDK_GRAIN bytes, what grain NUMBER holds; until the next call. */
const uint8_t *vmdk_pattern(uint64_t number);

/*
 * Grains 0, 3, 1, in this order; 2 is not there, 4 is zeros, 600 is in the second table. Freed by
 * vmdk_free.
 */
struct vmdk_image vmdk_small(bool stream);

/* Ended by image_end. */
struct image vmdk_scanned_bytes(const void *data, size_t len);
struct image vmdk_scanned(const struct vmdk_image *v);

/* Of the disk of M: grain NUMBER holds its pattern, holds zeros, is an I/O error. */
void vmdk_expect_grain(const struct image *m, uint64_t number);
void vmdk_expect_zeros(const struct image *m, uint64_t number);
void vmdk_expect_lost(const struct image *m, uint64_t number);
/* All that vmdk_small has. */
void vmdk_expect_small(const struct image *m);

#endif
