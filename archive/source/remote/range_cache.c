/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/source/remote/range_cache.h"

#include <errno.h>
#include <stdlib.h>

#include "archive/cleanup.h"

enum { CHAINS = 1024 };

LIST_HEAD(range_chain, range_piece);
TAILQ_HEAD(range_order, range_piece);

struct range_cache {
        struct range_chain chains[CHAINS];
        struct range_order idle; /* ready and not held; the one used last comes last */
        size_t max, count, idle_count;
};

int range_cache_new(size_t max, struct range_cache **out)
{
        struct range_cache *c = calloc(1, sizeof *c);

        if (!c)
                return -ENOMEM;
        TAILQ_INIT(&c->idle);
        c->max = max;
        *out = c;
        return 0;
}

static struct range_chain *chain_of(struct range_cache *c, uint32_t object, uint64_t number)
{
        return &c->chains[(number * 2 + object) % CHAINS];
}

static void remove_piece(struct range_cache *c, struct range_piece *p)
{
        LIST_REMOVE(p, chain);
        free(p->data);
        free(p);
        c->count--;
}

void range_cache_free(struct range_cache *c)
{
        if (!c)
                return;
        for (size_t i = 0; i < CHAINS; i++)
                while (!LIST_EMPTY(&c->chains[i]))
                        remove_piece(c, LIST_FIRST(&c->chains[i]));
        free(c);
}

struct range_piece *range_cache_find(struct range_cache *c, uint32_t object, uint64_t number)
{
        struct range_piece *p;

        LIST_FOREACH(p, chain_of(c, object, number), chain)
        if (p->object == object && p->number == number)
                return p;
        return NULL;
}

size_t range_cache_room(const struct range_cache *c)
{
        return c->max - c->count + c->idle_count;
}

static bool make_room(struct range_cache *c)
{
        struct range_piece *oldest = TAILQ_FIRST(&c->idle);

        if (c->count < c->max)
                return true;
        if (!oldest)
                return false;
        TAILQ_REMOVE(&c->idle, oldest, order);
        c->idle_count--;
        remove_piece(c, oldest);
        return true;
}

struct range_piece *range_cache_add(struct range_cache *c, uint32_t object, uint64_t number)
{
        cleanup_free struct range_piece *p = make_room(c) ? calloc(1, sizeof *p) : NULL;

        if (!p)
                return NULL;
        p->data = malloc(RANGE_PIECE);
        if (!p->data)
                return NULL;
        p->object = object;
        p->number = number;
        p->holds = 1;
        LIST_INSERT_HEAD(chain_of(c, object, number), p, chain);
        c->count++;
        return steal_ptr(&p);
}

void range_cache_hold(struct range_cache *c, struct range_piece *p)
{
        if (p->holds++ > 0)
                return;
        TAILQ_REMOVE(&c->idle, p, order);
        c->idle_count--;
}

void range_cache_let_go(struct range_cache *c, struct range_piece *p)
{
        if (--p->holds > 0)
                return;
        if (p->state != RANGE_READY) {
                remove_piece(c, p);
                return;
        }
        TAILQ_INSERT_TAIL(&c->idle, p, order);
        c->idle_count++;
}
