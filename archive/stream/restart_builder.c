/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Turns the codec's calls during the pass into a table, and decides how far apart points are.
 *
 *            chain of candidates without a final verdict
 *            ,-----------------------^----------------------,
 *   ==point==|==deferred==|==deferred==|==open==>  here
 *                                       ^ segment_start, hashed up to here
 *
 * A candidate begins a segment at once, before its worth is known. A refused one leaves a boundary
 * that cannot be entered, which costs 32 bytes. Forking the hash and splitting a decoded buffer
 * later would cost time for every candidate that is accepted.
 */
#include "archive/stream/restart_builder.h"

#include <errno.h>
#include <pthread.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/cleanup.h"
#include "archive/stream/parts.h"

/*
 * Distances between points, bytes of output. NARROW bounds the table's size in memory where a
 * point costs nothing; WIDE is what a cold read may decode.
 */
#define SPACING_NARROW (UINT64_C(2) << 20)
#define SPACING_WIDE   (UINT64_C(8) << 20)

/*
 * What the sidecar may cost, per 10,000 bytes of compressed stream. AIM leaves room below 7 per
 * mille, since a point's cost is only known once it is paid.
 */
#define COST_AIM   65
#define COST_LIMIT 200
/* A small archive's first points may cost more than its share. */
#define COST_FREE (UINT64_C(256) << 10)
/* Further away than any point is. */
#define DISTANCE_MAX (UINT64_C(1) << 60)

/*
 * So many checkpoints may wait for the proof of their point. While they do, no further ones are
 * taken.
 */
#define CHECKPOINTS 8

struct restart_builder {
        struct restart_table *table;
        restart_recall_fn recall;
        void *recall_ctx;
        XXH3_state_t *hash;        /* of the last part of [segment_start, here) … */
        uint64_t parts[PARTS_MAX]; /* … and of those before */
        size_t part_count;
        uint64_t hashed;    /* bytes of the segment that were hashed */
        XXH3_state_t *sums; /* of the stream's words on it … */
        uint64_t summed;    /* … which are on so many bytes */
        bool entered;       /* the segment began at a point, or at what may become one */
        uint64_t here;
        uint64_t segment_start;
        uint64_t keep;

        bool open;           /* a candidate waits for its verdict … */
        size_t open_index;   /* … this record … */
        uint64_t open_keep;  /* … for which output is kept from this offset on */
        size_t chain;        /* first deferred record; open_index when none is */
        uint64_t last_point; /* offset of the last boundary that is, or may become, a point */

        /* Spacing. */
        uint64_t in_bytes;   /* input before the last boundary that was named … */
        uint64_t in_out;     /* … and output before it */
        uint64_t stored;     /* sidecar bytes so far */
        uint64_t cost;       /* running mean of a point's sidecar bytes */
        uint64_t last_asked; /* offset of the last restart_wanted */
        uint64_t gap;        /* the most that lately lay between two of them */

        pthread_mutex_t checkpoint_lock; /* guards the three below */
        struct restart_checkpoint last;  /* whose point is proven; state.len 0: none */
        struct restart_checkpoint waiting[CHECKPOINTS]; /* those after it, oldest first */
        unsigned waiting_count;

        /* Records whose points wait for their second proof, oldest first. */
        ARRAY(size_t) unproven; /* from unproven_first on */
        size_t unproven_first;
};

/* For TABLE, whose growing segment begins at a point. NULL: out of memory. */
static struct restart_builder *builder_new(struct restart_table *table, restart_recall_fn recall,
                                           void *ctx)
{
        struct restart_builder *b = calloc(1, sizeof *b);

        if (!b)
                return NULL;
        b->table = table;
        b->recall = recall;
        b->recall_ctx = ctx;
        b->cost = 8 << 10;
        pthread_mutex_init(&b->checkpoint_lock, NULL);
        b->hash = XXH3_createState();
        b->sums = XXH3_createState();
        b->entered = true;
        if (!b->hash || !b->sums) {
                restart_builder_free(b);
                return NULL;
        }
        XXH3_64bits_reset(b->hash);
        XXH3_64bits_reset(b->sums);
        return b;
}

int restart_builder_new(struct restart_table *table, restart_recall_fn recall, void *ctx,
                        struct restart_builder **out)
{
        struct restart_builder *b = builder_new(table, recall, ctx);
        struct restart_point origin = {0};
        int rc = b ? restart_table_begin(table, (struct restart_hash){0}, &origin, RESTART_POINT)
                   : -ENOMEM;

        if (rc < 0) {
                restart_builder_free(b);
                return rc;
        }
        restart_proven(table, 0);
        *out = b;
        return 0;
}

void restart_builder_free(struct restart_builder *b)
{
        if (!b)
                return;
        XXH3_freeState(b->hash);
        XXH3_freeState(b->sums);
        array_free(&b->unproven);
        pthread_mutex_destroy(&b->checkpoint_lock);
        free(b);
}

/* Input bytes an output byte. Half is assumed until it has been seen. */
static double ratio(const struct restart_builder *b)
{
        return b->in_out > 0 && b->in_bytes > 0 ? (double)b->in_bytes / (double)b->in_out : 0.5;
}

static uint64_t to_distance(double bytes)
{
        if (bytes <= 0)
                return 0;
        return bytes < (double)DISTANCE_MAX ? (uint64_t)bytes : DISTANCE_MAX;
}

/* The distance at which a point of the usual cost takes up SHARE of 10,000 bytes of input. */
static uint64_t distance_for(const struct restart_builder *b, uint64_t share)
{
        return to_distance((double)b->cost * 10000 / ((double)share * ratio(b)));
}

/*
 * The budget accumulates since the last point, so a point that is too expensive now can be afforded
 * later: so many bytes of output further on; 0: now.
 */
static uint64_t distance_to_afford(const struct restart_builder *b)
{
        double input = (double)b->here * ratio(b);
        /* What was promised to the open candidate is as good as stored. */
        double cost = (double)b->stored + (double)b->cost * (b->open ? 2 : 1) - (double)COST_FREE;

        return to_distance((cost * 10000 / COST_LIMIT - input) / ratio(b));
}

bool restart_wanted(struct restart_builder *b)
{
        uint64_t since = b->here - b->last_point;
        uint64_t asked = b->here - b->last_asked;
        uint64_t aim, least;

        /* Fades with distance: a stretch of small gaps does not mean that no wide one follows. */
        b->gap = max_u64(asked, b->gap - min_u64(b->gap, asked / 8));
        b->last_asked = b->here;
        aim = distance_for(b, COST_AIM);
        least = distance_for(b, COST_LIMIT);
        if (b->here == 0 || since < SPACING_NARROW || since < least || distance_to_afford(b) > 0)
                return false;
        return since >= aim || since + b->gap > SPACING_WIDE;
}

struct restart_spacing restart_spacing(const struct restart_builder *b)
{
        uint64_t least = max_u64(distance_for(b, COST_LIMIT), SPACING_NARROW);

        least = max_u64(least, distance_to_afford(b));
        return (struct restart_spacing){
            .best = max_u64(min_u64(distance_for(b, COST_AIM), SPACING_WIDE), least),
            .most = max_u64(SPACING_WIDE, least),
        };
}

bool restart_next_unproven(struct restart_builder *b, size_t *index)
{
        struct restart_segment segment;

        if (b->unproven_first == b->unproven.count)
                return false;
        *index = *array_at(&b->unproven, b->unproven_first);
        /* The last one accepted is usually still growing: there is no hash to prove it with. */
        if (!restart_get(b->table, *index, &segment))
                return false;
        b->unproven_first++;
        if (b->unproven_first == b->unproven.count)
                b->unproven_first = b->unproven.count = 0;
        return true;
}

/* The part ends here. */
static void end_part(struct restart_builder *b)
{
        b->parts[b->part_count++] = XXH3_64bits_digest(b->hash);
        XXH3_64bits_reset(b->hash);
}

/* Of the segment, which ends here. Its parts have hashes only if all of them have. */
static struct restart_hash digest(struct restart_builder *b)
{
        bool by_sums = b->entered && b->summed > 0 && b->summed == b->here - b->segment_start;
        bool whole = b->hashed == b->here - b->segment_start;

        if (by_sums)
                return (struct restart_hash){.hash = XXH3_64bits_digest(b->sums), .by_sums = true};
        if (b->hashed % PART_SIZE)
                end_part(b);
        return (struct restart_hash){.hash = parts_hash(b->segment_start, b->parts, b->part_count),
                                     .parts = b->parts,
                                     .part_count = whole ? b->part_count : 0};
}

static int begin(struct restart_builder *b, uint64_t in_bit, uint64_t aux, enum restart_state state)
{
        struct restart_point point = {.in_bit = in_bit, .out = b->here, .aux = aux};
        int rc = restart_table_begin(b->table, digest(b), &point, state);

        if (rc < 0)
                return rc;
        XXH3_64bits_reset(b->hash);
        XXH3_64bits_reset(b->sums);
        b->stored += b->part_count * sizeof *b->parts;
        b->summed = b->hashed = b->part_count = 0;
        b->entered = state != RESTART_CONTINUES;
        b->segment_start = b->here;
        return 0;
}

int restart_candidate(struct restart_builder *b, uint64_t in_bit, uint64_t aux)
{
        int rc;

        if (b->open || b->here == 0)
                return -EINVAL;
        rc = begin(b, in_bit, aux, RESTART_OPEN);
        if (rc < 0)
                return rc;
        b->open = true;
        b->open_index = restart_table_records(b->table) - 1;
        b->open_keep = b->here > b->keep ? b->here - b->keep : 0;
        if (b->chain == 0)
                b->chain = b->open_index;
        b->last_point = b->here;
        b->in_bytes = in_bit / 8;
        b->in_out = b->here;
        return 0;
}

/* Give the open candidate its history, and have it proven. */
static int endow(struct restart_builder *b, const void *history, size_t history_len)
{
        uint64_t stored;
        int rc = restart_table_attach(b->table, b->open_index, history, history_len, &stored);

        if (rc < 0)
                return rc;
        b->stored += stored;
        b->cost = (b->cost * 3 + stored) / 4;
        return array_add(&b->unproven, b->open_index);
}

/* The verdict on the open candidate and on those deferred to it. */
static void settle(struct restart_builder *b, enum restart_state state)
{
        for (size_t i = b->chain; i <= b->open_index; i++) {
                struct restart_segment segment;

                /* Segments split off for their length stand between them. */
                if (i < b->open_index && restart_get(b->table, i, &segment) && !segment.point_held)
                        continue;
                restart_table_set_state(b->table, i, state);
        }
        b->open = false;
        b->chain = 0;
}

int restart_accept(struct restart_builder *b, const void *history, size_t history_len)
{
        int rc;

        if (!b->open)
                return -EINVAL;
        rc = endow(b, history, history_len);
        if (rc < 0)
                return rc;
        settle(b, RESTART_POINT);
        return 0;
}

int restart_refuse(struct restart_builder *b)
{
        struct restart_segment last = {0};
        size_t i;

        if (!b->open)
                return -EINVAL;
        settle(b, RESTART_CONTINUES);
        b->stored += RESTART_RECORD_SIZE;
        /* Proven or not yet: proofs may come late. */
        i = b->open_index;
        do
                restart_get(b->table, --i, &last);
        while (i > 0 && !last.point_held);
        b->last_point = last.point.out;
        return 0;
}

int restart_defer(struct restart_builder *b, const void *history, size_t history_len)
{
        int rc;

        if (!b->open)
                return -EINVAL;
        rc = endow(b, history, history_len);
        if (rc < 0)
                return rc;
        restart_table_set_state(b->table, b->open_index, RESTART_DEFERRED);
        b->open = false;
        return 0;
}

int restart_here(struct restart_builder *b, uint64_t in_bit, uint64_t aux, const void *history,
                 size_t history_len)
{
        int rc;

        if (b->here == 0)
                return 0;
        rc = restart_candidate(b, in_bit, aux);
        if (rc < 0)
                return rc;
        rc = restart_accept(b, history, history_len);
        /* A point without history needs no proof, since nothing about it was inferred. */
        if (rc == 0 && history_len == 0) {
                b->unproven.count--;
                restart_proven(b->table, b->open_index);
        }
        return rc;
}

int restart_stored(struct restart_builder *b, void **history)
{
        return restart_history(b->table, b->open_index, history);
}

void restart_vouch(struct restart_builder *b)
{
        if (b->unproven_first < b->unproven.count && *array_last(&b->unproven) == b->open_index)
                b->unproven.count--;
        restart_proven(b->table, b->open_index);
}

void restart_keep(struct restart_builder *b, uint64_t bytes)
{
        b->keep = bytes;
}

void restart_release(struct restart_builder *b, uint64_t offset)
{
        b->open_keep = max_u64(b->open_keep, offset);
}

uint64_t restart_keep_from(const struct restart_builder *b)
{
        uint64_t from = b->here > b->keep ? b->here - b->keep : 0;

        return b->open ? min_u64(b->open_keep, from) : from;
}

int restart_recall(struct restart_builder *b, uint64_t offset, void *buf, size_t len)
{
        if (offset < restart_keep_from(b) || !range_within(offset, len, b->here))
                return -ERANGE;
        return b->recall(b->recall_ctx, offset, buf, len);
}

int restart_advance(struct restart_builder *b, const void *buf, size_t len)
{
        const uint8_t *at = buf;

        if (b->hashed + len > RESTART_SEGMENT_MAX)
                return -EINVAL;
        b->here += len;
        while (len > 0) {
                size_t n = (size_t)min_u64(len, PART_SIZE - b->hashed % PART_SIZE);

                XXH3_64bits_update(b->hash, at, n);
                b->hashed += n;
                if (b->hashed % PART_SIZE == 0)
                        end_part(b);
                at += n;
                len -= n;
        }
        return 0;
}

void restart_sums(struct restart_builder *b, const void *sums, size_t sums_len, uint64_t out_len)
{
        XXH3_64bits_update(b->sums, sums, sums_len);
        b->summed += out_len;
}

void restart_pass_over(struct restart_builder *b, uint64_t len)
{
        b->here += len;
}

uint64_t restart_segment_start(const struct restart_builder *b)
{
        return b->segment_start;
}

int restart_split(struct restart_builder *b)
{
        if (b->here == b->segment_start)
                return 0;
        b->stored += RESTART_RECORD_SIZE;
        return begin(b, RESTART_IN_UNKNOWN, 0, RESTART_CONTINUES);
}

int restart_skip(struct restart_builder *b, uint64_t in_bit, uint64_t len)
{
        int rc;

        if (b->open)
                restart_refuse(b);
        rc = begin(b, in_bit, 0, RESTART_CONTINUES);
        if (rc == 0)
                b->here += len;
        return rc;
}

int restart_finish(struct restart_builder *b, uint64_t in_bytes)
{
        if (b->open)
                restart_refuse(b);
        return restart_table_finish(b->table, digest(b), b->here, in_bytes);
}

/* ---- checkpoints ---- */

static void put_state(const struct restart_builder *b, struct pass_state *s)
{
        state_put(s, b->here);
        state_put(s, b->keep);
        state_put(s, b->open);
        state_put(s, b->open_keep);
        state_put(s, b->last_point);
        state_put(s, b->in_bytes);
        state_put(s, b->in_out);
        state_put(s, b->stored);
        state_put(s, b->cost);
        state_put(s, b->last_asked);
        state_put(s, b->gap);
}

static void get_state(struct restart_builder *b, struct pass_state *s)
{
        b->here = b->segment_start = state_get(s);
        b->keep = state_get(s);
        b->open = state_get(s) == 1;
        b->open_keep = state_get(s);
        b->last_point = state_get(s);
        b->in_bytes = state_get(s);
        b->in_out = state_get(s);
        b->stored = state_get(s);
        b->cost = state_get(s);
        b->last_asked = state_get(s);
        b->gap = state_get(s);
}

/* Could the builder have been like this at AT, the point of the growing segment? */
static bool is_plausible(const struct restart_builder *b, const struct restart_segment *at,
                         uint64_t keep_max)
{
        return at->index > 0 && b->here == at->point.out && b->keep <= keep_max &&
               b->open_keep <= b->here && (!b->open || b->here - b->open_keep <= b->keep) &&
               b->last_point <= b->here && b->in_out <= b->here && b->last_asked <= b->here &&
               b->in_bytes <= UINT64_MAX / 16 && b->stored <= UINT64_MAX / 16 &&
               b->cost <= UINT32_MAX && b->gap <= UINT64_MAX / 16;
}

/* Points of B's table that have yet to be proven: of the segments before AT, and AT. */
static int find_unproven(struct restart_builder *b, const struct restart_segment *at)
{
        struct restart_segment segment;
        int rc = 0;

        for (size_t i = 1; rc == 0 && restart_get(b->table, i, &segment); i++)
                if (segment.point_held && !segment.proven)
                        rc = array_add(&b->unproven, i);
        if (rc == 0 && !b->open && !at->proven)
                rc = array_add(&b->unproven, at->index);
        return rc;
}

int restart_builder_resume(struct restart_table *table, restart_recall_fn recall, void *ctx,
                           struct pass_state *state, uint64_t keep_max,
                           struct restart_builder **out)
{
        struct restart_builder *b = builder_new(table, recall, ctx);
        struct restart_segment at = {0};
        int rc = b ? 0 : -ENOMEM;

        if (rc == 0) {
                get_state(b, state);
                if (state->failed || !restart_growing(table, &at) ||
                    !is_plausible(b, &at, keep_max))
                        rc = -EINVAL;
        }
        if (rc == 0)
                rc = find_unproven(b, &at);
        if (rc < 0) {
                restart_builder_free(b);
                return rc;
        }
        b->open_index = at.index;
        b->chain = b->open ? at.index : 0;
        if (b->open)
                restart_table_set_state(table, at.index, RESTART_OPEN);
        *out = b;
        return 0;
}

void restart_checkpoint(struct restart_builder *b, const struct pass_state *state, bool sure)
{
        size_t index = restart_table_records(b->table) - 1;
        struct restart_checkpoint *c;
        scoped_lock(&b->checkpoint_lock);

        /* What shares the fate of this boundary could not be told later. */
        if (b->here == 0 || b->segment_start != b->here || (b->chain > 0 && b->chain < index))
                return;
        while (b->waiting_count > 0 && b->waiting[b->waiting_count - 1].index >= index)
                b->waiting_count--;
        if (b->waiting_count == CHECKPOINTS)
                return;
        c = &b->waiting[b->waiting_count];
        *c = (struct restart_checkpoint){.index = index, .out = b->here, .sure = sure};
        put_state(b, &c->state);
        state_append(&c->state, state);
        b->waiting_count += !c->state.failed;
}

const struct restart_checkpoint *restart_last_checkpoint(struct restart_builder *b, uint64_t out)
{
        unsigned kept = 0;
        scoped_lock(&b->checkpoint_lock);

        for (unsigned i = 0; i < b->waiting_count; i++) {
                bool proven;
                enum restart_state state =
                    restart_table_state(b->table, b->waiting[i].index, &proven);

                if (b->waiting[i].index <= b->last.index || state == RESTART_CONTINUES)
                        continue;
                if (b->waiting[i].out <= out && state == RESTART_POINT &&
                    (proven || b->waiting[i].sure))
                        b->last = b->waiting[i];
                else
                        b->waiting[kept++] = b->waiting[i];
        }
        b->waiting_count = kept;
        return b->last.state.len ? &b->last : NULL;
}
