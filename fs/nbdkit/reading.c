/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/nbdkit/reading.h"

#define NBDKIT_API_VERSION 2
#include <errno.h>
#include <inttypes.h>
#include <nbdkit-plugin.h>
#include <stdio.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/store/pbs/pbs_volume.h"
#include "archive/volume.h"
#include "fs/nbdkit/content.h"
#include "fs/nbdkit/exports.h"
#include "index/disk.h"
#include "index/index.h"
#include "index/owner.h"
#include "index/pin.h"

enum { RUNS_MAX = 32768 }; /* in one answer */

/* ---- the size ---- */

/* It is settled with the index, for the few formats in which it is not in a header. */
static int find_size(void *ctx)
{
        struct disk *d = ctx;

        return d->provisional_size && !index_sealed(d->index) ? -EAGAIN : 0;
}

int reading_size(struct content *c, const struct export *e, uint64_t *out)
{
        int rc = e->disk ? growth_until(&c->growth, find_size, e->disk) : 0;

        if (rc == 0)
                *out = e->disk ? (uint64_t)e->disk->size : e->volume->size;
        return rc;
}

/* ---- reading ---- */

struct wish {
        struct disk *disk;
        char *buf;
        size_t len;
        uint64_t pos;
        uint64_t unknown; /* the first byte that was not known when it was last looked for */
};

/* Is all of it known? Each look goes on where the last one has stopped. */
static bool is_known(struct wish *w)
{
        uint64_t end = w->pos + w->len;

        w->unknown = disk_first_unknown(w->disk, max_u64(w->unknown, w->pos), end);
        return w->unknown == end;
}

static void copy_pieces(const struct disk_pin *pin, char *buf)
{
        for (size_t i = 0; i < pin->count; i++) {
                const struct iovec *piece = &pin->pieces[i];

                /* What had to be read is where it belongs. */
                if (piece->iov_base != buf)
                        memcpy(buf, piece->iov_base, piece->iov_len);
                buf += piece->iov_len;
        }
}

/* Why can the byte AT, before which all could be read, not be had? -EAGAIN: now it can. */
static int find_reason(struct disk *d, uint64_t at, bool sealed)
{
        char block[VOLUME_BLOCK];
        /* All of the block: a bad sector need not be the block's first. */
        ssize_t rc = disk_read(d, block, VOLUME_BLOCK - at % VOLUME_BLOCK, at);

        if (rc > 0 && !sealed)
                return -EAGAIN;
        return rc < 0 ? (int)rc : -EIO;
}

static int try_read(void *ctx)
{
        struct wish *w = ctx;
        bool sealed = index_sealed(w->disk->index);
        struct disk_pin pin;
        ssize_t n;

        if (!sealed && !is_known(w))
                return -EAGAIN;
        n = disk_gather(w->disk, w->buf, w->len, w->pos, &pin);
        if (n < 0)
                return (int)n;
        if ((size_t)n == w->len)
                copy_pieces(&pin, w->buf);
        disk_unpin(&pin);
        return (size_t)n == w->len ? 0 : find_reason(w->disk, w->pos + (uint64_t)n, sealed);
}

/* The reason for RC that is known of E, into OUT. */
static void explain(struct content *c, const struct export *e, int rc, char *out, size_t size)
{
        struct error err = {0};
        bool known;

        known = c->index ? index_read_failure(c->index, &err) : pbs_volume_failure(e->volume, &err);
        if (known)
                error_format(&err, out, size);
        else if (rc == -EIO)
                snprintf(out, size, "parts of %s are lost; vmafs verify names the causes", e->name);
        else
                snprintf(out, size, "%s: %s", e->name, strerror(-rc));
}

/* Whoever gets an error asks again and again, so each reason is logged once. */
static int fail(struct content *c, const struct export *e, int rc, uint64_t pos, size_t len)
{
        char why[sizeof c->logged];
        scoped_lock(&c->lock);

        explain(c, e, rc, why, sizeof why);
        if (strcmp(why, c->logged) == 0)
                nbdkit_debug("%s: %zu bytes at %" PRIu64 ": %s", e->name, len, pos, why);
        else
                nbdkit_error("%s: %s", c->path, why);
        memcpy(c->logged, why, sizeof why);
        /* NBD has no error that says more. */
        return rc == -ENOMEM ? rc : -EIO;
}

int reading_read(struct content *c, const struct export *e, void *buf, size_t len, uint64_t pos)
{
        struct wish w = {.disk = e->disk, .buf = buf, .len = len, .pos = pos};
        int rc;

        if (e->disk)
                rc = growth_until(&c->growth, try_read, &w);
        else
                rc = volume_read(e->volume, buf, len, pos);
        return rc == 0 || rc == -ESHUTDOWN ? rc : fail(c, e, rc, pos, len);
}

/* ---- data and holes ---- */

struct survey {
        const struct export *e;
        uint64_t size, at, end; /* what is still to be looked at */
        uint64_t told;          /* ADD was called up to here */
        uint64_t zeros;         /* all from here to AT is zeros; the beginning of a block */
        uint64_t pos;           /* the byte that is to be covered */
        bool one;
        unsigned runs;
        int (*add)(void *ctx, uint64_t pos, uint64_t len, bool zeros);
        void *ctx;
};

/* Does what comes next begin with zeros? 1 or 0 for *LEN bytes; -EAGAIN. */
static int look(const struct survey *s, uint64_t *len)
{
        struct volume_extent e = {.len = s->end - s->at};
        int rc = s->e->disk ? disk_extent(s->e->disk, s->at, s->end - s->at, &e)
                            : volume_find(s->e->volume, s->at, s->end - s->at, &e);

        *len = e.len;
        /* That it fails is found by reading it. */
        if (rc < 0)
                return 0;
        return e.kind == VOLUME_UNKNOWN ? -EAGAIN : e.kind == VOLUME_ZERO;
}

static int tell(struct survey *s, uint64_t end, bool zeros)
{
        uint64_t from = s->told;

        if (end <= from)
                return 0;
        s->told = end;
        s->runs++;
        return s->add(s->ctx, from, end - from, zeros);
}

/* AT is where the zeros end: tell of their whole blocks, and of the data before them. */
static int tell_zeros(struct survey *s)
{
        uint64_t end = s->at == s->size ? s->at : s->at - s->at % VOLUME_BLOCK;
        int rc;

        if (end <= s->zeros)
                return 0;
        rc = tell(s, s->zeros, false);
        return rc == 0 ? tell(s, end, true) : rc;
}

static bool is_enough(const struct survey *s)
{
        return (s->one && s->told > s->pos) || s->runs >= RUNS_MAX;
}

static int try_map(void *ctx)
{
        struct survey *s = ctx;
        int rc = 0, is_zero = 0;
        uint64_t len;

        while (s->at < s->end && rc == 0 && !is_enough(s)) {
                is_zero = look(s, &len);
                if (is_zero < 0)
                        break;
                if (!is_zero) {
                        rc = tell_zeros(s);
                        s->zeros = round_up(s->at + len, VOLUME_BLOCK);
                }
                s->at += len;
        }
        if (rc != 0 || is_enough(s))
                return rc;
        rc = tell_zeros(s);
        /* A block of which only a part is known yet is told of later. */
        if (rc == 0)
                rc = tell(s, is_zero < 0 ? s->at - s->at % VOLUME_BLOCK : s->end, false);
        return rc == 0 && s->told <= s->pos ? -EAGAIN : rc;
}

int reading_map(struct content *c, const struct export *e, uint64_t len, uint64_t pos, bool one,
                int (*add)(void *ctx, uint64_t pos, uint64_t len, bool zeros), void *ctx)
{
        uint64_t size = e->disk ? (uint64_t)e->disk->size : e->volume->size;
        uint64_t start = pos - pos % VOLUME_BLOCK;
        struct survey s = {.e = e,
                           .size = size,
                           .at = start,
                           .end = min_u64(round_up(pos + len, VOLUME_BLOCK), size),
                           .told = start,
                           .zeros = start,
                           .pos = pos,
                           .one = one,
                           .add = add,
                           .ctx = ctx};

        return growth_until(&c->growth, try_map, &s);
}
