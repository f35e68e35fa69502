/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A member of which only runs are stored: where they are, and reading it. */
#include <errno.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/format.h"
#include "archive/source/source.h"
#include "archive/tar/tar_member.h"

enum {
        BLOCK = 4096,
        BATCH = 256,
};

/* Of a sparse file that is cut off, holes are told apart from what is lost up to this size. */
#define HOLES_MAX (UINT64_C(1) << 40)

size_t tar_find_run(const struct tar_member *m, uint64_t pos)
{
        size_t low = 0, high = m->run_count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (m->runs[middle].start + m->runs[middle].len <= pos)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

int tar_read_runs(struct source *source, const struct tar_member *m, uint64_t pos, char *buf,
                  size_t len)
{
        for (size_t i = tar_find_run(m, pos); len; i++) {
                const struct tar_run *run = i < m->run_count ? &m->runs[i] : NULL;
                size_t gap = run && run->start < pos + len
                                 ? (size_t)(run->start - min_u64(run->start, pos))
                                 : len;
                size_t n;
                int rc;

                memset(buf, 0, gap);
                pos += gap;
                buf += gap;
                len -= gap;
                if (len == 0)
                        return 0;
                n = (size_t)min_u64(len, run->start + run->len - pos);
                rc = source_pread_all(source, buf, n, run->offset + (pos - run->start));
                if (rc < 0)
                        return rc;
                pos += n;
                buf += n;
                len -= n;
        }
        return 0;
}

/* ---- where they are ---- */

/* Extents of whole blocks, out of runs that need not be. */
struct blocks {
        const struct tar_member *member;
        uint32_t disk;
        uint64_t base; /* address of the member's first byte */
        uint64_t end;  /* how far the stream goes */
        const struct archive_sink *sink;
        size_t count;
        struct extent batch[BATCH];
};

static int flush_blocks(struct blocks *b)
{
        int rc = 0;

        if (b->count)
                rc = b->sink->extents(b->sink->ctx, b->disk, b->batch, b->count, b->member->data);
        b->count = 0;
        return rc;
}

/* The blocks from START to END, multiples of BLOCK; the first may be the last of what is there. */
static int add_blocks(struct blocks *b, uint64_t start, uint64_t end, uint64_t addr)
{
        struct extent *last = b->count ? &b->batch[b->count - 1] : NULL;
        int rc = 0;

        if (last && last->addr != EXTENT_ZERO && addr != EXTENT_ZERO &&
            last->start + last->len >= start) {
                if (end > last->start + last->len)
                        last->len = end - last->start;
                return 0;
        }
        if (b->count == BATCH) {
                /* The last one may still grow. */
                struct extent open = b->batch[--b->count];

                rc = flush_blocks(b);
                b->batch[b->count++] = open;
        }
        b->batch[b->count++] = (struct extent){start, end - start, addr};
        return rc;
}

/* What lies from LIMIT on is not there, though a run has said so already of its first block. */
static void trim_blocks(struct blocks *b, uint64_t limit)
{
        struct extent *last = b->count ? &b->batch[b->count - 1] : NULL;

        if (last && last->start + last->len > limit)
                last->len = limit > last->start ? limit - last->start : 0;
        if (last && last->len == 0)
                b->count--;
}

/* Is the end of what is stored of M there? Its runs stand in order. */
static bool runs_are_whole(const struct tar_member *m, uint64_t stream_end)
{
        const struct tar_run *last = m->run_count ? &m->runs[m->run_count - 1] : NULL;

        return !last || range_within(last->offset, last->len, stream_end);
}

/* One run, and if HOLES the hole in front of it, from *AT, which is moved behind the run. */
static int add_run(struct blocks *b, const struct tar_run *run, bool holes, uint64_t *at)
{
        uint64_t there = min_u64(run->len, b->end - min_u64(run->offset, b->end));
        uint64_t start = run->start / BLOCK * BLOCK, end = round_up(run->start + run->len, BLOCK);
        int rc = 0;

        if (holes && start > *at)
                rc = add_blocks(b, *at, start, EXTENT_ZERO);
        *at = max_u64(*at, end);
        if (there < run->len) {
                end = (run->start + there) / BLOCK * BLOCK;
                trim_blocks(b, end);
        }
        if (rc == 0 && end > start)
                rc = add_blocks(b, start, end, b->base + start);
        return rc;
}

int tar_emit_runs(const struct tar_member *m, uint32_t disk, uint64_t base, uint64_t stream_end,
                  const struct archive_sink *sink, bool *whole)
{
        cleanup_free struct blocks *b = calloc(1, sizeof *b);
        uint64_t at = 0, end = round_up(m->size, BLOCK);
        bool holes;
        int rc = 0;

        if (!b)
                return -ENOMEM;
        *whole = runs_are_whole(m, stream_end);
        holes = !*whole && m->size <= HOLES_MAX;
        *b = (struct blocks){
            .member = m, .disk = disk, .base = base, .end = stream_end, .sink = sink};
        for (size_t i = 0; i < m->run_count && rc == 0; i++)
                rc = add_run(b, &m->runs[i], holes, &at);
        if (rc == 0 && holes && end > at)
                rc = add_blocks(b, at, end, EXTENT_ZERO);
        return rc < 0 ? rc : flush_blocks(b);
}
