/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads a stream before its frontier, by any thread.
 *
 *   source_pread ──> tail, or cache <── segment, decoded by the first to ask
 *                                   <── the segments after it, by workers, for a reader that goes on
 *                ──> a piece alone, where the rest of a segment is damaged or not wanted
 *   source_pin ─> the same bytes where they lie, but never a piece
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/stream/decoder/paused.h"
#include "archive/stream/notes.h"
#include "archive/stream/parts.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/segments.h"
#include "archive/stream/stream_internal.h"
#include "archive/workers.h"

/* Whoever reads in sequence has read so much of what lies so far before, bytes. */
#define BEHIND           (UINT64_C(48) << 20)
#define SEQUENTIAL_LEAST (UINT64_C(256) << 10)

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

int stream_get_segment(struct stream *st, const struct restart_segment *segment,
                       struct block **block)
{
        return blockcache_get_beside(
            st->cache, segment->point.out, (size_t)(segment->end - segment->point.out),
            segments_memory(st->segments, segment), load_segment, st, block);
}

void stream_read_ahead(void *ctx, size_t index)
{
        struct stream *st = ctx;
        struct restart_segment segment;
        struct block *block;

        if (restart_get(st->table, index, &segment) &&
            stream_get_segment(st, &segment, &block) == 0)
                blockcache_put(st->cache, block);
}

/*
 * By how many segments of LEN bytes a reader may trail another, so that the cache can keep for it
 * what the first one has read, apart from what is decoded ahead of both, and spare buffers.
 */
static size_t follow_reach(const struct stream *st, uint64_t len)
{
        uint64_t room = st->cache_bytes - st->cache_bytes / 8,
                 ahead = (UINT64_C(2) * st->depth + 2) * len;

        return (size_t)((room - min_u64(room, ahead)) / len);
}

/*
 * Somebody reads SEGMENT after one before it. Is that a reader in sequence, and not one of
 * scattered clusters, for whom segments nearby would be decoded in vain?
 */
static bool is_sequential(struct stream *st, const struct restart_segment *segment)
{
        uint64_t start = segment->point.out;

        return leftovers_much_read(&st->leftovers, start - min_u64(start, BEHIND), start,
                                   SEQUENTIAL_LEAST);
}

/*
 * SEGMENT is being read. For a reader that moves from segment to segment, decode the next ones
 * ahead. Returns whether another reader will want it soon, and it can wait in the cache until then.
 */
static bool note_progress(struct stream *st, const struct restart_segment *segment)
{
        uint64_t len = segment->end - segment->point.out;
        size_t near = (size_t)(1 + STREAM_IN_FLIGHT / len);
        size_t first, end;

        readahead_note(&st->readahead, segment->index, near, st->depth, &first, &end);
        if (first < end && !is_sequential(st, segment))
                end = first;
        if (first < end)
                stream_leave_segments(st, segment);
        if (stream_is_led(st, segment->index))
                end = first;
        for (size_t i = first; i < end; i++) {
                struct restart_segment next;

                /* Segments that continue are decoded in order, so more threads do not help. */
                if (!restart_get(st->table, i, &next) || !next.point_held)
                        break;
                if (!blockcache_contains(st->cache, next.point.out))
                        workers_submit(st->workers, WORK_SOON, stream_read_ahead, st, i);
        }
        return readahead_followed(&st->readahead, segment->index, near, follow_reach(st, len));
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

static void pin_block(struct source_pin *pin, struct block *block, uint64_t start, uint64_t end)
{
        pin->start = start;
        pin->end = end;
        pin->held = block;
        pin->data = block_data(block);
}

static struct cache_owner *owner_of(const struct stream *st, const struct source_pin *pin)
{
        return pin->kept ? st->strays : st->cache;
}

/* Hold what was kept of SEGMENT with the byte at OFFSET. False: nothing was. */
static bool hold_stray(struct stream *st, const struct restart_segment *segment, uint64_t offset,
                       struct source_pin *pin)
{
        uint64_t start, end;
        struct block *block = stream_hold_leftover(st, segment, offset, &start, &end);

        if (block)
                pin_block(pin, block, start, end);
        pin->kept = block;
        return block;
}

/* Is this the thread of a pass that has not ended? */
static bool is_passing(struct stream *st)
{
        return pthread_equal(st->scanner, pthread_self()) && !st->ended;
}

/*
 * Hold the block at START, if it is in the cache. A scan reads the headers in what has
 * just been decoded, and does not come back for the rest: that may be dropped all the same.
 */
static struct block *hold_cached(struct stream *st, uint64_t start)
{
        return is_passing(st) ? blockcache_peek_ready(st->cache, start)
                              : blockcache_get_ready(st->cache, start);
}

/* Hold what is in memory of SEGMENT, with the byte at OFFSET. False: that is not. */
static bool hold_ready(struct stream *st, const struct restart_segment *segment, uint64_t offset,
                       struct source_pin *pin)
{
        uint64_t start = segment->point.out, at = offset - start, done;
        struct block *block;

        block = hold_cached(st, start);
        if (block) {
                pin_block(pin, block, start, segment->end);
                return true;
        }
        block = paused_find(segments_paused(st->segments), start, at, &done);
        if (!block) {
                block = blockcache_get_ready(st->cache, start | PAUSED_KEY);
                done = block ? block_len(block) : 0;
        }
        if (at < done)
                pin_block(pin, block, start, start + done);
        else if (block)
                blockcache_put(st->cache, block);
        return at < done;
}

/*
 * Should SEGMENT be decoded only up to byte END of the stream? Not if more of it is being decoded
 * already, or was lately: the second time all of it is.
 */
static bool stops_early(struct stream *st, const struct restart_segment *segment, uint64_t end)
{
        uint64_t start = segment->point.out;

        return round_up(end - start, PART_SIZE) < segment->end - start &&
               paused_suits(segments_paused(st->segments), segment) &&
               !segments_has_failed(st->segments, segment->index, NULL) &&
               !blockcache_contains(st->cache, start) &&
               !blockcache_contains(st->cache, start | PAUSED_KEY);
}

/*
 * SEGMENT is damaged: hold its part with the byte at OFFSET, if that and those before it are sound.
 * -EIO: they are not, which is remembered, so that not each read of them decodes them again.
 */
static int hold_sound_part(struct stream *st, const struct restart_segment *segment,
                           uint64_t offset, struct source_pin *pin)
{
        struct paused *paused = segments_paused(st->segments);
        uint64_t start = segment->point.out, done;
        struct block *block;
        int rc;

        if (!paused_suits(paused, segment) ||
            offset - start >= segments_lost_from(st->segments, segment->index))
                return -EIO;
        rc = paused_reach(paused, segment, offset - start + 1, NULL, NULL, &block, &done);
        if (rc == 0)
                pin_block(pin, block, start, start + done);
        if (rc == 0 || rc == -EAGAIN || rc == -ENOMEM || rc == -EREMOTEIO)
                return rc;
        if (rc == -EBUSY) {
                paused_wait(paused);
                return -EAGAIN;
        }
        segments_note_lost(st->segments, segment->index, (offset - start) / PART_SIZE * PART_SIZE);
        return -EIO;
}

/* Decode SEGMENT, at least the LEN bytes at OFFSET, and hold that. */
static int hold_decoded(struct stream *st, const struct restart_segment *segment, uint64_t offset,
                        size_t len, struct source_pin *pin)
{
        uint64_t start = segment->point.out, done,
                 end = offset + min_u64(len, segment->end - offset);
        struct block *block;
        int rc;

        if (stops_early(st, segment, end)) {
                rc = paused_reach(segments_paused(st->segments), segment, end - start, NULL, NULL,
                                  &block, &done);
                if (rc == 0)
                        pin_block(pin, block, start, start + done);
                /* If it is damaged, decoding all of it says where and why. */
                if (rc == 0 || rc == -EAGAIN)
                        return rc;
        }
        /* Room for all of a damaged one would evict what is sound of it. */
        rc = segments_has_failed(st->segments, segment->index, NULL)
                 ? -EIO
                 : stream_get_segment(st, segment, &block);
        if (rc == 0)
                pin_block(pin, block, start, segment->end);
        return rc == -EIO ? hold_sound_part(st, segment, offset, pin) : rc;
}

enum { IN_PIECES = 1, KEPT };

/* As hold, for SEGMENT. KEPT: the bytes were left over from it. */
static int hold_of(struct stream *st, const struct restart_segment *segment, uint64_t offset,
                   size_t len, bool wait, struct source_pin *pin)
{
        int rc;

        do {
                /* First, so that the segment itself is not held on to for the sake of these. */
                if (hold_stray(st, segment, offset, pin))
                        return KEPT;
                if (hold_ready(st, segment, offset, pin))
                        return 0;
                if (!wait)
                        return -EAGAIN;
                rc = hold_decoded(st, segment, offset, len, pin);
        } while (rc == -EAGAIN);
        /* The rest of it may be sound. */
        if (rc == -EIO && segment->point.by_sums)
                return IN_PIECES;
        return rc;
}

/*
 * Hold the block with the byte at OFFSET, which is before FRONTIER, and decode LEN bytes for it
 * where that takes no other block. Without WAIT, -EAGAIN if it has yet to be decoded. IN_PIECES:
 * stream_read_piece has to read it.
 */
static int hold(struct stream *st, uint64_t offset, size_t len, uint64_t frontier, bool wait,
                struct source_pin *pin)
{
        struct restart_segment segment;
        struct block *block;
        uint64_t start;
        int rc = 0;

        *pin = (struct source_pin){0};
        block = hold_tail(st, offset, &start);
        if (block) {
                pin_block(pin, block, start, frontier);
                return 0;
        }
        if (!restart_find(st->table, offset, &segment))
                return -EIO;
        if (wait && stream_wants_piece(st, &segment))
                return IN_PIECES;
        rc = hold_of(st, &segment, offset, len, wait, pin);
        if (rc < 0 || rc == IN_PIECES)
                return rc;
        pin->end = min_u64(pin->end, frontier);
        if (rc != KEPT && !is_passing(st))
                pin->followed = note_progress(st, &segment);
        return 0;
}

/* Note that there are readers other than the pass's own thread. */
static void note_reader(struct stream *st)
{
        if (!atomic_load_explicit(&st->has_readers, memory_order_relaxed) &&
            !pthread_equal(st->scanner, pthread_self()))
                atomic_store(&st->has_readers, true);
}

/*
 * How many of the LEN bytes at OFFSET lie before *LIMIT, which becomes the stream's end if that was
 * found meanwhile. 0: the stream ends before them; -EAGAIN: the pass has not reached all of them;
 * -EIO: some are lost.
 */
static ssize_t check_range(struct stream *st, size_t len, uint64_t offset, uint64_t *limit)
{
        uint64_t size;

        if (!range_within(offset, len, *limit)) {
                if (atomic_load(&st->failed))
                        return -EIO;
                /* The end may have been found since source_pread looked at the size. */
                size = st->base.size;
                if (size == SOURCE_SIZE_UNKNOWN || offset + len <= size)
                        return -EAGAIN;
                if (offset >= size)
                        return 0;
                len = (size_t)(size - offset);
                *limit = size;
        }
        return lost_ranges_touch(&st->lost, offset, len) ? -EIO : (ssize_t)len;
}

/* Read as much of [OFFSET, + LEN), which is before FRONTIER, as lies in one block. */
static ssize_t read_some(struct stream *st, void *buf, size_t len, uint64_t offset,
                         uint64_t frontier)
{
        struct restart_segment segment;
        struct source_pin part;
        int rc = hold(st, offset, len, frontier, true, &part);

        if (rc < 0)
                return rc;
        if (rc == IN_PIECES)
                return restart_find(st->table, offset, &segment)
                           ? stream_read_piece(st, &segment, buf, len, offset)
                           : -EIO;
        len = (size_t)min_u64(len, part.end - offset);
        memcpy(buf, part.data + (offset - part.start), len);
        part.used = len;
        if (!is_passing(st))
                stream_note_read(&st->base, offset, len);
        stream_unpin(&st->base, &part);
        return (ssize_t)len;
}

/* The pass's thread has read, or is about to read, what the next pass may want to know. */
static struct notes *notes_for(struct stream *st)
{
        return st->notes && is_passing(st) ? st->notes : NULL;
}

/* Clip it to LIMIT. */
static ssize_t read_up_to(struct stream *st, uint64_t limit, void *buf, size_t len, uint64_t offset,
                          bool is_header)
{
        ssize_t all = check_range(st, len, offset, &limit), done = 0;
        struct notes *notes = notes_for(st);

        if (all < 0)
                return all;
        if (notes && notes_find(notes, buf, (size_t)all, offset))
                return all;
        while (done < all) {
                ssize_t n = read_some(st, (char *)buf + done, (size_t)(all - done),
                                      offset + (uint64_t)done, limit);

                if (n < 0)
                        return n;
                done += n;
        }
        if (notes)
                notes_add(notes, buf, (size_t)done, offset, st->decoded, is_header);
        return done;
}

ssize_t stream_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        struct stream *st = (struct stream *)s;

        note_reader(st);
        return read_up_to(st, atomic_load_explicit(&st->frontier, memory_order_acquire), buf, len,
                          offset, false);
}

/*
 * What contradicts the stored index is lost for all readers. But it may hold an intact header, and
 * a header that proves itself says where sound data belong. So it can still be peeked at.
 */

/* Decode as much of SEGMENT as possible into st->salvage. */
static int salvage(struct stream *st, const struct restart_segment *segment)
{
        size_t len = (size_t)(segment->end - segment->point.out);
        cleanup_free void *bytes = malloc(len);
        ssize_t n = bytes ? segments_salvage(st->segments, segment, bytes, len) : -ENOMEM;
        uint64_t start = segment->point.out, end = start + (uint64_t)(n > 0 ? n : 0);

        if (n == -ENOMEM)
                return -ENOMEM;
        free(st->salvage.bytes);
        st->salvage = (struct piece){start, end, steal_ptr(&bytes)};
        /* Remember this even if it is nothing, since a search asks for each page. */
        st->salvaged = segment->index + 1;
        return 0;
}

/* As stream_peek, with an adopted table, where a segment's hash may be wrong. */
static ssize_t peek_disproved(struct stream *st, void *buf, size_t len, uint64_t offset)
{
        size_t done = 0;

        while (done < len) {
                uint64_t at = offset + done;
                struct restart_segment segment;
                size_t n;
                int rc = 0;

                if (!restart_find(st->table, at, &segment))
                        return -EIO;
                if (st->salvaged != segment.index + 1)
                        rc = salvage(st, &segment);
                if (rc == 0 && at >= st->salvage.end)
                        rc = -EIO;
                if (rc < 0)
                        return rc;
                n = (size_t)min_u64(len - done, st->salvage.end - at);
                memcpy((char *)buf + done, (char *)st->salvage.bytes + (at - st->salvage.start), n);
                done += n;
        }
        return (ssize_t)done;
}

ssize_t stream_peek(struct source *s, void *buf, size_t len, uint64_t offset)
{
        struct stream *st = (struct stream *)s;
        ssize_t n = read_up_to(st, st->decoded, buf, len, offset, true);

        return n == -EIO && st->adopted ? peek_disproved(st, buf, len, offset) : n;
}

int stream_pin(struct source *s, uint64_t offset, size_t len, bool wait, struct source_pin *pin)
{
        struct stream *st = (struct stream *)s;
        uint64_t frontier = atomic_load_explicit(&st->frontier, memory_order_acquire);
        ssize_t n = check_range(st, 1, offset, &frontier);
        int rc;

        note_reader(st);
        if (n <= 0)
                return (int)n;
        rc = hold(st, offset, len, frontier, wait, pin);
        if (rc != 0)
                return rc < 0 ? rc : -EAGAIN;
        /* Nothing lost may be pinned: stream_pread has to read from such a block. */
        if (!lost_ranges_touch(&st->lost, pin->start, (size_t)(pin->end - pin->start)))
                return 1;
        blockcache_put(owner_of(st, pin), pin->held);
        return -EAGAIN;
}

void stream_unpin(struct source *s, const struct source_pin *pin)
{
        struct stream *st = (struct stream *)s;

        /* Evict what was fully read, unless it would have to be decoded again soon. */
        blockcache_put_read(owner_of(st, pin), pin->held, pin->followed ? 0 : pin->used);
}
