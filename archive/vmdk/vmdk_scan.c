/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the grains of a disk are.
 *
 *   directory -> tables -> grains     the way in; where there is a redundant directory, what the
 *                                     first one does not know is taken from it
 *   markers -> grains                 where a file with markers has lost its directory
 *
 * Tables cannot name more than there is: what they name is counted, and a file in which many
 * entries point to the same place is not believed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/vmdk/vmdk.h"

enum {
        STEP = 16 << 20, /* bytes of a compressed source between two looks at who wants to stop */
        ENTRY = 4,
        CHUNK = 1024, /* entries of a directory that are read at a time */
        PROGRESS = 64,
};

/* Each 32 MiB of a disk that is lost may cost 2 KiB of memory, for 4 bytes of the file. */
#define LOST_MAX (UINT64_C(64) << 30)

struct scan {
        struct vmdk *v;
        const struct vmdk_part *part;
        const struct archive_sink *sink;
        struct error *err;
        uint64_t done;        /* bytes of the parts in front: for progress */
        uint64_t end;         /* how far the part's source can be read */
        uint64_t grains_left; /* so many more can be in the file */
        uint64_t tables_left;
        uint64_t lost_left;

        size_t count;
        struct extent batch[VMDK_TABLE_MAX];
        unsigned char first[VMDK_TABLE_MAX * ENTRY], second[VMDK_TABLE_MAX * ENTRY];
        unsigned char gd[CHUNK * ENTRY], rgd[CHUNK * ENTRY];
};

/* A range of the part is what the damage at byte OFFSET of its file has cost. */
static int report(const struct scan *s, uint64_t offset, uint64_t start, uint64_t len,
                  const char *text)
{
        struct damage d = {
            .offset = offset, .disk = 0, .start = s->part->start + start, .len = len, .text = text};

        return s->sink->damage(s->sink->ctx, &d);
}

static int flush_batch(struct scan *s, uint64_t origin)
{
        int rc = 0;

        if (s->count)
                rc = s->sink->extents(s->sink->ctx, 0, s->batch, s->count, origin);
        s->count = 0;
        return rc;
}

/* Put LEN bytes from START of the part at ADDR, or a word, into the batch; there is room. */
static void add_to_batch(struct scan *s, uint64_t start, uint64_t len, uint64_t addr)
{
        struct extent *last = s->count ? &s->batch[s->count - 1] : NULL;
        struct extent e = {s->part->start + start, len, addr};

        if (last && last->start + last->len == e.start && extent_continues(last, &e))
                last->len += len;
        else
                s->batch[s->count++] = e;
}

/* START, on the disk, to START + LEN is lost; the batch is empty. */
static int lose(struct scan *s, uint64_t start, uint64_t len, uint64_t origin)
{
        len = min_u64(len, s->part->len - min_u64(start, s->part->len));
        if (len == 0)
                return 0;
        if (len > s->lost_left)
                return s->sink->incomplete(s->sink->ctx, 0);
        s->lost_left -= len;
        add_to_batch(s, start, len, EXTENT_LOST);
        return flush_batch(s, origin);
}

static int tell_progress(const struct scan *s, uint64_t here)
{
        return s->sink->progress(s->sink->ctx, s->done + min_u64(here, s->end));
}

/* A number from the file, in sectors, as bytes. */
static uint64_t sector(const unsigned char *entry)
{
        return (uint64_t)load_le32(entry) * VMDK_SECTOR;
}

/* ---- through the tables ---- */

static uint64_t grain_len(const struct scan *s, uint64_t start)
{
        return min_u64(s->part->h.grain, s->part->len - start);
}

/* Can the grain for START of the part be at byte OFFSET? */
static bool is_inside(const struct scan *s, uint64_t offset, uint64_t start)
{
        uint64_t len = s->part->h.compressed ? VMDK_MARKER + 1 : grain_len(s, start);

        return offset >= VMDK_SECTOR && range_within(offset, len, s->end);
}

/* Which of the entries of a table and of its copy is to be believed? */
static const unsigned char *choose(const struct scan *s, const unsigned char *a,
                                   const unsigned char *b, uint64_t start)
{
        if (load_le32(a) == load_le32(b) || is_inside(s, sector(a), start))
                return a;
        if (is_inside(s, sector(b), start) || load_le32(a) == 0)
                return b;
        return a;
}

static uint64_t grain_addr(const struct scan *s, uint64_t offset)
{
        const struct vmdk_part *p = s->part;
        uint64_t local =
            p->h.compressed ? offset / VMDK_SECTOR * (uint64_t)p->h.grain : p->offset + offset;

        /* Addresses have 48 bits. */
        return range_within(local, p->h.grain, p->span) ? p->base + local : EXTENT_LOST;
}

/* BYTES of the batch are lost: if that is too much by now, so is whatever is not named. */
static int settle_lost(struct scan *s, uint64_t bytes)
{
        size_t kept = 0;

        if (bytes <= s->lost_left) {
                s->lost_left -= bytes;
                return 0;
        }
        for (size_t i = 0; i < s->count; i++)
                if (s->batch[i].addr != EXTENT_LOST)
                        s->batch[kept++] = s->batch[i];
        s->count = kept;
        return s->sink->incomplete(s->sink->ctx, 0);
}

/* Take in the tables in first and second, which are from byte OFFSET, for FROM of the part. */
static int take_entries(struct scan *s, uint64_t from, uint64_t offset)
{
        const struct vmdk_header *h = &s->part->h;
        uint64_t lost = 0, lost_end = 0, lost_bytes = 0;
        int rc;

        for (uint32_t i = 0; i < h->table; i++) {
                uint64_t start = from + (uint64_t)i * h->grain;
                const unsigned char *entry;
                uint64_t addr = EXTENT_LOST;

                if (start >= s->part->len)
                        break;
                entry =
                    choose(s, s->first + (size_t)i * ENTRY, s->second + (size_t)i * ENTRY, start);
                if (load_le32(entry) == 0 || (h->zeroed && load_le32(entry) == 1))
                        continue;
                if (is_inside(s, sector(entry), start) && s->grains_left) {
                        s->grains_left--;
                        addr = grain_addr(s, sector(entry));
                }
                if (addr == EXTENT_LOST) {
                        lost = lost_bytes ? lost : start;
                        lost_end = start + grain_len(s, start);
                        lost_bytes += grain_len(s, start);
                }
                add_to_batch(s, start, grain_len(s, start), addr);
        }
        rc = settle_lost(s, lost_bytes);
        if (rc == 0)
                rc = flush_batch(s, offset);
        if (rc == 0 && lost_bytes)
                rc = report(s, offset, lost, lost_end - lost,
                            s->grains_left ? "grains are missing: a table has them behind the "
                                             "file's end"
                                           : "tables name more grains than the file can hold");
        return rc;
}

/* The table that ENTRY of a directory names, into TABLE. */
static bool load_table(struct scan *s, const unsigned char *entry, unsigned char *table)
{
        size_t len = (size_t)s->part->h.table * ENTRY;
        uint64_t offset = sector(entry);

        if (offset < VMDK_SECTOR || !range_within(offset, len, s->end) || s->tables_left == 0)
                return false;
        s->tables_left--;
        return source_pread(s->part->source, table, len, offset) == (ssize_t)len;
}

static int take_table(struct scan *s, uint64_t number, const unsigned char *a,
                      const unsigned char *b, uint64_t origin)
{
        const struct vmdk_header *h = &s->part->h;
        uint64_t from = number * h->table * h->grain;
        size_t len = (size_t)h->table * ENTRY;
        bool have_a, have_b, differ = false;
        int rc = 0;

        if (load_le32(a) == 0 && (!b || load_le32(b) == 0))
                return 0;
        have_a = load_table(s, a, s->first);
        have_b = b && load_table(s, b, s->second);
        if (!have_a && !have_b) {
                rc = lose(s, from, (uint64_t)h->table * h->grain, origin);
                return rc < 0 ? rc
                              : report(s, origin, from,
                                       min_u64((uint64_t)h->table * h->grain, s->part->len - from),
                                       "a grain table cannot be read: it is damaged or cut off");
        }
        if (b)
                differ = !have_a || !have_b || memcmp(s->first, s->second, len) != 0;
        if (!have_a)
                memcpy(s->first, s->second, len);
        if (!have_b)
                memcpy(s->second, s->first, len);
        if (differ)
                rc = report(s, have_a ? sector(a) : origin, from, 0,
                            "a grain table and its copy differ: what is sound in either is used");
        return rc < 0 ? rc : take_entries(s, from, have_a ? sector(a) : sector(b));
}

/* N entries of the directory at byte OFFSET from NUMBER, into OUT. */
static bool load_directory(const struct scan *s, uint64_t offset, uint64_t number, size_t n,
                           unsigned char *out)
{
        uint64_t at = offset + number * ENTRY;

        return offset && range_within(at, n * ENTRY, s->end) &&
               source_pread(s->part->source, out, n * ENTRY, at) == (ssize_t)(n * ENTRY);
}

static uint64_t directory_entries(const struct scan *s)
{
        uint64_t bytes = (uint64_t)s->part->h.table * s->part->h.grain;

        return s->part->len / bytes + (s->part->len % bytes != 0);
}

static bool fits(const struct scan *s, uint64_t directory)
{
        return directory >= VMDK_SECTOR &&
               range_within(directory, directory_entries(s) * ENTRY, s->end);
}

/* The directory GD, with the copy RGD or 0; one of them at least lies within the file. */
static int scan_tables(struct scan *s, uint64_t gd, uint64_t rgd)
{
        uint64_t count = directory_entries(s);
        bool first = fits(s, gd), second = fits(s, rgd) && rgd != gd;
        int rc = 0;

        if (!first)
                rc = report(s, gd, 0, 0, "the grain directory is damaged: its copy is used");
        for (uint64_t i = 0; i < count && rc == 0; i += CHUNK) {
                size_t n = (size_t)min_u64(CHUNK, count - i);
                bool have = first && load_directory(s, gd, i, n, s->gd);
                bool copy = second && load_directory(s, rgd, i, n, s->rgd);
                uint64_t span = (uint64_t)s->part->h.table * s->part->h.grain;
                uint64_t origin = have ? gd + i * ENTRY : rgd + i * ENTRY;

                if (!have && !copy)
                        rc = report(s, gd + i * ENTRY, i * span,
                                    min_u64(n * span, s->part->len - i * span),
                                    "the grain directory cannot be read");
                if (rc == 0 && !have && !copy)
                        rc = lose(s, i * span, n * span, gd + i * ENTRY);
                for (size_t k = 0; k < n && (have || copy) && rc == 0; k++) {
                        const unsigned char *a = (have ? s->gd : s->rgd) + k * ENTRY;

                        rc = take_table(s, i + k, a, have && copy ? s->rgd + k * ENTRY : NULL,
                                        origin + k * ENTRY);
                        if (rc == 0 && (i + k) % PROGRESS == 0)
                                rc = tell_progress(s, (uint64_t)((double)(i + k) / (double)count *
                                                                 (double)s->end));
                }
        }
        return rc;
}

/* ---- through the markers ---- */

enum marker_kind { MARKER_NONE, MARKER_GRAIN, MARKER_END, MARKER_TABLE, MARKER_GD, MARKER_FOOTER };

struct marker {
        enum marker_kind kind;
        uint64_t pos;  /* of the marker */
        uint64_t lba;  /* of a grain */
        uint64_t end;  /* of a grain's bytes */
        uint64_t next; /* where the next marker should be */
};

static void parse_grain(const struct scan *s, const unsigned char *raw, struct marker *m)
{
        const struct vmdk_header *h = &s->part->h;
        uint32_t size = load_le32(raw + 8);
        /* What deflate data with a zlib header begin with. */
        bool zlib = (raw[12] & 0x0f) == 8 && ((unsigned)raw[12] << 8 | raw[13]) % 31 == 0;

        if (!zlib || size > 2 * h->grain || m->lba % (h->grain / VMDK_SECTOR) ||
            m->lba >= s->part->len / VMDK_SECTOR)
                return;
        m->kind = MARKER_GRAIN;
        m->end = m->pos + VMDK_MARKER + size;
        m->next = round_up(m->end, VMDK_SECTOR);
}

static void parse_metadata(const struct scan *s, const unsigned char *raw, struct marker *m)
{
        uint32_t type = load_le32(raw + 12);

        if (type > 3 || (type == 0 && m->lba != 0) || m->lba > s->end / VMDK_SECTOR)
                return;
        m->kind = type == 0 ? MARKER_END : (enum marker_kind)(MARKER_END + type);
        m->next = m->pos + VMDK_SECTOR + m->lba * VMDK_SECTOR;
}

/* The marker at byte POS, MARKER_NONE where none is. False: the end. */
static bool load_marker(const struct scan *s, uint64_t pos, struct marker *m)
{
        unsigned char raw[VMDK_MARKER + 4];

        *m = (struct marker){.pos = pos, .next = pos + VMDK_SECTOR};
        if (!range_within(pos, sizeof raw, s->end))
                return false;
        if (source_pread(s->part->source, raw, sizeof raw, pos) < (ssize_t)sizeof raw)
                return true;
        m->lba = load_le64(raw);
        if (load_le32(raw + 8))
                parse_grain(s, raw, m);
        else
                parse_metadata(s, raw, m);
        return true;
}

static uint64_t first_marker(const struct scan *s)
{
        uint64_t pos = s->part->h.overhead;

        return pos >= VMDK_SECTOR && pos < s->end ? round_up(pos, VMDK_SECTOR) : VMDK_SECTOR;
}

/* Where the directory is, by its marker; 0 where there is none. */
static int find_directory(struct scan *s, uint64_t *gd)
{
        unsigned turn = 0;
        struct marker m;
        int rc = 0;

        *gd = 0;
        for (uint64_t pos = first_marker(s); rc == 0 && load_marker(s, pos, &m); pos = m.next) {
                if (m.kind == MARKER_GD && fits(s, pos + VMDK_SECTOR))
                        *gd = pos + VMDK_SECTOR;
                if (++turn % 4096 == 0)
                        rc = tell_progress(s, 0);
        }
        return rc;
}

static int take_marked(struct scan *s, const struct marker *m)
{
        uint64_t start = m->lba * VMDK_SECTOR, addr = grain_addr(s, m->pos);
        int rc;

        if (m->end > s->end || s->grains_left == 0 || addr == EXTENT_LOST)
                return 0;
        s->grains_left--;
        add_to_batch(s, start, grain_len(s, start), addr);
        if (s->count < VMDK_TABLE_MAX)
                return 0;
        rc = flush_batch(s, m->pos);
        return rc < 0 ? rc : tell_progress(s, m->pos);
}

static int scan_markers(struct scan *s)
{
        uint64_t origin = first_marker(s);
        bool in_step = true;
        struct marker m;
        int rc = 0;

        for (uint64_t pos = origin; rc == 0 && load_marker(s, pos, &m); pos = m.next) {
                if (m.kind == MARKER_NONE && in_step)
                        rc = report(s, pos, 0, 0, "no marker is where one should be");
                in_step = m.kind != MARKER_NONE;
                if (rc == 0 && m.kind == MARKER_GRAIN)
                        rc = take_marked(s, &m);
                origin = pos;
        }
        if (rc == 0)
                rc = flush_batch(s, origin);
        return rc < 0 ? rc : s->sink->incomplete(s->sink->ctx, 0);
}

/* ---- which way ---- */

/* The directory that the footer names; 0 where the footer is not there or is damaged. */
static uint64_t footer_directory(const struct scan *s)
{
        unsigned char raw[VMDK_SECTOR];
        const struct vmdk_header *h = &s->part->h;
        struct vmdk_header footer;

        if (s->end < 4 * (uint64_t)VMDK_SECTOR ||
            source_pread(s->part->source, raw, sizeof raw, s->end - 2 * (uint64_t)VMDK_SECTOR) !=
                (ssize_t)sizeof raw ||
            vmdk_parse_header(raw, &footer, NULL) < 0 || footer.capacity != h->capacity ||
            footer.grain != h->grain || footer.table != h->table || !fits(s, footer.gd))
                return 0;
        return footer.gd;
}

static int scan_without_directory(struct scan *s, uint64_t gd)
{
        int rc;

        if (s->part->h.markers) {
                rc = report(
                    s, s->end, 0, 0,
                    "the footer is missing or damaged: grains are looked for by their markers");
                if (rc == 0)
                        rc = find_directory(s, &gd);
                if (rc < 0)
                        return rc;
                return gd ? scan_tables(s, gd, 0) : scan_markers(s);
        }
        rc = report(s, min_u64(gd, s->end), 0, s->part->len,
                    "the grain directory is damaged or cut off, and there is no copy");
        return rc < 0 ? rc : s->sink->incomplete(s->sink->ctx, 0);
}

/*
 * How far the source goes. A stream that breaks is reported and then treated as one that ends
 * there.
 */
static int find_end(struct scan *s)
{
        struct source *source = s->part->source;
        int rc = 0;

        do {
                rc = source_reach(source, s->end + STEP, &s->end, s->err);
                if (rc == 0)
                        rc = tell_progress(s, 0);
        } while (rc == 0 && s->end < source->size);
        if (rc == -EIO)
                rc = report(s, s->err->has_offset ? s->err->offset : s->end, 0, 0, s->err->text);
        return rc;
}

static int scan_sparse(struct scan *s)
{
        const struct vmdk_header *h = &s->part->h;
        uint64_t gd = h->gd, table = max_u64((uint64_t)h->table * ENTRY, VMDK_SECTOR);
        int rc = find_end(s);

        if (rc < 0)
                return rc;
        s->grains_left = s->end / (h->compressed ? VMDK_SECTOR : h->grain) + 1;
        s->tables_left = s->end / table + 1;
        if (gd == VMDK_AT_END)
                gd = footer_directory(s);
        if (fits(s, gd) || fits(s, h->rgd))
                return scan_tables(s, gd, h->rgd);
        return scan_without_directory(s, gd);
}

static int scan_flat(struct scan *s)
{
        struct extent e = {s->part->start, s->part->len, s->part->base};

        return e.len ? s->sink->extents(s->sink->ctx, 0, &e, 1, s->part->offset) : 0;
}

int vmdk_scan(struct archive *a, const struct archive_sink *sink, struct error *err)
{
        struct vmdk *v = (struct vmdk *)a;
        struct error ignored = {0};
        cleanup_free struct scan *s = calloc(1, sizeof *s);
        int rc = 0;

        if (!s)
                return error_set(err, ENOMEM, "out of memory");
        s->v = v;
        s->sink = sink;
        s->err = err ? err : &ignored;
        s->lost_left = LOST_MAX;
        for (size_t i = 0; i < v->count && rc == 0; i++) {
                s->part = &v->parts[i];
                s->end = 0;
                if (s->part->kind == VMDK_SPARSE)
                        rc = scan_sparse(s);
                else if (s->part->kind == VMDK_FLAT)
                        rc = scan_flat(s);
                s->done += s->end;
        }
        return rc < 0 ? rc : sink->progress(sink->ctx, s->done);
}
