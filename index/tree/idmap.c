/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/tree/idmap.h"

#include <stdlib.h>

#include "index/tree/siphash.h"

enum { CAPACITY_MIN = 64 };

void idmap_init(struct idmap *m)
{
        *m = (struct idmap){0};
        siphash_key(m->key);
}

void idmap_fini(struct idmap *m)
{
        free(m->slots);
        *m = (struct idmap){0};
}

/* The slot of ID, or the free one that it would get. */
static struct id *slot_of(const struct idmap *m, uint64_t id)
{
        size_t mask = m->capacity - 1, i = siphash(m->key, id, NULL, 0) & mask;

        while (m->slots[i].id && m->slots[i].id != id)
                i = (i + 1) & mask;
        return &m->slots[i];
}

struct id *idmap_find(const struct idmap *m, uint64_t id)
{
        struct id *found = m->capacity ? slot_of(m, id) : NULL;

        return found && found->id ? found : NULL;
}

static bool grow(struct idmap *m)
{
        struct idmap old = *m;

        m->capacity = old.capacity ? 2 * old.capacity : CAPACITY_MIN;
        m->slots = calloc(m->capacity, sizeof *m->slots);
        if (!m->slots) {
                *m = old;
                return false;
        }
        for (size_t i = 0; i < old.capacity; i++) {
                struct id *to;

                if (!old.slots[i].id)
                        continue;
                to = slot_of(m, old.slots[i].id);
                *to = old.slots[i];
                if (!to->first)
                        to->last = &to->first;
        }
        free(old.slots);
        return true;
}

struct id *idmap_get(struct idmap *m, uint64_t id)
{
        struct id *found = idmap_find(m, id);

        if (found)
                return found;
        if (m->count >= m->capacity / 3 * 2 && !grow(m))
                return NULL;
        found = slot_of(m, id);
        *found = (struct id){.id = id, .last = &found->first};
        m->count++;
        return found;
}
