/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/qcow2/qcow2_claims.h"

#include <stdlib.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"

enum {
        SEEN_MIN = 1 << 10,
        SEEN_MAX = 1 << 22, /* 48 MiB */
};

bool qcow2_claims_init(struct qcow2_claims *c, uint64_t clusters)
{
        *c = (struct qcow2_claims){0};
        return qcow2_planes_init(&c->planes, clusters);
}

void qcow2_claims_fini(struct qcow2_claims *c)
{
        qcow2_planes_fini(&c->planes);
        free(c->seen);
        c->seen = NULL;
}

/* ---- clusters ---- */

static void set(struct qcow2_claims *c, enum qcow2_plane plane, uint64_t cluster, uint64_t bits)
{
        uint64_t *word = bits ? qcow2_planes_at(&c->planes, plane, cluster) : NULL;

        if (word)
                *word |= bits;
        else if (bits)
                c->full = true;
}

void qcow2_mark_bad_word(struct qcow2_claims *c, uint64_t cluster, uint64_t bits)
{
        uint64_t *word = bits ? qcow2_planes_at(&c->planes, PLANE_BAD, cluster) : NULL;

        c->bad += (uint64_t)__builtin_popcountll(bits);
        if (word)
                *word |= bits;
        else if (bits)
                c->bad_lost = true;
}

void qcow2_mark_bad(struct qcow2_claims *c, uint64_t cluster)
{
        if (cluster < c->planes.clusters)
                qcow2_mark_bad_word(c, cluster, UINT64_C(1) << cluster % 64);
        else
                c->bad++;
}

/* Each of the clusters in BITS, among the 64 around CLUSTER, is named as a whole. */
static void claim_word(struct qcow2_claims *c, uint64_t cluster, uint64_t bits)
{
        uint64_t *named = qcow2_planes_at(&c->planes, PLANE_NAMED, cluster), again, coded;

        if (!named) {
                c->full = true;
                return;
        }
        again = *named & bits;
        *named |= bits;
        if (!again)
                return;
        coded = qcow2_planes_word(&c->planes, PLANE_CODED, cluster) & again;
        qcow2_mark_bad_word(c, cluster, coded);
        if (coded)
                *qcow2_planes_at(&c->planes, PLANE_CODED, cluster) &= ~coded;
        set(c, PLANE_TWICE, cluster, again & ~coded);
}

static void claim_coded_word(struct qcow2_claims *c, uint64_t cluster, uint64_t bits)
{
        uint64_t named = qcow2_planes_word(&c->planes, PLANE_NAMED, cluster) & bits;
        uint64_t whole = named & ~qcow2_planes_word(&c->planes, PLANE_CODED, cluster);

        qcow2_mark_bad_word(c, cluster, whole);
        set(c, PLANE_NAMED, cluster, bits);
        set(c, PLANE_CODED, cluster, bits & ~whole);
}

typedef void (*word_fn)(struct qcow2_claims *c, uint64_t cluster, uint64_t bits);

/* Call FN for those of the COUNT clusters from FIRST on that the file has. */
static void each_word(struct qcow2_claims *c, uint64_t first, uint64_t count, word_fn fn)
{
        uint64_t there = first < c->planes.clusters ? c->planes.clusters - first : 0;

        if (count > there) {
                c->past += count - there;
                count = there;
        }
        while (count) {
                uint64_t n = min_u64(count, 64 - first % 64);
                uint64_t bits = n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;

                fn(c, first, bits << first % 64);
                first += n;
                count -= n;
        }
}

void qcow2_claim(struct qcow2_claims *c, uint64_t first, uint64_t count)
{
        each_word(c, first, count, claim_word);
}

void qcow2_claim_coded(struct qcow2_claims *c, uint64_t first, uint64_t count)
{
        each_word(c, first, count, claim_coded_word);
}

bool qcow2_claim_beside(struct qcow2_claims *c, uint64_t first, uint64_t count)
{
        for (uint64_t i = first; i < first + count; i++) {
                if (qcow2_is_claimed(c, i) || qcow2_planes_get(&c->planes, PLANE_BESIDE, i))
                        return false;
                set(c, PLANE_BESIDE, i, UINT64_C(1) << i % 64);
        }
        return true;
}

/* ---- tables ---- */

/* The slot of CLUSTER, or the free one that it would get, among SIZE, not all of them used. */
static struct qcow2_seen *find(struct qcow2_seen *seen, size_t size, uint64_t cluster)
{
        size_t at = (size_t)(cluster * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (size - 1);

        while (seen[at].disk && seen[at].cluster != cluster)
                at = (at + 1) & (size - 1);
        return &seen[at];
}

/* Room for one more. */
static bool grow(struct qcow2_claims *c)
{
        size_t size = c->seen_size ? 2 * c->seen_size : SEEN_MIN;
        struct qcow2_seen *grown;

        if (c->seen_count < c->seen_size / 2)
                return true;
        grown = size <= SEEN_MAX ? calloc(size, sizeof *grown) : NULL;
        if (!grown)
                return false;
        for (size_t i = 0; i < c->seen_size; i++)
                if (c->seen[i].disk)
                        *find(grown, size, c->seen[i].cluster) = c->seen[i];
        free(c->seen);
        c->seen = grown;
        c->seen_size = size;
        return true;
}

enum qcow2_sight qcow2_see_table(struct qcow2_claims *c, uint64_t cluster, uint32_t disk,
                                 struct qcow2_seen **seen)
{
        uint16_t before;

        if (!grow(c)) {
                c->full = true;
                return QCOW2_NOT_NOTED;
        }
        *seen = find(c->seen, c->seen_size, cluster);
        before = (*seen)->disk;
        c->seen_count += before == 0;
        (*seen)->cluster = (uint32_t)cluster;
        (*seen)->disk = (uint16_t)disk;
        if (before == 0)
                return QCOW2_FIRST_SEEN;
        return before == disk ? QCOW2_SEEN_HERE : QCOW2_SEEN_IN_OTHER;
}
