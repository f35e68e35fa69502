/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/inside/lvm_volume.h"

#include "archive/bytes.h"
#include "archive/inside/lvm.h"

/* A range of a physical volume. */
struct place {
        struct volume *volume;
        uint64_t pos, len;
};

/* Where what begins at POS lies, and how far it goes on there. */
static struct place locate(const struct lvm_volume *v, uint64_t pos, uint64_t len)
{
        const struct lvm_logical *l = v->logical;
        size_t i = search_first(l->pieces.count, m, l->pieces.items[m].start > pos) - 1;
        const struct lvm_piece *p = array_at(&l->pieces, i);
        uint64_t at = pos - p->start + p->skip, number = 0;
        struct place out = {.len = min_u64(len, p->start + p->len - pos)};
        const struct lvm_physical *physical;
        const struct lvm_area *area;

        if (p->stripe) {
                uint64_t stripe = at / p->stripe, within = at % p->stripe;

                number = stripe % p->stripes;
                at = stripe / p->stripes * p->stripe + within;
                out.len = min_u64(out.len, p->stripe - within);
        }
        area = array_at(&v->group->areas, p->area + number);
        physical = array_at(&v->group->physical, area->physical);
        out.volume = physical->volume;
        out.pos = physical->start + area->extent * v->group->extent + at;
        return out;
}

static int lvm_extent(struct volume *volume, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        struct place p = locate((struct lvm_volume *)volume, pos, len);

        return volume_find(p.volume, p.pos, p.len, out);
}

/* All inside one extent, and so in one place. */
static int lvm_read(struct volume *volume, void *buf, size_t len, uint64_t pos)
{
        struct place p = locate((struct lvm_volume *)volume, pos, len);

        return p.volume->ops->read(p.volume, buf, len, p.pos);
}

void lvm_volume_init(struct lvm_volume *v, const struct lvm_group *g, const struct lvm_logical *l)
{
        static const struct volume_ops ops = {.extent = lvm_extent, .read = lvm_read};

        /* Each physical volume has judged already what is displaced on it. */
        *v = (struct lvm_volume){
            .base = {.ops = &ops, .size = l->size, .anchor = UINT64_MAX}, .group = g, .logical = l};
}
