/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/segments.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cache/bufpool.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/decoder/cursor.h"
#include "archive/stream/decoder/oneshot.h"
#include "archive/stream/decoder/paused.h"
#include "archive/stream/parts.h"
#include "archive/stream/restart_table.h"

/*
 * A damaged segment is read block by block, and by the kernel page by page, and each read would
 * decode it again, for the same failure. So the failure is remembered for a while, but not for
 * ever, since it may be the network that fails.
 */
#define FAILURES     16
#define FAILURE_LIFE 3 /* seconds */

struct failure {
        size_t index;
        uint64_t lost; /* from this byte of the segment on all is; UINT64_MAX: not looked for */
        time_t until;  /* CLOCK_MONOTONIC; 0: unused */
        struct error err;
};

struct segments {
        struct decoding d;
        struct paused paused;

        pthread_mutex_t cursor_lock; /* guards cursor; held while it decodes */
        struct cursor cursor;
        pthread_mutex_t wide_lock; /* for threads with a cursor of their own: windows are large */

        pthread_mutex_t failure_lock; /* guards the two below */
        struct failure failures[FAILURES];
        size_t next_failure;
};

int segments_new(const struct codec_ops *codec, const struct codec_limits *limits,
                 struct source *in, struct restart_table *table, struct cache_owner *cache,
                 unsigned threads, struct segments **out)
{
        struct segments *s = calloc(1, sizeof *s);

        if (!s)
                return -ENOMEM;
        s->d.codec = codec;
        s->d.limits = *limits;
        s->d.limits.workers = NULL; /* passes of its own run on the workers, and outlive them */
        s->d.in = in;
        s->d.table = table;
        s->d.cache = cache;
        turns_init(&s->d.turns, threads);
        paused_init(&s->paused, &s->d);
        pthread_mutex_init(&s->cursor_lock, NULL);
        pthread_mutex_init(&s->wide_lock, NULL);
        pthread_mutex_init(&s->failure_lock, NULL);
        *out = s;
        return 0;
}

void segments_free(struct segments *s)
{
        if (!s)
                return;
        cursor_close(&s->d, &s->cursor);
        paused_fini(&s->paused);
        pthread_mutex_destroy(&s->cursor_lock);
        pthread_mutex_destroy(&s->wide_lock);
        pthread_mutex_destroy(&s->failure_lock);
        turns_fini(&s->d.turns);
        free(s);
}

struct paused *segments_paused(struct segments *s)
{
        return &s->paused;
}

uint64_t segments_decoded(const struct segments *s)
{
        return atomic_load(&s->d.decoded);
}

size_t segments_memory(const struct segments *s, const struct restart_segment *segment)
{
        const struct restart_point *point = &segment->point;

        if (!segment->point_held || !oneshot_fits(segment) || segment->in_end / 8 > s->d.in->size)
                return 0;
        return oneshot_memory(s->d.codec, segment) + point->history_len;
}

/* Does the codec itself compare what SEGMENT decodes to with what the pass saw? */
static bool is_checked_by_codec(const struct segments *s, const struct restart_segment *segment)
{
        return segment->point.by_sums && s->d.codec->piece && oneshot_fits(segment);
}

static int check_hash(const struct restart_segment *segment, const void *out, size_t len,
                      struct error *err)
{
        if (!segment->point.by_sums &&
            segment_hash(segment->point.out, out, len) == segment->point.hash)
                return 0;
        return error_set(err, EIO,
                         "segment %zu (decompressed bytes %" PRIu64 " to %" PRIu64
                         ") does not decompress to what it was when it was indexed",
                         segment->index, segment->point.out, segment->end);
}

int segments_enter(struct segments *s, const struct restart_point *point, const void *history,
                   uint64_t in_end, void *out, size_t len, struct error *err)
{
        if (in_end < point->in_bit)
                return -EINVAL;
        return oneshot_decode(&s->d, point, history, in_end, out, len, err);
}

/* Decode SEGMENT from its own point; its input is too large to load into memory. */
static int decode_wide(struct segments *s, const struct restart_segment *segment, void *out,
                       size_t len, struct error *err)
{
        scoped_lock(&s->wide_lock);
        struct cursor c = {0};
        int rc = cursor_open(&s->d, &c, segment, err);

        if (rc == 0)
                rc = cursor_read(&s->d, &c, NULL, segment->point.out - c.out, err);
        if (rc == 0)
                rc = cursor_read(&s->d, &c, out, len, err);
        cursor_close(&s->d, &c);
        return rc;
}

ssize_t segments_salvage(struct segments *s, const struct restart_segment *segment, void *out,
                         size_t len)
{
        struct cursor c = {0};
        size_t done = 0;
        int rc;

        if (!segment->proven || (segment->index > 0 && !s->d.codec->pass_recover))
                return -EIO;
        rc = cursor_open(&s->d, &c, segment, NULL);
        if (rc < 0)
                return rc;
        while (done < len && rc == 0) {
                size_t n = (size_t)min_u64(len - done, 4096);

                rc = cursor_read(&s->d, &c, (uint8_t *)out + done, n, NULL);
                if (rc == 0)
                        done += n;
        }
        cursor_close(&s->d, &c);
        return done || rc == 0 ? (ssize_t)done : rc;
}

/* Decode SEGMENT from its own point. */
static int decode_alone(struct segments *s, const struct restart_segment *segment, void *out,
                        size_t len, struct error *err)
{
        cleanup_free void *history = NULL;
        int rc = 0;

        if (oneshot_fits(segment)) {
                if (segment->point.history_len > 0)
                        rc = restart_history(s->d.table, segment->index, &history);
                if (rc == 0)
                        rc = segments_enter(s, &segment->point, history, segment->in_end, out, len,
                                            err);
        } else {
                rc = decode_wide(s, segment, out, len, err);
        }
        return rc < 0 || is_checked_by_codec(s, segment) ? rc : check_hash(segment, out, len, err);
}

/*
 * Move the cursor to or before SEGMENT, but not before the nearest proven point. A point whose
 * history is lost is dropped, and the previous one is used.
 */
static int cursor_reach(struct segments *s, const struct restart_segment *segment,
                        struct error *err)
{
        struct cursor *c = &s->cursor;

        for (;;) {
                struct restart_segment entry;
                bool nearer;
                int rc = 0;

                restart_entry(s->d.table, segment->index, &entry);
                nearer = s->d.codec->pass_recover && entry.point.out > c->out;
                if (c->pass && (c->out > segment->point.out || nearer))
                        cursor_close(&s->d, c);
                if (!c->pass)
                        rc = cursor_open(&s->d, c, &entry, err);
                if (rc != -ENODATA || entry.index == 0)
                        return rc;
                restart_drop(s->d.table, entry.index);
        }
}

/* Prove or drop the points before INDEX that have no verdict, back to the first proven point. */
static int prove_back(struct segments *s, size_t index)
{
        struct restart_segment segment;

        while (index > 0 && restart_get(s->d.table, index, &segment) && !segment.proven) {
                if (segment.point_held) {
                        size_t len = (size_t)(segment.end - segment.point.out);
                        cleanup_free void *scratch = malloc(len);

                        if (!scratch)
                                return -ENOMEM;
                        segments_prove(s, index, scratch, len);
                        /* Look again: a proven point ends the loop, a dropped one is skipped. */
                        continue;
                }
                index--;
        }
        return 0;
}

/* Decode SEGMENT, starting from the nearest proven point before it. */
static int decode_on(struct segments *s, const struct restart_segment *segment, void *out,
                     size_t len, struct error *err)
{
        struct cursor *c = &s->cursor;
        scoped_lock(&s->cursor_lock);
        int rc = prove_back(s, segment->index);

        if (rc == 0)
                rc = cursor_reach(s, segment, err);
        if (rc == 0)
                rc = cursor_read(&s->d, c, NULL, segment->point.out - c->out, err);
        if (rc == 0)
                rc = cursor_read(&s->d, c, out, len, err);
        if (rc == 0)
                rc = check_hash(segment, out, len, err);
        if (rc < 0 && c->pass)
                cursor_close(&s->d, c);
        return rc;
}

static time_t seconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec;
}

/* The failure of segment INDEX that is remembered, or NULL. Caller holds the lock. */
static struct failure *find_failure(struct segments *s, size_t index)
{
        time_t now = seconds();

        for (size_t i = 0; i < FAILURES; i++)
                if (s->failures[i].index == index && s->failures[i].until > now)
                        return &s->failures[i];
        return NULL;
}

bool segments_has_failed(struct segments *s, size_t index, struct error *err)
{
        const struct failure *f;
        scoped_lock(&s->failure_lock);

        f = find_failure(s, index);
        if (f && err)
                *err = f->err;
        return f;
}

static void note_failure(struct segments *s, size_t index, const struct error *err)
{
        time_t now = seconds();
        scoped_lock(&s->failure_lock);

        s->failures[s->next_failure++ % FAILURES] = (struct failure){
            .index = index, .until = now + FAILURE_LIFE, .lost = UINT64_MAX, .err = *err};
}

void segments_note_lost(struct segments *s, size_t index, uint64_t from)
{
        struct failure *f;
        scoped_lock(&s->failure_lock);

        f = find_failure(s, index);
        if (f)
                f->lost = min_u64(f->lost, from);
}

uint64_t segments_lost_from(struct segments *s, size_t index)
{
        const struct failure *f;
        scoped_lock(&s->failure_lock);

        f = find_failure(s, index);
        return f ? f->lost : UINT64_MAX;
}

static int decode(struct segments *s, size_t index, void *out, size_t len, struct error *err)
{
        struct restart_segment segment;
        int rc;

        if (!restart_get(s->d.table, index, &segment) || segment.end - segment.point.out != len)
                return error_set(err, EINVAL, "no such segment");
        /*
         * Decoding on from an earlier point would not help: such a segment needs nothing from before
         * it. And it would not be checked, since only the codec sees the sums.
         */
        if (is_checked_by_codec(s, &segment))
                return decode_alone(s, &segment, out, len, err);
        /* If a proven point's segment is too wide for one shot, the cursor continues it. */
        if (!segment.point_held || (segment.proven && !oneshot_fits(&segment)))
                return decode_on(s, &segment, out, len, err);
        if (segment.proven && paused_finish(&s->paused, &segment, out))
                return 0;
        rc = decode_alone(s, &segment, out, len, err);
        if (rc == 0 && !segment.proven)
                restart_proven(s->d.table, index);
        if (rc == -ENOMEM || rc == -EREMOTEIO || rc == 0 || (segment.proven && rc != -ENODATA))
                return rc;
        restart_drop(s->d.table, index);
        return decode_on(s, &segment, out, len, err);
}

int segments_decode(struct segments *s, size_t index, void *out, size_t len, struct error *err)
{
        struct error why = {0};
        int rc;

        if (segments_has_failed(s, index, err))
                return -EIO;
        rc = decode(s, index, out, len, &why);
        if (rc == -EIO)
                note_failure(s, index, &why);
        if (rc < 0 && err)
                *err = why;
        return rc;
}

int segments_piece(struct segments *s, const struct restart_segment *segment, uint64_t at,
                   void **out, struct codec_piece *where, struct error *err)
{
        if (!s->d.codec->piece || !oneshot_fits(segment))
                return error_set(err, EIO, "no such segment");
        return s->d.codec->piece(s->d.in, &segment->point, segment->in_end,
                                 (size_t)(segment->end - segment->point.out), at, out, where, err);
}

void segments_prove(struct segments *s, size_t index, void *scratch, size_t len)
{
        struct restart_segment segment;
        int rc;

        if (!restart_get(s->d.table, index, &segment) || !segment.point_held || segment.proven)
                return;
        rc = decode_alone(s, &segment, scratch, len, NULL);
        if (rc == 0)
                restart_proven(s->d.table, index);
        else if (rc != -EREMOTEIO && !is_checked_by_codec(s, &segment))
                restart_drop(s->d.table, index);
}
