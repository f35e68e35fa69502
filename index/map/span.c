/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/map/span.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/extent.h"

/* Sorted by start. Three 16-bit words of address keep it at 10 bytes and alignment 2. */
struct run {
        uint16_t start;
        uint16_t last; /* blocks - 1 */
        uint16_t addr[3];
};

enum {
        BLOCK = 4096,
        PACKED_BYTES = SPAN_CLUSTERS * 8,
        PACK_RUNS = PACKED_BYTES / (int)sizeof(struct run), /* more than these: packed is smaller */
        FULL_MASK = 0xffff,
};

#define ADDR48_ZERO    ((UINT64_C(1) << 48) - 1)
#define CLUSTER_ABSENT UINT64_MAX

_Static_assert(sizeof(struct run) == 10, "the map's budget counts on 10 bytes a run");

static uint64_t run_addr(const struct run *r)
{
        uint64_t a = r->addr[0] | (uint64_t)r->addr[1] << 16 | (uint64_t)r->addr[2] << 32;

        return a == ADDR48_ZERO ? EXTENT_ZERO : a;
}

static void run_set(struct run *r, uint32_t start, uint32_t blocks, uint64_t addr)
{
        uint64_t a = addr == EXTENT_ZERO ? ADDR48_ZERO : addr;

        r->start = (uint16_t)start;
        r->last = (uint16_t)(blocks - 1);
        r->addr[0] = (uint16_t)a;
        r->addr[1] = (uint16_t)(a >> 16);
        r->addr[2] = (uint16_t)(a >> 32);
}

static uint32_t run_blocks(const struct run *r)
{
        return r->last + 1u;
}

static uint32_t run_end(const struct run *r)
{
        return r->start + run_blocks(r);
}

/* The address that stands N blocks behind ADDR. */
static uint64_t addr_plus(uint64_t addr, uint32_t n)
{
        return addr == EXTENT_ZERO ? addr : addr + (uint64_t)n * BLOCK;
}

/* The first run that ends behind block AT, or count. */
static uint32_t run_search(const struct span *s, uint32_t at)
{
        uint32_t low = 0, high = s->count;

        /* Archives are mostly in order: the answer is mostly the end. */
        if (high && run_end(&s->runs[high - 1]) <= at)
                return high;
        while (low < high) {
                uint32_t mid = (low + high) / 2;

                if (run_end(&s->runs[mid]) > at)
                        high = mid;
                else
                        low = mid + 1;
        }
        return low;
}

void span_fini(struct span *s)
{
        if (s->kind == SPAN_PACKED)
                free(s->clusters);
        else
                free(s->runs);
        free(s->lost);
        memset(s, 0, sizeof *s);
}

/* ---- lost blocks ---- */

static int mark_lost(struct span *s, uint32_t at, uint32_t n)
{
        if (!s->lost)
                s->lost = calloc(SPAN_BLOCKS / 64, sizeof *s->lost);
        if (!s->lost)
                return -ENOMEM;
        for (uint32_t i = at; i < at + n; i++)
                s->lost[i / 64] |= UINT64_C(1) << i % 64;
        return 0;
}

/* What is stored twice is ambiguous. */
static int add_again(struct span *s, uint32_t at, uint32_t n, struct span_again *again)
{
        if (!again->blocks)
                again->first = at;
        again->blocks += n;
        return mark_lost(s, at, n);
}

static bool is_lost(const struct span *s, uint32_t at)
{
        return s->lost && (s->lost[at / 64] >> at % 64 & 1);
}

/* How many of the N blocks from AT are lost alike, or not lost alike. */
static uint32_t lost_alike(const struct span *s, uint32_t at, uint32_t n)
{
        uint64_t flip = is_lost(s, at) ? UINT64_MAX : 0;
        uint32_t i = at;

        while (i < at + n) {
                uint64_t differs = (s->lost[i / 64] ^ flip) >> i % 64;

                if (differs) {
                        i += (uint32_t)__builtin_ctzll(differs);
                        break;
                }
                i += 64 - i % 64;
        }
        return (uint32_t)min_u64(i - at, n);
}

/* ---- packed ---- */

static uint64_t piece_word(uint64_t addr)
{
        return addr == EXTENT_ZERO ? 0 : addr << 16 | FULL_MASK;
}

/* A cluster while the runs that make it up are put together. */
struct assembly {
        uint32_t covered; /* bits: blocks of which something is known */
        uint32_t mask;    /* bits: blocks that are stored */
        uint64_t base;    /* address of the first stored one */
};

/* False: a packed cluster cannot say this. */
static bool assemble(struct assembly *a, uint32_t bit, uint32_t blocks, uint64_t addr)
{
        uint32_t bits = ((1u << blocks) - 1) << bit;

        a->covered |= bits;
        if (addr == EXTENT_ZERO)
                return true;
        if (!a->mask)
                a->base = addr;
        if (a->base + (uint64_t)__builtin_popcount(a->mask) * BLOCK != addr)
                return false;
        a->mask |= bits;
        return true;
}

static bool fill_clusters(const struct span *s, uint64_t *clusters)
{
        struct assembly a = {0};

        for (uint32_t i = 0; i < s->count; i++) {
                const struct run *r = &s->runs[i];
                uint64_t addr = run_addr(r);

                for (uint32_t at = r->start; at < run_end(r);) {
                        uint32_t bit = at % SPAN_CLUSTER_BLOCKS;
                        uint32_t n = (uint32_t)min_u64(SPAN_CLUSTER_BLOCKS - bit, run_end(r) - at);

                        /* A gap in front of a block that does not start a cluster. */
                        if (a.covered != (1u << bit) - 1)
                                return false;
                        if (!assemble(&a, bit, n, addr))
                                return false;
                        if (a.covered == FULL_MASK) {
                                clusters[at / SPAN_CLUSTER_BLOCKS] = a.base << 16 | a.mask;
                                a = (struct assembly){0};
                        }
                        at += n;
                        addr = addr_plus(addr, n);
                }
        }
        return a.covered == 0;
}

/* Turn runs into packed where every cluster allows it. Out of memory is no reason to fail. */
static void try_pack(struct span *s)
{
        uint64_t *clusters = malloc(PACKED_BYTES);

        if (!clusters)
                return;
        memset(clusters, 0xff, PACKED_BYTES);
        if (!fill_clusters(s, clusters)) {
                free(clusters);
                return;
        }
        free(s->runs);
        s->clusters = clusters;
        s->count = s->capacity = 0;
        s->kind = SPAN_PACKED;
}

/*
 * Between two clusters: pack once the runs have grown as large, early enough that the next
 * cluster's runs never pass that size. Where a cluster forbids it, try again at twice as many.
 */
static void maybe_pack(struct span *s)
{
        uint32_t at = s->pack_at ? s->pack_at : PACK_RUNS - SPAN_CLUSTER_BLOCKS;

        if (s->kind != SPAN_RUNS || s->count < at)
                return;
        s->pack_at = (uint16_t)min_u64((uint64_t)at * 2, UINT16_MAX);
        try_pack(s);
}

bool span_add_packed(struct span *s, uint32_t at, uint64_t word)
{
        uint32_t cluster = at / SPAN_CLUSTER_BLOCKS;

        maybe_pack(s);
        if (s->kind != SPAN_PACKED || s->clusters[cluster] != CLUSTER_ABSENT)
                return false;
        s->clusters[cluster] = word;
        return true;
}

static void packed_find(const struct span *s, uint32_t at, struct span_hit *hit)
{
        uint64_t word = s->clusters[at / SPAN_CLUSTER_BLOCKS];
        uint32_t bit = at % SPAN_CLUSTER_BLOCKS;
        uint32_t mask = (uint32_t)(word & FULL_MASK);
        bool stored = mask >> bit & 1;
        uint32_t alike = stored ? mask : ~mask;

        hit->first = at - bit;
        hit->blocks = SPAN_CLUSTER_BLOCKS;
        hit->addr = word == CLUSTER_ABSENT ? SPAN_ABSENT : mask ? word >> 16 : EXTENT_ZERO;
        if (word == CLUSTER_ABSENT || mask == 0 || mask == FULL_MASK)
                return;
        hit->first = at;
        hit->blocks = (uint32_t)min_u64((uint32_t)__builtin_ctz(~(alike >> bit) | 1u << 16),
                                        SPAN_CLUSTER_BLOCKS - bit);
        hit->addr = EXTENT_ZERO;
        if (stored)
                hit->addr =
                    (word >> 16) + (uint64_t)__builtin_popcount(mask & ((1u << bit) - 1)) * BLOCK;
}

/* ---- runs ---- */

static int runs_reserve(struct span *s)
{
        uint32_t capacity = s->capacity ? s->capacity * 2u : 4;
        struct run *runs;

        if (s->runs && s->count < s->capacity)
                return 0;
        /* No more room than packed takes: it will most likely be packed then. */
        if (s->capacity < PACK_RUNS && capacity > PACK_RUNS)
                capacity = PACK_RUNS;
        if (capacity > SPAN_BLOCKS)
                capacity = SPAN_BLOCKS;
        runs = realloc(s->runs, capacity * sizeof *runs);
        if (!runs)
                return -ENOMEM;
        s->runs = runs;
        s->capacity = (uint16_t)capacity;
        return 0;
}

/* Does what lies N blocks behind ADDR have the address NEXT? */
static bool continues(uint64_t addr, uint32_t n, uint64_t next)
{
        return addr_plus(addr, n) == next;
}

/* Put blocks that no run covers in front of run I, merging with its neighbours. */
static int runs_insert(struct span *s, uint32_t i, uint32_t at, uint32_t n, uint64_t addr)
{
        struct run *before = i > 0 ? &s->runs[i - 1] : NULL;
        struct run *after = i < s->count ? &s->runs[i] : NULL;
        int rc;

        if (before && run_end(before) == at &&
            continues(run_addr(before), run_blocks(before), addr)) {
                before->last = (uint16_t)(before->last + n);
                return 0;
        }
        if (after && after->start == at + n && continues(addr, n, run_addr(after))) {
                run_set(after, at, run_blocks(after) + n, addr);
                return 0;
        }
        rc = runs_reserve(s);
        if (rc < 0)
                return rc;
        memmove(&s->runs[i + 1], &s->runs[i], (s->count - i) * sizeof *s->runs);
        run_set(&s->runs[i], at, n, addr);
        s->count++;
        return 0;
}

static int runs_add(struct span *s, uint32_t at, uint32_t n, uint64_t addr,
                    struct span_again *again)
{
        while (n) {
                uint32_t i = run_search(s, at);
                const struct run *r = i < s->count ? &s->runs[i] : NULL;
                uint32_t k;
                int rc;

                if (r && r->start <= at) {
                        k = (uint32_t)min_u64(n, run_end(r) - at);
                        rc = add_again(s, at, k, again);
                } else {
                        k = (uint32_t)min_u64(n, (r ? r->start : SPAN_BLOCKS) - at);
                        rc = runs_insert(s, i, at, k, addr);
                }
                if (rc < 0)
                        return rc;
                at += k;
                n -= k;
                addr = addr_plus(addr, k);
        }
        return 0;
}

static void runs_find(const struct span *s, uint32_t at, struct span_hit *hit)
{
        uint32_t i = run_search(s, at);
        const struct run *r = i < s->count ? &s->runs[i] : NULL;

        if (r && r->start <= at) {
                *hit = (struct span_hit){r->start, run_blocks(r), run_addr(r)};
                return;
        }
        hit->first = at;
        hit->blocks = (r ? r->start : SPAN_BLOCKS) - at;
        hit->addr = SPAN_ABSENT;
}

/* Back to runs: something has to be said that packed cannot say. */
static int unpack(struct span *s)
{
        struct span runs = {0};
        struct span_again again = {0};

        for (uint32_t at = 0; at < SPAN_BLOCKS;) {
                struct span_hit hit;
                int rc = 0;

                packed_find(s, at, &hit);
                if (hit.addr != SPAN_ABSENT)
                        rc = runs_add(&runs, at, hit.blocks, hit.addr, &again);
                if (rc < 0) {
                        free(runs.runs);
                        return rc;
                }
                at += hit.blocks;
        }
        free(s->clusters);
        s->runs = runs.runs;
        s->count = runs.count;
        s->capacity = runs.capacity;
        s->kind = SPAN_RUNS;
        return 0;
}

/* ---- both ---- */

/* Add blocks of one cluster to a packed span. -ERANGE: packed cannot say it. */
static int packed_add(struct span *s, uint32_t at, uint32_t n, uint64_t addr,
                      struct span_again *again)
{
        uint64_t *cluster = &s->clusters[at / SPAN_CLUSTER_BLOCKS];

        if (*cluster != CLUSTER_ABSENT)
                return add_again(s, at, n, again);
        if (n < SPAN_CLUSTER_BLOCKS)
                return -ERANGE;
        *cluster = piece_word(addr);
        return 0;
}

int span_add(struct span *s, uint32_t at, uint32_t n, uint64_t addr, struct span_again *again)
{
        if (addr == EXTENT_LOST)
                return mark_lost(s, at, n);
        if (at % SPAN_CLUSTER_BLOCKS == 0)
                maybe_pack(s);
        while (n && s->kind == SPAN_PACKED) {
                uint32_t left = SPAN_CLUSTER_BLOCKS - at % SPAN_CLUSTER_BLOCKS;
                uint32_t k = (uint32_t)min_u64(n, left);
                int rc = packed_add(s, at, k, addr, again);

                if (rc == -ERANGE) {
                        rc = unpack(s);
                        if (rc == 0)
                                break;
                }
                if (rc < 0)
                        return rc;
                at += k;
                n -= k;
                addr = addr_plus(addr, k);
        }
        return runs_add(s, at, n, addr, again);
}

void span_trim(struct span *s)
{
        struct run *runs;

        if (s->kind == SPAN_PACKED || s->count == s->capacity)
                return;
        runs = realloc(s->runs, s->count * sizeof *runs);
        if (!runs)
                return;
        s->runs = runs;
        s->capacity = s->count;
}

void span_find(const struct span *s, uint32_t at, struct span_hit *hit)
{
        if (s->kind == SPAN_PACKED)
                packed_find(s, at, hit);
        else
                runs_find(s, at, hit);
        if (!s->lost)
                return;
        if (is_lost(s, at)) {
                *hit = (struct span_hit){at, lost_alike(s, at, SPAN_BLOCKS - at), EXTENT_LOST};
                return;
        }
        if (hit->addr != SPAN_ABSENT)
                hit->addr = addr_plus(hit->addr, at - hit->first);
        hit->blocks = lost_alike(s, at, hit->first + hit->blocks - at);
        hit->first = at;
}

static void count_hit(uint64_t addr, uint32_t n, struct span_totals *t)
{
        if (addr == SPAN_ABSENT)
                t->absent += n;
        else if (addr == EXTENT_LOST)
                t->lost += n;
        else if (addr != EXTENT_ZERO)
                t->stored += n;
}

/* Where nothing is lost, the clusters and runs are counted as they are kept. */
static void count_packed(const struct span *s, uint32_t n, struct span_totals *t)
{
        for (uint32_t at = 0; at < n; at += SPAN_CLUSTER_BLOCKS) {
                uint64_t word = s->clusters[at / SPAN_CLUSTER_BLOCKS];
                uint32_t blocks = (uint32_t)min_u64(SPAN_CLUSTER_BLOCKS, n - at);
                uint32_t there = (1u << blocks) - 1;

                if (word == CLUSTER_ABSENT)
                        t->absent += blocks;
                else
                        t->stored += (uint32_t)__builtin_popcount((uint32_t)word & there);
        }
}

static void count_runs(const struct span *s, uint32_t n, struct span_totals *t)
{
        t->absent = n;
        for (uint32_t i = 0; i < s->count && s->runs[i].start < n; i++) {
                uint32_t blocks = (uint32_t)min_u64(run_blocks(&s->runs[i]), n - s->runs[i].start);

                t->absent -= blocks;
                count_hit(run_addr(&s->runs[i]), blocks, t);
        }
}

static void count_each(const struct span *s, uint32_t n, struct span_totals *t)
{
        for (uint32_t at = 0; at < n;) {
                struct span_hit hit;
                uint32_t k;

                span_find(s, at, &hit);
                k = (uint32_t)min_u64(hit.first + hit.blocks - at, n - at);
                count_hit(hit.addr, k, t);
                at += k;
        }
}

void span_count(const struct span *s, uint32_t n, struct span_totals *t)
{
        *t = (struct span_totals){0};
        if (s->lost)
                count_each(s, n, t);
        else if (s->kind == SPAN_PACKED)
                count_packed(s, n, t);
        else
                count_runs(s, n, t);
}
