/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/zstd/zstd_ahead.h"

#include <errno.h>

#include "archive/bytes.h"
#include "archive/stream/restart.h"
#include "archive/stream/zstd/zstd_input.h"
#include "archive/stream/zstd/zstd_parse.h"

/* Compressed bytes in memory at most. */
#define AHEAD_MAX ((size_t)30 << 20)
/* A boundary in front of raw blocks may need more than a window until it is settled. */
#define PATIENCE (UINT64_C(8) << 20)
/*
 * Compressed bytes that may be parsed in vain for one piece. Most boundaries fall within their
 * first block, and those between one job's start and the next one's limit are up to 128: giving
 * up sooner costs more, for then everything is decoded twice until the next job.
 */
#define VAIN_MAX (UINT64_C(8) << 20)
/* Jobs are four windows long: so far in front of the limit, a start is noted. */
#define JOB_WINDOWS 4

#define BLOCKS_MAX ((unsigned)(RESTART_SEGMENT_MAX / ZSTD_PARSE_BLOCK_MAX))

int zstd_ahead_block(struct zstd_input *in, size_t at, struct zstd_block_header *header,
                     const uint8_t **content, struct error *err)
{
        uint8_t *bytes;
        ssize_t n;

        if (at > AHEAD_MAX)
                return 0;
        n = zstd_input_want(in, at + ZSTD_BLOCK_HEADER_SIZE, &bytes, err);
        if (n < 0)
                return (int)n;
        if ((size_t)n < at + ZSTD_BLOCK_HEADER_SIZE)
                return 0;
        *header = zstd_block_header(bytes + at);
        if (header->type == ZSTD_BLOCK_RESERVED || header->size > ZSTD_PARSE_BLOCK_MAX)
                return 0;
        at += ZSTD_BLOCK_HEADER_SIZE;
        n = zstd_input_want(in, at + header->content, &bytes, err);
        if (n < 0)
                return (int)n;
        if ((size_t)n < at + header->content)
                return 0;
        *content = bytes + at;
        return 1;
}

int zstd_ahead_judge(struct zstd_input *in, size_t at, uint64_t reach, struct zstd_parse *p,
                     uint64_t *work, struct error *err)
{
        uint64_t window = zstd_parse_window(p);
        enum zstd_verdict verdict = ZSTD_PENDING;

        *work = 0;
        zstd_parse_start(p, reach);
        while (verdict == ZSTD_PENDING) {
                struct zstd_block_header header;
                const uint8_t *content;
                int rc = zstd_ahead_block(in, at, &header, &content, err);

                if (rc <= 0)
                        return rc;
                verdict = zstd_parse_block(p, &header, content);
                if (verdict == ZSTD_PENDING && header.last)
                        verdict = zstd_parse_end(p);
                if (header.type == ZSTD_BLOCK_COMPRESSED)
                        *work += header.size;
                if (verdict == ZSTD_PENDING && zstd_parse_position(p) > window + PATIENCE)
                        return 0;
                at += ZSTD_BLOCK_HEADER_SIZE + (size_t)header.content;
        }
        return verdict == ZSTD_PROVEN;
}

static void swap(struct zstd_parse **a, struct zstd_parse **b)
{
        struct zstd_parse *c = *a;

        *a = *b;
        *b = c;
}

/* 1: A->piece is set; 0: there is none; -errno. */
static int find_piece(struct zstd_ahead *a, struct error *err)
{
        const struct zstd_search *s = &a->search;
        const struct restart_spacing *spacing = &s->spacing;
        uint64_t job = s->window * JOB_WINDOWS;
        /* Nearer ones would cost more time to judge than decoding in one shot saves. */
        uint64_t best = min_u64(max_u64(spacing->best, job), spacing->most);
        uint64_t first = min_u64(best, spacing->most - min_u64(spacing->most, job));
        struct zstd_piece here = {0};
        uint64_t vain = 0;

        a->piece = here;
        while (here.blocks <= BLOCKS_MAX && here.blocks * s->mean <= spacing->most &&
               vain < VAIN_MAX) {
                struct zstd_block_header header;
                const uint8_t *content;
                uint64_t work;
                int rc = 0;

                if (here.blocks > 0 && here.blocks * s->mean >= first) {
                        rc = zstd_ahead_judge(&a->input, here.size, s->reach, a->other, &work, err);
                        if (rc == 0)
                                vain += work;
                }
                if (rc > 0) {
                        swap(&a->judged, &a->other);
                        a->piece = here;
                        if (here.blocks * s->mean >= best)
                                break;
                }
                if (here.blocks == BLOCKS_MAX)
                        break;
                if (rc >= 0)
                        rc = zstd_ahead_block(&a->input, here.size, &header, &content, err);
                if (rc < 0)
                        return rc;
                if (rc == 0)
                        break;
                here.size += ZSTD_BLOCK_HEADER_SIZE + (size_t)header.content;
                here.blocks++;
                here.last = header.last;
                if (header.last) {
                        a->piece = here;
                        break;
                }
        }
        return a->piece.blocks > 0;
}

static void search(void *ctx, size_t arg)
{
        struct zstd_ahead *a = ctx;

        (void)arg;
        zstd_input_move(&a->input, a->search.pos);
        a->found = find_piece(a, NULL) > 0;
}

int zstd_ahead_init(struct zstd_ahead *a, struct source *in, struct workers *workers)
{
        *a = (struct zstd_ahead){.workers = workers};
        return zstd_input_init(&a->input, in, 0);
}

void zstd_ahead_fini(struct zstd_ahead *a)
{
        workers_join(a->workers, &a->task);
        zstd_input_fini(&a->input);
        zstd_parse_free(a->judged);
        zstd_parse_free(a->other);
}

int zstd_ahead_parser(struct zstd_parse **p, uint64_t window)
{
        if (*p && zstd_parse_window(*p) == window)
                return 0;
        zstd_parse_free(*p);
        *p = NULL;
        return zstd_parse_new(window, p);
}

int zstd_ahead_start(struct zstd_ahead *a, const struct zstd_search *wanted)
{
        int rc;

        workers_join(a->workers, &a->task);
        a->found = false;
        rc = zstd_ahead_parser(&a->judged, wanted->window);
        if (rc == 0)
                rc = zstd_ahead_parser(&a->other, wanted->window);
        if (rc < 0)
                return rc;
        a->search = *wanted;
        workers_start(a->workers, &a->task, search, a);
        return 0;
}

bool zstd_ahead_take(struct zstd_ahead *a, struct zstd_input *in, struct zstd_parse **parse,
                     struct zstd_piece *piece)
{
        struct zstd_input input = *in;

        workers_join(a->workers, &a->task);
        if (!a->found || a->search.pos != in->pos)
                return false;
        a->found = false;
        *in = a->input;
        a->input = input;
        swap(parse, &a->judged);
        *piece = a->piece;
        return true;
}
