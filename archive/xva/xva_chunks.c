/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which bytes of a disk a chunk is, and what is known of those for which none comes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/source/source.h"
#include "archive/xva/xva.h"

int xva_report(const struct xva_scan *s, uint64_t offset, uint32_t disk, uint64_t start,
               uint64_t len, const char *text)
{
        const struct damage d = {
            .offset = offset, .disk = disk, .start = start, .len = len, .text = text};

        return s->sink->damage(s->sink->ctx, &d);
}

static uint64_t size_of(const struct xva_scan *s, uint32_t disk)
{
        return s->xva->machine.disks.items[disk].size;
}

/* E of DISK, or nothing of it where that is empty; it is kept while it is doubted. */
static int emit(struct xva_scan *s, uint32_t disk, struct extent e, uint64_t origin)
{
        struct xva_progress *p = &s->disks[disk];

        if (e.len == 0)
                return 0;
        if (!p->keeps)
                return s->sink->extents(s->sink->ctx, disk, &e, 1, origin);
        if (s->kept.count == XVA_KEPT_MAX) {
                array_free(&s->kept);
                p->keeps = false;
                p->lost = true;
                return 0;
        }
        return array_add(&s->kept, e);
}

/* Has the source lost a part of E, and nobody knows how much? */
static bool is_displaced(const struct xva_scan *s, const struct extent *e)
{
        return source_straight(s->xva->base.source, e->addr) < e->addr + e->len;
}

int xva_settle_chunk(struct xva_scan *s)
{
        struct xva_chunk *c = &s->chunk;
        struct extent e = c->extent;
        int rc = 0;

        if (!c->pending)
                return 0;
        c->pending = false;
        if (!c->lost && is_displaced(s, &e))
                c->lost = "a part of a chunk is lost, and what follows that in it";
        if (c->lost) {
                rc = xva_report(s, c->header, c->disk, e.start, e.len, c->lost);
                e.addr = EXTENT_LOST;
        }
        return rc < 0 ? rc : emit(s, c->disk, e, c->header);
}

int xva_doubt(struct xva_scan *s, const char *lost)
{
        if (s->chunk.pending && lost && !s->chunk.lost)
                s->chunk.lost = lost;
        if (s->disk != DISK_NONE)
                s->disks[s->disk].doubted = true;
        return 0;
}

/* The chunks from p->next to NUMBER do not come. False: they would be past the disk's end. */
static int skip_chunks(struct xva_scan *s, uint32_t disk, uint64_t number, uint64_t origin)
{
        struct xva_progress *p = &s->disks[disk];
        uint64_t skipped = number - p->next;
        struct extent gap = {.start = p->offset, .addr = p->doubted ? EXTENT_LOST : EXTENT_ZERO};
        int rc;

        if (skipped > (size_of(s, disk) - p->offset) / XVA_CHUNK) {
                p->lost = true;
                return xva_report(s, origin, disk, p->offset, size_of(s, disk) - p->offset,
                                  "a chunk has a number past its disk's end");
        }
        gap.len = skipped * XVA_CHUNK;
        p->keeps |= p->doubted && skipped;
        rc = emit(s, disk, gap, origin);
        p->doubted = false;
        p->next = number;
        p->offset += gap.len;
        return rc;
}

/* M, whose number is p->next, goes to p->offset. */
static int place_chunk(struct xva_scan *s, uint32_t disk, const struct tar_member *m)
{
        struct xva_progress *p = &s->disks[disk];
        uint64_t left = size_of(s, disk) - p->offset;
        struct xva_chunk *c = &s->chunk;

        if (m->size > left || (m->size && m->size != XVA_CHUNK && m->size != left) ||
            m->size > XVA_CHUNK) {
                p->lost = true;
                return xva_report(s, m->header, disk, p->offset, left,
                                  "a chunk is not as long as it should be");
        }
        p->next++;
        p->has_empty |= m->size == 0;
        *c = (struct xva_chunk){.pending = true,
                                .disk = disk,
                                .extent = {p->offset, m->size, m->data},
                                .header = m->header,
                                .lost = m->lost};
        snprintf(c->name, sizeof c->name, "%s", m->name);
        if (m->sparse || m->data > EXTENT_ADDR_MAX - XVA_CHUNK)
                c->lost = "a chunk is not stored as chunks are";
        p->offset += m->size;
        return 0;
}

/*
 * Chunk NUMBER of DISK comes after it was passed: what was there before, zeros perhaps, cannot be
 * believed either, nor anything before where empty chunks make it unknown which of it that was.
 */
static int take_again(struct xva_scan *s, uint32_t disk, uint64_t number,
                      const struct tar_member *m)
{
        struct xva_progress *p = &s->disks[disk];
        struct extent e = {.len = p->offset, .addr = EXTENT_LOST};
        int rc = 0;

        if (!p->has_empty && range_within(number * XVA_CHUNK, XVA_CHUNK, p->offset)) {
                e.start = number * XVA_CHUNK;
                e.len = XVA_CHUNK;
        }

        p->lost = true;
        if (!p->repeated)
                rc = xva_report(s, m->header, disk, e.start, e.len,
                                "chunks of a disk are out of order, or there twice");
        p->repeated = true;
        return rc < 0 || p->ended ? rc : emit(s, disk, e, m->header);
}

int xva_take_chunk(struct xva_scan *s, uint32_t disk, uint64_t number, const struct tar_member *m)
{
        struct xva_progress *p = &s->disks[disk];
        int rc = 0;

        if (p->ended || number < p->next)
                return take_again(s, disk, number, m);
        if (s->disk != disk) {
                bool doubted = s->disk == DISK_NONE ? false : s->disks[s->disk].doubted;

                rc = xva_end_disk(s);
                if (rc < 0)
                        return rc;
                s->disk = disk;
                p->doubted |= doubted;
        }
        if (!p->begun && number != 0 && !p->doubted) {
                p->doubted = true;
                rc = xva_report(s, m->header, disk, 0, XVA_CHUNK,
                                "the first chunk of a disk is missing");
        }
        p->begun = true;
        if (rc == 0 && !p->lost)
                rc = skip_chunks(s, disk, number, m->header);
        return rc < 0 || p->lost ? rc : place_chunk(s, disk, m);
}

/* Emit what was kept of the current disk, as it was found or as lost. */
static int emit_kept(struct xva_scan *s, bool whole)
{
        struct xva_progress *p = &s->disks[s->disk];
        int rc = 0;

        p->keeps = false;
        for (size_t i = 0; i < s->kept.count && rc == 0; i++) {
                struct extent e = s->kept.items[i];

                if (whole)
                        rc = s->sink->extents(s->sink->ctx, s->disk, &e, 1, s->xva->reader.pos);
        }
        array_free(&s->kept);
        return rc;
}

int xva_end_disk(struct xva_scan *s)
{
        struct xva_progress *p;
        uint64_t size;
        int rc = 0;

        if (s->disk == DISK_NONE)
                return 0;
        p = &s->disks[s->disk];
        size = size_of(s, s->disk);
        if (p->ended)
                return 0;
        p->ended = true;
        if (!p->lost && p->offset != size)
                rc = xva_report(s, s->xva->reader.pos, s->disk, p->offset, size - p->offset,
                                "the last chunks of a disk are missing");
        return rc < 0 ? rc : emit_kept(s, !p->lost && p->offset == size);
}
