/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/tar/tar_packed.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/format.h"
#include "archive/source/source.h"
#include "archive/source/volume_source.h"
#include "archive/stream/stream.h"
#include "archive/tar/ovf.h"
#include "archive/tar/tar_file.h"
#include "archive/tar/tar_siblings.h"

enum {
        DIGITS = 9,       /* of a chunk's number */
        HEADER = 1 << 20, /* bytes of a stream of which so many wait while it is opened */
        STEP = 16 << 20,  /* bytes that are decoded between two words of progress */
};

/* ---- the members as one ---- */

static const struct tar_piece *find_piece(const struct tar_packed *p, uint64_t pos)
{
        size_t after = search_first(p->pieces.count, i, p->pieces.items[i].start > pos);

        return &p->pieces.items[after - 1];
}

/* Where a member lies is judged by its own place in the tar. */
static int joined_extent(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        const struct tar_piece *piece = find_piece((const struct tar_packed *)v, pos);
        struct volume *member = &piece->member->volume;
        uint64_t at = pos - piece->start;

        return volume_find(member, at, min_u64(len, member->size - at), out);
}

static const struct volume_ops joined_ops = {.extent = joined_extent};

static int add_piece(struct tar_packed *p, struct tar_file *member)
{
        const struct tar_piece piece = {.start = p->volume.size, .member = member};

        if (!checked_add(p->volume.size, member->volume.size, &p->volume.size))
                return -EFBIG;
        return array_add(&p->pieces, piece);
}

/* ---- finding them ---- */

struct finding {
        struct tar_siblings *siblings;
        const struct ovf_file *file;
        struct tar_packed *packed;
        uint8_t *members;
        size_t *chunks;
        struct error *why;
};

/* Add the member NAME. 1; 0: there is none; -errno. */
static int find_member(struct finding *f, const char *name)
{
        struct tar_file *member;
        int rc = tar_siblings_find(f->siblings, name, NEIGHBOUR_BELOW, &member);

        if (rc < 0)
                return rc == -ENOMEM ? rc : 0;
        f->members[member - f->siblings->files] = 1;
        rc = add_piece(f->packed, member);
        if (rc == -EFBIG)
                error_fill(f->why, EIO, "is not shown: it claims more bytes than can be");
        return rc == 0 ? 1 : rc == -EFBIG ? 0 : rc;
}

static void chunk_name(const struct ovf_file *file, size_t number, char *out, size_t size)
{
        snprintf(out, size, "%s.%0*zu", file->name, DIGITS, number);
}

/* Is there a chunk after NUMBER, though not the next one? */
static bool has_later(const struct finding *f, size_t number)
{
        char name[OVF_NAME_MAX + 24];
        size_t stem = strlen(f->file->name) + 1;
        const char *next;

        chunk_name(f->file, number, name, sizeof name);
        next = tar_siblings_after(f->siblings, name);
        return next && strncmp(next, name, stem) == 0 && strlen(next) == stem + DIGITS &&
               strspn(next + stem, "0123456789") == DIGITS;
}

/* All chunks but the last are as long as they should be, and that is not longer. */
static int check_sizes(const struct finding *f)
{
        const struct tar_packed *p = f->packed;

        for (size_t i = 0; i < p->pieces.count; i++) {
                uint64_t size = p->pieces.items[i].member->volume.size;
                bool last = i + 1 == p->pieces.count;

                if (last ? size > f->file->chunk : size != f->file->chunk)
                        return error_set(f->why, EIO,
                                         "is not shown: its chunk %zu has not the size that its "
                                         "OVF says",
                                         i);
        }
        if (f->file->has_size && !f->file->compressed && p->volume.size != f->file->size)
                return error_set(f->why, EIO,
                                 "is not shown: its chunks have %" PRIu64
                                 " bytes, and its OVF says %" PRIu64,
                                 p->volume.size, f->file->size);
        return 0;
}

/* 1; 0: WHY, if anything; -errno. */
static int find_chunks(struct finding *f)
{
        char name[OVF_NAME_MAX + 24];
        int rc = 1;

        while (rc > 0) {
                if (++*f->chunks > TAR_CHUNKS_MAX) {
                        error_fill(f->why, E2BIG, "is not shown: the files have too many chunks");
                        return 0;
                }
                chunk_name(f->file, f->packed->pieces.count, name, sizeof name);
                rc = find_member(f, name);
        }
        if (rc < 0 || f->why->code)
                return rc;
        if (has_later(f, f->packed->pieces.count)) {
                error_fill(f->why, EIO, "is not shown: its chunk %zu is missing",
                           f->packed->pieces.count);
                return 0;
        }
        return f->packed->pieces.count && check_sizes(f) == 0;
}

/* ---- opening ---- */

void tar_packed_close(struct tar_packed *p)
{
        if (!p)
                return;
        source_close(p->source);
        array_free(&p->pieces);
        free(p);
}

static void cleanup_packed_fn(struct tar_packed **p)
{
        tar_packed_close(*p);
}

uint64_t tar_packed_locate(const struct tar_packed *p, uint64_t offset)
{
        const struct tar_piece *piece;
        struct volume_extent e;

        if (p->compressed)
                offset = stream_consumed(p->source);
        offset = min_u64(offset, p->volume.size ? p->volume.size - 1 : 0);
        piece = find_piece(p, offset);
        if (offset - piece->start >= piece->member->volume.size ||
            volume_find(&piece->member->volume, offset - piece->start, 1, &e) < 0 ||
            e.kind != VOLUME_RAW)
                return piece->member->volume.anchor;
        return e.offset;
}

/* The compressed stream is damaged: note that at the byte of the tar. */
static int note_damage(void *ctx, uint64_t at, const struct error *why)
{
        struct tar_packed *p = ctx;

        (void)at;
        return tar_add_fault(p->faults, tar_packed_locate(p, 0), why->text);
}

uint64_t tar_packed_start(const struct tar_packed *p)
{
        return p->pieces.items[0].member->volume.anchor;
}

/* The restart points that an index has of P, whose bytes are JOINED. NULL: there are none. */
static struct restart_table *take_table(const struct tar_packed *p, struct source *joined,
                                        const struct archive_tables *tables)
{
        const char *codec = tables && tables->take ? stream_name(joined) : NULL;

        return codec ? tables->take(tables->ctx, tar_packed_start(p), p->volume.size, codec) : NULL;
}

/* 1; 0: WHY; -ENOMEM. */
static int open_source(struct tar_packed *p, struct tar_siblings *s,
                       const struct archive_origin *origin, struct error *why)
{
        struct stream_options options = {.shared = origin->shared,
                                         .withheld = HEADER,
                                         .late_proofs = !origin->tables || !origin->tables->stored,
                                         .nested = stream_table(s->stream) != NULL};
        const struct source_observer observer = {.ctx = p, .damaged = note_damage};
        struct source *joined;
        int rc;

        /* A member alone can do more than a volume: pin its bytes, read them in one go. */
        if (p->pieces.count == 1)
                rc = tar_file_open(p->pieces.items[0].member, s->end, &joined);
        else
                rc = source_open_volume(&p->volume, s->stream, &joined);
        if (rc < 0)
                return -ENOMEM;
        if (!p->compressed) {
                p->source = joined;
                return 1;
        }
        options.take_table = take_table(p, joined, origin->tables);
        p->entered = options.take_table != NULL;
        rc = stream_probe(joined, &options, &p->source, why);
        if (rc < 0)
                return rc == -ENOMEM ? rc : 0;
        p->compressed = p->source != joined;
        source_observe(p->source, &observer);
        return 1;
}

int tar_packed_open(struct tar_siblings *s, const struct ovf_file *file,
                    const struct archive_origin *origin, struct tar_faults *faults,
                    uint8_t *members, size_t *chunks, struct tar_packed **out, struct error *why)
{
        __attribute__((cleanup(cleanup_packed_fn))) struct tar_packed *p = calloc(1, sizeof *p);
        struct finding f = {.siblings = s,
                            .file = file,
                            .packed = p,
                            .members = members,
                            .chunks = chunks,
                            .why = why};
        int rc;

        if (!p)
                return -ENOMEM;
        p->volume.ops = &joined_ops;
        p->volume.anchor = UINT64_MAX;
        p->faults = faults;
        p->compressed = file->compressed;
        /* Where chunks are announced, the whole file may be there all the same. */
        rc = find_member(&f, file->name);
        if (rc == 0 && file->chunk && !why->code)
                rc = find_chunks(&f);
        if (rc > 0)
                rc = open_source(p, s, origin, why);
        if (rc > 0)
                *out = steal_ptr(&p);
        return rc;
}

/*
 * All streams of a tar are open, but one after the other is gone through: each has the memory for
 * what waits for a checksum only then.
 */
void tar_packed_begin(struct tar_packed *p)
{
        if (p->compressed)
                stream_withhold(p->source, SOURCE_WITHHELD);
}

int tar_packed_finish(struct tar_packed *p, int (*progress)(void *ctx, uint64_t done), void *ctx,
                      struct error *err)
{
        uint64_t end = source_frontier(p->source);
        int rc = 0;

        while (rc == 0 && p->compressed && end < p->source->size) {
                rc = source_reach(p->source, end + STEP, &end, err);
                if (rc == 0)
                        rc = progress(ctx, tar_packed_locate(p, 0));
        }
        return rc;
}
