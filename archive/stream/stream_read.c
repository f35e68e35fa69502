/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading a stream in front of its frontier, by any thread.
 *
 *   source_pread ──> tail, or cache <── segment, decoded by who asks first
 *                                   <── the segments behind it, by workers, for who reads on
 *                ──> a piece alone, where the rest of a segment is damaged or not wanted
 *   source_borrow ─> the same bytes where they lie, but never a piece
 */
#include <stdatomic.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/stream/restart.h"
#include "archive/stream/segments.h"
#include "archive/stream/stream_internal.h"
#include "archive/workers.h"

/* What one reader's requests that are under way may be apart, bytes: the kernel's read-ahead. */
#define IN_FLIGHT (UINT64_C(6) << 20)

static int load_segment(void *ctx, uint64_t key, void *buf, size_t len)
{
        struct stream *st = ctx;
        struct restart_segment segment;
        struct error err = {0};
        int rc = -EIO;

        if (restart_find(st->table, key, &segment))
                rc = segments_decode(st->segments, segment.index, buf, len, &err);
        if (rc < 0 && rc != -ENOMEM) {
                stream_note_damage(st, &err);
                rc = -EIO;
        }
        return rc;
}

/* Hold SEGMENT's bytes. */
static int get_segment(struct stream *st, const struct restart_segment *segment,
                       struct block **block)
{
        return blockcache_get(st->cache, segment->point.out,
                              (size_t)(segment->end - segment->point.out), load_segment, st, block);
}

/* A worker's job: have segment INDEX in the cache before it is asked for. */
static void read_ahead(void *ctx, size_t index)
{
        struct stream *st = ctx;
        struct restart_segment segment;
        struct block *block;

        if (restart_get(st->table, index, &segment) && get_segment(st, &segment, &block) == 0)
                blockcache_put(st->cache, block);
}

/*
 * How many segments of LEN bytes a reader may be behind another so that the cache keeps for him
 * what that one has read: what both have decoded ahead of them, and spare buffers, have room
 * besides.
 */
static size_t follow_reach(const struct stream *st, uint64_t len)
{
        uint64_t room = st->cache_bytes - st->cache_bytes / 8,
                 ahead = (UINT64_C(2) * st->depth + 2) * len;

        return (size_t)((room - min_u64(room, ahead)) / len);
}

/*
 * SEGMENT is being read. Who moves from one to the next gets those behind it decoded; who stops
 * moving asks for nothing more. Returns whether somebody else will want it soon, and it can wait
 * for him in the cache.
 */
static bool note_progress(struct stream *st, const struct restart_segment *segment)
{
        uint64_t len = segment->end - segment->point.out;
        size_t near = (size_t)(1 + IN_FLIGHT / len);
        size_t first, end;

        tracks_note(&st->tracks, segment->index, near, st->depth, &first, &end);
        for (size_t i = first; i < end; i++) {
                struct restart_segment next;

                /* What continues is decoded in order, which more threads cannot speed up. */
                if (!restart_get(st->table, i, &next) || !next.point_held)
                        break;
                if (!blockcache_contains(st->cache, next.point.out))
                        workers_submit(st->workers, WORK_SOON, read_ahead, st, i);
        }
        return tracks_followed(&st->tracks, segment->index, near, follow_reach(st, len));
}

/* Hold the tail, if OFFSET lies in it. *START is where it begins. */
static struct block *hold_tail(struct stream *st, uint64_t offset, uint64_t *start)
{
        scoped_lock(&st->tail_lock);

        if (!st->tail || offset < st->tail_start)
                return NULL;
        *start = st->tail_start;
        blockcache_hold(st->cache, st->tail);
        return st->tail;
}

enum { IN_PIECES = 1 };

/*
 * Hold what has the byte at OFFSET, which is in front of FRONTIER. WAIT false: -EAGAIN for what is
 * yet to be decoded. IN_PIECES: it is for stream_read_piece.
 */
static int hold(struct stream *st, uint64_t offset, uint64_t frontier, bool wait,
                struct source_loan *loan)
{
        struct restart_segment segment;
        struct block *block;
        int rc;

        *loan = (struct source_loan){.end = frontier};
        block = hold_tail(st, offset, &loan->start);
        if (!block) {
                if (!restart_find(st->table, offset, &segment))
                        return -EIO;
                if (wait && stream_wants_piece(st, &segment))
                        return IN_PIECES;
                loan->start = segment.point.out;
                loan->end = segment.end;
                block = blockcache_get_ready(st->cache, loan->start);
                if (!block && !wait)
                        return -EAGAIN;
                rc = block ? 0 : get_segment(st, &segment, &block);
                /* Then the rest of it may be sound. */
                if (rc == -EIO && segment.point.by_sums)
                        return IN_PIECES;
                if (rc < 0)
                        return rc;
                loan->followed = note_progress(st, &segment);
        }
        loan->held = block;
        loan->data = block_data(block);
        return 0;
}

/*
 * How many of the LEN bytes at OFFSET the stream has; *FRONTIER is behind them. 0: it ends in front
 * of them, -EAGAIN: the pass has not come to all of them, -EIO: some are lost.
 */
static ssize_t check_range(struct stream *st, size_t len, uint64_t offset, uint64_t *frontier)
{
        bool scans = pthread_equal(st->scanner, pthread_self());
        uint64_t size;

        *frontier = atomic_load_explicit(&st->frontier, memory_order_acquire);
        if (!scans && !atomic_load_explicit(&st->has_readers, memory_order_relaxed))
                atomic_store(&st->has_readers, true);
        if (!range_within(offset, len, *frontier)) {
                if (atomic_load(&st->failed) && (scans || !st->base.resumes))
                        return -EIO;
                /* The end may have been found since source_pread looked at the size. */
                size = st->base.size;
                if (size == SOURCE_SIZE_UNKNOWN || offset + len <= size)
                        return -EAGAIN;
                if (offset >= size)
                        return 0;
                len = (size_t)(size - offset);
                *frontier = size;
        }
        return gaps_touch(&st->gaps, offset, len) ? -EIO : (ssize_t)len;
}

/* As much of [OFFSET, + LEN), which is in front of FRONTIER, as lies together. */
static ssize_t read_some(struct stream *st, void *buf, size_t len, uint64_t offset,
                         uint64_t frontier)
{
        struct restart_segment segment;
        struct source_loan part;
        int rc = hold(st, offset, frontier, true, &part);

        if (rc < 0)
                return rc;
        if (rc == IN_PIECES)
                return restart_find(st->table, offset, &segment)
                           ? stream_read_piece(st, &segment, buf, len, offset)
                           : -EIO;
        len = (size_t)min_u64(len, part.end - offset);
        memcpy(buf, part.data + (offset - part.start), len);
        part.used = len;
        stream_give_back(&st->base, &part);
        return (ssize_t)len;
}

ssize_t stream_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        struct stream *st = (struct stream *)s;
        uint64_t frontier;
        ssize_t all = check_range(st, len, offset, &frontier), done = 0;

        if (all < 0)
                return all;
        while (done < all) {
                ssize_t n = read_some(st, (char *)buf + done, (size_t)(all - done),
                                      offset + (uint64_t)done, frontier);

                if (n < 0)
                        return n;
                done += n;
        }
        return done;
}

int stream_borrow(struct source *s, uint64_t offset, bool wait, struct source_loan *loan)
{
        struct stream *st = (struct stream *)s;
        uint64_t frontier;
        ssize_t n = check_range(st, 1, offset, &frontier);
        int rc;

        if (n <= 0)
                return (int)n;
        rc = hold(st, offset, frontier, wait, loan);
        if (rc != 0)
                return rc < 0 ? rc : -EAGAIN;
        /* What is lost is in nobody's hands: such a block's bytes are for stream_pread to give. */
        if (!gaps_touch(&st->gaps, loan->start, (size_t)(loan->end - loan->start)))
                return 1;
        blockcache_put(st->cache, loan->held);
        return -EAGAIN;
}

void stream_give_back(struct source *s, const struct source_loan *loan)
{
        struct stream *st = (struct stream *)s;

        /* What all has been read goes, unless it would only be decoded again. */
        blockcache_put_read(st->cache, loan->held, loan->followed ? 0 : loan->used);
}
