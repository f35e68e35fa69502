/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is the table to be believed?
 *
 *   1. the place that each entry names is claimed
 *   2. what two entries claim belongs to none
 *   3. data that nobody claims belong to an entry that was lost: then no hole is believed
 *   4. a rest at the end that is no block shows that something was inserted: nothing is believed
 *
 * What of a disk is lost by that is told in one more pass, if there is any.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/blocks/blocks.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"

enum {
        WIDE = 1 << 20,    /* bytes of a table that are read at a time */
        WINDOW = 64 << 10, /* … and of what nobody claims */
        LOOKS = 64 << 10,  /* between one word of progress and the next */
};

/* Bytes that belong to nothing and are looked at: a sound file has next to none. */
#define UNNAMED_MAX (UINT64_C(16) << 30)

static const char displaced[] =
    "something was inserted into the file: nothing is where it should be";

struct scan {
        struct blocks *b;
        const struct archive_sink *sink;
        struct blocks_layer *l; /* that is being judged */
        uint64_t bad;           /* entries that cannot be */
        uint64_t extra;         /* … and those that name what the header has not counted */
        uint64_t freed;         /* … and those of blocks that lay in the file before */
        bool unread;            /* not all of them can be read */
        uint64_t unnamed;       /* blocks in the file with data, and without an entry … */
        uint64_t last_unnamed;  /* … the last of them: byte of the file */
        uint64_t looked;        /* bytes of what nobody claims, so far */
        bool found_bad;         /* in any layer: something is lost */
};

static int tell_progress(const struct scan *s, double part)
{
        uint64_t size = s->b->layers[0].file_size;

        part = (s->l->number + part) / s->b->count;
        return s->sink->progress(s->sink->ctx, min_u64((uint64_t)((double)size * part), size));
}

static int report(const struct scan *s, const char *text, uint64_t at)
{
        struct damage d = {.disk = DISK_NONE, .text = text, .offset = s->l->number == 0 ? at : 0};

        return s->sink->damage(s->sink->ctx, &d);
}

/* ---- claims ---- */

static bool is_group(const struct blocks_layer *l, uint64_t i)
{
        return l->group && i % (l->group + 1) == l->group;
}

static void claim_bitmaps(struct scan *s, const uint8_t *p)
{
        struct blocks_layer *l = s->l;
        uint64_t at = l->kind->bitmaps ? l->kind->bitmaps(l, p) : 0;

        if (at < l->first_byte || at >= min_u64(l->end_byte, l->file_size))
                s->bad += at != 0;
        else if (l->bitmap_slots.list)
                blocks_slots_claim(&l->bitmap_slots, at);
}

/* COUNT entries of the table, from P on, the first of which is number FIRST. */
static void claim_entries(struct scan *s, const uint8_t *p, uint64_t first, uint64_t count)
{
        struct blocks_layer *l = s->l;
        for (uint64_t i = first; i < first + count; i++, p += l->entry) {
                uint64_t block = l->group ? i - i / (l->group + 1) : i;
                struct blocks_entry e;

                if (is_group(l, i)) {
                        claim_bitmaps(s, p);
                        continue;
                }
                blocks_parse(l, block, p, &e);
                s->bad += e.state == BLOCKS_BAD;
                s->freed += e.state == BLOCKS_ZERO && e.offset != 0;
                if (e.state == BLOCKS_BAD || e.state == BLOCKS_ZERO || e.offset == 0)
                        continue;
                s->extra += l->dense_end && e.offset - l->before >= l->dense_end;
                if (l->slots.list)
                        blocks_slots_claim(&l->slots, e.offset - l->before);
        }
}

/* LEN bytes at AT of the file, of which what cannot be read is nobody's. */
static int claim_piece(struct scan *s, uint8_t *buf, size_t len, uint64_t at, uint64_t first)
{
        const struct blocks_layer *l = s->l;
        int rc = range_within(at, len, l->file_size)
                     ? source_pread_all(blocks_tables(l), buf, len, at)
                     : -EIO;

        if (rc == 0) {
                claim_entries(s, buf, first, len / l->entry);
                return 0;
        }
        if (rc != -EIO)
                return rc;
        /* Then what nobody claims is no news. */
        s->bad += len / l->entry;
        s->unread = true;
        return 0;
}

static int claim_all(struct scan *s)
{
        const struct blocks_layer *l = s->l;
        uint64_t count = blocks_entry_count(l), n = WIDE / l->entry;
        cleanup_free uint8_t *buf = malloc(WIDE);
        int rc = buf ? 0 : -ENOMEM;

        for (uint64_t i = 0; i < count && rc == 0; i += n) {
                n = min_u64(n, count - i);
                rc = claim_piece(s, buf, (size_t)n * l->entry, l->table + i * l->entry, i);
                if (rc == 0)
                        rc = tell_progress(s, (double)i / (double)count);
        }
        return rc;
}

/* ---- what nobody claims ---- */

/* Is there anything but zeros in LEN bytes from AT? 1, 0, -errno; what cannot be read is zeros. */
static int has_data(struct scan *s, uint64_t at, uint64_t len)
{
        cleanup_free uint8_t *buf = malloc(WINDOW);
        uint64_t end = min_u64(at + len, s->l->file_size);

        if (!buf)
                return -ENOMEM;
        while (at < end && s->looked < UNNAMED_MAX) {
                size_t n;
                int rc;

                at = max_u64(at, min_u64(source_next_data(s->l->source, at), end));
                n = (size_t)min_u64(WINDOW, end - at);
                rc = n ? source_pread_all(s->l->source, buf, n, at) : 0;
                if (rc < 0 && rc != -EIO)
                        return rc;
                for (size_t i = 0; rc == 0 && i < n; i++)
                        if (buf[i])
                                return 1;
                at += n;
                s->looked += n;
        }
        return 0;
}

/* The end of what is fixed at AT, or AT; *UNTIL is lowered to where such a range begins after it. */
static uint64_t skip_fixed(const struct blocks_layer *l, uint64_t at, uint64_t *until)
{
        for (unsigned i = 0; i < l->fixed_count; i++) {
                if (l->fixed[i].start <= at && at < l->fixed[i].end)
                        return l->fixed[i].end;
                if (l->fixed[i].start > at)
                        *until = min_u64(*until, l->fixed[i].start);
        }
        return at;
}

/* Is it one block, of LEN bytes at AT, that an entry was lost of? 1, 0, -errno. */
static int is_unnamed(struct scan *s, uint64_t at, uint64_t len)
{
        /* The header has counted it, or it is no zeros. */
        return at < s->l->dense_end ? 1 : has_data(s, at, len);
}

/* [START, END) of the file is no block's: count the blocks that lie there all the same. */
static int look_at_gap(struct scan *s, uint64_t start, uint64_t end)
{
        const struct blocks_layer *l = s->l;
        uint64_t len = l->block + l->before, from = start, until, next;
        int rc = 0;

        for (; from < end && end - from >= len && rc >= 0; from = next) {
                until = end;
                next = skip_fixed(l, from, &until);
                if (next > from)
                        continue;
                next = until;
                if (until - from < len)
                        continue;
                next = from + l->group_bytes;
                if (l->bitmap_slots.list && blocks_slots_touch(&l->bitmap_slots, from, len))
                        continue;
                next = from + len;
                rc = is_unnamed(s, from, len);
                s->unnamed += rc > 0;
                if (rc > 0)
                        s->last_unnamed = from;
        }
        return rc < 0 ? rc : 0;
}

/* Does the file, of which nothing from START on is a block's, end with a part of one? */
static int look_at_rest(struct scan *s, uint64_t start, uint64_t end)
{
        struct blocks_layer *l = s->l;
        uint64_t rest = (end - start) % (l->block + l->before), until = end;
        int rc;

        if (!rest || skip_fixed(l, end - rest, &until) != end - rest || until != end ||
            (l->bitmap_slots.list && blocks_slots_touch(&l->bitmap_slots, end - rest, rest)))
                return 0;
        rc = has_data(s, end - rest, rest);
        if (rc > 0)
                l->all_bad = displaced;
        return rc < 0 ? rc : 0;
}

static int look_at_gaps(struct scan *s)
{
        struct blocks_layer *l = s->l;
        uint64_t at = l->slots.from, end = min_u64(l->end_byte, l->file_size), start, gap_end;
        int rc = 0;

        while (rc == 0 && blocks_slots_gap(&l->slots, &at, end, &start, &gap_end)) {
                rc = look_at_gap(s, start, gap_end);
                if (rc == 0 && gap_end == end)
                        rc = look_at_rest(s, start, end);
        }
        return rc;
}

/*
 * A program that was killed leaves the block that it was adding, at the end. Anything else that is
 * in use without an entry shows that entries were lost.
 */
static bool has_lost_entries(const struct scan *s)
{
        const struct blocks_layer *l = s->l;
        uint64_t len = l->block + l->before, end = min_u64(l->end_byte, l->file_size);

        return s->unnamed > 1 || s->last_unnamed < l->dense_end || end - s->last_unnamed >= 2 * len;
}

/* ---- one file of the chain ---- */

static int start_claims(struct scan *s)
{
        struct blocks_layer *l = s->l;
        uint64_t end = min_u64(l->end_byte, l->file_size);
        int rc = blocks_slots_init(&l->slots, l->first_byte, end, l->block + l->before);

        if (rc == 0 && l->group && l->has_parent)
                rc = blocks_slots_init(&l->bitmap_slots, l->first_byte, end, l->group_bytes);
        if (rc != -E2BIG)
                return rc;
        snprintf(s->b->base.info.note, sizeof s->b->base.info.note,
                 "its file is too large for vmafs to look for blocks that are in use twice");
        return 0;
}

static int report_unnamed(struct scan *s)
{
        struct blocks_layer *l = s->l;
        char text[120];

        if (s->extra && !s->unnamed)
                return report(s, "the header counts fewer blocks than the table names", l->table);
        if (s->unnamed <= s->freed)
                return 0;
        if (has_lost_entries(s)) {
                l->holes_doubted = true;
                l->doubted_from = l->dense_end ? l->dense_end : UINT64_MAX;
                s->found_bad = true;
        }
        snprintf(text, sizeof text,
                 "%" PRIu64 " blocks of the file are in use, and the table does not name them",
                 s->unnamed);
        return report(s, text, l->table);
}

static int judge_table(struct scan *s)
{
        struct blocks_layer *l = s->l;
        int rc = start_claims(s);

        if (rc == 0)
                rc = claim_all(s);
        if (rc == 0 && l->slots.list && !s->unread)
                rc = look_at_gaps(s);
        if (rc < 0)
                return rc;
        s->found_bad |= s->bad || l->slots.twice || l->bitmap_slots.twice || l->all_bad;
        rc = report_unnamed(s);
        if (rc == 0 && l->all_bad)
                rc = report(s, l->all_bad, l->file_size);
        if (!l->slots.twice)
                blocks_slots_fini(&l->slots);
        return rc;
}

static int judge_layer(struct scan *s, struct blocks_layer *l)
{
        int rc = 0;

        s->l = l;
        s->bad = s->unnamed = s->extra = s->freed = s->looked = 0;
        s->unread = false;
        if (l->kind && l->kind->look_at_end)
                rc = l->kind->look_at_end(l);
        for (unsigned i = 0; i < l->fault_count && rc == 0; i++)
                rc = report(s, l->faults[i].text, l->faults[i].at);
        if (rc == 0 && !l->flat && l->size)
                rc = judge_table(s);
        s->found_bad |= l->flat && l->all_bad;
        return rc;
}

/* ---- what is lost by that ---- */

/* PIECE, at POS of the disk, cannot be. What goes on as it began is told once. */
static int note_bad(struct scan *s, struct damage *d, uint64_t pos,
                    const struct blocks_piece *piece)
{
        struct damage told = *d;

        if (d->len && d->text == piece->why && d->start + d->len == pos) {
                d->len += piece->len;
                return 0;
        }
        *d = (struct damage){
            .offset = piece->where, .start = pos, .len = piece->len, .text = piece->why};
        return told.len ? s->sink->damage(s->sink->ctx, &told) : 0;
}

static int tell_lost(struct scan *s)
{
        const struct blocks *b = s->b;
        struct blocks_look look = {0};
        struct blocks_piece piece = {0};
        struct damage d = {0};
        uint64_t looks = 0;
        int rc = 0;

        for (uint64_t pos = 0; pos < b->volume.size && rc == 0; pos += piece.len) {
                rc = blocks_look(b, pos, b->volume.size - pos, &look, &piece);
                if (rc == 0 && piece.state == BLOCKS_BAD)
                        rc = note_bad(s, &d, pos, &piece);
                if (rc == 0 && ++looks % LOOKS == 0)
                        rc = tell_progress(s, 1);
        }
        blocks_end_look(b, &look);
        if (rc == 0 && d.len)
                rc = s->sink->damage(s->sink->ctx, &d);
        return rc;
}

/* ---- all of it ---- */

/*
 * How far the file can be read: a compressed one has to be decompressed first, since blocks may be
 * anywhere. It ends where damage of unknown length begins: what is after that has moved.
 */
static int reach_end(struct blocks *b, struct error *err)
{
        struct source *source = b->base.source;
        uint64_t end = 0;
        int rc = source_reach(source, BLOCKS_FILE_MAX, &end, err);

        b->layers[0].file_size = min_u64(min_u64(end, source_straight(source, 0)), BLOCKS_FILE_MAX);
        return rc;
}

int blocks_scan(struct archive *a, const struct archive_sink *sink, struct error *err)
{
        struct blocks *b = (struct blocks *)a;
        struct scan s = {.b = b, .sink = sink, .l = &b->layers[0]};
        int rc = reach_end(b, err);

        for (unsigned i = 0; i < b->count && rc == 0; i++)
                rc = judge_layer(&s, &b->layers[i]);
        if (rc < 0)
                return rc;
        atomic_store_explicit(&b->judged, true, memory_order_release);
        /* Those who wait can go on. */
        rc = tell_progress(&s, 1);
        return rc == 0 && s.found_bad ? tell_lost(&s) : rc;
}

void blocks_skip_scan(struct archive *a)
{
        struct blocks *b = (struct blocks *)a;

        /* An index is kept of an image without parents alone, and of a sound one. */
        b->layers[0].file_size = min_u64(a->source->size, BLOCKS_FILE_MAX);
        atomic_store_explicit(&b->judged, true, memory_order_release);
}
