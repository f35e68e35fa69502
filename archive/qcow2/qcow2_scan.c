/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The scan of qcow2: which 4 KiB blocks of each disk are data, zeros, or lost.
 *
 *   pieces of any size ──> blocks ──> runs of alike blocks ──> batch ──> sink
 *
 * Long runs of zeros are left out: the disks are sparse, and saying nothing costs nothing.
 */
#include <errno.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/qcow2/qcow2_reader.h"
#include "archive/source/source.h"

enum {
        BLOCK = 4096,
        BATCH = 256,
        LOOKS = 256, /* at tables, between one word of progress and the next */
};

/* The longest run: what was found is told at the latest behind so much. A span of the map. */
#define RUN_MAX (UINT64_C(64) << 20)

/*
 * What the map may take in memory, in units of about 10 bytes, and how often tables may be looked
 * at. A small file can claim that its disk is a patchwork of terabytes, by using one table many
 * times: a sound one has an entry of 8 bytes for each patch, in each snapshot that differs there.
 */
#define UNITS_MIN (UINT64_C(1) << 22)
#define UNITS_MAX (UINT64_C(1) << 28)
#define LOOKS_MIN (UINT64_C(1) << 16)
#define LOOKS_MAX (UINT64_C(1) << 32)

enum {
        UNITS_RUN = 1,
        UNITS_SPAN = 6,   /* for the first run in a span of the map */
        UNITS_LOST = 250, /* for the bits of a span that are lost */
};

/* What a block is; the worst counts for all of it. */
enum state { STATE_ZERO, STATE_DATA, STATE_LOST };

struct run {
        uint64_t start, end;
        enum state state;
};

struct scan {
        struct qcow2 *q;
        const struct archive_sink *sink;
        uint32_t disk;
        uint64_t size;   /* of the disk */
        uint64_t before; /* bytes of the disks that are done */
        uint64_t total;  /* of all disks */
        uint64_t units;  /* that are left */
        uint64_t looks;  /* likewise */
        uint64_t span;   /* of the map: up to this one they are paid for */
        uint64_t origin; /* byte of the file that spoke last */

        struct run run;     /* whole blocks, to which more may be added */
        struct run part;    /* the block that is not complete yet; empty: there is none */
        const char *fault;  /* that was reported last … */
        uint64_t fault_end; /* … and up to where */

        size_t count;
        struct extent batch[BATCH];
};

static int flush_batch(struct scan *s)
{
        double done = (double)(s->before + s->run.end) / (double)max_u64(s->total, 1);
        uint64_t size = s->q->image.file_size;
        int rc = 0;

        if (s->count)
                rc = s->sink->extents(s->sink->ctx, s->disk, s->batch, s->count, s->origin);
        s->count = 0;
        if (rc == 0)
                rc =
                    s->sink->progress(s->sink->ctx, min_u64((uint64_t)((double)size * done), size));
        return rc;
}

/* Pay for RUN. -ENOBUFS where that is more than a sound image can hold. */
static int spend(struct scan *s, const struct run *run)
{
        uint64_t after = (run->end - 1) / RUN_MAX + 1;
        uint64_t spans = after > s->span ? after - max_u64(s->span, run->start / RUN_MAX) : 0;
        uint64_t units = UNITS_RUN + spans * UNITS_SPAN;

        if (run->state == STATE_LOST)
                units += UNITS_LOST;
        if (units > s->units)
                return -ENOBUFS;
        s->units -= units;
        s->span = max_u64(s->span, after);
        return 0;
}

static uint64_t address(const struct scan *s, const struct run *run)
{
        switch (run->state) {
        case STATE_ZERO:
                return EXTENT_ZERO;
        case STATE_LOST:
                return EXTENT_LOST;
        case STATE_DATA:
                break;
        }
        return s->disk * QCOW2_DISK_STEP + run->start;
}

/* The run is complete: tell of it. */
static int end_run(struct scan *s)
{
        struct run *run = &s->run;
        uint64_t len = run->end - run->start;
        int rc = 0;

        if (len == 0 || (run->state == STATE_ZERO && len >= RUN_MAX))
                return 0;
        rc = spend(s, run);
        if (rc < 0)
                return rc;
        s->batch[s->count++] = (struct extent){run->start, len, address(s, run)};
        return s->count == BATCH ? flush_batch(s) : 0;
}

/* Whole blocks from START to END, but at the disk's end, where the last may be in part. */
static int add_blocks(struct scan *s, uint64_t start, uint64_t end, enum state state)
{
        while (start < end) {
                struct run *run = &s->run;
                uint64_t stop = min_u64(end, run->start + RUN_MAX);
                int rc;

                /* A run of zeros may grow without end. */
                if (state == STATE_ZERO)
                        stop = end;
                if (run->state == state && run->end == start && stop > start) {
                        run->end = start = stop;
                        continue;
                }
                rc = end_run(s);
                if (rc < 0)
                        return rc;
                *run = (struct run){start, start, state};
        }
        return 0;
}

static int end_part(struct scan *s)
{
        struct run part = s->part;

        s->part = (struct run){0};
        return add_blocks(s, part.start, part.end, part.state);
}

/* START to END, any bytes behind those that were added before. */
static int add(struct scan *s, uint64_t start, uint64_t end, enum state state)
{
        int rc = 0;

        if (start % BLOCK) {
                s->part.end = min_u64(end, round_up(start, BLOCK));
                s->part.state = state > s->part.state ? state : s->part.state;
                start = s->part.end;
                if (start % BLOCK && start < s->size)
                        return 0;
                rc = end_part(s);
        }
        if (rc == 0 && start < end) {
                uint64_t whole = end == s->size ? end : end / BLOCK * BLOCK;

                if (whole > start)
                        rc = add_blocks(s, start, whole, state);
                if (whole < end)
                        s->part = (struct run){max_u64(whole, start), end, state};
        }
        return rc;
}

/* Tell what is wrong with a piece, once where it goes on as it began. */
static int report(struct scan *s, uint64_t pos, const struct qcow2_piece *piece)
{
        struct damage d = {.offset = piece->where,
                           .disk = s->disk,
                           .start = pos,
                           .len = piece->len,
                           .text = piece->why};
        bool same = s->fault == piece->why && s->fault_end == pos;

        s->fault = piece->why;
        s->fault_end = pos + piece->len;
        return same ? 0 : s->sink->damage(s->sink->ctx, &d);
}

static int add_piece(struct scan *s, uint64_t pos, const struct qcow2_piece *piece)
{
        enum state state = STATE_ZERO;
        int rc = 0;

        switch (piece->kind) {
        case QCOW2_UNALLOCATED:
        case QCOW2_ZERO:
                break;
        case QCOW2_DATA:
        case QCOW2_COMPRESSED:
                state = STATE_DATA;
                break;
        case QCOW2_BAD:
                state = STATE_LOST;
                rc = report(s, pos, piece);
                break;
        }
        if (piece->where)
                s->origin = piece->where;
        return rc < 0 ? rc : add(s, pos, pos + piece->len, state);
}

/* What was not looked at is lost; how much that is, the map knows. */
static int give_up(struct scan *s)
{
        struct damage d = {.offset = s->origin,
                           .disk = s->disk,
                           .text = "more is mapped than a sound image of this size can hold"};
        int rc = s->sink->damage(s->sink->ctx, &d);

        if (rc == 0)
                rc = s->sink->incomplete(s->sink->ctx, s->disk);
        return rc;
}

static int scan_pieces(struct scan *s)
{
        struct qcow2_look look = {0};
        struct qcow2_piece piece = {0};
        int rc = 0;

        for (uint64_t pos = 0; pos < s->size && rc == 0; pos += piece.len) {
                /* Where nothing is to be told, too, it wants to be known how far this is. */
                if (s->looks == 0)
                        rc = -ENOBUFS;
                else if (--s->looks % LOOKS == 0)
                        rc = flush_batch(s);
                if (rc == 0)
                        rc = qcow2_look(s->q, s->disk, pos, s->size - pos, QCOW2_ALIKE_KIND, &look,
                                        &piece);
                if (rc == 0)
                        rc = add_piece(s, pos, &piece);
        }
        if (rc == 0)
                rc = end_run(s);
        qcow2_end_look(s->q, &look);
        return rc;
}

/* Without its L1 table nothing of a disk can be found. */
static int report_broken(struct scan *s, const struct qcow2_disk *disk)
{
        struct damage d = {.offset = disk->said_at,
                           .disk = s->disk,
                           .text = "an L1 table cannot be where a snapshot says it is"};
        int rc = s->sink->damage(s->sink->ctx, &d);

        return rc < 0 ? rc : s->sink->incomplete(s->sink->ctx, s->disk);
}

static int scan_disk(struct scan *s, uint32_t disk)
{
        int rc, flushed;

        s->disk = disk;
        if (s->q->disks[disk].broken)
                return report_broken(s, &s->q->disks[disk]);
        s->size = s->q->disks[disk].table.size;
        s->run = s->part = (struct run){0};
        s->span = 0;
        s->fault = NULL;
        rc = scan_pieces(s);
        if (rc < 0 && rc != -ENOBUFS)
                return rc;
        flushed = flush_batch(s);
        if (rc == -ENOBUFS && flushed == 0)
                flushed = give_up(s);
        s->before += s->size;
        return flushed;
}

/*
 * How far the file can be read: a compressed one has to be decompressed first, since its tables
 * may be anywhere. One that breaks is reported, and then ends there.
 */
static int reach_end(struct scan *s, struct error *err)
{
        struct source *source = s->q->base.source;
        struct error failure = {0};
        uint64_t end = 0;
        int rc = source_reach(source, QCOW2_FILE_MAX, &end, &failure);
        struct damage d = {.disk = DISK_NONE, .text = failure.text};

        s->q->image.file_size = min_u64(end, QCOW2_FILE_MAX);
        if (rc == 0)
                return 0;
        if (rc == -EIO) {
                d.offset = failure.has_offset ? failure.offset : end;
                return s->sink->damage(s->sink->ctx, &d);
        }
        if (err)
                *err = failure;
        return rc;
}

/* What open has found wrong. */
static int report_fault(const struct scan *s)
{
        struct damage d = {.offset = s->q->fault_at, .disk = DISK_NONE, .text = s->q->fault};

        return d.text ? s->sink->damage(s->sink->ctx, &d) : 0;
}

int qcow2_scan(struct archive *a, const struct archive_sink *sink, struct error *err)
{
        cleanup_free struct scan *s = calloc(1, sizeof *s);
        int rc;

        if (!s)
                return error_set(err, ENOMEM, "out of memory");
        s->q = (struct qcow2 *)a;
        s->sink = sink;
        rc = reach_end(s, err);
        if (rc == 0)
                rc = report_fault(s);
        s->looks = min_u64(s->q->image.file_size / 4 + LOOKS_MIN, LOOKS_MAX);
        s->units = min_u64(s->q->image.file_size / 4 + UNITS_MIN, UNITS_MAX);
        for (size_t i = 0; i < s->q->disk_count; i++)
                s->total += s->q->disks[i].table.size;
        for (size_t i = 0; i < s->q->disk_count && rc == 0; i++)
                rc = scan_disk(s, (uint32_t)i);
        return rc;
}
