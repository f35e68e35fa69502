/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/vmdk/vmdk_slots.h"

#include <errno.h>
#include <stdlib.h>

enum { BITS = 64 };

void vmdk_slots_fini(struct vmdk_slots *s)
{
        free(s->once);
        free(s->twice);
        *s = (struct vmdk_slots){0};
}

static int make_room(struct vmdk_slots *s, uint64_t count)
{
        size_t words = (size_t)(count / BITS + 1);

        s->once = calloc(words, sizeof *s->once);
        s->twice = calloc(words, sizeof *s->twice);
        s->count = count;
        if (s->once && s->twice)
                return 0;
        vmdk_slots_fini(s);
        return -ENOMEM;
}

int vmdk_slots_add(struct vmdk_slots *s, uint64_t count, uint64_t number)
{
        uint64_t bit = UINT64_C(1) << number % BITS;
        int rc = s->once ? 0 : make_room(s, count);

        if (rc < 0)
                return rc;
        s->twice[number / BITS] |= s->once[number / BITS] & bit;
        s->once[number / BITS] |= bit;
        return 0;
}

/* The first slot of [FROM, END) whose bit in WORDS is SET, or not; END where there is none. */
static uint64_t find(const uint64_t *words, uint64_t from, uint64_t end, bool set)
{
        uint64_t flip = set ? 0 : UINT64_MAX;

        for (uint64_t at = from; at < end; at = (at / BITS + 1) * BITS) {
                uint64_t word = (words[at / BITS] ^ flip) & UINT64_MAX << at % BITS;

                if (!word)
                        continue;
                at = at / BITS * BITS + (unsigned)__builtin_ctzll(word);
                return at < end ? at : end;
        }
        return end;
}

bool vmdk_slots_next(const struct vmdk_slots *s, uint64_t from, struct vmdk_slot_run *out)
{
        uint64_t end;

        if (!s->once)
                return false;
        out->first = find(s->once, from, s->count, true);
        if (out->first == s->count)
                return false;
        out->twice = s->twice[out->first / BITS] >> out->first % BITS & 1;
        end = find(s->once, out->first, s->count, false);
        out->count = find(s->twice, out->first, end, !out->twice) - out->first;
        return true;
}
