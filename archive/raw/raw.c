/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk as it is: a file that no other format knows, and that begins as disks do, or is named like
 * one.
 *
 *   plain        one volume over the file, whose holes stay holes
 *   compressed   the scan says where the data are, and what is zeros, and how long the disk is: that
 *                is not known before the stream's end
 *
 * Nothing in a disk says where it is. So what follows damage of unknown length is lost.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/foreign.h"
#include "archive/format.h"
#include "archive/probe.h"
#include "archive/source/source.h"
#include "archive/stream/stream.h"
#include "archive/volume.h"

enum { BLOCK = VOLUME_BLOCK, PIECE = 1 << 20, EXTENTS = 256 };

struct raw {
        struct archive base;
        struct volume volume; /* of a plain file */
        bool plain;
};

/* ---- names ---- */

/* The length of NAME without what a compression adds. */
static size_t stem_len(const char *name)
{
        size_t len = strlen(name);

        for (const char *const *s = stream_suffixes; *s; s++) {
                size_t n = strlen(*s);

                if (len > n && strcasecmp(name + len - n, *s) == 0)
                        return len - n;
        }
        return len;
}

/* Do the LEN bytes of NAME end in one of the endings of LIST? */
static bool is_named(const char *name, size_t len, const char *const *list)
{
        for (; *list; list++) {
                size_t n = strlen(*list);

                if (len > n && strncasecmp(name + len - n, *list, n) == 0)
                        return true;
        }
        return false;
}

/*
 * What is named as another format's, and is not known to it, is damaged: whatever it begins with is
 * no disk. So is what is named as compressed and is not.
 */
static bool raw_probe(struct probe *p)
{
        static const char *const raws[] = {".img", ".raw", ".dd", NULL};
        static const char *const others[] = {".vma",  ".vmdk", ".qcow2", ".qcow", ".qed", ".vdi",
                                             ".vhdx", ".vhd",  ".hds",   ".hdd",  ".fvd", ".ova",
                                             ".tar",  ".xva",  ".zip",   NULL};
        size_t len = p->name ? stem_len(p->name) : 0;

        if (!p->name || is_named(p->name, len, others))
                return false;
        switch (foreign_look(p)) {
        case FOREIGN_DISK:
                return true;
        case FOREIGN_UNKNOWN:
                return is_named(p->name, len, raws) && !(p->name[len] && source_is_file(p->source));
        case FOREIGN_OTHER:
                break;
        }
        return false;
}

/* ---- a plain file ---- */

static struct raw *raw_of(struct volume *v)
{
        return (struct raw *)((char *)v - offsetof(struct raw, volume));
}

static int raw_extent(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        *out = (struct volume_extent){.len = len,
                                      .kind = VOLUME_RAW,
                                      .allocated = true,
                                      .source = raw_of(v)->base.source,
                                      .offset = pos};
        volume_split_hole(out);
        return 0;
}

static const struct volume_ops raw_volume_ops = {.extent = raw_extent};

/* ---- a stream ---- */

/* Extents that are collected for the sink. */
struct batch {
        const struct archive_sink *sink;
        struct extent extents[EXTENTS];
        size_t count;
};

static int flush(struct batch *b)
{
        size_t n = b->count;

        b->count = 0;
        return n ? b->sink->extents(b->sink->ctx, 0, b->extents, n, b->extents[0].start) : 0;
}

static int add(struct batch *b, struct extent e)
{
        struct extent *last = b->count ? &b->extents[b->count - 1] : NULL;

        if (last && last->start + last->len == e.start && extent_continues(last, &e)) {
                last->len += e.len;
                return 0;
        }
        if (b->count == EXTENTS) {
                int rc = flush(b);

                if (rc < 0)
                        return rc;
        }
        b->extents[b->count++] = e;
        return 0;
}

static bool is_zero(const uint8_t *p, size_t len)
{
        return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* The LEN bytes at POS of the stream are there: which of their blocks are zeros? */
static int add_piece(struct batch *b, struct source *source, uint8_t *buf, uint64_t pos, size_t len)
{
        ssize_t n = source_pread(source, buf, len, pos);
        int rc = 0;

        if (n == -ENOMEM)
                return -ENOMEM;
        /* What is lost, the source says. */
        if (n < (ssize_t)len)
                return add(b, (struct extent){pos, len, pos});
        for (size_t at = 0; at < len && rc == 0; at += BLOCK) {
                size_t part = (size_t)min_u64(BLOCK, len - at);
                bool zero = is_zero(buf + at, part);

                rc = add(b, (struct extent){pos + at, part, zero ? EXTENT_ZERO : pos + at});
        }
        return rc;
}

/* What follows damage of unknown length, from START to END. */
static int lose(struct batch *b, uint64_t start, uint64_t end)
{
        const struct damage d = {
            .offset = start,
            .start = start,
            .len = end - start,
            .text =
                "how much is lost there is not known, and so not where what follows it belongs"};
        uint64_t from = start - start % BLOCK;
        int rc = add(b, (struct extent){from, end - from, EXTENT_LOST});

        return rc < 0 ? rc : b->sink->damage(b->sink->ctx, &d);
}

/* Look at the stream from *POS to END. */
static int look_at(struct batch *b, struct source *source, uint8_t *buf, uint64_t *pos,
                   uint64_t end)
{
        int rc = 0;

        while (*pos < end && rc == 0) {
                size_t len = (size_t)min_u64(PIECE, end - *pos);

                rc = add_piece(b, source, buf, *pos, len);
                *pos += len;
        }
        return rc == 0 ? flush(b) : rc;
}

/* Go through SOURCE to its end, *END. */
static int go_through(struct batch *b, struct source *source, uint8_t *buf, uint64_t *end,
                      struct error *err)
{
        uint64_t pos = 0, straight = 0;
        bool ended = false;
        int rc = 0;

        while (rc == 0 && !ended) {
                if (*end > EXTENT_ADDR_MAX - PIECE)
                        return error_set(err, EFBIG, "is larger than 256 TiB");
                rc = source_reach(source, *end + PIECE, end, err);
                if (rc < 0)
                        return rc;
                ended = *end == source->size;
                straight = min_u64(source_straight(source, 0), *end);
                /* A block is complete, unless it is the last one. */
                rc = look_at(b, source, buf, &pos, ended ? straight : straight / BLOCK * BLOCK);
                if (rc == 0)
                        rc = b->sink->progress(b->sink->ctx, *end);
        }
        return rc == 0 && straight < *end ? lose(b, straight, *end) : rc;
}

static int scan_stream(struct source *source, const struct archive_sink *sink, struct error *err)
{
        cleanup_free uint8_t *buf = malloc(PIECE);
        struct batch b = {.sink = sink};
        uint64_t end = 0;
        int rc = buf ? go_through(&b, source, buf, &end, err) : -ENOMEM;

        if (rc == 0)
                rc = flush(&b);
        return rc == 0 ? sink->size(sink->ctx, 0, end) : rc;
}

/* ---- the archive ---- */

static int raw_scan(struct archive *a, const struct archive_sink *sink, struct error *err)
{
        const struct raw *raw = (const struct raw *)a;

        return raw->plain ? 0 : scan_stream(a->source, sink, err);
}

static void raw_close(struct archive *a)
{
        free(a);
}

static int emit_disk(struct raw *raw, const struct archive_origin *origin,
                     const struct archive_sink *sink, struct error *err)
{
        cleanup_free char *name = archive_disk_name(origin->name);
        const struct entry_disk disk = {.device = "disk",
                                        .sparse = raw->plain,
                                        .provisional_size = !raw->plain,
                                        .volume = raw->plain ? &raw->volume : NULL};
        const struct entry e = {.name = name, .size = raw->volume.size, .disk = &disk};
        int rc = name ? sink->entry(sink->ctx, &e) : -ENOMEM;

        return rc < 0 ? error_set(err, -rc, "the disk cannot be shown: %s", strerror(-rc)) : 0;
}

static int raw_open(struct source *source, const struct archive_origin *origin,
                    const struct archive_sink *sink, struct archive **out, struct error *err)
{
        struct raw *raw = calloc(1, sizeof *raw);
        int rc;

        if (!raw)
                return error_set(err, ENOMEM, "out of memory");
        raw->base.ops = &raw_format;
        raw->base.source = source;
        raw->base.info.ctime = origin->mtime;
        raw->base.mutable_image = true;
        raw->plain = source_is_file(source);
        raw->volume.ops = &raw_volume_ops;
        raw->volume.size = raw->plain ? source->size : 0;
        rc = emit_disk(raw, origin, sink, err);
        if (rc < 0)
                raw_close(&raw->base);
        else
                *out = &raw->base;
        return rc;
}

const struct format raw_format = {
    .name = "raw",
    .probe = raw_probe,
    .open = raw_open,
    .scan = raw_scan,
    .close = raw_close,
};
