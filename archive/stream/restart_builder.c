/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What turns a codec's words during the pass into a table, and decides how far apart points are.
 *
 *            chain of candidates without a final verdict
 *            ,-----------------------^----------------------,
 *   ==point==|==deferred==|==deferred==|==open==>  here
 *                                       ^ segment_start, hashed up to here
 *
 * A candidate begins a segment at once, before its worth is known: a refused one leaves a
 * boundary that nobody can enter, which costs 32 bytes, where forking the hash and splitting a
 * decoded buffer afterwards would cost time at every candidate that turns out well.
 */
#include <errno.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/cleanup.h"
#include "archive/stream/restart_table.h"

/*
 * Distances between points, bytes of output. NARROW bounds the table's size in memory where a
 * point costs nothing; WIDE is what a cold read may decode.
 */
#define SPACING_NARROW (UINT64_C(2) << 20)
#define SPACING_WIDE   (UINT64_C(16) << 20)

/*
 * What the sidecar may cost, per 10,000 bytes of compressed stream. AIM leaves room below 5 per
 * mille, since a point's cost is only known once it is paid.
 */
#define COST_AIM   45
#define COST_LIMIT 200
/* A small archive's first points may cost more than its share. */
#define COST_FREE (UINT64_C(256) << 10)

struct restart_builder {
        struct restart_table *table;
        restart_recall_fn recall;
        void *recall_ctx;
        XXH3_state_t *hash; /* of [segment_start, here) */
        XXH3_state_t *sums; /* of the stream's words on it … */
        uint64_t summed;    /* … which are on so many bytes */
        bool entered;       /* the segment began at a point, or at what may become one */
        uint64_t here;
        uint64_t segment_start;
        uint64_t keep;

        bool open;           /* a candidate waits for its verdict … */
        size_t open_index;   /* … this record … */
        uint64_t open_out;   /* … at this offset */
        size_t chain;        /* first deferred record; open_index when none is */
        uint64_t last_point; /* offset of the last boundary that is, or may become, a point */

        /* Spacing. */
        uint64_t in_bytes;   /* input in front of the last boundary that was named … */
        uint64_t in_out;     /* … and output in front of it */
        uint64_t stored;     /* sidecar bytes so far */
        uint64_t cost;       /* running mean of a point's sidecar bytes */
        uint64_t last_asked; /* offset of the last restart_wanted */
        uint64_t gap;        /* the most that lately lay between two of them */

        /* Records whose points wait for their second proof, oldest first. */
        size_t *unproven;
        size_t unproven_first, unproven_count, unproven_capacity;
};

int restart_builder_new(struct restart_table *table, restart_recall_fn recall, void *ctx,
                        struct restart_builder **out)
{
        struct restart_builder *b = calloc(1, sizeof *b);
        struct restart_point origin = {0};
        int rc;

        if (!b)
                return -ENOMEM;
        b->table = table;
        b->recall = recall;
        b->recall_ctx = ctx;
        b->cost = 8 << 10;
        b->hash = XXH3_createState();
        b->sums = XXH3_createState();
        b->entered = true;
        rc = b->hash && b->sums
                 ? restart_table_begin(table, (struct restart_hash){0}, &origin, RESTART_POINT)
                 : -ENOMEM;
        if (rc < 0) {
                restart_builder_free(b);
                return rc;
        }
        restart_proven(table, 0);
        XXH3_64bits_reset(b->hash);
        XXH3_64bits_reset(b->sums);
        *out = b;
        return 0;
}

void restart_builder_free(struct restart_builder *b)
{
        if (!b)
                return;
        XXH3_freeState(b->hash);
        XXH3_freeState(b->sums);
        free(b->unproven);
        free(b);
}

/* Input bytes an output byte. Half is assumed until it has been seen. */
static double ratio(const struct restart_builder *b)
{
        return b->in_out > 0 && b->in_bytes > 0 ? (double)b->in_bytes / (double)b->in_out : 0.5;
}

/* The distance at which a point of the usual cost takes up SHARE of 10,000 bytes of input. */
static uint64_t distance_for(const struct restart_builder *b, uint64_t share)
{
        return (uint64_t)((double)b->cost * 10000 / ((double)share * ratio(b)));
}

/*
 * What has been saved up since the last point counts, so a point that is too dear now will be
 * afforded later.
 */
static bool affordable(const struct restart_builder *b)
{
        uint64_t input = (uint64_t)((double)b->here * ratio(b));

        return b->stored + b->cost <= input / 10000 * COST_LIMIT + COST_FREE;
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
        if (b->here == 0 || since < SPACING_NARROW || since < least || !affordable(b))
                return false;
        return since >= aim || since + b->gap > SPACING_WIDE;
}

struct restart_spacing restart_spacing(const struct restart_builder *b)
{
        uint64_t least = max_u64(distance_for(b, COST_LIMIT), SPACING_NARROW);
        struct restart_spacing spacing = {
            .best = max_u64(min_u64(distance_for(b, COST_AIM), SPACING_WIDE), least),
            .most = max_u64(SPACING_WIDE, least),
        };

        if (!affordable(b))
                spacing.best = spacing.most = UINT64_MAX;
        return spacing;
}

static int queue_proof(struct restart_builder *b, size_t index)
{
        size_t end = b->unproven_first + b->unproven_count;

        if (end == b->unproven_capacity) {
                size_t capacity = b->unproven_capacity ? b->unproven_capacity * 2 : 64;
                size_t *grown = reallocarray(b->unproven, capacity, sizeof *grown);

                if (!grown)
                        return -ENOMEM;
                b->unproven = grown;
                b->unproven_capacity = capacity;
        }
        b->unproven[end] = index;
        b->unproven_count++;
        return 0;
}

bool restart_next_unproven(struct restart_builder *b, size_t *index)
{
        struct restart_segment segment;

        if (b->unproven_count == 0)
                return false;
        *index = b->unproven[b->unproven_first];
        /* The last one accepted is usually still growing: there is no hash to prove it with. */
        if (!restart_get(b->table, *index, &segment))
                return false;
        b->unproven_first++;
        b->unproven_count--;
        if (b->unproven_count == 0)
                b->unproven_first = 0;
        return true;
}

/* Of the segment, which ends here. */
static struct restart_hash digest(const struct restart_builder *b)
{
        bool by_sums = b->entered && b->summed > 0 && b->summed == b->here - b->segment_start;

        return (struct restart_hash){.hash = XXH3_64bits_digest(by_sums ? b->sums : b->hash),
                                     .by_sums = by_sums};
}

static int begin(struct restart_builder *b, uint64_t in_bit, uint64_t aux, enum restart_state state)
{
        struct restart_point point = {.in_bit = in_bit, .out = b->here, .aux = aux};
        int rc = restart_table_begin(b->table, digest(b), &point, state);

        if (rc < 0)
                return rc;
        XXH3_64bits_reset(b->hash);
        XXH3_64bits_reset(b->sums);
        b->summed = 0;
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
        b->open_out = b->here;
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
        return queue_proof(b, b->open_index);
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
        /* What needs no history needs no proof: nothing about it was inferred. */
        if (rc == 0 && history_len == 0) {
                b->unproven_count--;
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
        size_t last = b->unproven_first + b->unproven_count - 1;

        if (b->unproven_count > 0 && b->unproven[last] == b->open_index)
                b->unproven_count--;
        restart_proven(b->table, b->open_index);
}

void restart_keep(struct restart_builder *b, uint64_t bytes)
{
        b->keep = bytes;
}

uint64_t restart_keep_from(const struct restart_builder *b)
{
        uint64_t from = b->open ? b->open_out : b->here;

        return from > b->keep ? from - b->keep : 0;
}

int restart_recall(struct restart_builder *b, uint64_t offset, void *buf, size_t len)
{
        if (offset < restart_keep_from(b) || !range_within(offset, len, b->here))
                return -ERANGE;
        return b->recall(b->recall_ctx, offset, buf, len);
}

int restart_advance(struct restart_builder *b, const void *buf, size_t len)
{
        if (XXH3_64bits_update(b->hash, buf, len) == XXH_ERROR)
                return -EINVAL;
        b->here += len;
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
