/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/map/clusterlist.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "index/map/word.h"

/* How entries are encoded, and what their fields are relative to. */
struct layout {
        uint64_t addr; /* the lowest address; UINT64_MAX: none yet */
        uint8_t cluster_width, count_width, word_width; /* bits */
        uint8_t stride; /* bits from one entry to the next; whole bytes while the list may change */
        uint8_t shift;  /* addresses differ by multiples of 1 << shift */
        bool whole;     /* no cluster is ragged, and words are stored without masks */
};

struct clusterlist {
        struct layout layout;
        uint32_t base; /* of the entries' clusters, in BASE_UNIT */
        uint16_t count, capacity;
        uint8_t bytes[];
};

_Static_assert(sizeof(struct clusterlist) == 24, "the map's budget counts on it");

enum { BASE_UNIT = 16 };

/* A field is loaded as 8 bytes, so there is spare room after the last one. */
enum { SLACK = 8, ROOM_MIN = 4 };

/* What the entries have in common, and their largest values. */
struct extremes {
        uint64_t cluster, count, word; /* as they are encoded */
        uint64_t addr;                 /* the lowest */
        uint64_t differ;               /* bits in which they differ */
        bool ragged;                   /* at least one of them is */
};

/*
 * In a VMA archive, addresses differ by multiples of 512, since all its parts have such lengths. In
 * other formats they may differ by multiples of a cluster.
 */
enum { SHIFT_GROWING = 9, SHIFT_MAX = 16 };

static uint64_t low_bits(uint64_t v, unsigned width)
{
        return width ? v & UINT64_MAX >> (64 - width) : 0;
}

/* The field of WIDTH bits that begins at bit AT of P. */
static uint64_t load_field(const uint8_t *p, size_t at, unsigned width)
{
        unsigned bit = at % 8;
        uint64_t v = load_le64(p + at / 8) >> bit;

        /*
         * WIDTH is at most 64, so only a field that begins inside a byte can extend into a ninth.
         */
        if (bit > 0 && bit + width > 64)
                v |= (uint64_t)p[at / 8 + 8] << (64 - bit);
        return low_bits(v, width);
}

static void store_field(uint8_t *p, size_t at, unsigned width, uint64_t v)
{
        uint64_t mask = low_bits(UINT64_MAX, width);
        unsigned bit = at % 8;

        p += at / 8;
        store_le64(p, (load_le64(p) & ~(mask << bit)) | v << bit);
        if (bit > 0 && bit + width > 64)
                p[8] = (uint8_t)((p[8] & ~(mask >> (64 - bit))) | v >> (64 - bit));
}

static uint8_t width_of(uint64_t v)
{
        if (v == 0)
                return 0;
        return (uint8_t)(64 - __builtin_clzll(v));
}

/*
 * With masks, an address is stored as its distance plus one; 0 means lost, or zeros. Without masks,
 * it is the distance plus two; 0 means zeros and 1 means lost.
 */
static uint64_t word_out(uint64_t word, const struct layout *l)
{
        uint64_t distance = ((word >> 16) - l->addr) >> l->shift;

        if (word_mask(word) == 0)
                return 0;
        if (word_is_lost(word))
                return l->whole ? 1 : word_mask(word);
        return l->whole ? distance + 2 : (distance + 1) << 16 | word_mask(word);
}

static uint64_t word_in(uint64_t v, const struct layout *l)
{
        uint64_t mask = l->whole ? WORD_FULL : word_mask(v);
        uint64_t distance = l->whole ? v - 2 : (v >> 16) - 1;

        if (v == 0)
                return 0;
        if (l->whole ? v == 1 : v >> 16 == 0)
                return WORD_ADDR_LOST << 16 | mask;
        return (l->addr + (distance << l->shift)) << 16 | mask;
}

static bool has_addr(uint64_t word)
{
        return word_mask(word) != 0 && !word_is_lost(word);
}

/* The bytes of N entries, not rounded down. */
static size_t bytes_of(const struct layout *as, size_t n)
{
        return (n * as->stride + 7) / 8;
}

/* For a list that may change. */
static uint8_t *entry_at(struct clusterlist *l, size_t i)
{
        return l->bytes + bytes_of(&l->layout, i);
}

static uint64_t base_of(const struct clusterlist *l)
{
        return (uint64_t)l->base * BASE_UNIT;
}

static uint64_t cluster_at(const struct clusterlist *l, size_t i)
{
        return base_of(l) + load_field(l->bytes, i * l->layout.stride, l->layout.cluster_width);
}

/* Where entry I ends. */
static uint64_t end_at(const struct clusterlist *l, size_t i)
{
        const struct layout *as = &l->layout;
        size_t at = i * as->stride;

        return base_of(l) + load_field(l->bytes, at, as->cluster_width) +
               load_field(l->bytes, at + as->cluster_width, as->count_width) + 1;
}

struct cluster_run clusterlist_get(const struct clusterlist *l, size_t i)
{
        const struct layout *as = &l->layout;
        size_t at = i * as->stride, after = at + as->cluster_width;
        size_t word = after + as->count_width;

        return (struct cluster_run){base_of(l) + load_field(l->bytes, at, as->cluster_width),
                                    load_field(l->bytes, after, as->count_width) + 1,
                                    word_in(load_field(l->bytes, word, as->word_width), as)};
}

/* The entry must fit. */
static void put(struct clusterlist *l, size_t i, const struct cluster_run *run)
{
        const struct layout *as = &l->layout;
        size_t at = i * as->stride, after = at + as->cluster_width;

        store_field(l->bytes, at, as->cluster_width, run->cluster - base_of(l));
        store_field(l->bytes, after, as->count_width, run->count - 1);
        store_field(l->bytes, after + as->count_width, as->word_width, word_out(run->word, as));
}

struct clusterlist *clusterlist_new(uint64_t base)
{
        struct clusterlist *l = calloc(1, sizeof *l + SLACK);

        if (l) {
                l->base = (uint32_t)(base / BASE_UNIT);
                l->layout.addr = UINT64_MAX;
                l->layout.whole = true;
        }
        return l;
}

size_t clusterlist_count(const struct clusterlist *l)
{
        return l->count;
}

size_t clusterlist_bytes(const struct clusterlist *l)
{
        return bytes_of(&l->layout, l->count);
}

/* The first entry that begins after CLUSTER, or the count. */
static size_t first_after(const struct clusterlist *l, uint64_t cluster)
{
        uint64_t sought = cluster - base_of(l),
                 mask = low_bits(UINT64_MAX, l->layout.cluster_width);
        size_t stride = l->layout.stride;

        if (l->count == 0 || cluster < base_of(l))
                return 0;
        if (cluster_at(l, l->count - 1) <= cluster)
                return l->count;
        /* The field is narrow enough for 8 bytes to hold it, whatever bit it begins at. */
        return search_first(
            l->count, m, (load_le64(l->bytes + m * stride / 8) >> m * stride % 8 & mask) > sought);
}

size_t clusterlist_search(const struct clusterlist *l, uint64_t cluster)
{
        size_t i = first_after(l, cluster);

        /* The one before it may hold CLUSTER. */
        return i > 0 && end_at(l, i - 1) > cluster ? i - 1 : i;
}

/* ---- widths ---- */

static void note(struct extremes *x, uint64_t base, const struct cluster_run *run)
{
        x->cluster = max_u64(x->cluster, run->cluster - base);
        x->count = max_u64(x->count, run->count - 1);
        x->ragged |= word_is_ragged(run->word);
        if (!has_addr(run->word))
                return;
        if (x->addr != UINT64_MAX)
                x->differ |= x->addr ^ run->word >> 16;
        x->addr = min_u64(x->addr, run->word >> 16);
}

/* A width in bits. In whole bytes if more may come, so that a new entry seldom outgrows it. */
static uint8_t field_width(uint64_t largest, bool grows)
{
        uint8_t width = width_of(largest);

        return grows ? (uint8_t)round_up(width, 8) : width;
}

/* A part of a list that is encoded anew. */
struct part {
        size_t first, end;              /* entries */
        const struct cluster_run *more; /* another entry that has to fit, or NULL */
        size_t room;                    /* entries */
        uint64_t base;
        bool grows; /* more may come */
};

/* The narrowest layout for a part of L. */
static struct layout measure(const struct clusterlist *l, const struct part *part)
{
        struct extremes x = {.addr = UINT64_MAX};
        struct layout as;

        for (size_t i = part->first; i < part->end; i++) {
                struct cluster_run run = clusterlist_get(l, i);

                note(&x, part->base, &run);
        }
        if (part->more)
                note(&x, part->base, part->more);
        as = (struct layout){.addr = x.addr, .whole = !x.ragged};
        as.shift =
            (uint8_t)__builtin_ctzll(x.differ | 1u << (part->grows ? SHIFT_GROWING : SHIFT_MAX));
        for (size_t i = part->first; i < part->end; i++)
                x.word = max_u64(x.word, word_out(clusterlist_get(l, i).word, &as));
        if (part->more)
                x.word = max_u64(x.word, word_out(part->more->word, &as));
        as.cluster_width = field_width(x.cluster, part->grows);
        as.count_width = field_width(x.count, part->grows);
        as.word_width = field_width(x.word, part->grows);
        as.stride = (uint8_t)(as.cluster_width + as.count_width + as.word_width);
        return as;
}

/* NULL: out of memory. */
static struct clusterlist *rewrite(const struct clusterlist *l, struct part part)
{
        struct clusterlist *out;
        struct layout as;

        part.base -= part.base % BASE_UNIT;
        as = measure(l, &part);
        out = calloc(1, sizeof *out + bytes_of(&as, part.room) + SLACK);
        if (!out)
                return NULL;
        out->layout = as;
        out->base = (uint32_t)(part.base / BASE_UNIT);
        out->count = (uint16_t)(part.end - part.first);
        out->capacity = (uint16_t)part.room;
        for (size_t i = part.first; i < part.end; i++) {
                struct cluster_run run = clusterlist_get(l, i);

                put(out, i - part.first, &run);
        }
        return out;
}

static bool fits(const struct clusterlist *l, const struct cluster_run *run)
{
        const struct layout *as = &l->layout;
        uint64_t addr = run->word >> 16;

        if (as->stride % 8 || (as->whole && word_is_ragged(run->word)))
                return false;
        if (has_addr(run->word) &&
            (as->addr == UINT64_MAX || addr < as->addr || low_bits(addr - as->addr, as->shift)))
                return false;
        return width_of(run->cluster - base_of(l)) <= as->cluster_width &&
               width_of(run->count - 1) <= as->count_width &&
               width_of(word_out(run->word, as)) <= as->word_width;
}

/* Make room for one more entry, for which RUN must fit. */
static int reserve(struct clusterlist **l, const struct cluster_run *run)
{
        size_t count = (*l)->count, room = (*l)->capacity;
        struct clusterlist *grown;

        if (count == room)
                room += ROOM_MIN + room / 8;
        if (!fits(*l, run)) {
                grown = rewrite(*l, (struct part){0, count, run, room, base_of(*l), true});
                if (!grown)
                        return -ENOMEM;
                free(*l);
                *l = grown;
                return 0;
        }
        if (room == (*l)->capacity)
                return 0;
        grown = realloc(*l, sizeof *grown + bytes_of(&(*l)->layout, room) + SLACK);
        if (!grown)
                return -ENOMEM;
        memset(entry_at(grown, count), 0, bytes_of(&grown->layout, room - count) + SLACK);
        grown->capacity = (uint16_t)room;
        *l = grown;
        return 0;
}

/* ---- changing ---- */

static int replace(struct clusterlist **l, size_t i, const struct cluster_run *run)
{
        int rc = reserve(l, run);

        if (rc == 0)
                put(*l, i, run);
        return rc;
}

static int insert(struct clusterlist **l, size_t i, const struct cluster_run *run)
{
        int rc = reserve(l, run);

        if (rc < 0)
                return rc;
        memmove(entry_at(*l, i + 1), entry_at(*l, i), bytes_of(&(*l)->layout, (*l)->count - i));
        (*l)->count++;
        put(*l, i, run);
        return 0;
}

static void drop(struct clusterlist *l, size_t i)
{
        memmove(entry_at(l, i), entry_at(l, i + 1), bytes_of(&l->layout, l->count - i - 1));
        l->count--;
}

int clusterlist_insert(struct clusterlist **l, size_t i, const struct cluster_run *run)
{
        uint64_t end = run->cluster + run->count;
        struct cluster_run other;

        if (i > 0 && end_at(*l, i - 1) == run->cluster) {
                other = clusterlist_get(*l, i - 1);
                if (word_continues(other.word, other.count, run->word)) {
                        other.count += run->count;
                        return replace(l, i - 1, &other);
                }
        }
        if (i < (*l)->count && cluster_at(*l, i) == end) {
                other = clusterlist_get(*l, i);
                if (word_continues(run->word, run->count, other.word)) {
                        other =
                            (struct cluster_run){run->cluster, run->count + other.count, run->word};
                        return replace(l, i, &other);
                }
        }
        return insert(l, i, run);
}

int clusterlist_take(struct clusterlist **l, uint64_t from, uint64_t end, struct cluster_run *out)
{
        size_t i = clusterlist_search(*l, from);
        struct cluster_run run, before, after;
        uint64_t start, stop;
        int rc = 0;

        if (i == (*l)->count)
                return 0;
        run = clusterlist_get(*l, i);
        if (run.cluster >= end)
                return 0;
        start = max_u64(run.cluster, from);
        stop = min_u64(run.cluster + run.count, end);
        *out = (struct cluster_run){start, stop - start, word_plus(run.word, start - run.cluster)};
        before = (struct cluster_run){run.cluster, start - run.cluster, run.word};
        after = (struct cluster_run){stop, run.cluster + run.count - stop,
                                     word_plus(run.word, stop - run.cluster)};
        if (after.count)
                rc = before.count ? insert(l, i + 1, &after) : replace(l, i, &after);
        if (rc < 0)
                return rc;
        if (before.count)
                put(*l, i, &before);
        else if (!after.count)
                drop(*l, i);
        return 1;
}

int clusterlist_split(struct clusterlist **l, size_t i, struct clusterlist **upper)
{
        size_t count = (*l)->count;
        struct clusterlist *low = rewrite(*l, (struct part){0, i, NULL, i, base_of(*l), true});
        struct clusterlist *high =
            rewrite(*l, (struct part){i, count, NULL, count - i, cluster_at(*l, i), true});

        if (!low || !high) {
                free(low);
                free(high);
                return -ENOMEM;
        }
        free(*l);
        *l = low;
        *upper = high;
        return 0;
}

void clusterlist_trim(struct clusterlist **l)
{
        size_t count = (*l)->count;
        struct clusterlist *trimmed =
            rewrite(*l, (struct part){0, count, NULL, count, base_of(*l), false});

        if (!trimmed)
                return;
        free(*l);
        *l = trimmed;
}
