/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/leftovers.h"

#include "archive/bytes.h"
#include "archive/cleanup.h"

/* Of a segment that was read in sequence, at most one part in so many is unread. */
#define UNREAD_SHARE 4

void leftovers_init(struct leftovers *s)
{
        pthread_mutex_init(&s->lock, NULL);
}

void leftovers_fini(struct leftovers *s)
{
        pthread_mutex_destroy(&s->lock);
}

/* The segment at START, or the one that was read longest ago. Caller holds the lock. */
static struct watched_segment *find(struct leftovers *s, uint64_t start, uint64_t len)
{
        struct watched_segment *oldest = &s->segments[0];

        for (size_t i = 0; i < STRAY_SEGMENTS; i++) {
                struct watched_segment *w = &s->segments[i];

                if (w->len && w->start == start)
                        return w;
                if (w->tick < oldest->tick)
                        oldest = w;
        }
        *oldest = (struct watched_segment){.start = start, .len = len};
        return oldest;
}

void leftovers_note(struct leftovers *s, uint64_t start, uint64_t len, uint64_t offset, uint64_t n)
{
        struct watched_segment *w;
        scoped_lock(&s->lock);

        if (len == 0 || len > RESTART_SEGMENT_MAX || n == 0 || !range_within(offset, n, len))
                return;
        w = find(s, start, len);
        w->tick = ++s->tick;
        for (uint64_t i = offset / STRAY_STEP; i <= (offset + n - 1) / STRAY_STEP; i++)
                w->read[i / 64] |= UINT64_C(1) << i % 64;
}

static bool is_read(const struct watched_segment *w, uint64_t step)
{
        return w->read[step / 64] >> step % 64 & 1;
}

static void add_unit(struct left_segment *out, uint64_t offset)
{
        uint16_t unit = (uint16_t)(offset / STRAY_UNIT);

        if (out->count == 0 || out->units[out->count - 1] < unit)
                out->units[out->count++] = unit;
}

/*
 * The units with a step of which nothing was read. A stray seldom begins and ends with a step: so
 * the steps beside it are kept, too.
 */
static void list_units(const struct watched_segment *w, struct left_segment *out)
{
        *out = (struct left_segment){.start = w->start, .len = w->len};
        for (uint64_t i = 0; i * STRAY_STEP < w->len; i++) {
                if (is_read(w, i))
                        continue;
                add_unit(out, (i - (i > 0)) * STRAY_STEP);
                add_unit(out, i * STRAY_STEP);
                add_unit(out, min_u64((i + 1) * STRAY_STEP, w->len - 1));
        }
}

static uint64_t count_read(const struct watched_segment *w)
{
        uint64_t n = 0;

        for (size_t i = 0; i < STRAY_STEPS / 64; i++)
                n += (uint64_t)__builtin_popcountll(w->read[i]);
        return n * STRAY_STEP;
}

bool leftovers_much_read(struct leftovers *s, uint64_t start, uint64_t end, uint64_t bytes)
{
        uint64_t n = 0;
        scoped_lock(&s->lock);

        for (size_t i = 0; i < STRAY_SEGMENTS; i++) {
                const struct watched_segment *w = &s->segments[i];

                if (w->len && w->start >= start && w->start < end)
                        n += count_read(w);
        }
        return n >= bytes;
}

bool leftovers_leave(struct leftovers *s, uint64_t end, uint64_t reach, struct left_segment *out)
{
        scoped_lock(&s->lock);

        for (size_t i = 0; i < STRAY_SEGMENTS; i++) {
                struct watched_segment *w = &s->segments[i];
                uint64_t last = w->start + w->len;

                if (w->len == 0 || last > end || end - last > reach ||
                    count_read(w) < w->len - w->len / UNREAD_SHARE)
                        continue;
                list_units(w, out);
                *w = (struct watched_segment){0};
                return true;
        }
        return false;
}
