/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stores the state of a pass at a restart point, and goes on from there in another process.
 *
 *   frame | block | block | block ...
 *                 ^ point: its history, what was verified up to here, and what decides which
 *                          boundaries become points
 *
 * Nothing of libzstd's state is stored: decoding goes on as it does for a reader who enters at the
 * point. Only the frame's header is read again.
 */
#include <errno.h>
#include <stdlib.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/pass_state.h"
#include "archive/stream/restart_builder.h"
#include "archive/stream/zstd/zstd_pass.h"

enum {
        FLAG_SEEN_FRAME = 1,
        FLAG_SHORT_BLOCK = 2,
        FLAG_HAS_POINTS = 4,
        FLAG_HAS_JOBS = 8,
        FLAG_FOLLOWING_JOB = 16,
};

static uint64_t flags_of(const struct zstd_pass *z)
{
        return (z->seen_frame ? FLAG_SEEN_FRAME : 0) | (z->short_block ? FLAG_SHORT_BLOCK : 0) |
               (z->has_points ? FLAG_HAS_POINTS : 0) | (z->has_jobs ? FLAG_HAS_JOBS : 0) |
               (z->following_job ? FLAG_FOLLOWING_JOB : 0);
}

static void set_flags(struct zstd_pass *z, uint64_t flags)
{
        z->seen_frame = flags & FLAG_SEEN_FRAME;
        z->short_block = flags & FLAG_SHORT_BLOCK;
        z->has_points = flags & FLAG_HAS_POINTS;
        z->has_jobs = flags & FLAG_HAS_JOBS;
        z->following_job = flags & FLAG_FOLLOWING_JOB;
}

static void put_checksum(struct pass_state *s, const struct zstd_checksum *c)
{
        for (int i = 0; i < 4; i++)
                state_put(s, c->lanes[i]);
        state_put(s, c->len);
        for (size_t i = 0; i < sizeof c->rest; i += 8)
                state_put(s, load_le64(c->rest + i));
}

static void get_checksum(struct pass_state *s, struct zstd_checksum *c)
{
        for (int i = 0; i < 4; i++)
                c->lanes[i] = state_get(s);
        c->len = state_get(s);
        for (size_t i = 0; i < sizeof c->rest; i += 8)
                store_le64(c->rest + i, state_get(s));
}

static void put_spacing(struct pass_state *s, const struct restart_spacing *spacing)
{
        state_put(s, spacing->best);
        state_put(s, spacing->most);
}

static void get_spacing(struct pass_state *s, struct restart_spacing *spacing)
{
        spacing->best = state_get(s);
        spacing->most = state_get(s);
}

static void put_search(struct pass_state *s, const struct zstd_search *a)
{
        state_put(s, a->pos);
        state_put(s, a->window);
        state_put(s, a->reach);
        state_put(s, a->mean);
        put_spacing(s, &a->spacing);
}

static void get_search(struct pass_state *s, struct zstd_search *a)
{
        a->pos = state_get(s);
        a->window = state_get(s);
        a->reach = state_get(s);
        a->mean = state_get(s);
        get_spacing(s, &a->spacing);
}

void zstd_save(const struct zstd_pass *z, enum zstd_checkpoint kind, struct pass_state *s)
{
        *s = (struct pass_state){0};
        /* A damaged frame's checksum cannot be verified, whoever decodes the rest of it. */
        if (kind != ZSTD_AT_FRAME && !z->whole)
                return;
        state_put(s, kind);
        state_put(s, z->input.pos);
        state_put(s, z->out);
        state_put(s, z->frame_pos);
        state_put(s, z->frame_out);
        state_put(s, z->job_out);
        state_put(s, z->trust.settled);
        state_put(s, z->trust.proven_from);
        state_put(s, z->trust.proven);
        state_put(s, z->usual);
        state_put(s, flags_of(z));
        state_put(s, z->mean);
        state_put(s, z->look_out);
        state_put(s, z->retry_out);
        state_put(s, z->reach_part);
        state_put(s, z->modest);
        put_spacing(s, &z->spacing);
        put_search(s, &z->ahead.search);
}

void zstd_checkpoint(const struct zstd_pass *z, struct restart_builder *b, struct pass_state *s)
{
        if (s->len == 0)
                return;
        put_checksum(s, &z->checksum);
        restart_checkpoint(b, s, false);
        s->len = 0;
}

/* As above, but for the frame's header. */
static enum zstd_checkpoint get_state(struct zstd_pass *z, struct pass_state *s,
                                      struct zstd_search *search)
{
        uint64_t kind = state_get(s);

        z->call_pos = state_get(s); /* the position, which z->input has */
        z->out = state_get(s);
        z->frame_pos = state_get(s);
        z->frame_out = state_get(s);
        z->job_out = state_get(s);
        z->trust.settled = state_get(s);
        z->trust.proven_from = state_get(s);
        z->trust.proven = state_get(s);
        z->usual = state_get(s);
        set_flags(z, state_get(s));
        z->mean = state_get(s);
        z->look_out = state_get(s);
        z->retry_out = state_get(s);
        z->reach_part = (unsigned)min_u64(state_get(s), UINT32_MAX);
        z->modest = (unsigned)min_u64(state_get(s), UINT32_MAX);
        get_spacing(s, &z->spacing);
        get_search(s, search);
        get_checksum(s, &z->checksum);
        if (kind > ZSTD_AT_CANDIDATE)
                s->failed = true;
        return (enum zstd_checkpoint)kind;
}

static bool is_plausible(const struct zstd_pass *z, const struct restart_point *point)
{
        const struct codec_trust *t = &z->trust;

        return point->in_bit % 8 == 0 && z->call_pos == point->in_bit / 8 &&
               z->call_pos <= z->input.source->size && z->out == point->out &&
               z->frame_pos <= z->call_pos && z->frame_out <= z->out && z->job_out <= z->out &&
               t->settled <= z->out && t->proven_from <= t->proven && t->proven <= t->settled &&
               z->mean > 0 && z->mean <= UINT32_MAX && z->reach_part > 0 &&
               z->reach_part <= ZSTD_REACH_PART && z->look_out <= UINT64_MAX / 4 &&
               z->retry_out <= UINT64_MAX / 4;
}

/* Read the header of the frame that the point of AUX is in. */
static int enter_frame(struct zstd_pass *z, uint64_t aux, struct error *err)
{
        uint8_t head[ZSTD_FRAME_HEADER_MAX];
        ssize_t n = source_pread(z->input.source, head, sizeof head, z->frame_pos);
        int rc;

        if (n < 0)
                return (int)n;
        if (zstd_frame_parse(head, (size_t)n, &z->frame) != ZSTD_FRAME_DATA)
                return -EINVAL;
        rc = zstd_check_frame(z, err);
        if (rc < 0)
                return rc;
        if (zstd_frame_aux(&z->frame) != aux || z->frame_pos + z->frame.header_size > z->call_pos ||
            z->checksum.len != (z->frame.checksum ? z->frame_out : 0) || z->frame_out == 0 ||
            z->has_points != (z->frame.window <= z->limits.keep) ||
            (z->frame.content != ZSTD_FRAME_CONTENT_UNKNOWN && z->frame_out > z->frame.content))
                return -EINVAL;
        z->in_frame = z->whole = z->unsettled = true;
        return 0;
}

/*
 * Take all of the window for the history. What is stored with a point is proven to suffice for
 * the segment that begins there, but this pass decodes everything after it.
 */
static int recall_window(struct zstd_pass *z, struct restart_builder *b)
{
        uint64_t len = min_u64(z->frame.window, z->frame_out);
        cleanup_free void *window = malloc(len);
        int rc = window ? restart_recall(b, z->out - len, window, len) : -ENOMEM;

        if (rc < 0)
                return rc == -ENOMEM ? rc : -EINVAL;
        free(z->history);
        z->history = steal_ptr(&window);
        z->history_len = (uint32_t)len;
        return 0;
}

/* Go on following the candidate here. */
static int follow_again(struct zstd_pass *z, struct restart_builder *b, struct error *err)
{
        int rc = z->has_points ? recall_window(z, b) : -EINVAL;

        if (rc == 0)
                rc = zstd_ahead_parser(&z->parse, z->frame.window);
        if (rc < 0)
                return rc;
        zstd_parse_start(z->parse, z->frame.window);
        z->following = true;
        z->candidate_out = z->out;
        zstd_history_begin(&z->gathered);
        return zstd_begin_inside(z, err);
}

/* Search again for the piece that begins here. */
static int search_again(struct zstd_pass *z, const struct zstd_search *search)
{
        int rc;

        if (!z->frame.checksum || z->frame.window > ZSTD_AHEAD_WINDOW_MAX ||
            search->window != z->frame.window || search->mean == 0 || search->mean > UINT32_MAX)
                return -EINVAL;
        rc = zstd_ahead_parser(&z->parse, z->frame.window);
        if (rc == 0)
                rc = zstd_ahead_parser(&z->peek, z->frame.window);
        if (rc == 0)
                rc = zstd_ahead_start(&z->ahead, search);
        z->resumed = true;
        return rc;
}

static int resume(struct zstd_pass *z, const struct restart_point *point, struct pass_state *state,
                  struct restart_builder *b, struct error *err)
{
        struct zstd_search search;
        enum zstd_checkpoint kind = get_state(z, state, &search);
        int rc;

        if (!state_is_used_up(state) || !is_plausible(z, point))
                return -EINVAL;
        if (kind == ZSTD_AT_FRAME)
                return point->aux == 0 && z->trust.settled == z->out ? 0 : -EINVAL;
        rc = enter_frame(z, point->aux, err);
        if (rc < 0)
                return rc;
        return kind == ZSTD_AT_PIECE ? search_again(z, &search) : follow_again(z, b, err);
}

int zstd_pass_resume(struct source *in, const struct codec_limits *limits,
                     const struct restart_point *point, void *take_history,
                     struct pass_state *state, struct restart_builder *b, void **pass,
                     struct error *err)
{
        cleanup_free void *history = take_history;
        struct zstd_pass *z;
        int rc = zstd_pass_new(in, limits, point->in_bit / 8, &z, err);

        if (rc < 0)
                return rc;
        z->history = steal_ptr(&history);
        z->history_len = point->history_len;
        rc = resume(z, point, state, b, err);
        if (rc < 0) {
                zstd_pass_close(z);
                return rc;
        }
        *pass = z;
        return 0;
}
