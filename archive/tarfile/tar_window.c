/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/tarfile/tar_window.h"

#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/shared.h"
#include "archive/source/source.h"
#include "archive/tarfile/tar_block.h"
#include "archive/workers.h"

enum {
        SIZE = 1 << 20,
        CACHE_LINE = 64,
        NEAR = 8 << 10, /* less than that from the last header: a member as small may follow */
};

/* One window. While its task is running, all of it is the task's. */
struct pane {
        struct source *source;
        uint64_t start; /* byte of the source */
        size_t len;     /* 0: nothing could be read */
        struct task task;
        unsigned char bytes[SIZE];
};

struct tar_window {
        struct workers *workers; /* NULL: nothing is read ahead */
        uint64_t last;           /* where the last header was */
        unsigned now;            /* the pane that is looked at */
        struct pane panes[2];
};

struct tar_window *tar_window_new(struct source *source, struct shared *shared)
{
        struct tar_window *w = source_is_file(source) ? malloc(sizeof *w) : NULL;

        if (!w)
                return NULL;
        w->workers = NULL;
        w->last = 0;
        w->now = 0;
        for (size_t i = 0; i < 2; i++) {
                w->panes[i].source = source;
                w->panes[i].start = w->panes[i].len = 0;
                w->panes[i].task = (struct task){0};
        }
        if (shared && workers_new(shared->pool, &w->workers) < 0)
                w->workers = NULL;
        return w;
}

void tar_window_free(struct tar_window *w)
{
        if (!w)
                return;
        for (size_t i = 0; i < 2; i++)
                workers_join(w->workers, &w->panes[i].task);
        workers_free(w->workers);
        free(w);
}

static void fill(void *ctx, size_t arg)
{
        struct pane *p = ctx;
        ssize_t n = source_pread(p->source, p->bytes, SIZE, p->start);

        (void)arg;
        p->len = n > 0 ? (size_t)n : 0;
}

static bool has(const struct pane *p, uint64_t pos)
{
        return range_within(pos - p->start, TAR_BLOCK, p->len);
}

static uint64_t end_of(const struct pane *p)
{
        return p->start + p->len;
}

/*
 * Look at the other pane, which gets the header at POS, unless it has been read ahead. What follows
 * on it is read ahead where small members have filled a whole window.
 */
static void move_on(struct tar_window *w, uint64_t pos)
{
        struct pane *before = &w->panes[w->now], *now = &w->panes[!w->now];
        bool follows = before->len == SIZE && pos - end_of(before) < NEAR;

        workers_join(w->workers, &now->task);
        if (!has(now, pos)) {
                now->start = pos;
                fill(now, 0);
        }
        w->now = !w->now;
        if (!follows || now->len < SIZE || !w->workers || workers_threads(w->workers) == 0)
                return;
        before->start = end_of(now);
        before->len = 0;
        workers_start(w->workers, &before->task, fill, before);
}

bool tar_window_get(struct tar_window *w, uint64_t pos, unsigned char *block)
{
        bool near = pos > w->last && pos - w->last < NEAR;

        w->last = pos;
        if (!has(&w->panes[w->now], pos) && near)
                move_on(w, pos);
        if (!has(&w->panes[w->now], pos))
                return false;
        memcpy(block, w->panes[w->now].bytes + (pos - w->panes[w->now].start), TAR_BLOCK);
        return true;
}

void tar_window_expect(const struct tar_window *w, uint64_t pos)
{
        const struct pane *p = &w->panes[w->now];

        for (size_t i = 0; has(p, pos) && i < TAR_BLOCK; i += CACHE_LINE)
                __builtin_prefetch(p->bytes + (pos - p->start) + i);
}
