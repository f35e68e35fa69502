/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/pin.h"

#include <errno.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/format.h"
#include "index/ahead.h"
#include "index/disk.h"
#include "index/owner.h"

enum {
        READS = 128, /* stored pieces that are read in one go */
        /* Fewer zeros than these are written between what is read, or they would be many pieces. */
        ZEROS_MIN = 32 << 10,
        LEND_MIN = 64 << 10, /* what a smaller block has is copied */
};

/* A range that is being put together. */
struct gathering {
        struct disk *d;
        uint64_t offset; /* of the disk, where it begins */
        bool sealed;     /* the index was, before */
        struct disk_pin *pin;
        char *memory; /* for all of it */
        size_t done;  /* so much of it is in pieces */
        bool copies;  /* nothing more is lent */
        bool aside;   /* some of it was answered without a look at the archive's file */

        /* What is still to be read, of one source: parts of the memory from PENDING on. */
        struct source *source;
        struct source_piece reads[READS];
        size_t count, pending;
};

/* ---- pieces ---- */

/* Add N bytes at DATA, which may go on where the last ones ended. */
static void add_piece(struct gathering *g, const void *data, size_t n)
{
        struct disk_pin *pin = g->pin;
        struct iovec *last = pin->count ? &pin->pieces[pin->count - 1] : NULL;

        g->done += n;
        if (last && (const char *)last->iov_base + last->iov_len == data)
                last->iov_len += n;
        else
                pin->pieces[pin->count++] =
                    (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = n};
}

/* May another piece be lent? The last one is left for the memory, which all can be put into. */
static bool may_lend(const struct gathering *g)
{
        return !g->copies && g->pin->count < PIN_PIECES - 1;
}

/* The next N bytes are in the memory, or will be. */
static void add_memory(struct gathering *g, size_t n)
{
        add_piece(g, g->memory + g->done, n);
}

/* Only the first LEN bytes can be had. */
static void cut(struct gathering *g, size_t len)
{
        struct disk_pin *pin = g->pin;
        size_t at = 0, i = 0;

        for (; i < pin->count && at + pin->pieces[i].iov_len <= len; i++)
                at += pin->pieces[i].iov_len;
        if (i < pin->count && at < len)
                pin->pieces[i++].iov_len = len - at;
        pin->count = i;
        g->done = len;
}

/* What was lent is copied, and given back: whoever waits must not hold any. */
static void take_copies(struct gathering *g)
{
        struct disk_pin *pin = g->pin;
        size_t at = 0, done = g->done;

        if (pin->held_count == 0)
                return;
        g->copies = true;
        for (size_t i = 0; i < pin->count; at += pin->pieces[i++].iov_len)
                if (pin->pieces[i].iov_base != g->memory + at)
                        memcpy(g->memory + at, pin->pieces[i].iov_base, pin->pieces[i].iov_len);
        disk_unpin(pin);
        pin->count = 0;
        g->done = 0;
        if (done)
                add_memory(g, done);
}

/* ---- the ways to get what is stored ---- */

/* Pin the byte AT of what PIN is of, of which LEN bytes will be read. */
static int pin_at(const struct disk_pin *pin, uint64_t at, size_t len, bool wait,
                  struct source_pin *out)
{
        if (pin->volume)
                return pin->volume->ops->pin(pin->volume, at, len, wait, out);
        return source_pin(pin->source, at, len, wait, out);
}

static void unpin_last(struct disk_pin *pin)
{
        struct source_pin *last = &pin->held[--pin->held_count];

        if (pin->volume)
                pin->volume->ops->unpin(pin->volume, last);
        else
                source_unpin(pin->source, last);
}

/* The pin that has byte AT of what PIN is of, the first of LEN; NULL: none can be had. */
static struct source_pin *find_pin(struct disk_pin *pin, uint64_t at, size_t len)
{
        for (size_t i = 0; i < pin->held_count; i++)
                if (at >= pin->held[i].start && at < pin->held[i].end)
                        return &pin->held[i];
        if (pin->held_count == PIN_HELD)
                return NULL;
        /* Whoever holds some already does not wait for more. */
        if (pin_at(pin, at, len, pin->held_count == 0, &pin->held[pin->held_count]) <= 0)
                return NULL;
        return &pin->held[pin->held_count++];
}

/*
 * Add the N bytes at AT, which FROM has: the last one that was pinned. Clusters out of order are in
 * blocks of their own, several in a request: lending them would take all the pins, so that the rest
 * of the request had to be copied.
 */
static void add_pinned(struct gathering *g, struct source_pin *from, uint64_t at, size_t n)
{
        const char *data = (const char *)from->data + (at - from->start);

        from->used += n;
        if (from->end - from->start >= LEND_MIN) {
                add_piece(g, data, n);
                return;
        }
        memcpy(g->memory + g->done, data, n);
        add_memory(g, n);
        unpin_last(g->pin);
}

/*
 * As much of E as can be pinned, how much: in the source that has it, or in the volume that decodes
 * it. All pins are of one of them.
 */
static size_t pin_extent(struct gathering *g, const struct volume_extent *e)
{
        struct disk_pin *pin = g->pin;
        struct volume *volume = e->kind == VOLUME_CODED ? g->d->volume : NULL;
        struct source *source = volume ? NULL : e->source;
        uint64_t start = volume ? g->offset + g->done : e->offset;
        size_t n = 0;

        if (volume ? !volume->ops->pin : !source_can_pin(source))
                return 0;
        if (pin->held_count && (pin->volume != volume || pin->source != source))
                return 0;
        pin->volume = volume;
        pin->source = source;
        while (n < e->len && may_lend(g)) {
                struct source_pin *from = find_pin(pin, start + n, (size_t)(e->len - n));
                size_t piece;

                if (!from)
                        break;
                piece = (size_t)min_u64(e->len - n, from->end - (start + n));
                add_pinned(g, from, start + n, piece);
                if (source)
                        source_note_read(source, start + n, piece);
                n += piece;
        }
        return n;
}

/*
 * Read what is pending. Where that fails, what can be had is found block by block: 0 where all of
 * it is there after all, or -errno with what is cut.
 */
static int flush(struct gathering *g)
{
        size_t len = g->done - g->pending;
        ssize_t n;

        if (g->count == 0)
                return 0;
        if (source_gather(g->source, g->reads, g->count) == 0) {
                g->count = 0;
                return 0;
        }
        g->count = 0;
        n = disk_read(g->d, g->memory + g->pending, len, g->offset + g->pending);
        if (n == (ssize_t)len)
                return 0;
        cut(g, g->pending + (n > 0 ? (size_t)n : 0));
        return n < 0 ? (int)n : -EIO;
}

/* E is to be read, together with what else is of the same file. */
static int add_read(struct gathering *g, const struct volume_extent *e)
{
        int rc = g->source != e->source || g->count == READS ? flush(g) : 0;

        if (rc < 0)
                return rc;
        if (g->count == 0)
                g->pending = g->done;
        g->source = e->source;
        g->reads[g->count++] = (struct source_piece){e->offset, g->memory + g->done, e->len};
        add_memory(g, e->len);
        return 0;
}

/* Read E now. */
static int copy(struct gathering *g, const struct volume_extent *e)
{
        ssize_t n;

        take_copies(g);
        n = disk_read_extent(g->d, e, g->sealed, g->offset + g->done, g->memory + g->done);
        if (n > 0)
                add_memory(g, (size_t)n);
        if (n < 0)
                return (int)n;
        return (size_t)n == e->len ? 0 : -EIO;
}

/* Zeros are lent where they are many, or beside what is pinned. */
static void add_zeros(struct gathering *g, size_t n)
{
        static const char zeros[65536];
        bool lend = n >= ZEROS_MIN || g->pin->held_count;

        while (n > 0 && lend && may_lend(g)) {
                size_t piece = (size_t)min_u64(n, sizeof zeros);

                add_piece(g, zeros, piece);
                n -= piece;
        }
        memset(g->memory + g->done, 0, n);
        if (n)
                add_memory(g, n);
}

/* ---- together ---- */

static bool is_zeros(const struct gathering *g, const struct volume_extent *e)
{
        return e->kind == VOLUME_ZERO ||
               (e->kind == VOLUME_LOST && index_recover_zero(g->d->index));
}

/* What comes next, E, by the first way that goes. 0, or -errno: it ends here. */
static int add_extent(struct gathering *g, struct volume_extent *e)
{
        size_t pinned;

        g->aside |= e->kind != VOLUME_RAW || e->source != index_archive(g->d->index)->source;
        if (is_zeros(g, e)) {
                add_zeros(g, e->len);
                return 0;
        }
        if (e->kind == VOLUME_UNKNOWN || e->kind == VOLUME_LOST)
                return e->kind == VOLUME_LOST ? -EIO : -EAGAIN;
        if (e->kind == VOLUME_RAW && source_is_file(e->source))
                return add_read(g, e);
        pinned = may_lend(g) ? pin_extent(g, e) : 0;
        if (pinned == e->len)
                return 0;
        *e = volume_part(e, pinned, e->len - pinned);
        return copy(g, e);
}

ssize_t disk_gather(struct disk *d, void *memory, size_t len, uint64_t offset, struct disk_pin *pin)
{
        struct gathering g;
        int rc = 0, failed;

        ahead_note(index_ahead(d->index), d, offset, len);
        pin->count = pin->held_count = 0;
        g.d = d;
        g.offset = offset;
        g.sealed = index_sealed(d->index);
        g.pin = pin;
        g.memory = memory;
        g.source = NULL;
        g.done = g.pending = g.count = 0;
        g.copies = g.aside = false;
        while (g.done < len && rc == 0) {
                struct volume_extent e;

                rc = disk_extent(d, offset + g.done, len - g.done, &e);
                if (rc == 0)
                        rc = add_extent(&g, &e);
        }
        failed = flush(&g);
        rc = failed < 0 ? failed : rc;
        if (g.done && g.aside) {
                failed = index_check(d->index);
                if (failed < 0)
                        g.done = 0;
                rc = failed < 0 ? failed : rc;
        }
        if (g.done)
                return (ssize_t)g.done;
        disk_unpin(pin);
        return rc;
}

void disk_unpin(struct disk_pin *pin)
{
        while (pin->held_count > 0)
                unpin_last(pin);
}
