/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each compressed grain has a marker with its place on the disk. The markers make a file readable
 * whose tables are lost, and prove that tables name all grains.
 */
#include <errno.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/source/source.h"
#include "archive/vmdk/vmdk_scan.h"

enum {
        PROGRESS = 4096,
        LOOK_AT_ALL = 65536, /* grains */
};

enum marker_kind { MARKER_NONE, MARKER_GRAIN, MARKER_END, MARKER_TABLE, MARKER_GD, MARKER_FOOTER };

struct marker {
        enum marker_kind kind;
        uint64_t pos;  /* of the marker */
        uint64_t lba;  /* of a grain */
        uint64_t end;  /* of a grain's bytes */
        uint64_t next; /* where the next marker should be */
};

static void parse_grain(const struct vmdk_scan *s, const unsigned char *raw, struct marker *m)
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

static void parse_metadata(const struct vmdk_scan *s, const unsigned char *raw, struct marker *m)
{
        uint32_t type = load_le32(raw + 12);

        if (type > 3 || (type == 0 && m->lba != 0) || m->lba > s->verdict->end / VMDK_SECTOR)
                return;
        m->kind = type == 0 ? MARKER_END : (enum marker_kind)(MARKER_END + type);
        m->next = m->pos + VMDK_SECTOR + m->lba * VMDK_SECTOR;
}

/* Read LEN bytes at POS, from the window if it has them. */
static bool fetch(struct vmdk_scan *s, void *out, size_t len, uint64_t pos)
{
        if (pos < s->window_at || !range_within(pos - s->window_at, len, s->window_len))
                return source_pread(s->part->source, out, len, pos) == (ssize_t)len;
        memcpy(out, s->window + (pos - s->window_at), len);
        return true;
}

/*
 * Read the sector at *POS, many sectors at a time. If it is in a hole of the file, *POS moves to
 * the end of the hole, whose sectors are all zeros.
 */
static void fill_window(struct vmdk_scan *s, uint64_t *pos)
{
        uint64_t data;
        ssize_t n;

        if (*pos >= s->window_at && *pos - s->window_at + VMDK_SECTOR <= s->window_len)
                return;
        data = min_u64(source_next_data(s->part->source, *pos), s->verdict->end);
        if (data > *pos + VMDK_SECTOR)
                *pos = (data - 1) / VMDK_SECTOR * VMDK_SECTOR;
        n = source_pread(s->part->source, s->window, sizeof s->window, *pos);
        s->window_at = *pos;
        s->window_len = n > 0 ? (size_t)n : 0;
}

/*
 * The marker at byte POS; MARKER_NONE: there is none. False: the end of the file, or of what
 * entries can name.
 */
static bool load_marker(struct vmdk_scan *s, uint64_t pos, struct marker *m)
{
        unsigned char raw[VMDK_MARKER + 4];

        *m = (struct marker){.pos = pos, .next = pos + VMDK_SECTOR};
        if (!range_within(pos, sizeof raw, s->verdict->end) || pos / VMDK_SECTOR > UINT32_MAX)
                return false;
        if (fetch(s, raw, sizeof raw, pos)) {
                m->lba = load_le64(raw);
                if (load_le32(raw + 8))
                        parse_grain(s, raw, m);
                else
                        parse_metadata(s, raw, m);
        }
        if (m->kind == MARKER_NONE || m->kind == MARKER_END)
                fill_window(s, &m->next);
        return true;
}

static uint64_t first_marker(const struct vmdk_scan *s)
{
        uint64_t pos = s->part->h.overhead;

        return pos >= VMDK_SECTOR && pos < s->verdict->end ? round_up(pos, VMDK_SECTOR)
                                                           : VMDK_SECTOR;
}

int vmdk_find_directory(struct vmdk_scan *s, uint64_t *at)
{
        unsigned turn = 0;
        struct marker m;
        int rc = 0;

        *at = 0;
        for (uint64_t pos = first_marker(s); rc == 0 && load_marker(s, pos, &m); pos = m.next) {
                if (m.kind == MARKER_GD && vmdk_directory_fits(s->part, pos + VMDK_SECTOR))
                        *at = pos + VMDK_SECTOR;
                if (++turn % PROGRESS == 0)
                        rc = vmdk_tell_progress(s, 0);
        }
        return rc;
}

/* ---- do the tables name all grains? ---- */

/*
 * A walk over tables that name grains in the file's order, as all known writers write them. The
 * marker of each grain says where the next one must be. In a large file that would cost a read for
 * each grain, so only those are read that an entry of zeros follows, or more space than a grain
 * needs.
 */
struct trail {
        uint64_t at;    /* byte of the grain named last; 0: none was */
        uint64_t start; /* its byte of the part */
        uint64_t count; /* grains named, as far as the file goes */
        bool hole;      /* an entry of zeros came after it */
        bool broken;
};

/* Is all between T's last grain and the grain at byte TO metadata? */
static bool leads_to(struct vmdk_scan *s, const struct trail *t, uint64_t to)
{
        uint64_t pos = t->at ? t->at : first_marker(s);
        bool ended = false;
        struct marker m;

        for (bool own = t->at != 0; pos < to; pos = m.next, own = false) {
                if (!load_marker(s, pos, &m))
                        return to == s->verdict->end;
                ended |= m.kind == MARKER_END;
                if (own && (m.kind != MARKER_GRAIN || m.lba != t->start / VMDK_SECTOR))
                        return false;
                if (!own && (m.kind == MARKER_NONE || m.kind == MARKER_GRAIN))
                        return false;
                if (ended && (m.kind != MARKER_END || to != s->verdict->end))
                        return false;
        }
        return pos == to || to == s->verdict->end;
}

static void follow(struct vmdk_scan *s, struct trail *t, uint64_t offset, uint64_t start)
{
        uint64_t room = 2 * (uint64_t)s->part->h.grain + VMDK_SECTOR;

        bool look = t->hole || t->count <= LOOK_AT_ALL || offset - t->at > room;

        if (offset <= t->at || (look && !leads_to(s, t, offset)))
                t->broken = true;
        t->at = offset;
        t->start = start;
        t->hole = false;
}

/* Walk over the loaded table, which begins at FROM of the part. */
static void follow_table(struct vmdk_scan *s, struct trail *t, const unsigned char *table,
                         uint64_t from)
{
        for (uint32_t i = 0; i < s->part->h.table; i++) {
                uint64_t start = from + (uint64_t)i * s->part->h.grain, offset;

                if (start >= s->part->len)
                        return;
                offset = vmdk_entry(s->part, table + (size_t)i * s->part->h.entry);
                if (offset == 0)
                        t->hole = true;
                if (offset == 0 || !vmdk_is_inside(s->part, offset))
                        continue;
                t->count++;
                if (!t->broken)
                        follow(s, t, offset, start);
        }
}

/*
 * Can the file hold the tables so far, of BYTES in all, and the grains that they name? Otherwise
 * tables share their place, and a small file could name one a million times.
 */
static bool have_room(const struct vmdk_scan *s, const struct trail *t, uint64_t bytes)
{
        return bytes <= s->verdict->end && t->count <= s->verdict->end / VMDK_SECTOR;
}

/* Sets *BAD if a table cannot be read or is impossible. */
static int follow_tables(struct vmdk_scan *s, struct trail *t, bool *bad)
{
        uint64_t count = vmdk_table_count(s->part), at, bytes = 0;
        int rc = 0;

        t->hole = true;
        for (uint64_t i = 0; i < count && rc == 0 && !*bad; i++) {
                enum vmdk_table what = vmdk_load_table(s, 0, i, &at);

                if (what == VMDK_TABLE_NONE) {
                        t->hole = true;
                } else if (what == VMDK_TABLE_THERE && !s->dir[0].partly) {
                        bytes += vmdk_table_bytes(s->part);
                        follow_table(s, t, s->dir[0].table, i * vmdk_table_span(s->part));
                        *bad = !have_room(s, t, bytes);
                } else {
                        *bad = true;
                }
                if (rc == 0 && i % VMDK_CHUNK == 0)
                        rc = vmdk_tell_progress(s, 0);
        }
        if (rc == 0 && !*bad && !t->broken)
                t->broken = !leads_to(s, t, s->verdict->end);
        return rc;
}

/* Does the entry for the grain of marker M name it? */
static bool is_named(struct vmdk_scan *s, const struct marker *m)
{
        uint64_t number = m->lba * VMDK_SECTOR / s->part->h.grain, at;
        unsigned char entry[VMDK_ENTRY];

        if (vmdk_find_table(s, 0, number / s->part->h.table, &at) != VMDK_TABLE_THERE)
                return false;
        at += number % s->part->h.table * VMDK_ENTRY;
        return source_pread(s->part->source, entry, sizeof entry, at) == sizeof entry &&
               vmdk_entry(s->part, entry) == m->pos;
}

/*
 * Are there COUNT grains with markers, each of them named? Sees all markers, whatever their order.
 */
static int count_named(struct vmdk_scan *s, uint64_t count, bool *all)
{
        bool ended = false;
        unsigned turn = 0;
        struct marker m;
        int rc = 0;

        *all = true;
        for (uint64_t pos = first_marker(s); rc == 0 && *all && load_marker(s, pos, &m);
             pos = m.next) {
                ended |= m.kind == MARKER_END;
                count -= m.kind == MARKER_GRAIN;
                *all = m.kind != MARKER_NONE && (m.kind != MARKER_GRAIN || is_named(s, &m)) &&
                       (!ended || m.kind == MARKER_END);
                if (++turn % PROGRESS == 0)
                        rc = vmdk_tell_progress(s, 0);
        }
        *all &= count == 0;
        return rc;
}

int vmdk_account(struct vmdk_scan *s, bool *all)
{
        struct trail t = {0};
        bool bad = false;
        int rc = follow_tables(s, &t, &bad);

        *all = !bad && !t.broken;
        if (rc < 0 || bad || !t.broken)
                return rc;
        return count_named(s, t.count, all);
}

/* ---- grains without tables ---- */

static int take_marked(struct vmdk_scan *s, const struct marker *m)
{
        struct vmdk_verdict *verdict = s->verdict;
        uint64_t number = m->lba * VMDK_SECTOR / s->part->h.grain;
        int rc;

        if (m->end > verdict->end)
                return 0;
        rc = vmdk_marked_add(&verdict->marked, number, (uint32_t)(m->pos / VMDK_SECTOR));
        if (rc < 0 || verdict->marked.count % PROGRESS)
                return rc;
        return vmdk_tell_progress(s, m->pos);
}

static int search(struct vmdk_scan *s)
{
        bool in_step = true;
        unsigned turn = 0;
        struct marker m;
        int rc = 0;

        for (uint64_t pos = first_marker(s); rc == 0 && load_marker(s, pos, &m); pos = m.next) {
                if (m.kind == MARKER_NONE && in_step)
                        rc = vmdk_report(s, pos, 0, 0, "no marker is where one should be");
                in_step = m.kind != MARKER_NONE;
                if (rc == 0 && m.kind == MARKER_GRAIN)
                        rc = take_marked(s, &m);
                if (rc == 0 && ++turn % PROGRESS == 0)
                        rc = vmdk_tell_progress(s, pos);
        }
        return rc;
}

int vmdk_find_marked(struct vmdk_scan *s)
{
        int rc = search(s);

        if (rc == -E2BIG)
                rc = vmdk_report(s, s->verdict->end, 0, 0,
                                 "so many grains have markers that the last ones are given up");
        if (rc < 0)
                return rc;
        s->verdict->by_markers = true;
        if (vmdk_marked_sort(&s->verdict->marked))
                rc = vmdk_report(s, s->verdict->end, 0, 0, "grains are stored a second time");
        return rc;
}
