/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The scan of qcow2. First it finds out which tables can be trusted. Then, while the disks can be
 * read already, it counts how much of each disk is data, and how much is lost.
 */
#include "archive/qcow2/qcow2_scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/backing.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/qcow2/qcow2_chain.h"
#include "archive/qcow2/qcow2_map.h"
#include "archive/qcow2/qcow2_reader.h"
#include "archive/qcow2/qcow2_usage.h"
#include "archive/qcow2/qcow2_verdict.h"
#include "archive/source/source.h"

enum {
        BLOCK = 4096,     /* bytes that are counted as one */
        LOOKS = 64 << 10, /* lookups between two reports of progress */
};

/*
 * How often tables are looked at to count. A small file can claim that its disk is a patchwork of
 * terabytes, by using one cluster many times: a sound one has an entry of 8 bytes for each patch,
 * in each snapshot that differs there.
 */
#define LOOKS_MIN (UINT64_C(1) << 16)
#define LOOKS_MAX (UINT64_C(1) << 32)

/* What a block is: the worst of what it contains. */
enum state { STATE_ZERO, STATE_DATA, STATE_LOST, STATES };

struct scan {
        struct qcow2 *q;
        const struct archive_sink *sink;
        unsigned layer; /* the one that is being judged */
        uint64_t looks; /* that are left */

        /* Of the disk that is being counted. */
        uint32_t disk;
        uint64_t blocks[STATES];
        uint64_t part;         /* byte of the block that is not complete yet … */
        enum state part_state; /* … and what it is; STATES: there is none */
        struct damage damage;  /* the last one, which may continue; len 0: there is none */
};

/* ---- what is lost ---- */

static int tell_damage(struct scan *s)
{
        struct damage d = s->damage;

        s->damage.len = 0;
        return d.len ? s->sink->damage(s->sink->ctx, &d) : 0;
}

/* PIECE, at POS of the disk, is bad. Damage that continues is reported once. */
static int note_bad(struct scan *s, uint64_t pos, const struct qcow2_piece *piece)
{
        struct damage *d = &s->damage;
        int rc;

        if (d->len && d->text == piece->why && d->start + d->len == pos) {
                d->len += piece->len;
                return 0;
        }
        rc = tell_damage(s);
        *d = (struct damage){.offset = piece->where,
                             .disk = s->disk,
                             .start = pos,
                             .len = piece->len,
                             .text = piece->why};
        return rc;
}

/* ---- how much is data ---- */

static enum state state_of(const struct scan *s, const struct qcow2_piece *piece)
{
        switch (piece->kind) {
        case QCOW2_UNALLOCATED:
                return s->q->holes_doubted ? STATE_LOST : STATE_ZERO;
        case QCOW2_ZERO:
                return STATE_ZERO;
        case QCOW2_DATA:
        case QCOW2_COMPRESSED:
                return STATE_DATA;
        case QCOW2_BAD:
                break;
        }
        return STATE_LOST;
}

static void end_block(struct scan *s)
{
        if (s->part_state != STATES)
                s->blocks[s->part_state]++;
        s->part_state = STATES;
}

/* Count the bytes from START, where the last call ended, to END. */
static void count(struct scan *s, uint64_t start, uint64_t end, enum state state)
{
        if (start % BLOCK) {
                if (state > s->part_state)
                        s->part_state = state;
                start = min_u64(end, s->part + BLOCK);
                if (start % BLOCK)
                        return;
        }
        end_block(s);
        s->blocks[state] += (end - start) / BLOCK;
        if (end % BLOCK && start < end) {
                s->part = end / BLOCK * BLOCK;
                s->part_state = state;
        }
}

static int tell_part(struct scan *s, double part)
{
        uint64_t size = s->q->image.file_size;

        return s->sink->progress(s->sink->ctx, min_u64((uint64_t)((double)size * part), size));
}

/* What was not examined, from POS on, may all be data. */
static int count_pieces(struct scan *s, const struct qcow2_disk *d)
{
        struct qcow2_look look = qcow2_wide_look();
        struct qcow2_piece piece = {0};
        uint64_t pos;
        int rc = 0;

        for (pos = 0; pos < d->table.size && s->looks > 0 && rc == 0; pos += piece.len) {
                if (--s->looks % LOOKS == 0)
                        rc = tell_part(s, 1);
                if (rc == 0)
                        rc = qcow2_look(d, pos, d->table.size - pos, QCOW2_ALIKE_KIND, &look,
                                        &piece);
                if (rc < 0)
                        break;
                count(s, pos, pos + piece.len, state_of(s, &piece));
                if (piece.kind == QCOW2_BAD)
                        rc = note_bad(s, pos, &piece);
        }
        if (rc == 0 && pos < d->table.size)
                count(s, pos, d->table.size, STATE_DATA);
        end_block(s);
        qcow2_end_look(s->q, &look);
        return rc < 0 ? rc : tell_damage(s);
}

/* Without its L1 table a disk is lost. */
static int report_broken(struct scan *s, const struct qcow2_disk *d)
{
        struct damage damage = {.offset = d->said_at,
                                .disk = s->disk,
                                .len = d->table.size,
                                .text = "an L1 table cannot be where a snapshot says it is"};

        count(s, 0, d->table.size, STATE_LOST);
        end_block(s);
        return s->sink->damage(s->sink->ctx, &damage);
}

static int count_disk(struct scan *s, uint32_t disk)
{
        const struct qcow2_disk *d = s->q->disks.items[disk];
        struct source_lost_range gap;
        int rc;

        s->disk = disk;
        memset(s->blocks, 0, sizeof s->blocks);
        s->part_state = STATES;
        s->damage.len = 0;
        rc = d->broken ? report_broken(s, d) : count_pieces(s, d);
        /* What else the source has lost shows when the bytes are read. */
        if (rc < 0 || s->q->foreign || source_find_lost(s->q->base.source, 0, &gap))
                return rc;
        return s->sink->totals(s->sink->ctx, disk, s->blocks[STATE_DATA] * BLOCK,
                               s->blocks[STATE_LOST] * BLOCK);
}

/* ---- what the clusters of the files are used for ---- */

/*
 * Find out how far the file can be read. A compressed one is decompressed first, since its tables
 * may be anywhere. It ends where damage of unknown length begins: what follows is displaced.
 */
static int reach_end(struct scan *s, struct error *err)
{
        struct source *source = s->q->base.source;
        uint64_t end = 0;
        int rc = source_reach(source, QCOW2_FILE_MAX, &end, err);

        end = min_u64(end, source_straight(source, 0));
        s->q->image.file_size = min_u64(end, QCOW2_FILE_MAX);
        return rc;
}

/* What open has found wrong. */
static int report_fault(const struct scan *s)
{
        struct damage d = {.offset = s->q->fault_at, .disk = DISK_NONE, .text = s->q->fault};

        return d.text ? s->sink->damage(s->sink->ctx, &d) : 0;
}

/* Report what is wrong with IMAGE, with a byte only if it is the first one (DEPTH 0). */
static int report_findings(const struct scan *s, const struct qcow2_findings *found, unsigned depth)
{
        struct damage d = {
            .disk = DISK_NONE, .text = found->fault, .offset = depth ? 0 : found->at};
        uint64_t unnamed = found->unnamed.count - found->unnamed.empty;
        uint64_t surplus = found->surplus.count - found->surplus.empty;
        char text[160];
        int rc = d.text ? s->sink->damage(s->sink->ctx, &d) : 0;

        if (found->unchecked)
                qcow2_note(s->q, "its file is too large for vmafs to look for clusters that are in "
                                 "use twice");
        if (found->unnamed.count + found->surplus.count && !unnamed && !surplus)
                qcow2_note(s->q, "it has leaked clusters, which are empty: nothing is missing");
        if (rc < 0 || (!unnamed && !surplus))
                return rc;
        snprintf(text, sizeof text,
                 found->holes_doubted ? "clusters in use that no table names: %" PRIu64
                                        "; what it should name is lost"
                                      : "leaked clusters: %" PRIu64
                                        "; QEMU was killed, or a table has lost entries",
                 found->holes_doubted ? unnamed : unnamed + surplus);
        d.doubt = !found->holes_doubted;
        d.text = text;
        return s->sink->damage(s->sink->ctx, &d);
}

/* The watcher for each image of the chain. */
static int watch(void *ctx, double part)
{
        struct scan *s = ctx;

        return tell_part(s, (s->layer + part) / (s->q->layer_count ? s->q->layer_count : 1));
}

static int judge(struct scan *s, struct qcow2_image *image, const struct qcow2_table *tables,
                 size_t count, bool all)
{
        struct qcow2_tables t = {tables, count, all && !image->more_extensions};
        struct qcow2_watcher watcher = {watch, s};
        struct qcow2_findings found;
        int rc;

        s->layer = image->number;
        rc = qcow2_judge(image, &t, &watcher, &image->verdict, &found);
        if (rc < 0)
                return rc;
        s->q->holes_doubted |= found.holes_doubted;
        return report_findings(s, &found, image->number);
}

static int judge_all(struct scan *s)
{
        struct qcow2 *q = s->q;
        cleanup_free struct qcow2_table *tables = calloc(q->disks.count + 1, sizeof *tables);
        bool all = !q->image.snapshot_count || q->image.snapshots_len;
        size_t count = 0;
        int rc;

        if (!tables)
                return -ENOMEM;
        for (size_t i = 0; i < q->disks.count; i++)
                if (!q->disks.items[i]->is_state && !q->disks.items[i]->broken)
                        tables[count++] = q->disks.items[i]->table;
                else
                        all &= !q->disks.items[i]->broken;
        rc = judge(s, &q->image, tables, count, all);
        for (unsigned i = 1; i < q->layer_count && rc == 0; i++) {
                struct qcow2_layer *layer = &q->layers[i];

                if (!layer->is_raw)
                        rc = judge(s, &layer->image, &layer->table, 1,
                                   layer->image.snapshot_count == 0);
        }
        if (rc == 0)
                atomic_store_explicit(&q->judged, true, memory_order_release);
        return rc;
}

int qcow2_scan(struct archive *a, const struct archive_sink *sink, struct error *err)
{
        struct scan s = {.q = (struct qcow2 *)a, .sink = sink};
        int rc = reach_end(&s, err);

        if (rc == 0)
                rc = report_fault(&s);
        if (rc == 0 && s.q->foreign)
                rc = backing_scan(s.q->foreign, sink, err);
        if (rc == 0)
                rc = judge_all(&s);
        /* Those who wait can go on. */
        if (rc == 0)
                rc = tell_part(&s, 1);
        s.looks = min_u64(s.q->image.file_size / 4 + LOOKS_MIN, LOOKS_MAX);
        for (size_t i = 0; i < s.q->disks.count && rc == 0; i++)
                rc = count_disk(&s, (uint32_t)i);
        return rc;
}

void qcow2_skip_scan(struct archive *a)
{
        struct qcow2 *q = (struct qcow2 *)a;

        /* An index is kept of an image without backing files alone. */
        q->image.file_size = min_u64(a->source->size, QCOW2_FILE_MAX);
        q->image.was_sound = true;
        atomic_store_explicit(&q->judged, true, memory_order_release);
}
