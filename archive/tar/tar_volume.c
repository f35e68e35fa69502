/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The content of a member. An ordinary member's data are stored as they are. Of a sparse one the
 * runs of its map are stored, one after another, and what is between them reads as zeros.
 *
 *   member   |  run 0  | zeros |  run 1  | zeros |
 *   stream   ... header |  run 0  |  run 1  | next header ...
 */
#include <errno.h>
#include <stdlib.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/source/source.h"
#include "archive/source/volume_source.h"
#include "archive/tar/tar_file.h"

/* The first run of M that ends after byte POS of it, or NULL. */
static const struct tar_run *find_run(const struct tar_member *m, uint64_t pos)
{
        const struct tar_run *runs = m->runs.items;
        size_t i = search_first(m->runs.count, k, runs[k].start + runs[k].len > pos);

        return i < m->runs.count ? &runs[i] : NULL;
}

bool tar_locate_run(const struct tar_member *m, uint64_t pos, uint64_t *offset)
{
        const struct tar_run *run = find_run(m, pos);

        if (!run || run->start > pos)
                return false;
        *offset = run->offset + (pos - run->start);
        return true;
}

/* Of a sparse member in STREAM. */
static void find_in_runs(const struct tar_member *m, struct source *stream, uint64_t pos,
                         uint64_t len, struct volume_extent *out)
{
        const struct tar_run *run = find_run(m, pos);

        if (!run || run->start > pos) {
                out->kind = VOLUME_ZERO;
                out->len = run ? min_u64(len, run->start - pos) : len;
                return;
        }
        out->kind = VOLUME_RAW;
        out->len = min_u64(len, run->start + run->len - pos);
        out->source = stream;
        out->offset = run->offset + (pos - run->start);
}

static int plain_extent(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        *out = (struct volume_extent){.len = len,
                                      .kind = VOLUME_RAW,
                                      .allocated = true,
                                      .source = ((const struct tar_file *)v)->stream,
                                      .offset = v->anchor + pos};
        return 0;
}

static int unusual_extent(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        const struct tar_unusual *u = ((const struct tar_file *)v)->unusual;

        *out = (struct volume_extent){.len = len, .kind = VOLUME_LOST, .allocated = true};
        if (!u->member.lost && !u->member.broken)
                find_in_runs(&u->member, u->stream, pos, len, out);
        return 0;
}

static const struct volume_ops unusual_ops = {.extent = unusual_extent};

struct tar_file tar_file_plain(struct source *stream, uint64_t data, uint64_t size)
{
        static const struct volume_ops ops = {.extent = plain_extent};

        return (struct tar_file){.volume = {.ops = &ops, .size = size, .anchor = data},
                                 .stream = stream};
}

int tar_file_be_unusual(struct tar_file *f, struct tar_member *m)
{
        struct tar_unusual *u = malloc(sizeof *u);

        if (!u)
                return -ENOMEM;
        *u = (struct tar_unusual){.stream = f->stream, .member = *m};
        u->member.name = NULL;
        m->runs = (struct tar_runs){0};
        f->unusual = u;
        f->volume.ops = &unusual_ops;
        return 0;
}

struct tar_member *tar_file_unusual(const struct tar_file *f)
{
        return f->volume.ops == &unusual_ops ? &f->unusual->member : NULL;
}

int tar_file_open(struct tar_file *f, uint64_t end, struct source **out)
{
        const struct tar_member *m = tar_file_unusual(f);
        struct source *stream = m ? f->unusual->stream : f->stream;
        uint64_t data = f->volume.anchor;

        if (m && m->sparse)
                return source_open_volume(&f->volume, stream, out);
        end = min_u64(end, source_straight(stream, data));
        return source_open_slice(stream, data, min_u64(f->volume.size, end - min_u64(data, end)),
                                 out);
}

void tar_file_fini(struct tar_file *f)
{
        if (!tar_file_unusual(f))
                return;
        tar_member_fini(&f->unusual->member);
        free(f->unusual);
}
