/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lines of a disk's map, as `qemu-img map` prints them. In JSON, "lost" is our addition.
 * Neighbours that are alike become one line.
 */
#ifndef VMAFS_MAP_LINES_H
#define VMAFS_MAP_LINES_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/volume.h"

struct map_line {
        uint64_t start, len;
        enum volume_kind kind;
        bool allocated, has_offset;
        unsigned depth;
        uint64_t offset; /* of the archive, or of the file that is after it */
};

struct map_lines {
        bool json;
        bool compressed;     /* what is raw is stored compressed all the same */
        const char *archive; /* path */
        bool any;            /* has been printed */
        struct map_line run; /* that may grow; len 0: none */
};

void map_lines_begin(struct map_lines *m);
void map_lines_add(struct map_lines *m, const struct map_line *line);
void map_lines_end(struct map_lines *m);

#endif
