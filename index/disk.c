/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/disk.h"

#include <errno.h>
#include <string.h>

#include "archive/archive.h"
#include "archive/bytes.h"
#include "index/index.h"

void disk_find(struct disk *d, uint64_t pos, struct extent *out)
{
        bool locked = index_lock_unless_sealed(d->index);

        map_find(d->map, pos, out);
        if (locked)
                index_unlock(d->index);
}

/*
 * A read of an extent failed somewhere: give what is in front of the failure, block by block, so
 * that one bad sector of the archive costs one block of the disk.
 */
static ssize_t read_up_to_failure(struct archive *a, const struct extent *e, uint64_t skip,
                                  char *buf, size_t len)
{
        size_t done = 0;

        while (done < len) {
                size_t n = (size_t)min_u64(len - done, MAP_BLOCK - (skip + done) % MAP_BLOCK);
                int rc = a->ops->read(a, e, skip + done, buf + done, n);

                if (rc < 0)
                        return done ? (ssize_t)done : rc;
                done += n;
        }
        return (ssize_t)done;
}

/* Read N bytes from POS, all of them inside E. As disk_read. */
static ssize_t read_extent(struct disk *d, const struct extent *e, uint64_t pos, char *buf,
                           size_t n)
{
        struct archive *a = index_archive(d->index);
        uint64_t skip = pos - e->start;
        int rc;

        if (e->addr == MAP_UNKNOWN)
                return -EAGAIN;
        if (e->addr == EXTENT_LOST && !index_recover_zero(d->index))
                return -EIO;
        if (e->addr == EXTENT_LOST || e->addr == EXTENT_ZERO) {
                memset(buf, 0, n);
                return (ssize_t)n;
        }
        rc = a->ops->read(a, e, skip, buf, n);
        if (rc == -EIO && n > MAP_BLOCK)
                return read_up_to_failure(a, e, skip, buf, n);
        return rc < 0 ? rc : (ssize_t)n;
}

ssize_t disk_read(struct disk *d, void *buf, size_t len, uint64_t offset)
{
        uint64_t size = d->size;
        size_t done = 0;

        if (offset >= size)
                return 0;
        len = (size_t)min_u64(len, size - offset);
        while (done < len) {
                uint64_t pos = offset + done;
                struct extent e;
                size_t want;
                ssize_t n;

                disk_find(d, pos, &e);
                want = (size_t)min_u64(len - done, e.start + e.len - pos);
                n = read_extent(d, &e, pos, (char *)buf + done, want);
                if (n < 0)
                        return done ? (ssize_t)done : n;
                done += (size_t)n;
                if ((size_t)n < want)
                        break;
        }
        return (ssize_t)done;
}

int disk_next_data(struct disk *d, uint64_t pos, uint64_t *out)
{
        bool locked = index_lock_unless_sealed(d->index);
        int rc = map_next_data(d->map, pos, out);

        if (locked)
                index_unlock(d->index);
        return rc;
}

int disk_next_hole(struct disk *d, uint64_t pos, uint64_t *out)
{
        bool locked = index_lock_unless_sealed(d->index);
        int rc = map_next_hole(d->map, pos, out);

        if (locked)
                index_unlock(d->index);
        return rc;
}

uint64_t disk_allocated(const struct disk *d)
{
        if (index_sealed(d->index))
                return (d->totals.stored + d->totals.lost) / 512;
        return max_u64(1, d->size / 512 - min_u64(1, d->size / 512));
}
