/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/disk.h"

#include <errno.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/format.h"
#include "index/index.h"
#include "index/sidecar/stored_map.h"

/* Fill the part of the map that holds POS. False: it stays kept. */
static bool fill(struct disk *d, uint64_t pos)
{
        int rc = kept_fill(d->kept, pos);

        if (rc < 0)
                index_kept_failed(d->index, rc);
        return rc == 0;
}

void disk_find(struct disk *d, uint64_t pos, struct extent *out)
{
        bool locked = index_lock_unless_sealed(d->index);

        map_find(d->map, pos, out);
        if (locked)
                index_unlock(d->index);
        if (out->addr == MAP_KEPT && fill(d, pos))
                map_find(d->map, pos, out);
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

/*
 * Read N bytes from POS, all of them inside E, for which the map was asked when the index was
 * SEALED, or not yet. As disk_read.
 */
static ssize_t read_extent(struct disk *d, const struct extent *e, bool sealed, uint64_t pos,
                           char *buf, size_t n)
{
        struct archive *a = index_archive(d->index);
        uint64_t skip = pos - e->start;
        int rc;

        if (e->addr == MAP_UNKNOWN)
                return -EAGAIN;
        if (e->addr == MAP_KEPT)
                return -EIO;
        if (e->addr == EXTENT_LOST && !index_recover_zero(d->index))
                return -EIO;
        if (e->addr == EXTENT_LOST || e->addr == EXTENT_ZERO) {
                memset(buf, 0, n);
                return (ssize_t)n;
        }
        rc = a->ops->read(a, e, skip, buf, n);
        /* The scan may be about to say that it is lost, which then reads as zeros. */
        if (rc == -EIO && !sealed && index_recover_zero(d->index))
                return -EAGAIN;
        if (rc == -EIO && n > MAP_BLOCK)
                return read_up_to_failure(a, e, skip, buf, n);
        return rc < 0 ? rc : (ssize_t)n;
}

ssize_t disk_read(struct disk *d, void *buf, size_t len, uint64_t offset)
{
        bool sealed = index_sealed(d->index);
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
                n = read_extent(d, &e, sealed, pos, (char *)buf + done, want);
                if (n < 0)
                        return done ? (ssize_t)done : n;
                done += (size_t)n;
                if ((size_t)n < want)
                        break;
        }
        return (ssize_t)done;
}

static int next_unfilled(struct disk *d, uint64_t pos, bool want_hole, uint64_t *out)
{
        bool locked = index_lock_unless_sealed(d->index);
        int rc = want_hole ? map_next_hole(d->map, pos, out) : map_next_data(d->map, pos, out);

        if (locked)
                index_unlock(d->index);
        return rc;
}

/*
 * What is kept is filled on the way, unless all of it is data: a span that says so wrongly fails
 * when it is filled, and then it is data because reading it must be tried.
 */
static int next(struct disk *d, uint64_t pos, bool want_hole, uint64_t *out)
{
        int rc;

        while ((rc = next_unfilled(d, pos, want_hole, out)) == -EAGAIN && d->kept) {
                pos = *out;
                if (!kept_all_stored(d->kept, pos) && fill(d, pos))
                        continue;
                if (!want_hole)
                        return 0;
                *out = pos = min_u64((pos / MAP_SPAN + 1) * MAP_SPAN, d->size);
                if (pos == d->size)
                        return 0;
        }
        return rc;
}

int disk_next_data(struct disk *d, uint64_t pos, uint64_t *out)
{
        return next(d, pos, false, out);
}

int disk_next_hole(struct disk *d, uint64_t pos, uint64_t *out)
{
        return next(d, pos, true, out);
}

uint64_t disk_allocated(const struct disk *d)
{
        if (index_sealed(d->index))
                return (d->totals.stored + d->totals.lost) / 512;
        return max_u64(1, d->size / 512 - min_u64(1, d->size / 512));
}
