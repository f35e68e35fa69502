/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A range of a volume as a volume, such as a partition. Where its bytes lie is what the volume
 * below says, so that holes, losses and what is stored as it is stay what they are.
 */
#ifndef VMAFS_PART_VOLUME_H
#define VMAFS_PART_VOLUME_H

#include <stdint.h>

#include "archive/volume.h"

struct part_volume {
        struct volume base;
        struct volume *below;
        uint64_t start; /* byte of BELOW */
};

/* [START, START + LEN) of BELOW, all of it below its size. BELOW outlives V. */
void part_volume_init(struct part_volume *v, struct volume *below, uint64_t start, uint64_t len);

#endif
