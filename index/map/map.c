/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/map/map.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "index/map/chunks.h"
#include "index/map/span.h"
#include "index/map/strays.h"
#include "index/map/word.h"

#define CLUSTER   ((uint64_t)WORD_BYTES)
#define SPANS_MAX (MAP_SIZE_MAX / MAP_SPAN)

_Static_assert(MAP_SPAN == (uint64_t)SPAN_BLOCKS * MAP_BLOCK, "see map.h");
_Static_assert(CLUSTER == (uint64_t)SPAN_CLUSTER_BLOCKS * MAP_BLOCK, "see word.h");

/*
 * A span takes about 120 bytes beyond its contents. It is worth that if so many clusters arrive as
 * one, or if the strays have so many entries on one side of what arrives.
 */
enum { OPEN_RUN = 16, OPEN_STRAYS = 48 };

struct extent_map {
        uint64_t size; /* bytes */
        enum map_gap gap;
        bool sealed;
        struct chunks chunks;
        struct strays strays; /* only clusters whose span does not exist */
};

/* How many blocks the disk has; the last one may be partial. */
static uint64_t map_blocks(const struct extent_map *m)
{
        return round_up(m->size, MAP_BLOCK) / MAP_BLOCK;
}

int map_new(uint64_t size, enum map_gap gap, struct extent_map **out)
{
        struct extent_map *m;

        if (size > MAP_SIZE_MAX)
                return -EFBIG;
        m = calloc(1, sizeof *m);
        if (!m)
                return -ENOMEM;
        m->size = size;
        m->gap = gap;
        *out = m;
        return 0;
}

void map_free(struct extent_map *m)
{
        if (!m)
                return;
        chunks_fini(&m->chunks);
        strays_fini(&m->strays);
        free(m);
}

uint64_t map_size(const struct extent_map *m)
{
        return m->size;
}

int map_resize(struct extent_map *m, uint64_t size)
{
        if (size > MAP_SIZE_MAX)
                return -EFBIG;
        m->size = size;
        return 0;
}

enum map_gap map_gap(const struct extent_map *m)
{
        return m->gap;
}

void map_set_gap(struct extent_map *m, enum map_gap gap)
{
        m->gap = gap;
}

/* ---- growing ---- */

static void note_twice(struct map_twice *twice, uint64_t start, uint64_t len)
{
        if (len == 0)
                return;
        if (twice->len == 0)
                twice->first = start;
        twice->len = start + len - twice->first;
}

/*
 * Span NUMBER, which is created if it is missing and then takes over its strays. NULL: out of
 * memory.
 */
static struct span *open_span(struct extent_map *m, uint64_t number)
{
        struct span *span = chunks_open(&m->chunks, number);
        uint64_t first = number * SPAN_CLUSTERS;
        struct cluster_run run;
        int rc = span ? 1 : -ENOMEM;

        while (rc > 0 && m->strays.count) {
                struct span_again none = {0};

                rc = strays_take(&m->strays, first, first + SPAN_CLUSTERS, &run);
                if (rc > 0 && span_add_word(span, (uint32_t)(run.cluster - first),
                                            (uint32_t)run.count, run.word, &none) < 0)
                        rc = -ENOMEM;
        }
        return rc < 0 ? NULL : span;
}

/* Span NUMBER, which is created if it is missing. NULL: out of memory. */
static struct span *span_make(struct extent_map *m, uint64_t number)
{
        struct span *span = chunks_span(&m->chunks, number);

        return span ? span : open_span(m, number);
}

static bool is_word(uint64_t addr)
{
        return addr == EXTENT_ZERO || addr == EXTENT_LOST;
}

static int check_extent(const struct extent *e)
{
        uint64_t end, last;

        if (e->start % MAP_BLOCK)
                return -EINVAL;
        if (!checked_add(e->start, e->len, &end) || end > MAP_SIZE_MAX)
                return -EFBIG;
        if (!is_word(e->addr) &&
            (!checked_add(e->addr, e->len + MAP_BLOCK, &last) || last > EXTENT_ADDR_MAX))
                return -EFBIG;
        return 0;
}

/*
 * Add as much of RUN to the strays as possible. Returns how many of its clusters were added, or
 * -ENOMEM. 0 means that a span pays off, or is needed because the strays already know these
 * clusters.
 */
static int64_t add_stray(struct extent_map *m, const struct cluster_run *run)
{
        uint64_t at = run->cluster % SPAN_CLUSTERS, first = run->cluster - at;
        bool spans = at == 0 && run->count >= SPAN_CLUSTERS;
        struct cluster_run part = *run, gap;
        int rc;

        if (run->count >= OPEN_RUN && !spans)
                return 0;
        if (strays_find(&m->strays, run->cluster, &gap))
                return 0;
        part.count = min_u64(run->count, gap.count);
        if (spans) {
                uint64_t missing = chunks_missing(&m->chunks, run->cluster / SPAN_CLUSTERS);

                if (missing < part.count / SPAN_CLUSTERS)
                        part.count = missing * SPAN_CLUSTERS;
                part.count -= part.count % SPAN_CLUSTERS;
        } else {
                part.count = min_u64(part.count, SPAN_CLUSTERS - at);
                if (strays_crowded(&m->strays, part.cluster, first, first + SPAN_CLUSTERS,
                                   OPEN_STRAYS))
                        return 0;
        }
        rc = part.count ? strays_add(&m->strays, &part) : 0;
        return rc < 0 ? rc : (int64_t)part.count;
}

/* Add N blocks from BLOCK on to SPAN, in which they lie. */
static int add_to_span(struct span *span, uint64_t block, uint32_t n, uint64_t addr,
                       struct map_twice *twice)
{
        uint64_t base = block - block % SPAN_BLOCKS;
        struct span_again again = {0};
        int rc = span_add(span, (uint32_t)(block - base), n, addr, &again);

        note_twice(twice, (base + again.first) * MAP_BLOCK, (uint64_t)again.blocks * MAP_BLOCK);
        return rc;
}

/*
 * Add up to N blocks, the rest of E, from BLOCK on, where there is no span. Returns how many were
 * added, or -errno.
 */
static int64_t add_elsewhere(struct extent_map *m, uint64_t block, uint64_t n, uint64_t addr,
                             const struct extent *e, struct map_twice *twice)
{
        struct cluster_run run = {block / SPAN_CLUSTER_BLOCKS, n / SPAN_CLUSTER_BLOCKS,
                                  word_whole(addr)};
        bool worth = e->len >= OPEN_RUN * CLUSTER && run.count < SPAN_CLUSTERS;
        int64_t added = 0;
        struct span *span;
        int rc;

        if (block % SPAN_CLUSTER_BLOCKS == 0 && run.count && !worth)
                added = add_stray(m, &run);
        if (added)
                return added < 0 ? added : added * SPAN_CLUSTER_BLOCKS;
        n = min_u64(n, SPAN_BLOCKS - block % SPAN_BLOCKS);
        span = open_span(m, block / SPAN_BLOCKS);
        rc = span ? add_to_span(span, block, (uint32_t)n, addr, twice) : -ENOMEM;
        return rc < 0 ? rc : (int64_t)n;
}

static int add_extent(struct extent_map *m, const struct extent *e, struct map_twice *twice)
{
        uint64_t block = e->start / MAP_BLOCK;
        uint64_t left = round_up(e->len, MAP_BLOCK) / MAP_BLOCK;
        uint64_t addr = e->addr;

        while (left) {
                struct span *span = chunks_span(&m->chunks, block / SPAN_BLOCKS);
                int64_t n = (int64_t)min_u64(left, SPAN_BLOCKS - block % SPAN_BLOCKS);
                int rc = 0;

                if (span)
                        rc = add_to_span(span, block, (uint32_t)n, addr, twice);
                else
                        n = add_elsewhere(m, block, left, addr, e, twice);
                if (rc < 0 || n < 0)
                        return rc < 0 ? rc : (int)n;
                block += (uint64_t)n;
                left -= (uint64_t)n;
                addr += is_word(addr) ? 0 : (uint64_t)n * MAP_BLOCK;
        }
        return 0;
}

/* Add the cluster that WORD describes. */
static int add_cluster(struct extent_map *m, uint64_t cluster, uint64_t word,
                       struct map_twice *twice)
{
        struct cluster_run run = {cluster, 1, word};
        uint64_t number = cluster / SPAN_CLUSTERS;
        struct span *span = chunks_span(&m->chunks, number);
        int64_t added = span ? 0 : add_stray(m, &run);
        struct span_again again = {0};
        int rc;

        if (added)
                return added < 0 ? (int)added : 0;
        span = span ? span : open_span(m, number);
        if (!span)
                return -ENOMEM;
        rc = span_add_word(span, (uint32_t)(cluster % SPAN_CLUSTERS), 1, word, &again);
        note_twice(twice, number * MAP_SPAN + (uint64_t)again.first * MAP_BLOCK,
                   (uint64_t)again.blocks * MAP_BLOCK);
        return rc;
}

/*
 * A cluster with a mask arrives as up to 16 extents in a row. Returns how many of the N extents at
 * E make up one that a word can describe, or 0.
 */
static size_t gather_cluster(const struct extent *e, size_t n, uint64_t *word)
{
        uint64_t start = e->start, end = start + CLUSTER;
        uint64_t base = 0, next = 0, mask = 0;
        size_t i;

        if (start % CLUSTER)
                return 0;
        for (i = 0; i < n && start < end; i++) {
                unsigned bit = (unsigned)(start % CLUSTER / MAP_BLOCK);
                unsigned bits = (unsigned)(e[i].len / MAP_BLOCK);
                bool lost = e[i].addr == EXTENT_LOST;
                uint64_t addr = lost ? WORD_ADDR_LOST : e[i].addr;

                if (e[i].start != start || e[i].len % MAP_BLOCK || e[i].len > end - start)
                        return 0;
                if (addr != EXTENT_ZERO) {
                        if (mask && addr != next)
                                return 0;
                        base = mask ? base : addr;
                        mask |= ((UINT64_C(1) << bits) - 1) << bit;
                        next = lost ? addr : addr + e[i].len;
                }
                start += e[i].len;
        }
        if (start != end)
                return 0;
        *word = mask ? base << 16 | mask : 0;
        return i;
}

ssize_t map_add(struct extent_map *m, const struct extent *extents, size_t n,
                struct map_twice *twice)
{
        size_t i = 0;

        *twice = (struct map_twice){0};
        for (size_t k = 0; k < n; k++) {
                int rc = check_extent(&extents[k]);

                if (rc < 0)
                        return rc;
        }
        while (i < n && twice->len == 0) {
                const struct extent *e = &extents[i];
                uint64_t word;
                size_t taken = e->len < CLUSTER ? gather_cluster(e, n - i, &word) : 0;
                int rc = taken ? add_cluster(m, e->start / CLUSTER, word, twice)
                               : add_extent(m, e, twice);

                if (rc < 0)
                        return rc;
                i += taken ? taken : 1;
        }
        return (ssize_t)i;
}

int map_set_unloaded(struct extent_map *m, uint64_t pos)
{
        uint64_t number = pos / MAP_SPAN;

        if (!span_make(m, number))
                return -ENOMEM;
        atomic_fetch_or_explicit(&chunks_at(&m->chunks, number / CHUNK_SPANS)->unloaded,
                                 UINT64_C(1) << number % CHUNK_SPANS, memory_order_relaxed);
        return 0;
}

int map_new_part(enum map_gap gap, struct extent_map **out)
{
        int rc = map_new(MAP_SPAN, gap, out);

        if (rc == 0 && !span_make(*out, 0)) {
                map_free(*out);
                rc = -ENOMEM;
        }
        return rc;
}

void map_fill(struct extent_map *m, uint64_t pos, struct extent_map *part)
{
        uint64_t number = pos / MAP_SPAN, bit = UINT64_C(1) << number % CHUNK_SPANS;
        struct chunk *to = chunks_at(&m->chunks, number / CHUNK_SPANS);
        struct span *from = chunks_span(&part->chunks, 0);

        if (!(atomic_load_explicit(&to->unloaded, memory_order_relaxed) & bit))
                return;
        *chunk_span(to, number) = *from;
        *from = (struct span){0};
        atomic_fetch_and_explicit(&to->unloaded, ~bit, memory_order_release);
}

void map_seal(struct extent_map *m)
{
        chunks_trim(&m->chunks);
        strays_trim(&m->strays);
        m->sealed = true;
}

/* ---- looking up ---- */

static uint64_t gap_addr(const struct extent_map *m)
{
        if (!m->sealed)
                return MAP_UNKNOWN;
        return m->gap == MAP_GAP_LOST ? EXTENT_LOST : EXTENT_ZERO;
}

/* What is known about block BIT of CLUSTER, whose span does not exist. */
static void find_stray(const struct extent_map *m, uint64_t cluster, uint32_t bit,
                       struct extent *out)
{
        struct cluster_run run;
        struct word_range r;

        *out = (struct extent){.start = cluster * CLUSTER, .addr = gap_addr(m)};
        if (!strays_find(&m->strays, cluster, &run)) {
                uint64_t number = cluster / SPAN_CLUSTERS;
                uint64_t spans = min_u64(chunks_missing(&m->chunks, number), SPANS_MAX);

                run.count = min_u64(run.count, (number + spans) * SPAN_CLUSTERS - cluster);
                out->len = min_u64(run.count, SPANS_MAX * SPAN_CLUSTERS) * CLUSTER;
                return;
        }
        r = word_range(word_plus(run.word, cluster - run.cluster), bit);
        out->addr = r.addr;
        out->len = (run.cluster + run.count - cluster) * CLUSTER;
        if (r.blocks < SPAN_CLUSTER_BLOCKS) {
                out->start += (uint64_t)r.first * MAP_BLOCK;
                out->len = (uint64_t)r.blocks * MAP_BLOCK;
        }
}

/*
 * The look-up if there is no span, or it is unloaded. A function of its own, so that the usual
 * look-up saves fewer registers.
 */
__attribute__((noinline)) static void find_elsewhere(const struct extent_map *m, uint64_t pos,
                                                     bool kept, struct extent *out)
{
        uint32_t bit = (uint32_t)(pos / MAP_BLOCK % SPAN_CLUSTER_BLOCKS);

        if (kept)
                *out = (struct extent){pos - pos % MAP_SPAN, MAP_SPAN, MAP_UNLOADED};
        else
                find_stray(m, pos / CLUSTER, bit, out);
        out->len = min_u64(out->len, m->size - out->start);
}

void map_find(const struct extent_map *m, uint64_t pos, struct extent *out)
{
        uint64_t number = pos / MAP_SPAN;
        struct chunk *chunk = chunks_at(&m->chunks, number / CHUNK_SPANS);
        const struct span *span = chunk_span(chunk, number);
        uint64_t base = number * SPAN_BLOCKS;
        struct span_hit hit;

        if (!span || chunk_is_unloaded(chunk, number)) {
                find_elsewhere(m, pos, span != NULL, out);
                return;
        }
        span_find(span, (uint32_t)(pos / MAP_BLOCK - base), &hit);
        out->start = (base + hit.first) * MAP_BLOCK;
        out->addr = hit.addr == SPAN_ABSENT ? gap_addr(m) : hit.addr;
        out->len = min_u64((uint64_t)hit.blocks * MAP_BLOCK, m->size - out->start);
}

/* Count up to N blocks from BLOCK on that the strays know, or nothing knows. Returns how many. */
static uint64_t count_strays(const struct extent_map *m, uint64_t block, uint64_t n,
                             struct span_totals *t)
{
        uint64_t cluster = block / SPAN_CLUSTER_BLOCKS;
        struct cluster_run run;
        uint32_t there, set;

        if (!strays_find(&m->strays, cluster, &run)) {
                struct extent gap;

                find_stray(m, cluster, 0, &gap);
                t->absent = n = min_u64(n, gap.len / MAP_BLOCK);
                return n;
        }
        run.count = word_is_ragged(run.word) ? 1 : run.cluster + run.count - cluster;
        n = min_u64(n, run.count * SPAN_CLUSTER_BLOCKS);
        if (!word_is_ragged(run.word)) {
                *(word_is_lost(run.word) ? &t->lost : &t->stored) = word_mask(run.word) ? n : 0;
                return n;
        }
        there = (1u << n) - 1;
        set = (uint32_t)__builtin_popcount(word_mask(run.word) & there);
        *(word_is_lost(run.word) ? &t->lost : &t->stored) = set;
        return n;
}

/*
 * The same, or by the span if it exists. BLOCK is the start of a cluster, and of the span if there
 * is one.
 */
static uint64_t count_at(const struct extent_map *m, uint64_t block, uint64_t n,
                         struct span_totals *t)
{
        uint64_t number = block / SPAN_BLOCKS;
        struct chunk *chunk = chunks_at(&m->chunks, number / CHUNK_SPANS);
        const struct span *span = chunk_span(chunk, number);

        *t = (struct span_totals){0};
        if (!span)
                return count_strays(m, block, n, t);
        n = min_u64(n, SPAN_BLOCKS);
        if (!chunk_is_unloaded(chunk, number))
                span_count(span, (uint32_t)n, t);
        return n;
}

struct map_totals map_totals(const struct extent_map *m)
{
        struct map_totals t = {0};
        uint64_t blocks = map_blocks(m);

        for (uint64_t block = 0; block < blocks;) {
                struct span_totals st;

                block += count_at(m, block, blocks - block, &st);
                t.stored += st.stored * MAP_BLOCK;
                t.lost += st.lost * MAP_BLOCK;
                t.absent += st.absent * MAP_BLOCK;
                if (m->gap == MAP_GAP_LOST)
                        t.lost += st.absent * MAP_BLOCK;
        }
        return t;
}
