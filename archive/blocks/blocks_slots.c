/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/blocks/blocks_slots.h"

#include <errno.h>
#include <stdlib.h>

#include "archive/bytes.h"

#define BLOCKS_TWICE (UINT32_C(1) << 31)

int blocks_slots_init(struct blocks_slots *s, uint64_t from, uint64_t end, uint64_t len)
{
        uint64_t count = end > from ? (end - from + len - 1) / len : 0;

        *s = (struct blocks_slots){.from = from, .len = len};
        if (count > BLOCKS_WINDOWS_MAX || len / BLOCKS_UNIT >= BLOCKS_TWICE - 1)
                return -E2BIG;
        s->list = calloc((size_t)count + 1, sizeof *s->list);
        if (!s->list)
                return -ENOMEM;
        s->count = (size_t)count;
        return 0;
}

void blocks_slots_fini(struct blocks_slots *s)
{
        free(s->list);
        *s = (struct blocks_slots){0};
}

/* The bytes of the file at which the first and the last block begin that begin in window I. */
static uint64_t first_in(const struct blocks_slots *s, size_t i)
{
        return s->from + i * s->len + (uint64_t)(s->list[i].first - 1) * BLOCKS_UNIT;
}

static uint64_t last_in(const struct blocks_slots *s, size_t i)
{
        uint32_t unit = s->list[i].last & ~BLOCKS_TWICE;

        return s->from + i * s->len + (uint64_t)(unit - 1) * BLOCKS_UNIT;
}

static bool is_used(const struct blocks_slots *s, size_t i)
{
        return i < s->count && s->list[i].first;
}

static void doubt(struct blocks_slots *s, size_t i)
{
        s->list[i].last |= BLOCKS_TWICE;
        s->twice++;
}

void blocks_slots_claim(struct blocks_slots *s, uint64_t start)
{
        size_t i = (size_t)((start - s->from) / s->len);
        uint32_t unit = (uint32_t)((start - s->from) % s->len / BLOCKS_UNIT) + 1;
        struct blocks_window *w;

        if (start < s->from || i >= s->count)
                return;
        w = &s->list[i];
        if (w->first) {
                uint32_t last = w->last & ~BLOCKS_TWICE;

                w->first = unit < w->first ? unit : w->first;
                w->last = (unit > last ? unit : last) | (w->last & BLOCKS_TWICE);
                doubt(s, i);
        } else {
                *w = (struct blocks_window){unit, unit};
        }
        if (i > 0 && is_used(s, i - 1) && last_in(s, i - 1) + s->len > start) {
                doubt(s, i - 1);
                doubt(s, i);
        }
        if (is_used(s, i + 1) && start + s->len > first_in(s, i + 1)) {
                doubt(s, i + 1);
                doubt(s, i);
        }
}

bool blocks_slots_doubted(const struct blocks_slots *s, uint64_t start)
{
        size_t i;

        if (!s->list || start < s->from)
                return false;
        i = (size_t)((start - s->from) / s->len);
        return i < s->count && s->list[i].last & BLOCKS_TWICE;
}

bool blocks_slots_touch(const struct blocks_slots *s, uint64_t start, uint64_t len)
{
        uint64_t first, end;

        if (!s->list)
                return false;
        first = (start - min_u64(start, s->from)) / s->len;
        end = (start + len - min_u64(start + len, s->from)) / s->len;
        for (uint64_t i = first ? first - 1 : 0; i <= end && i < s->count; i++)
                if (is_used(s, (size_t)i) && first_in(s, (size_t)i) < start + len &&
                    last_in(s, (size_t)i) + s->len > start)
                        return true;
        return false;
}

bool blocks_slots_gap(const struct blocks_slots *s, uint64_t *at, uint64_t end, uint64_t *start,
                      uint64_t *gap_end)
{
        while (*at < end) {
                size_t i = (size_t)((*at - s->from) / s->len);

                *start = *at;
                while (i < s->count && (!s->list[i].first || last_in(s, i) + s->len <= *at))
                        i++;
                *gap_end = i < s->count ? min_u64(end, first_in(s, i)) : end;
                *at = i < s->count ? last_in(s, i) + s->len : end;
                if (*gap_end > *start)
                        return true;
        }
        return false;
}
