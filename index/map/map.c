/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/map/map.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "index/map/span.h"

enum { CHUNK_SPANS = 64 };

struct chunk {
        struct span spans[CHUNK_SPANS];
        _Atomic uint64_t kept; /* a bit a span; cleared with release once the span is filled */
};

_Static_assert(MAP_SPAN == (uint64_t)SPAN_BLOCKS * MAP_BLOCK, "what map.h says of a span");

struct extent_map {
        uint64_t size; /* bytes */
        enum map_gap gap;
        bool sealed;
        size_t chunk_count;
        struct chunk **chunks; /* NULL where nothing was added */
};

/* Blocks of the disk, the last one perhaps partial. */
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

static void chunk_free(struct chunk *c)
{
        if (!c)
                return;
        for (size_t i = 0; i < CHUNK_SPANS; i++)
                span_fini(&c->spans[i]);
        free(c);
}

void map_free(struct extent_map *m)
{
        if (!m)
                return;
        for (size_t i = 0; i < m->chunk_count; i++)
                chunk_free(m->chunks[i]);
        free(m->chunks);
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

static int chunks_reserve(struct extent_map *m, size_t count)
{
        size_t grown = m->chunk_count * 2;
        struct chunk **chunks;

        if (count <= m->chunk_count)
                return 0;
        if (grown < count)
                grown = count;
        chunks = realloc(m->chunks, grown * sizeof *chunks);
        if (!chunks)
                return -ENOMEM;
        memset(chunks + m->chunk_count, 0, (grown - m->chunk_count) * sizeof *chunks);
        m->chunks = chunks;
        m->chunk_count = grown;
        return 0;
}

/* The span that holds BLOCK, made where it is not there yet. NULL: out of memory. */
static struct span *span_make(struct extent_map *m, uint64_t block)
{
        size_t number = (size_t)(block / SPAN_BLOCKS);
        size_t chunk = number / CHUNK_SPANS;

        if (chunks_reserve(m, chunk + 1) < 0)
                return NULL;
        if (!m->chunks[chunk])
                m->chunks[chunk] = calloc(1, sizeof(struct chunk));
        if (!m->chunks[chunk])
                return NULL;
        return &m->chunks[chunk]->spans[number % CHUNK_SPANS];
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

static void note_twice(struct map_twice *twice, uint64_t start, uint64_t len)
{
        if (len == 0)
                return;
        if (twice->len == 0)
                twice->first = start;
        twice->len = start + len - twice->first;
}

static int add_extent(struct extent_map *m, const struct extent *e, struct map_twice *twice)
{
        uint64_t block = e->start / MAP_BLOCK;
        uint64_t left = round_up(e->len, MAP_BLOCK) / MAP_BLOCK;
        uint64_t addr = e->addr;

        while (left) {
                uint32_t at = (uint32_t)(block % SPAN_BLOCKS);
                uint32_t n = (uint32_t)min_u64(left, SPAN_BLOCKS - at);
                struct span *span = span_make(m, block);
                struct span_again again = {0};
                int rc;

                if (!span)
                        return -ENOMEM;
                rc = span_add(span, at, n, addr, &again);
                if (rc < 0)
                        return rc;
                note_twice(twice, (block - at + again.first) * MAP_BLOCK,
                           (uint64_t)again.blocks * MAP_BLOCK);
                block += n;
                left -= n;
                addr += is_word(addr) ? 0 : (uint64_t)n * MAP_BLOCK;
        }
        return 0;
}

/*
 * Whole clusters that a packed span can hold are handed to it in one go. A cluster with a mask
 * comes as up to 16 extents in a row; gathering them first spares the span's runs the churn.
 */
static size_t gather_cluster(const struct extent *e, size_t n, uint64_t *word)
{
        uint64_t start = e->start, end = start + SPAN_CLUSTER_BYTES;
        uint64_t base = 0, next = 0, mask = 0;
        size_t i;

        if (start % SPAN_CLUSTER_BYTES)
                return 0;
        for (i = 0; i < n && start < end; i++) {
                unsigned bit = (unsigned)(start % SPAN_CLUSTER_BYTES / MAP_BLOCK);
                unsigned bits = (unsigned)(e[i].len / MAP_BLOCK);

                if (e[i].start != start || e[i].len % MAP_BLOCK || e[i].len > end - start ||
                    e[i].addr == EXTENT_LOST)
                        return 0;
                if (e[i].addr != EXTENT_ZERO) {
                        if (mask && e[i].addr != next)
                                return 0;
                        base = mask ? base : e[i].addr;
                        mask |= ((UINT64_C(1) << bits) - 1) << bit;
                        next = e[i].addr + e[i].len;
                }
                start += e[i].len;
        }
        if (start != end)
                return 0;
        *word = base << 16 | mask;
        return i;
}

static int add_cluster(struct extent_map *m, uint64_t start, uint64_t word, bool *done)
{
        uint64_t block = start / MAP_BLOCK;
        struct span *span = span_make(m, block);

        if (!span)
                return -ENOMEM;
        *done = span_add_packed(span, (uint32_t)(block % SPAN_BLOCKS), word);
        return 0;
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
                uint64_t word;
                size_t taken = gather_cluster(extents + i, n - i, &word);
                bool done = false;
                int rc = 0;

                if (taken)
                        rc = add_cluster(m, extents[i].start, word, &done);
                if (rc == 0 && done) {
                        i += taken;
                        continue;
                }
                if (rc == 0)
                        rc = add_extent(m, &extents[i++], twice);
                if (rc < 0)
                        return rc;
        }
        return (ssize_t)i;
}

int map_keep(struct extent_map *m, uint64_t pos)
{
        uint64_t number = pos / MAP_SPAN;

        if (!span_make(m, pos / MAP_BLOCK))
                return -ENOMEM;
        atomic_fetch_or_explicit(&m->chunks[number / CHUNK_SPANS]->kept,
                                 UINT64_C(1) << number % CHUNK_SPANS, memory_order_relaxed);
        return 0;
}

void map_fill(struct extent_map *m, uint64_t pos, struct extent_map *part)
{
        uint64_t number = pos / MAP_SPAN, bit = UINT64_C(1) << number % CHUNK_SPANS;
        struct chunk *to = m->chunks[number / CHUNK_SPANS];
        struct span *from;

        if (!(atomic_load_explicit(&to->kept, memory_order_relaxed) & bit))
                return;
        if (part->chunk_count && part->chunks[0]) {
                from = &part->chunks[0]->spans[0];
                to->spans[number % CHUNK_SPANS] = *from;
                *from = (struct span){0};
        }
        atomic_fetch_and_explicit(&to->kept, ~bit, memory_order_release);
}

void map_seal(struct extent_map *m)
{
        for (size_t i = 0; i < m->chunk_count; i++)
                for (size_t j = 0; m->chunks[i] && j < CHUNK_SPANS; j++)
                        span_trim(&m->chunks[i]->spans[j]);
        m->sealed = true;
}

/* ---- looking up ---- */

static const struct span *span_at(const struct extent_map *m, uint64_t number)
{
        uint64_t chunk = number / CHUNK_SPANS;

        if (chunk >= m->chunk_count || !m->chunks[chunk])
                return NULL;
        return &m->chunks[chunk]->spans[number % CHUNK_SPANS];
}

/* Nothing was ever added to the span NUMBER: how many spans from there on are as empty. */
static uint64_t empty_spans(const struct extent_map *m, uint64_t number)
{
        uint64_t chunk = number / CHUNK_SPANS;

        if (chunk >= m->chunk_count)
                return MAP_SIZE_MAX / MAP_BLOCK / SPAN_BLOCKS - number;
        return m->chunks[chunk] ? 1 : CHUNK_SPANS - number % CHUNK_SPANS;
}

/* Is span NUMBER kept? Where it is not, what was filled in can be read. */
static bool span_is_kept(const struct extent_map *m, uint64_t number)
{
        const struct chunk *c = m->chunks[number / CHUNK_SPANS];
        uint64_t kept = atomic_load_explicit(&c->kept, memory_order_acquire);

        return kept >> number % CHUNK_SPANS & 1;
}

static uint64_t gap_addr(const struct extent_map *m)
{
        if (!m->sealed)
                return MAP_UNKNOWN;
        return m->gap == MAP_GAP_LOST ? EXTENT_LOST : EXTENT_ZERO;
}

void map_find(const struct extent_map *m, uint64_t pos, struct extent *out)
{
        uint64_t block = pos / MAP_BLOCK;
        uint64_t number = block / SPAN_BLOCKS;
        uint64_t base = number * SPAN_BLOCKS;
        const struct span *span = span_at(m, number);
        struct span_hit hit;

        if (span && span_is_kept(m, number)) {
                *out = (struct extent){base * MAP_BLOCK, MAP_SPAN, MAP_KEPT};
        } else if (span) {
                span_find(span, (uint32_t)(block - base), &hit);
                out->start = (base + hit.first) * MAP_BLOCK;
                out->len = (uint64_t)hit.blocks * MAP_BLOCK;
                out->addr = hit.addr == SPAN_ABSENT ? gap_addr(m) : hit.addr;
        } else {
                out->start = base * MAP_BLOCK;
                out->len = empty_spans(m, number) * SPAN_BLOCKS * MAP_BLOCK;
                out->addr = gap_addr(m);
        }
        out->len = min_u64(out->len, m->size - out->start);
}

static int next(const struct extent_map *m, uint64_t pos, bool want_hole, uint64_t *out)
{
        struct extent e;

        for (; pos < m->size; pos = e.start + e.len) {
                map_find(m, pos, &e);
                if (e.addr == MAP_UNKNOWN || e.addr == MAP_KEPT) {
                        *out = pos;
                        return -EAGAIN;
                }
                if ((e.addr == EXTENT_ZERO) == want_hole) {
                        *out = pos;
                        return 0;
                }
        }
        return -ENXIO;
}

int map_next_data(const struct extent_map *m, uint64_t pos, uint64_t *out)
{
        return next(m, pos, false, out);
}

int map_next_hole(const struct extent_map *m, uint64_t pos, uint64_t *out)
{
        int rc;

        if (pos >= m->size)
                return -ENXIO;
        rc = next(m, pos, true, out);
        if (rc != -ENXIO)
                return rc;
        *out = m->size;
        return 0;
}

struct map_totals map_totals(const struct extent_map *m)
{
        struct map_totals t = {0};
        uint64_t blocks = map_blocks(m);

        for (uint64_t base = 0; base < blocks;) {
                uint64_t number = base / SPAN_BLOCKS;
                const struct span *span = span_at(m, number);
                uint64_t n = span ? SPAN_BLOCKS : empty_spans(m, number) * SPAN_BLOCKS;
                struct span_totals st = {.absent = n = min_u64(n, blocks - base)};

                if (span && span_is_kept(m, number))
                        st.absent = 0;
                else if (span)
                        span_count(span, (uint32_t)n, &st);
                t.stored += st.stored * MAP_BLOCK;
                t.lost += st.lost * MAP_BLOCK;
                t.absent += st.absent * MAP_BLOCK;
                if (m->gap == MAP_GAP_LOST)
                        t.lost += st.absent * MAP_BLOCK;
                base += n;
        }
        return t;
}
