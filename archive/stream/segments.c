/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/segments.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/checksum.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/restart.h"

/* A segment with more input is not decoded in one shot, which takes all of it into memory. */
#define ONE_SHOT_MAX (UINT64_C(64) << 20)

#define STEP_SIZE (256 << 10)

/*
 * What reads a damaged segment does so block by block, and the kernel page by page: that is one
 * decoding each, for the same answer. So it is remembered for a while; not for ever, since it may
 * be the network that fails.
 */
#define FAILURES     16
#define FAILURE_LIFE 3 /* seconds */

struct failure {
        size_t index;
        time_t until; /* CLOCK_MONOTONIC; 0: unused */
        struct error err;
};

/* A pass somewhere in the stream. What it decoded beyond the wanted bytes waits in step. */
struct cursor {
        void *pass;   /* NULL: closed */
        uint64_t out; /* of the stream, at step_at */
        size_t step_at, step_end;
        uint8_t *step; /* STEP_SIZE bytes */
};

struct segments {
        const struct codec_ops *codec;
        struct codec_limits limits;
        struct source *in;
        struct restart_table *table;
        struct blockcache *cache;

        pthread_mutex_t cursor_lock; /* guards cursor; held while it decodes */
        struct cursor cursor;

        pthread_mutex_t failure_lock; /* guards the two below */
        struct failure failures[FAILURES];
        size_t next_failure;
};

int segments_new(const struct codec_ops *codec, const struct codec_limits *limits,
                 struct source *in, struct restart_table *table, struct blockcache *cache,
                 struct segments **out)
{
        struct segments *s = calloc(1, sizeof *s);

        if (!s)
                return -ENOMEM;
        s->codec = codec;
        s->limits = *limits;
        s->limits.workers = NULL; /* passes of its own run on the workers, and outlive them */
        s->in = in;
        s->table = table;
        s->cache = cache;
        pthread_mutex_init(&s->cursor_lock, NULL);
        pthread_mutex_init(&s->failure_lock, NULL);
        *out = s;
        return 0;
}

static void cursor_close(const struct segments *s, struct cursor *c)
{
        s->codec->pass_close(c->pass);
        free(c->step);
        *c = (struct cursor){0};
}

void segments_free(struct segments *s)
{
        if (!s)
                return;
        cursor_close(s, &s->cursor);
        pthread_mutex_destroy(&s->cursor_lock);
        pthread_mutex_destroy(&s->failure_lock);
        free(s);
}

/* Open C at ENTRY's point, or at the stream's beginning if the codec cannot resume there. */
static int cursor_open(const struct segments *s, struct cursor *c,
                       const struct restart_segment *entry, struct error *err)
{
        void *history = NULL;
        int rc = 0;

        c->step = malloc(STEP_SIZE);
        if (!c->step)
                return -ENOMEM;
        c->step_at = c->step_end = 0;
        c->out = 0;
        if (entry->index == 0 || !s->codec->pass_resume) {
                rc = s->codec->pass_open(s->in, &s->limits, &c->pass, err);
        } else {
                c->out = entry->point.out;
                rc = restart_history(s->table, entry->index, &history);
                if (rc == 0)
                        rc = s->codec->pass_resume(s->in, &s->limits, &entry->point, history,
                                                   &c->pass, err);
        }
        if (rc < 0) {
                c->pass = NULL;
                cursor_close(s, c);
        }
        return rc;
}

/* The next LEN bytes into OUT; NULL skips them. */
static int cursor_read(const struct segments *s, struct cursor *c, uint8_t *out, uint64_t len,
                       struct error *err)
{
        while (len > 0) {
                size_t n = (size_t)min_u64(len, c->step_end - c->step_at);

                if (n == 0) {
                        ssize_t got = s->codec->pass(c->pass, c->step, STEP_SIZE, NULL, err);

                        if (got < 0)
                                return (int)got;
                        if (got == 0)
                                return error_set(err, EIO,
                                                 "the compressed stream has become shorter");
                        c->step_at = 0;
                        c->step_end = (size_t)got;
                        continue;
                }
                if (out) {
                        memcpy(out, c->step + c->step_at, n);
                        out += n;
                }
                c->step_at += n;
                c->out += n;
                len -= n;
        }
        return 0;
}

static bool one_shot(const struct restart_segment *segment)
{
        return segment->in_end != RESTART_IN_UNKNOWN && segment->in_end >= segment->point.in_bit &&
               (segment->in_end - segment->point.in_bit) / 8 <= ONE_SHOT_MAX;
}

static int check_hash(const struct segments *s, const struct restart_segment *segment,
                      const void *out, size_t len, struct error *err)
{
        /* Its codec has compared that one, alone. */
        if (segment->point.by_sums && s->codec->piece && one_shot(segment))
                return 0;
        if (XXH3_64bits(out, len) == segment->point.hash)
                return 0;
        return error_set(err, EIO,
                         "segment %zu (decompressed bytes %" PRIu64 " to %" PRIu64
                         ") does not decompress to what it was when it was indexed",
                         segment->index, segment->point.out, segment->end);
}

/* The SIZE bytes of input at OFFSET. */
static int read_input(const struct segments *s, uint8_t *input, size_t size, uint64_t offset,
                      struct error *err)
{
        ssize_t n = source_pread(s->in, input, size, offset);

        if (n < 0)
                return error_set_at(err, EIO, offset, "the compressed file cannot be read: %s",
                                    strerror((int)-n));
        if ((size_t)n < size)
                return error_set_at(err, EIO, offset + (uint64_t)n, "the %s stream is cut short",
                                    s->codec->name);
        return 0;
}

/*
 * The input comes into memory that was used for another's before: a new page for each of its pages
 * would cost a tenth of the time.
 */
static int decode_from_memory(const struct segments *s, const struct restart_point *point,
                              const void *history, uint64_t in_end, void *out, size_t len,
                              struct error *err)
{
        uint64_t offset = point->in_bit / 8;
        size_t size = (size_t)(in_end / 8 + (in_end % 8 != 0) - offset);
        struct block *memory;
        uint8_t *input;
        int rc;

        /* Before it sizes anything: the positions may be a hostile sidecar's. */
        if (!range_within(offset, size, s->in->size))
                return error_set_at(err, EIO, s->in->size, "the %s stream is cut short",
                                    s->codec->name);
        rc = blockcache_scratch(s->cache, size + 2 * (size_t)CODEC_MARGIN, &memory);
        if (rc < 0)
                return rc;
        input = (uint8_t *)block_data(memory) + CODEC_MARGIN;
        rc = read_input(s, input, size, offset, err);
        if (rc == 0)
                rc = s->codec->decode(point, history, input, size, out, len, err);
        blockcache_put(s->cache, memory);
        return rc;
}

int segments_enter(const struct segments *s, const struct restart_point *point, const void *history,
                   uint64_t in_end, void *out, size_t len, struct error *err)
{
        if (in_end < point->in_bit)
                return -EINVAL;
        return decode_from_memory(s, point, history, in_end, out, len, err);
}

/* SEGMENT from its own point. */
static int decode_alone(const struct segments *s, const struct restart_segment *segment, void *out,
                        size_t len, struct error *err)
{
        cleanup_free void *history = NULL;
        struct cursor c = {0};
        int rc;

        if (one_shot(segment)) {
                rc = restart_history(s->table, segment->index, &history);
                if (rc == 0)
                        rc = segments_enter(s, &segment->point, history, segment->in_end, out, len,
                                            err);
        } else {
                rc = cursor_open(s, &c, segment, err);
                if (rc == 0)
                        rc = cursor_read(s, &c, NULL, segment->point.out - c.out, err);
                if (rc == 0)
                        rc = cursor_read(s, &c, out, len, err);
                cursor_close(s, &c);
        }
        return rc < 0 ? rc : check_hash(s, segment, out, len, err);
}

/*
 * Have the cursor in front of SEGMENT, and no farther than the nearest proven point. A point whose
 * history is lost is dropped, which leaves the one in front of it.
 */
static int cursor_reach(struct segments *s, const struct restart_segment *segment,
                        struct error *err)
{
        struct cursor *c = &s->cursor;

        for (;;) {
                struct restart_segment entry;
                bool nearer;
                int rc = 0;

                restart_entry(s->table, segment->index, &entry);
                nearer = s->codec->pass_resume && entry.point.out > c->out;
                if (c->pass && (c->out > segment->point.out || nearer))
                        cursor_close(s, c);
                if (!c->pass)
                        rc = cursor_open(s, c, &entry, err);
                if (rc != -ENODATA || entry.index == 0)
                        return rc;
                restart_drop(s->table, entry.index);
        }
}

/* Prove or drop what lies in front of INDEX without a verdict, up to the first proven point. */
static int prove_back(struct segments *s, size_t index)
{
        struct restart_segment segment;

        while (index > 0 && restart_get(s->table, index, &segment) && !segment.proven) {
                if (segment.point_held) {
                        size_t len = (size_t)(segment.end - segment.point.out);
                        cleanup_free void *scratch = malloc(len);

                        if (!scratch)
                                return -ENOMEM;
                        segments_prove(s, index, scratch, len);
                        /* Seen again: proven ends the walk, dropped is passed by. */
                        continue;
                }
                index--;
        }
        return 0;
}

/* SEGMENT by decoding on from the nearest proven point in front of it. */
static int decode_on(struct segments *s, const struct restart_segment *segment, void *out,
                     size_t len, struct error *err)
{
        struct cursor *c = &s->cursor;
        scoped_lock(&s->cursor_lock);
        int rc = prove_back(s, segment->index);

        if (rc == 0)
                rc = cursor_reach(s, segment, err);
        if (rc == 0)
                rc = cursor_read(s, c, NULL, segment->point.out - c->out, err);
        if (rc == 0)
                rc = cursor_read(s, c, out, len, err);
        if (rc == 0)
                rc = check_hash(s, segment, out, len, err);
        if (rc < 0 && c->pass)
                cursor_close(s, c);
        return rc;
}

static time_t seconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec;
}

/* Has segment INDEX just failed? Then *ERR says why. */
static bool has_failed(struct segments *s, size_t index, struct error *err)
{
        time_t now = seconds();
        scoped_lock(&s->failure_lock);

        for (size_t i = 0; i < FAILURES; i++) {
                const struct failure *f = &s->failures[i];

                if (f->index != index || f->until <= now)
                        continue;
                if (err)
                        *err = f->err;
                return true;
        }
        return false;
}

static void note_failure(struct segments *s, size_t index, const struct error *err)
{
        time_t now = seconds();
        scoped_lock(&s->failure_lock);

        s->failures[s->next_failure++ % FAILURES] =
            (struct failure){.index = index, .until = now + FAILURE_LIFE, .err = *err};
}

static int decode(struct segments *s, size_t index, void *out, size_t len, struct error *err)
{
        struct restart_segment segment;
        int rc;

        if (!restart_get(s->table, index, &segment) || segment.end - segment.point.out != len)
                return error_set(err, EINVAL, "no such segment");
        /* A proven point whose segment is too wide for one shot is the cursor's to continue. */
        if (!segment.point_held || (segment.proven && !one_shot(&segment)))
                return decode_on(s, &segment, out, len, err);
        rc = decode_alone(s, &segment, out, len, err);
        if (rc == 0 && !segment.proven)
                restart_proven(s->table, index);
        if (rc == -ENOMEM || rc == 0 || (segment.proven && rc != -ENODATA))
                return rc;
        restart_drop(s->table, index);
        return decode_on(s, &segment, out, len, err);
}

int segments_decode(struct segments *s, size_t index, void *out, size_t len, struct error *err)
{
        struct error why = {0};
        int rc;

        if (has_failed(s, index, err))
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
        if (!s->codec->piece || !one_shot(segment))
                return error_set(err, EIO, "no such segment");
        return s->codec->piece(s->in, &segment->point, segment->in_end,
                               (size_t)(segment->end - segment->point.out), at, out, where, err);
}

void segments_prove(struct segments *s, size_t index, void *scratch, size_t len)
{
        struct restart_segment segment;
        int rc;

        if (!restart_get(s->table, index, &segment) || !segment.point_held || segment.proven)
                return;
        rc = decode_alone(s, &segment, scratch, len, NULL);
        if (rc == 0)
                restart_proven(s->table, index);
        else
                restart_drop(s->table, index);
}
