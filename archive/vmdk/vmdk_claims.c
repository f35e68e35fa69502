/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/vmdk/vmdk_claims.h"

#include <errno.h>
#include <stdlib.h>

#include "archive/array.h"
#include "archive/bytes.h"

enum {
        LOST_RANGES_MAX = 1 << 20,
        COUNT_MAX = (1 << 28) - 1,
        WHO_MAX = 7,
};

#define ADDRESS_MAX ((UINT64_C(1) << 33) - 1)

/* 8 bytes for each run of grains that lie in the file as in the tables. */
struct vmdk_claim {
        uint64_t sector : 33;
        uint64_t count : 28;
        uint64_t who : 3;
};

static uint64_t claim_end(const struct vmdk_claim *c)
{
        return c->sector + c->count;
}

void vmdk_claims_start(struct vmdk_claims *c, uint32_t unit, uint64_t end)
{
        c->unit = unit;
        c->end = end;
}

void vmdk_claims_drop(struct vmdk_claims *c)
{
        for (size_t i = 0; i < CLAIM_GRAIN_KINDS; i++)
                vmdk_slots_fini(&c->grains[i]);
        free(c->list);
        c->list = NULL;
        c->count = c->room = 0;
}

void vmdk_claims_fini(struct vmdk_claims *c)
{
        vmdk_claims_drop(c);
        for (size_t i = 0; i < CLAIM_RANKS; i++)
                array_free(&c->lost[i]);
        *c = (struct vmdk_claims){0};
}

/* Extend A by B if B continues it and has the same claimant. */
static bool join(struct vmdk_claim *a, const struct vmdk_claim *b)
{
        if (a->who != b->who || claim_end(a) != b->sector ||
            (uint64_t)a->count + b->count > COUNT_MAX)
                return false;
        a->count = (a->count + b->count) & COUNT_MAX;
        return true;
}

static int compare(const void *a, const void *b)
{
        const struct vmdk_claim *x = a, *y = b;

        return (x->sector > y->sector) - (x->sector < y->sector);
}

static bool is_sorted(const struct vmdk_claims *c)
{
        for (size_t i = 1; i < c->count; i++)
                if (c->list[i].sector < c->list[i - 1].sector)
                        return false;
        return true;
}

void vmdk_claims_sort(struct vmdk_claims *c)
{
        size_t kept = 0;

        if (!is_sorted(c))
                qsort(c->list, c->count, sizeof *c->list, compare);
        for (size_t i = 0; i < c->count; i++)
                if (!kept || !join(&c->list[kept - 1], &c->list[i]))
                        c->list[kept++] = c->list[i];
        c->count = kept;
}

/*
 * Make room for one more. Grains that a table names in any order lie side by side in the file, so
 * most claims can be joined once they are sorted.
 */
static int make_room(struct vmdk_claims *c)
{
        size_t room = c->room ? 2 * c->room : 1024;
        struct vmdk_claim *grown;

        if (c->count < c->room)
                return 0;
        vmdk_claims_sort(c);
        if (c->count < c->room / 2)
                return 0;
        if (room > CLAIMS_MAX)
                return -E2BIG;
        grown = reallocarray(c->list, room, sizeof *grown);
        if (!grown)
                return -ENOMEM;
        c->list = grown;
        c->room = room;
        return 0;
}

static int add_to_list(struct vmdk_claims *c, enum vmdk_claimant who, uint64_t sector,
                       uint64_t count)
{
        for (uint64_t n; count; sector += n, count -= n) {
                struct vmdk_claim claim = {.sector = sector & ADDRESS_MAX, .who = who & WHO_MAX};
                int rc;

                n = min_u64(count, COUNT_MAX);
                claim.count = n & COUNT_MAX;
                if (c->count && join(&c->list[c->count - 1], &claim))
                        continue;
                rc = make_room(c);
                if (rc < 0)
                        return rc;
                c->list[c->count++] = claim;
        }
        return 0;
}

/* Has any grain a slot? All other grains with slots are whole grains away from it. */
static bool has_slots(const struct vmdk_claims *c)
{
        for (size_t i = 0; i < CLAIM_GRAIN_KINDS; i++)
                if (c->grains[i].once)
                        return true;
        return false;
}

int vmdk_claims_add(struct vmdk_claims *c, enum vmdk_claimant who, uint64_t sector, uint64_t count)
{
        if (who < CLAIM_GRAIN || !c->unit || count != c->unit || sector >= c->end)
                return add_to_list(c, who, sector, count);
        if (!has_slots(c))
                c->rest = (uint32_t)(sector % c->unit);
        if (sector % c->unit != c->rest)
                return add_to_list(c, who, sector, count);
        return vmdk_slots_add(&c->grains[who - CLAIM_GRAIN], c->end / c->unit + 1,
                              sector / c->unit);
}

/* ---- all claims in order ---- */

/* The next grain of a kind, without moving past it. */
static bool peek_grains(const struct vmdk_claims *c, const struct vmdk_claims_walk *w,
                        unsigned kind, struct vmdk_claim *out)
{
        uint64_t from = w->slot[kind] - w->again[kind];
        struct vmdk_slot_run run;

        if (!vmdk_slots_next(&c->grains[kind], from, &run))
                return false;
        if (run.twice)
                run.count = 1;
        run.count = min_u64(run.count, COUNT_MAX / c->unit);
        out->sector = (run.first * c->unit + c->rest) & ADDRESS_MAX;
        out->count = run.count * c->unit & COUNT_MAX;
        out->who = (CLAIM_GRAIN + kind) & WHO_MAX;
        return true;
}

/* Move past CLAIM, which peek_grains returned. What is named twice is returned twice. */
static void pass_grains(const struct vmdk_claims *c, struct vmdk_claims_walk *w, unsigned kind,
                        const struct vmdk_claim *claim)
{
        uint64_t first = claim->sector / c->unit, count = claim->count / c->unit;
        struct vmdk_slot_run run;

        vmdk_slots_next(&c->grains[kind], first, &run);
        w->again[kind] = run.twice && !w->again[kind];
        w->slot[kind] = first + count;
}

/* The next claim by sector. False: there is none. */
static bool next_claim(const struct vmdk_claims *c, struct vmdk_claims_walk *w,
                       struct vmdk_claim *out)
{
        struct vmdk_claim claim;
        unsigned best = CLAIM_GRAIN_KINDS;
        bool any = w->next < c->count;

        if (any)
                *out = c->list[w->next];
        for (unsigned kind = 0; kind < CLAIM_GRAIN_KINDS; kind++) {
                if (!peek_grains(c, w, kind, &claim) || (any && claim.sector >= out->sector))
                        continue;
                *out = claim;
                best = kind;
                any = true;
        }
        if (any && best < CLAIM_GRAIN_KINDS)
                pass_grains(c, w, best, out);
        else
                w->next += any;
        return any;
}

/* ---- what is claimed twice ---- */

/* How far the claims of each claimant reach so far. */
struct sweep {
        uint64_t end[CLAIMANTS];
};

/* The part of C, the next claim by sector, that OTHER claims too. */
static struct vmdk_range overlap(const struct sweep *s, const struct vmdk_claim *c, unsigned other)
{
        return (struct vmdk_range){c->sector, min_u64(claim_end(c), s->end[other])};
}

static void go_on(struct sweep *s, const struct vmdk_claim *c)
{
        s->end[c->who] = max_u64(s->end[c->who], claim_end(c));
}

/* How often do members of SET claim the same sectors? */
static uint64_t contradictions(const struct vmdk_claims *c, unsigned set)
{
        struct vmdk_claims_walk w = {0};
        struct vmdk_claim claim;
        struct sweep s = {0};
        uint64_t n = 0;

        while (next_claim(c, &w, &claim)) {
                for (unsigned k = 0; k < CLAIMANTS && set >> claim.who & 1; k++) {
                        struct vmdk_range twice = overlap(&s, &claim, k);

                        n += (set >> k & 1) && twice.start < twice.end;
                }
                go_on(&s, &claim);
        }
        return n;
}

void vmdk_claims_weigh(const struct vmdk_claims *c, uint64_t *tables, uint64_t *copy)
{
        unsigned both = 1U << CLAIM_FIXED | 1U << CLAIM_GRAIN;

        *tables = contradictions(c, both | CLAIMS_OF_TABLES);
        *copy = contradictions(c, both | CLAIMS_OF_COPY);
}

/* Of two claimants the one of the lower rank wins. */
static unsigned rank(unsigned who)
{
        return who < CLAIM_GRAIN ? 0 : who == CLAIM_GRAIN ? 1 : 2;
}

/* They come in the order of their starts. */
static int lose(struct vmdk_ranges *lost, struct vmdk_range range)
{
        struct vmdk_range *last = lost->count ? array_last(lost) : NULL;

        if (last && range.start <= last->end) {
                last->end = max_u64(last->end, range.end);
                return 0;
        }
        if (lost->count == LOST_RANGES_MAX)
                return -E2BIG;
        return array_add(lost, range);
}

int vmdk_claims_settle(struct vmdk_claims *c, unsigned set)
{
        struct vmdk_claims_walk w = {0};
        struct vmdk_claim claim;
        struct sweep s = {0};
        int rc = 0;

        for (size_t i = 0; i < CLAIM_RANKS; i++)
                c->lost[i].count = 0;
        while (rc == 0 && next_claim(c, &w, &claim)) {
                if (!(set >> claim.who & 1))
                        continue;
                for (unsigned k = 0; k < CLAIMANTS && rc == 0; k++) {
                        struct vmdk_range twice = overlap(&s, &claim, k);
                        unsigned a = rank(claim.who), b = rank(k);

                        if (twice.start >= twice.end)
                                continue;
                        if (a >= b)
                                rc = lose(&c->lost[a], twice);
                        if (a < b)
                                rc = lose(&c->lost[b], twice);
                }
                go_on(&s, &claim);
        }
        return rc;
}

bool vmdk_claims_won(const struct vmdk_claims *c, enum vmdk_claimant who, uint64_t sector,
                     uint64_t count)
{
        const struct vmdk_ranges *lost = &c->lost[rank(who)];
        size_t first = search_first(lost->count, i, lost->items[i].end > sector);

        return first == lost->count || lost->items[first].start >= sector + count;
}

bool vmdk_claims_gap(const struct vmdk_claims *c, struct vmdk_claims_walk *w, uint64_t *at,
                     uint64_t end, struct vmdk_range *gap)
{
        struct vmdk_claim claim;

        while (*at < end) {
                uint64_t start = *at;

                if (!next_claim(c, w, &claim)) {
                        *gap = (struct vmdk_range){start, end};
                        *at = end;
                        return true;
                }
                *at = max_u64(start, claim_end(&claim));
                *gap = (struct vmdk_range){start, min_u64(claim.sector, end)};
                if (gap->start < gap->end)
                        return true;
        }
        return false;
}
