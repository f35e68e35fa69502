/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/zstd/zstd_ahead.h"

#include <errno.h>

#include "archive/bytes.h"
#include "archive/stream/restart_builder.h"
#include "archive/stream/zstd/zstd_input.h"
#include "archive/stream/zstd/zstd_parse.h"

/* At most so many compressed bytes are in memory. */
#define AHEAD_MAX ((size_t)30 << 20)
/* It may take more than a window to judge a boundary before raw blocks. */
#define PATIENCE (UINT64_C(8) << 20)
/*
 * How many compressed bytes may be parsed in vain for a piece. Most boundaries are refuted by their
 * first block, and there are up to 128 between one job's start and the next one's limit. Giving up
 * earlier costs more, since everything is then decoded twice until the next job.
 */
#define VAIN_MAX (UINT64_C(8) << 20)
/* Jobs are four windows long. Note a start up to so far before the limit. */
#define JOB_WINDOWS 4
/*
 * At a level whose jobs are longer than pieces should be, a job of up to this length is one piece.
 */
#define JOB_MOST (UINT64_C(16) << 20)

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

/* Store the ends of up to MOST blocks after the last piece in A->ends. 0 or -errno. */
static int find_ends(struct zstd_ahead *a, uint64_t most, struct error *err)
{
        size_t size = 0;

        a->count = 0;
        a->ended = false;
        while (a->count < min_u64(most, ZSTD_AHEAD_BLOCKS) && !a->ended) {
                struct zstd_block_header header;
                const uint8_t *content;
                int rc = zstd_ahead_block(&a->input, size, &header, &content, err);

                if (rc <= 0)
                        return rc;
                size += ZSTD_BLOCK_HEADER_SIZE + (size_t)header.content;
                a->ends[a->count++] = size;
                a->ended = header.last;
        }
        return 0;
}

/* Can a piece end after BLOCKS blocks, and another one begin there? If so, sets A->piece. */
static int try_end(struct zstd_ahead *a, unsigned blocks, uint64_t *vain, struct error *err)
{
        size_t size = a->ends[blocks - 1];
        bool last = a->ended && blocks == a->count;
        uint64_t work = 0;
        int rc =
            last ? 1 : zstd_ahead_judge(&a->input, size, a->search.reach, a->other, &work, err);

        if (rc == 0)
                *vain += work;
        if (rc <= 0)
                return rc;
        if (!last)
                swap(&a->judged, &a->other);
        a->piece = (struct zstd_piece){.size = size, .blocks = blocks, .last = last};
        return 1;
}

/*
 * 1: A->piece is set; 0: there is none; -errno. A job is never longer than four windows, but may
 * end early. So try the best length first, then longer ones, and then shorter ones, the shortest
 * last. These take longest to judge, since little before them is out of reach.
 */
static int find_piece(struct zstd_ahead *a, struct error *err)
{
        const struct restart_spacing *spacing = &a->search.spacing;
        uint64_t job = a->search.window * JOB_WINDOWS;
        /* A piece may hold the whole of a job, or of several where a point is dear. */
        uint64_t most = round_up(spacing->most, max_u64(min_u64(job, JOB_MOST), 1));
        uint64_t best = min_u64(max_u64(spacing->best, job), most);
        /* A job's blocks are all full, except for its last one. */
        uint64_t full = max_u64(min_u64(a->search.window, ZSTD_PARSE_BLOCK_MAX), 1);
        uint64_t block = job <= most ? full : a->search.mean;
        unsigned middle;
        uint64_t vain = 0;
        int rc;

        a->piece = (struct zstd_piece){0};
        rc = find_ends(a, most / block, err);
        if (rc < 0 || a->count == 0)
                return rc;
        middle = (unsigned)min_u64(max_u64(best / block, 1), a->count);
        for (unsigned i = middle; rc == 0 && i <= a->count && vain < VAIN_MAX; i++)
                rc = try_end(a, i, &vain, err);
        for (unsigned i = middle - 1; rc == 0 && i > 0 && vain < VAIN_MAX; i--)
                rc = try_end(a, i, &vain, err);
        return rc;
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
        workers_offer(a->workers, &a->task, search, a);
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
        /* The next search begins with what this one has read beyond the piece. */
        zstd_input_copy(&a->input, in, a->piece.size);
        swap(parse, &a->judged);
        *piece = a->piece;
        return true;
}
