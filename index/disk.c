/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/disk.h"

#include <errno.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/format.h"
#include "archive/source/source.h"
#include "index/owner.h"
#include "index/sidecar/stored_map.h"

/*
 * Has reading E looked at the archive's file, so that nothing of it was answered by what is in
 * memory alone?
 */
static bool is_read_from_archive(const struct disk *d, const struct volume_extent *e)
{
        return e->kind == VOLUME_RAW && e->source == index_archive(d->index)->source;
}

bool disk_is_scanned(const struct disk *d)
{
        return d->volume == &d->own.base;
}

/* Where a block that is not alike throughout is lost, or not known, it is so as a whole. */
static int find_in_block(struct disk *d, uint64_t pos, uint64_t len, uint64_t start, uint64_t end,
                         struct volume_extent *out)
{
        enum volume_kind worst = VOLUME_ZERO;
        struct volume_extent e;

        for (uint64_t at = start; at < end && worst != VOLUME_LOST; at += e.len)
                if (volume_find(d->volume, at, end - at, &e) == 0 &&
                    (e.kind == VOLUME_LOST || e.kind == VOLUME_UNKNOWN))
                        worst = e.kind;
        len = min_u64(len, end - pos);
        if (worst == VOLUME_ZERO)
                return volume_find(d->volume, pos, len, out);
        *out = (struct volume_extent){.len = len, .kind = worst, .allocated = true};
        return 0;
}

/*
 * volume_find of the archive's volume, by blocks: all that is shown tells holes and losses apart by
 * them. Most often both ends are a block's, and it is one question.
 */
static int find_by_blocks(struct disk *d, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        uint64_t size = d->size, start = pos - pos % MAP_BLOCK;
        uint64_t end = min_u64(round_up(pos + len, MAP_BLOCK), size), found;
        int rc = volume_find(d->volume, start, end - start, out);

        found = start + out->len;
        if (found < size)
                found -= found % MAP_BLOCK;
        if (found <= start)
                return find_in_block(d, pos, len, start, min_u64(start + MAP_BLOCK, size), out);
        *out = volume_part(out, pos - start, min_u64(found - pos, len));
        return rc;
}

int disk_extent(struct disk *d, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        bool sealed = index_sealed(d->index);
        int rc;

        if (disk_is_scanned(d))
                rc = d->volume->ops->extent(d->volume, pos, len, out);
        else
                rc = find_by_blocks(d, pos, len, out);
        /* Nobody will see a checksum any more where the scan has ended before the stream did. */
        if (rc == 0 && out->kind == VOLUME_UNKNOWN && sealed)
                out->kind = VOLUME_LOST;
        return rc;
}

int disk_fetch(struct disk *d, const struct volume_extent *e, uint64_t pos, uint64_t skip,
               void *buf, size_t len)
{
        if (e->kind == VOLUME_RAW)
                return source_pread_all(e->source, buf, len, e->offset + skip);
        return d->volume->ops->read(d->volume, buf, len, pos + skip);
}

uint64_t disk_first_unknown(struct disk *d, uint64_t pos, uint64_t end)
{
        struct volume_extent e;

        while (pos < end) {
                if (disk_extent(d, pos, end - pos, &e) == 0 && e.kind == VOLUME_UNKNOWN)
                        break;
                pos += e.len;
        }
        return min_u64(pos, end);
}

/*
 * A read of an extent failed somewhere: give what is before the failure, block by block, so
 * that one bad sector of the archive costs one block of the disk.
 */
static ssize_t read_up_to_failure(struct disk *d, const struct volume_extent *e, uint64_t pos,
                                  char *buf)
{
        size_t done = 0;

        while (done < e->len) {
                size_t n = (size_t)min_u64(e->len - done, MAP_BLOCK - (pos + done) % MAP_BLOCK);
                int rc = disk_fetch(d, e, pos, done, buf + done, n);

                if (rc < 0)
                        return done ? (ssize_t)done : rc;
                done += n;
        }
        return (ssize_t)done;
}

ssize_t disk_read_extent(struct disk *d, const struct volume_extent *e, bool sealed, uint64_t pos,
                         void *buf)
{
        int rc;

        if (e->kind == VOLUME_UNKNOWN)
                return -EAGAIN;
        if (e->kind == VOLUME_LOST && !index_recover_zero(d->index))
                return -EIO;
        if (e->kind == VOLUME_LOST || e->kind == VOLUME_ZERO) {
                memset(buf, 0, e->len);
                return (ssize_t)e->len;
        }
        rc = disk_fetch(d, e, pos, 0, buf, e->len);
        if (rc == -EAGAIN && sealed)
                rc = -EIO;
        /* The scan may be about to say that it is lost, which then reads as zeros. */
        if (rc == -EIO && !sealed && index_recover_zero(d->index))
                return -EAGAIN;
        if (rc == -EIO && e->len > MAP_BLOCK)
                return read_up_to_failure(d, e, pos, buf);
        return rc < 0 ? rc : (ssize_t)e->len;
}

ssize_t disk_read(struct disk *d, void *buf, size_t len, uint64_t offset)
{
        bool sealed = index_sealed(d->index), all_read = true;
        uint64_t size = d->size;
        size_t done = 0;
        int rc;

        if (offset >= size)
                return 0;
        len = (size_t)min_u64(len, size - offset);
        while (done < len) {
                uint64_t pos = offset + done;
                struct volume_extent e;
                ssize_t n = disk_extent(d, pos, len - done, &e);

                if (n == 0)
                        n = disk_read_extent(d, &e, sealed, pos, (char *)buf + done);
                all_read &= is_read_from_archive(d, &e);
                if (n < 0 && done == 0)
                        return n;
                done += n < 0 ? 0 : (size_t)n;
                if (n < (ssize_t)e.len)
                        break;
        }
        rc = all_read ? 0 : index_check(d->index);
        return rc < 0 ? rc : (ssize_t)done;
}

/*
 * Is what begins at POS zeros? 1, 0 for data, -EAGAIN where it is not known yet; up to *END. What
 * is kept is loaded, unless all of it is data: a span that says so wrongly fails when it is loaded,
 * and then it is data because reading it must be tried.
 */
static int is_zeros(struct disk *d, uint64_t pos, uint64_t *end)
{
        struct volume_extent e;
        int rc;

        if (d->own.stored_map && stored_map_all_data(d->own.stored_map, pos)) {
                *end = min_u64((pos / MAP_SPAN + 1) * MAP_SPAN, d->size);
                return 0;
        }
        rc = disk_extent(d, pos, d->size - pos, &e);
        *end = pos + e.len;
        if (rc < 0)
                return 0;
        return e.kind == VOLUME_UNKNOWN ? -EAGAIN : e.kind == VOLUME_ZERO;
}

int disk_next_data(struct disk *d, uint64_t pos, uint64_t *out)
{
        uint64_t at = pos - pos % MAP_BLOCK, end;

        if (pos >= d->size)
                return -ENXIO;
        for (; at < d->size; at = end) {
                int rc = is_zeros(d, at, &end);

                if (rc == 1)
                        continue;
                *out = max_u64(pos, at - at % MAP_BLOCK);
                return rc;
        }
        return -ENXIO;
}

int disk_next_hole(struct disk *d, uint64_t pos, uint64_t *out)
{
        uint64_t at = pos - pos % MAP_BLOCK, size = d->size, end;
        uint64_t zeros = at; /* all from there to AT is zeros; whole blocks */

        if (pos >= size)
                return -ENXIO;
        for (; at < size; at = end) {
                int rc = is_zeros(d, at, &end);

                if (rc < 0) {
                        *out = max_u64(pos, at - at % MAP_BLOCK);
                        return rc;
                }
                if (rc == 0)
                        zeros = round_up(end, MAP_BLOCK);
                else if (zeros < end && (end == size || end - zeros >= MAP_BLOCK))
                        break;
        }
        *out = at < size ? max_u64(pos, zeros) : size;
        return 0;
}

uint64_t disk_allocated(const struct disk *d)
{
        if (index_sealed(d->index))
                return (d->totals.stored + d->totals.lost) / 512;
        /* Nothing can be in it, and so nobody skips anything. */
        if (d->size == 0 && !d->provisional_size)
                return 0;
        return max_u64(1, d->size / 512 - min_u64(1, d->size / 512));
}
