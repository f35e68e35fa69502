/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk drawn on one screen, so that a loss is seen before it is read:
 *
 *   disk-drive-scsi0.raw: 32 GiB, one character is 17.1 MiB
 *   ##########+....####################################xx###########
 *   ####+...........................................................
 *
 *   # data   + data and holes   . holes   x lost   ? not known
 */
#ifndef VMAFS_PICTURE_H
#define VMAFS_PICTURE_H

#include <stdbool.h>

struct disk;

struct picture {
        unsigned columns, rows; /* of the drawing alone; at least 1 */
        bool colours;
};

/*
 * What fits on the terminal, with room for the lines around the drawing; 72 by 16 if standard
 * output is no terminal. Colours are used only on a terminal, and not if NO_COLOR is set.
 */
struct picture picture_for_terminal(void);

/* Print D, whose index is sealed, to standard output. */
void picture_print(const struct picture *p, struct disk *d);

/* Print what the characters mean: once, after all disks. */
void picture_print_legend(const struct picture *p);

#endif
