/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/ahead.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/format.h"
#include "archive/source/source.h"
#include "index/disk.h"
#include "index/order.h"
#include "index/owner.h"

/* Bytes of the disk. */
#define AHEAD_MAX  (UINT64_C(64) << 20) /* what is decoded before it is read */
#define WINDOW_MAX (UINT64_C(4) << 30)  /* of which the places are listed */
#define NEAR       (UINT64_C(8) << 20)  /* what the requests of one reader may be apart */
#define SEQUENTIAL (UINT64_C(4) << 20)  /* whoever has read so much in sequence will go on */
#define STEP       (UINT64_C(2) << 20)  /* by which a reader has to move on before we look again */
#define PLACES_MAX 16384                /* in a window */

/* Strays that wait may have one part in so many of the cache, segments in order that wait another. */
#define STRAY_SHARE 4
#define ORDER_SHARE 8

/* What a stray costs in the cache beyond its length: units are of 32 KiB. */
#define STRAY_BESIDE (UINT64_C(32) << 10)

enum {
        READERS = 4,
        RANGES = 64,  /* strays of one segment that are asked for together */
        STALE = 4096, /* a reader has stopped after so many requests of others */
};

/* Data of the disk. */
struct place {
        uint64_t pos, addr; /* bytes of the disk, of the stream */
        uint32_t len;
        bool stray;
        bool asked; /* the stream was asked for it */
};

struct reader {
        struct disk *disk; /* NULL: unused */
        uint64_t tick;     /* when it was noted last */
        uint64_t begin;    /* where the reader came from … */
        uint64_t pos;      /* … the end of what was read … */
        uint64_t read;     /* … and how many bytes that were */
        uint64_t planned;  /* POS when what comes next was looked at last; 0: never */
        uint64_t asked;    /* up to here the stream was asked for what is in order */

        ARRAY(struct place) places; /* of [from, to) of the disk, by position … */
        uint32_t *by_addr;          /* … and their numbers by address */
        uint64_t from, to;
        uint64_t listed;  /* POS when that was done */
        uint64_t segment; /* where the last segment in order that was asked for ends */
};

struct ahead {
        struct index *index;
        pthread_mutex_t lock; /* guards the rest */
        struct reader readers[READERS];
        uint64_t tick;
};

int ahead_new(struct index *index, struct ahead **out)
{
        struct ahead *a = calloc(1, sizeof *a);

        if (!a)
                return -ENOMEM;
        a->index = index;
        pthread_mutex_init(&a->lock, NULL);
        *out = a;
        return 0;
}

static void forget_window(struct reader *r)
{
        array_free(&r->places);
        free(r->by_addr);
        r->by_addr = NULL;
        r->from = r->to = 0;
}

void ahead_free(struct ahead *a)
{
        if (!a)
                return;
        for (size_t i = 0; i < READERS; i++)
                forget_window(&a->readers[i]);
        pthread_mutex_destroy(&a->lock);
        free(a);
}

/* ---- the window ---- */

/* The strays from PLACES' end back that are on the line from FIRST on are in order after all. */
static void take_back(struct reader *r, uint64_t first, uint64_t end, uint64_t bytes)
{
        for (size_t i = r->places.count; i > 0 && bytes > 0; i--) {
                struct place *p = array_at(&r->places, i - 1);

                if (!p->stray || p->addr < first || p->addr >= end)
                        continue;
                p->stray = false;
                bytes -= min_u64(bytes, p->len);
        }
}

static int add_place(struct reader *r, struct order *o, uint64_t pos, uint64_t addr, uint64_t len)
{
        struct place *last = r->places.count ? array_last(&r->places) : NULL;
        struct place p = {.pos = pos, .addr = addr, .len = (uint32_t)len};
        uint64_t back;

        p.stray = order_add(o, addr, len, &back);
        if (back)
                take_back(r, o->line.first, o->line.end, back);
        if (last && last->pos + last->len == pos && last->addr + last->len == addr &&
            last->stray == p.stray && last->len + len <= AHEAD_MAX) {
                last->len += p.len;
                return 0;
        }
        return array_add(&r->places, p);
}

static int compare_addr(const void *a, const void *b, void *ctx)
{
        const struct place *places = ctx;
        uint64_t x = places[*(const uint32_t *)a].addr, y = places[*(const uint32_t *)b].addr;

        return (x > y) - (x < y);
}

static int sort_by_addr(struct reader *r)
{
        r->by_addr = calloc(r->places.count + 1, sizeof *r->by_addr);
        if (!r->by_addr)
                return -ENOMEM;
        for (size_t i = 0; i < r->places.count; i++)
                r->by_addr[i] = (uint32_t)i;
        qsort_r(r->by_addr, r->places.count, sizeof *r->by_addr, compare_addr, r->places.items);
        return 0;
}

/* List where the data from the reader's place on are. */
static int list_window(struct ahead *a, struct reader *r)
{
        struct source *stream = index_archive(a->index)->source;
        uint64_t size = r->disk->size, end = min_u64(size, r->pos + WINDOW_MAX), pos;
        struct order o = {0};
        int rc = 0;

        forget_window(r);
        r->listed = r->pos;
        r->from = pos = r->pos - min_u64(r->pos, AHEAD_MAX);
        while (rc == 0 && pos < end && r->places.count < PLACES_MAX) {
                struct volume_extent e;

                if (disk_extent(r->disk, pos, min_u64(end - pos, AHEAD_MAX), &e) == 0 &&
                    e.kind == VOLUME_RAW && e.source == stream)
                        rc = add_place(r, &o, pos, e.offset, e.len);
                pos += e.len;
        }
        r->to = pos;
        return rc < 0 ? rc : sort_by_addr(r);
}

/* ---- asking ---- */

/* How far strays from the reader's place on have room in ROOM bytes of the cache. */
static uint64_t stray_limit(const struct reader *r, uint64_t room)
{
        uint64_t sum = 0;

        for (size_t i = 0; i < r->places.count; i++) {
                const struct place *p = &r->places.items[i];

                if (!p->stray || p->pos < r->pos)
                        continue;
                sum += p->len + STRAY_BESIDE;
                if (sum > room)
                        return p->pos;
        }
        return r->to;
}

/* Have the segment with stray P decoded, for it and the others in it up to LIMIT of the disk. */
static void ask_for_strays(struct reader *r, struct source *stream, struct place *p, uint64_t limit)
{
        struct source_range unit, ranges[RANGES];
        size_t count = 0, i;

        p->asked = true;
        if (!source_unit(stream, p->addr, &unit))
                return;
        i = search_first(r->places.count, m, r->places.items[r->by_addr[m]].addr >= unit.start);
        for (; i < r->places.count && count < RANGES; i++) {
                struct place *q = &r->places.items[r->by_addr[i]];

                if (q->addr >= unit.end)
                        break;
                if (!q->stray || q->pos < p->pos || q->pos >= limit || (q->asked && q != p))
                        continue;
                q->asked = true;
                ranges[count++] = (struct source_range){q->addr, q->addr + q->len};
        }
        if (count)
                source_expect(stream, ranges, count);
}

/* Have the segments of P, which is in order, decoded. */
static void ask_for_all(struct reader *r, struct source *stream, const struct place *p,
                        uint64_t from, uint64_t to)
{
        uint64_t at = p->addr + (from - p->pos), end = p->addr + (to - p->pos);
        struct source_range unit;

        for (; at < end && source_unit(stream, at, &unit); at = unit.end) {
                if (unit.end == r->segment)
                        continue;
                source_expect(stream, &unit, 1);
                r->segment = unit.end;
        }
}

static size_t active(const struct ahead *a)
{
        size_t n = 0;

        for (size_t i = 0; i < READERS; i++)
                n += a->readers[i].planned && a->tick - a->readers[i].tick < STALE;
        return max_u64(n, 1);
}

/* Where the places from POS on begin in the list. */
static size_t first_place(const struct reader *r, uint64_t pos)
{
        return search_first(r->places.count, m,
                            r->places.items[m].pos + r->places.items[m].len > pos);
}

static void ask(struct ahead *a, struct reader *r)
{
        struct source *stream = index_archive(a->index)->source;
        uint64_t room = index_cache_bytes(a->index) / active(a);
        uint64_t end = r->pos + AHEAD_MAX, limit = stray_limit(r, room / STRAY_SHARE);
        size_t first = first_place(r, r->pos);

        for (size_t i = first; i < r->places.count && r->places.items[i].pos < end; i++)
                if (r->places.items[i].stray && !r->places.items[i].asked &&
                    r->places.items[i].pos < limit)
                        ask_for_strays(r, stream, &r->places.items[i], limit);
        end = r->pos + min_u64(AHEAD_MAX, room / ORDER_SHARE);
        for (size_t i = first; i < r->places.count && r->places.items[i].pos < end; i++) {
                const struct place *p = &r->places.items[i];

                if (!p->stray)
                        ask_for_all(r, stream, p, max_u64(p->pos, max_u64(r->pos, r->asked)),
                                    min_u64(p->pos + p->len, end));
        }
        r->asked = max_u64(r->asked, end);
}

/* ---- readers ---- */

/* The one that reads D near OFFSET, or the one that was noted longest ago. */
static struct reader *find_reader(struct ahead *a, struct disk *d, uint64_t offset)
{
        struct reader *oldest = &a->readers[0];

        for (size_t i = 0; i < READERS; i++) {
                struct reader *r = &a->readers[i];

                if (r->disk == d && offset + NEAR >= r->pos && offset <= r->pos + NEAR)
                        return r;
                if (r->tick < oldest->tick)
                        oldest = r;
        }
        forget_window(oldest);
        *oldest = (struct reader){.disk = d, .begin = offset, .pos = offset};
        return oldest;
}

/* Has R moved on far enough to look at what comes next? */
static bool has_moved(struct ahead *a, struct reader *r, uint64_t offset, uint64_t len)
{
        r->tick = ++a->tick;
        r->read += len;
        r->pos = max_u64(r->pos, offset + len);
        if (r->pos - r->begin < SEQUENTIAL || r->read < (r->pos - r->begin) / 2 ||
            (r->planned && r->pos < r->planned + STEP))
                return false;
        r->planned = r->pos;
        return true;
}

/* Does the window end soon? Half of it is used in any case: listing it takes time. */
static bool needs_window(const struct reader *r)
{
        return !r->by_addr || (r->to < r->disk->size && r->pos + 2 * AHEAD_MAX > r->to &&
                               r->pos - r->listed >= (r->to - min_u64(r->to, r->listed)) / 2);
}

void ahead_note(struct ahead *a, struct disk *d, uint64_t offset, uint64_t len)
{
        struct reader *r;

        if (!(disk_is_scanned(d) || d->in_stream) || !index_sealed(a->index) ||
            !source_can_expect(index_archive(a->index)->source))
                return;
        /* Whoever finds it locked is looked at with his next request. */
        if (pthread_mutex_trylock(&a->lock) != 0)
                return;
        r = find_reader(a, d, offset);
        if (has_moved(a, r, offset, len) && (!needs_window(r) || list_window(a, r) == 0))
                ask(a, r);
        pthread_mutex_unlock(&a->lock);
}
