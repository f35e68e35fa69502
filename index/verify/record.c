/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/verify/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/cleanup.h"
#include "index/map/map.h"

enum {
        HEAD = 24,
        AT_TIME = 8,
        AT_DISKS = 16,

        DISK = 48,
        AT_ROOT = 8,
        AT_STORED = 40,
};

static uint64_t pieces_of(uint64_t size)
{
        return size / HASHTREE_PIECE + (size % HASHTREE_PIECE != 0);
}

/* ---- making ---- */

/* Is PIECE left out as zeros? Only whole pieces are, since those have one common hash. */
static bool is_zero(struct hashtree *t, uint64_t piece, const uint8_t *hash)
{
        return range_within(piece * HASHTREE_PIECE, HASHTREE_PIECE, hashtree_size(t)) &&
               memcmp(hash, hashtree_zero_piece(t), HASHTREE_LEN) == 0;
}

static int write_disk(struct hashtree *t, FILE *out)
{
        uint64_t pieces = hashtree_pieces(t), stored = 0;
        cleanup_free uint8_t *bits = calloc(1, pieces / 8 + 1);
        uint8_t head[DISK] = {0}, hash[HASHTREE_LEN];
        int rc = bits ? hashtree_root(t, head + AT_ROOT) : -ENOMEM;

        if (rc < 0)
                return rc;
        for (uint64_t i = 0; i < pieces; i++) {
                hashtree_piece(t, i, hash);
                if (is_zero(t, i, hash))
                        continue;
                bits[i / 8] |= (uint8_t)(1 << i % 8);
                stored++;
        }
        store_le64(head, hashtree_size(t));
        store_le64(head + AT_STORED, stored);
        fwrite(head, sizeof head, 1, out);
        fwrite(bits, 1, (pieces + 7) / 8, out);
        for (uint64_t i = 0; i < pieces; i++) {
                hashtree_piece(t, i, hash);
                if (bits[i / 8] >> i % 8 & 1)
                        fwrite(hash, sizeof hash, 1, out);
        }
        return 0;
}

int record_build(struct hashtree *const *trees, size_t count, uint64_t time, struct record **out)
{
        uint8_t head[HEAD] = {0};
        char *bytes = NULL;
        size_t len = 0;
        FILE *f = open_memstream(&bytes, &len);
        bool failed;
        int rc = 0;

        if (!f)
                return -ENOMEM;
        store_le64(head + AT_TIME, time);
        store_le32(head + AT_DISKS, (uint32_t)count);
        fwrite(head, sizeof head, 1, f);
        for (size_t i = 0; i < count && rc == 0; i++)
                rc = write_disk(trees[i], f);
        failed = ferror(f);
        if ((fclose(f) != 0 || failed) && rc == 0)
                rc = -ENOMEM;
        if (rc < 0) {
                free(bytes);
                return rc;
        }
        store_le64(bytes, XXH3_64bits(bytes + 8, len - 8));
        return record_parse((uint8_t *)bytes, len, out);
}

/* ---- reading ---- */

/* How many of the first COUNT bits are set, or UINT64_MAX if a later bit is. */
static uint64_t count_bits(const uint8_t *bits, uint64_t count)
{
        uint64_t n = 0;

        for (uint64_t i = 0; i < (count + 7) / 8; i++)
                n += (uint64_t)__builtin_popcount(bits[i]);
        if (count % 8 && bits[count / 8] >> count % 8)
                return UINT64_MAX;
        return n;
}

/* Parse the disk at *AT of R. */
static int parse_disk(const struct record *r, size_t *at, struct record_disk *d)
{
        const uint8_t *p = r->bytes + *at;
        uint64_t left = r->len - *at, bits, stored;

        if (left < DISK)
                return -EINVAL;
        left -= DISK;
        d->size = load_le64(p);
        memcpy(d->root, p + AT_ROOT, HASHTREE_LEN);
        stored = load_le64(p + AT_STORED);
        if (d->size > MAP_SIZE_MAX)
                return -EINVAL;
        bits = (pieces_of(d->size) + 7) / 8;
        if (bits > left || stored > (left - bits) / HASHTREE_LEN)
                return -EINVAL;
        d->stored = p + DISK;
        d->hashes = d->stored + bits;
        if (count_bits(d->stored, pieces_of(d->size)) != stored)
                return -EINVAL;
        *at += DISK + bits + stored * HASHTREE_LEN;
        return 0;
}

static int parse(struct record *r)
{
        size_t at = HEAD;

        if (r->len < HEAD || load_le64(r->bytes) != XXH3_64bits(r->bytes + 8, r->len - 8))
                return -EINVAL;
        r->time = load_le64(r->bytes + AT_TIME);
        r->disk_count = load_le32(r->bytes + AT_DISKS);
        if (r->disk_count > r->len / DISK)
                return -EINVAL;
        r->disks = calloc(r->disk_count + 1, sizeof *r->disks);
        if (!r->disks)
                return -ENOMEM;
        for (size_t i = 0; i < r->disk_count; i++)
                if (parse_disk(r, &at, &r->disks[i]) < 0)
                        return -EINVAL;
        return at == r->len ? 0 : -EINVAL;
}

int record_parse(uint8_t *take_bytes, size_t len, struct record **out)
{
        struct record *r = calloc(1, sizeof *r);
        int rc;

        if (!r) {
                free(take_bytes);
                return -ENOMEM;
        }
        r->bytes = take_bytes;
        r->len = len;
        rc = parse(r);
        if (rc < 0) {
                record_free(r);
                return rc;
        }
        *out = r;
        return 0;
}

void record_free(struct record *r)
{
        if (!r)
                return;
        free(r->disks);
        free(r->bytes);
        free(r);
}

/* ---- comparing ---- */

typedef void (*range_fn)(void *ctx, uint64_t start, uint64_t len);

/* A range that grows as long as the pieces are of one kind. */
struct run {
        void *ctx;
        range_fn tell; /* NULL: nothing to tell */
        uint64_t start, end;
};

static void extend(struct run *run, range_fn tell, uint64_t start, uint64_t end)
{
        if (run->tell != tell) {
                if (run->tell)
                        run->tell(run->ctx, run->start, run->end - run->start);
                run->tell = tell;
                run->start = start;
        }
        run->end = end;
}

void record_compare(const struct record_disk *d, struct hashtree *tree,
                    const struct record_sink *sink)
{
        uint64_t size = hashtree_size(tree), pieces = hashtree_pieces(tree);
        const uint8_t *recorded = d->hashes;
        struct run run = {.ctx = sink->ctx};
        uint8_t found[HASHTREE_LEN];

        if (d->size != size) {
                sink->changed(sink->ctx, 0, max_u64(d->size, size));
                return;
        }
        for (uint64_t i = 0; i < pieces; i++) {
                bool stored = d->stored[i / 8] >> i % 8 & 1;
                const uint8_t *hash = stored ? recorded : hashtree_zero_piece(tree);
                range_fn tell = NULL;

                if (hashtree_piece(tree, i, found) != HASHTREE_COMPLETE)
                        tell = sink->unknown;
                else if (memcmp(found, hash, HASHTREE_LEN) != 0)
                        tell = sink->changed;
                extend(&run, tell, i * HASHTREE_PIECE, min_u64(size, (i + 1) * HASHTREE_PIECE));
                if (stored)
                        recorded += HASHTREE_LEN;
        }
        extend(&run, NULL, size, size);
}
