/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/map/span.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/extent.h"
#include "index/map/clusterlist.h"
#include "index/map/word.h"
#include "index/map/words.h"

/* Sorted by start. Three 16-bit words of address keep it at 10 bytes and alignment 2. */
struct run {
        uint16_t start;
        uint16_t last; /* blocks - 1 */
        uint16_t addr[3];
};

enum {
        BLOCK = 4096,
        PACK_RUNS = WORDS_BYTES / (int)sizeof(struct run), /* with more runs, packed is smaller */
};

#define ADDR48_ZERO ((UINT64_C(1) << 48) - 1)
#define ADDR48_LOST ((UINT64_C(1) << 48) - 2)

_Static_assert(sizeof(struct run) == 10, "the map's budget counts on 10 bytes a run");

static uint64_t run_addr(const struct run *r)
{
        uint64_t a = r->addr[0] | (uint64_t)r->addr[1] << 16 | (uint64_t)r->addr[2] << 32;

        if (a == ADDR48_ZERO)
                return EXTENT_ZERO;
        return a == ADDR48_LOST ? EXTENT_LOST : a;
}

static void run_set(struct run *r, uint32_t start, uint32_t blocks, uint64_t addr)
{
        /* The two special words of extent.h, and their 48-bit forms. */
        uint64_t a = addr & ((UINT64_C(1) << 48) - 1);

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

/* The address N blocks after ADDR. */
static uint64_t addr_plus(uint64_t addr, uint32_t n)
{
        if (addr == EXTENT_ZERO || addr == EXTENT_LOST)
                return addr;
        return addr + (uint64_t)n * BLOCK;
}

/* The first run that ends after block AT, or count. */
static uint32_t run_search(const struct span *s, uint32_t at)
{
        /* Archives are mostly in order, so the answer is mostly the end. */
        if (s->count && run_end(&s->runs[s->count - 1]) <= at)
                return s->count;
        return (uint32_t)search_first(s->count, m, run_end(&s->runs[m]) > at);
}

void span_fini(struct span *s)
{
        free(s->kind == SPAN_PACKED   ? (void *)s->clusters
             : s->kind == SPAN_LISTED ? (void *)s->list
                                      : (void *)s->runs);
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

/* How many of the N blocks from AT on are, like the first, lost or not lost. */
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

/* ---- runs as words ---- */

/* A cluster while the runs that make it up are put together. */
struct assembly {
        uint32_t covered; /* bits: blocks that are known */
        uint32_t mask;    /* bits: blocks that are stored, or lost */
        uint64_t base;    /* address of the first stored one; WORD_ADDR_LOST */
};

/* False: a word cannot describe this. */
static bool assemble(struct assembly *a, uint32_t bit, uint32_t blocks, uint64_t addr)
{
        uint32_t bits = ((1u << blocks) - 1) << bit;
        uint64_t before = (uint64_t)__builtin_popcount(a->mask) * BLOCK;

        a->covered |= bits;
        if (addr == EXTENT_ZERO)
                return true;
        if (addr == EXTENT_LOST) {
                addr = WORD_ADDR_LOST;
                before = 0;
        }
        if (!a->mask)
                a->base = addr;
        if (a->base + before != addr)
                return false;
        a->mask |= bits;
        return true;
}

/* Convert S, which has runs, to SPAN_CLUSTERS words. False: words cannot describe it. */
static bool fill_words(const struct span *s, uint64_t *words)
{
        struct assembly a = {0};

        memset(words, 0xff, WORDS_BYTES);
        for (uint32_t i = 0; i < s->count; i++) {
                const struct run *r = &s->runs[i];
                uint64_t addr = run_addr(r);

                for (uint32_t at = r->start; at < run_end(r);) {
                        uint32_t bit = at % SPAN_CLUSTER_BLOCKS;
                        uint32_t n = (uint32_t)min_u64(SPAN_CLUSTER_BLOCKS - bit, run_end(r) - at);

                        /* A gap before a block that does not start a cluster. */
                        if (a.covered != (1u << bit) - 1)
                                return false;
                        if (!assemble(&a, bit, n, addr))
                                return false;
                        if (a.covered == WORD_FULL) {
                                words[at / SPAN_CLUSTER_BLOCKS] =
                                    a.mask ? a.base << 16 | a.mask : 0;
                                a = (struct assembly){0};
                        }
                        at += n;
                        addr = addr_plus(addr, n);
                }
        }
        return a.covered == 0;
}

/* Turn runs into packed if every cluster allows it. Running out of memory is not an error. */
static void try_pack(struct span *s)
{
        uint64_t *words = malloc(WORDS_BYTES);

        if (!words || !fill_words(s, words)) {
                free(words);
                return;
        }
        free(s->runs);
        words_keep(s, words);
}

/*
 * Called between two clusters. Pack a list that has grown, or runs that have reached packed's size,
 * early enough that the next cluster's runs never exceed it. If a cluster forbids it, try again
 * when there are twice as many.
 */
static void maybe_pack(struct span *s)
{
        uint32_t at = s->pack_at ? s->pack_at : PACK_RUNS - SPAN_CLUSTER_BLOCKS;

        if (s->kind == SPAN_LISTED)
                words_pack(s);
        if (s->kind != SPAN_RUNS || s->count < at)
                return;
        s->pack_at = (uint16_t)min_u64((uint64_t)at * 2, UINT16_MAX);
        try_pack(s);
}

/* Turn runs into a list. False: a list cannot describe it, or memory is short. */
static bool try_list(struct span *s)
{
        uint64_t words[SPAN_CLUSTERS];
        struct clusterlist *list = NULL;

        if (s->odd)
                return false;
        s->odd = !fill_words(s, words);
        if (!s->odd)
                list = words_list(words);
        if (!list)
                return false;
        free(s->runs);
        s->list = list;
        s->count = s->capacity = 0;
        s->kind = SPAN_LISTED;
        return true;
}

/* ---- runs ---- */

static int runs_reserve(struct span *s)
{
        uint32_t capacity = s->capacity ? s->capacity * 2u : 4;
        struct run *runs;

        if (s->runs && s->count < s->capacity)
                return 0;
        /* Never more room than packed takes, since it will most likely be packed then. */
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

/* Is NEXT the address N blocks after ADDR? */
static bool continues(uint64_t addr, uint32_t n, uint64_t next)
{
        return addr_plus(addr, n) == next;
}

/* Insert blocks, which no run covers, before run I; merge them with its neighbours. */
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
                int rc = 0;

                if (r && r->start <= at) {
                        k = (uint32_t)min_u64(n, run_end(r) - at);
                        if (run_addr(r) != EXTENT_LOST)
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

/* Convert back to runs, for something that words cannot describe. */
static int unpack(struct span *s)
{
        struct span runs = {0};
        struct span_again again = {0};

        for (uint32_t at = 0; at < SPAN_BLOCKS;) {
                struct span_hit hit;
                int rc = 0;

                words_find(s, at, &hit);
                if (hit.addr != SPAN_ABSENT)
                        rc = runs_add(&runs, at, hit.blocks, hit.addr, &again);
                if (rc < 0) {
                        free(runs.runs);
                        return rc;
                }
                at += hit.blocks;
        }
        runs.lost = s->lost;
        runs.odd = true;
        s->lost = NULL;
        span_fini(s);
        *s = runs;
        return 0;
}

/* ---- all forms ---- */

/*
 * Mark known blocks as lost, and add the others as lost. Lost takes precedence over anything that
 * is added.
 */
static int lose(struct span *s, uint32_t at, uint32_t n)
{
        while (n) {
                struct span_hit hit;
                struct span_again none = {0};
                uint32_t k;
                int rc;

                span_find(s, at, &hit);
                k = (uint32_t)min_u64(n, hit.first + hit.blocks - at);
                if (hit.addr == SPAN_ABSENT && s->kind == SPAN_RUNS)
                        rc = runs_add(s, at, k, EXTENT_LOST, &none);
                else
                        rc = hit.addr == EXTENT_LOST ? 0 : mark_lost(s, at, k);
                if (rc < 0)
                        return rc;
                at += k;
                n -= k;
        }
        return 0;
}

/* Part of a cluster is added to words. They cannot describe it if the cluster is absent. */
static int add_part(struct span *s, uint32_t at, uint32_t n, struct span_again *again)
{
        uint32_t alike;
        uint64_t known = words_at(s, at / SPAN_CLUSTER_BLOCKS, &alike);

        if (known == WORD_ABSENT)
                return unpack(s);
        return known == WORD_ALL_LOST ? 0 : add_again(s, at, n, again);
}

int span_add(struct span *s, uint32_t at, uint32_t n, uint64_t addr, struct span_again *again)
{
        if (addr == EXTENT_LOST)
                return lose(s, at, n);
        if (at % SPAN_CLUSTER_BLOCKS == 0)
                maybe_pack(s);
        while (n && s->kind != SPAN_RUNS) {
                uint32_t left = SPAN_CLUSTER_BLOCKS - at % SPAN_CLUSTER_BLOCKS;
                uint32_t whole = n / SPAN_CLUSTER_BLOCKS, cluster = at / SPAN_CLUSTER_BLOCKS;
                uint32_t k = (uint32_t)min_u64(n, left);
                int rc;

                if (k == SPAN_CLUSTER_BLOCKS) {
                        k *= whole;
                        rc = words_add(s, cluster, whole, word_whole(addr), again);
                } else {
                        rc = add_part(s, at, k, again);
                }
                if (rc < 0)
                        return rc;
                if (s->kind == SPAN_RUNS)
                        break;
                at += k;
                n -= k;
                addr = addr_plus(addr, k);
        }
        return runs_add(s, at, n, addr, again);
}

/* Go through the cluster that begins with block AT, range by range. */
static int add_ranges(struct span *s, uint32_t at, uint64_t word, struct span_again *again)
{
        int rc = 0;

        for (uint32_t bit = 0; bit < SPAN_CLUSTER_BLOCKS && rc == 0;) {
                struct word_range r = word_range(word, bit);

                rc = span_add(s, at + bit, r.blocks, r.addr, again);
                bit += r.blocks;
        }
        return rc;
}

int span_add_word(struct span *s, uint32_t cluster, uint32_t n, uint64_t word,
                  struct span_again *again)
{
        uint32_t at = cluster * SPAN_CLUSTER_BLOCKS;

        if (!word_is_ragged(word))
                return span_add(s, at, n * SPAN_CLUSTER_BLOCKS, word_range(word, 0).addr, again);
        maybe_pack(s);
        if (s->kind != SPAN_RUNS || try_list(s))
                return words_add(s, cluster, n, word, again);
        return add_ranges(s, at, word, again);
}

/* Does a run mostly stand for a single cluster? Then a list takes about half the memory. */
static bool runs_are_short(const struct span *s)
{
        uint32_t blocks = 0;

        for (uint32_t i = 0; i < s->count; i++)
                blocks += run_blocks(&s->runs[i]);
        return s->count > 1 && blocks < 2u * s->count * SPAN_CLUSTER_BLOCKS;
}

void span_trim(struct span *s)
{
        struct run *runs;

        if (s->kind == SPAN_PACKED)
                words_thin_out(s);
        if (s->kind == SPAN_RUNS && runs_are_short(s))
                try_list(s);
        if (s->kind == SPAN_LISTED)
                clusterlist_trim(&s->list);
        if (s->kind != SPAN_RUNS || s->count == s->capacity)
                return;
        runs = realloc(s->runs, s->count * sizeof *runs);
        if (!runs)
                return;
        s->runs = runs;
        s->capacity = s->count;
}

static void find_known(const struct span *s, uint32_t at, struct span_hit *hit)
{
        if (s->kind == SPAN_RUNS)
                runs_find(s, at, hit);
        else
                words_find(s, at, hit);
}

/* As span_find, for the rare span with blocks marked as lost. */
__attribute__((noinline)) static void find_marked(const struct span *s, uint32_t at,
                                                  struct span_hit *hit)
{
        if (is_lost(s, at)) {
                *hit = (struct span_hit){at, lost_alike(s, at, SPAN_BLOCKS - at), EXTENT_LOST};
                return;
        }
        find_known(s, at, hit);
        if (hit->addr != SPAN_ABSENT)
                hit->addr = addr_plus(hit->addr, at - hit->first);
        hit->blocks = lost_alike(s, at, hit->first + hit->blocks - at);
        hit->first = at;
}

void span_find(const struct span *s, uint32_t at, struct span_hit *hit)
{
        if (s->lost)
                find_marked(s, at, hit);
        else
                find_known(s, at, hit);
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

/* If nothing is marked, count clusters and runs as they are stored. */
static void count_packed(const struct span *s, uint32_t n, struct span_totals *t)
{
        for (uint32_t at = 0; at < n; at += SPAN_CLUSTER_BLOCKS) {
                uint64_t word = s->clusters[at / SPAN_CLUSTER_BLOCKS];
                uint32_t blocks = (uint32_t)min_u64(SPAN_CLUSTER_BLOCKS, n - at);
                uint32_t there = (1u << blocks) - 1;
                uint32_t set = (uint32_t)__builtin_popcount((uint32_t)word & there);

                if (word == WORD_ABSENT)
                        t->absent += blocks;
                else if (word_is_lost(word))
                        t->lost += set;
                else
                        t->stored += set;
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
        if (s->lost || s->kind == SPAN_LISTED)
                count_each(s, n, t);
        else if (s->kind == SPAN_PACKED)
                count_packed(s, n, t);
        else
                count_runs(s, n, t);
}
