/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A range of a disk as a list of pieces in memory, for writev, with fewer copies and reads than
 * disk_read. How each part is obtained is decided once, by what its volume says:
 *
 *   disk      | raw | raw | zeros | raw | coded | raw |
 *   pinned    |  ^  |                   |   ^   |              from where it is decoded in memory
 *   gathered        |  \_____________/                       one read, of whatever lies in one file
 *   copied                                      |  ^  |        for want of a better way
 *   pieces    [  ^  ][  ^  ][   ^  ][  ^  ][   ^   ][  ^  ]  of what follows one another in memory
 *                            pages of zeros
 *
 * Thread-safe, as disk.h.
 */
#ifndef VMAFS_PIN_H
#define VMAFS_PIN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "archive/source/source.h"

struct disk;
struct volume;

enum {
        PIN_PIECES = 80,
        PIN_HELD = 4, /* few, since the cache cannot use memory that is held */
};

struct disk_pin {
        struct iovec pieces[PIN_PIECES];
        size_t count;
        struct source *source; /* that the pins are of, or NULL: … */
        struct volume *volume; /* … this one, which decodes them */
        struct source_pin held[PIN_HELD];
        size_t held_count;
};

/*
 * Pin LEN bytes at OFFSET, all below the disk's size; LEN is not 0. What has to be read goes to
 * MEMORY, of LEN bytes. Returns as disk_read: how many bytes PIN has, which should be unpinned
 * soon; or -errno, with nothing pinned.
 */
ssize_t disk_gather(struct disk *d, void *memory, size_t len, uint64_t offset,
                    struct disk_pin *pin);
void disk_unpin(struct disk_pin *pin);

#endif
