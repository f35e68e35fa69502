/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/order.h"

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

bool order_add(struct order *o, uint64_t addr, uint64_t len, uint64_t *back)
{
        *back = 0;
        if (goes_on(&o->line, addr, len))
                return false;
        if (!goes_on(&o->other, addr, len))
                o->other = (struct order_line){.first = addr, .end = addr + len, .len = len};
        if (o->other.len < LINE_LEAST)
                return true;
        *back = o->other.len - len;
        o->line = o->other;
        o->other.len = 0;
        return false;
}
