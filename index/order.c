/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/order.h"

#include <stddef.h>
#include <string.h>

/* What is nearer than that is decoded for the same reader anyhow. Bytes of the stream. */
#define BEFORE (UINT64_C(16) << 20)
#define AFTER  (UINT64_C(64) << 20)

/* So much in one place is no stray, bytes. */
#define LINE_LEAST (UINT64_C(4) << 20)

static bool goes_on(struct order_line *line, uint64_t addr, uint64_t len)
{
        if (line->len == 0 || addr + BEFORE < line->end || addr > line->end + AFTER)
                return false;
        if (addr + len > line->end)
                line->end = addr + len;
        line->len += len;
        return true;
}

/* The other line that LEN bytes at ADDR belong to, a new one if need be: the first of them now. */
static struct order_line *other_line(struct order *o, uint64_t addr, uint64_t len)
{
        struct order_line found = {.first = addr, .end = addr + len, .len = len};
        size_t i = 0;

        while (i < ORDER_OTHERS - 1 && !goes_on(&o->others[i], addr, len))
                i++;
        if (i < ORDER_OTHERS - 1 || goes_on(&o->others[i], addr, len))
                found = o->others[i];
        memmove(&o->others[1], &o->others[0], i * sizeof o->others[0]);
        o->others[0] = found;
        return &o->others[0];
}

bool order_add(struct order *o, uint64_t addr, uint64_t len, uint64_t *back)
{
        struct order_line *other;

        *back = 0;
        if (goes_on(&o->line, addr, len))
                return false;
        other = other_line(o, addr, len);
        if (other->len < LINE_LEAST)
                return true;
        *back = other->len - len;
        o->line = *other;
        other->len = 0;
        return false;
}
