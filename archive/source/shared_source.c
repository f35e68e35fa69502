/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/source/shared_source.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "archive/source/source.h"

struct shared_source {
        struct source *source;
        atomic_uint users; /* handles, and whoever may open more */
};

struct handle {
        struct source base;
        struct shared_source *shared;
};

static struct source *source_of(struct source *handle)
{
        return ((struct handle *)handle)->shared->source;
}

static ssize_t handle_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        return source_pread(source_of(s), buf, len, offset);
}

static int handle_damage(struct source *s, struct error *err)
{
        return source_damage(source_of(s), err);
}

static int handle_check(struct source *s, struct error *err)
{
        return source_check(source_of(s), err);
}

static void handle_close(struct source *s)
{
        shared_source_leave(((struct handle *)s)->shared);
        free(s);
}

static const struct source_ops handle_ops = {
    .name = "file",
    .pread = handle_pread,
    .damage = handle_damage,
    .check = handle_check,
    .close = handle_close,
};

int shared_source_new(struct source *take_source, struct shared_source **out)
{
        struct shared_source *s = calloc(1, sizeof *s);

        if (!s) {
                source_close(take_source);
                return -ENOMEM;
        }
        s->source = take_source;
        s->users = 1;
        *out = s;
        return 0;
}

int shared_source_open(struct shared_source *s, struct source **out)
{
        struct handle *h = calloc(1, sizeof *h);

        if (!h)
                return -ENOMEM;
        atomic_fetch_add(&s->users, 1);
        *h = (struct handle){
            .base = {.ops = &handle_ops, .size = s->source->size, .watch = s->source->watch},
            .shared = s};
        *out = &h->base;
        return 0;
}

void shared_source_leave(struct shared_source *s)
{
        if (!s || atomic_fetch_sub(&s->users, 1) > 1)
                return;
        source_close(s->source);
        free(s);
}
