/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds the grain of a byte of a sparse part: in the trusted tables, of which pieces are loaded
 * when they are needed, or among the markers that the scan has found.
 */
#include <errno.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/source/source.h"
#include "archive/vmdk/vmdk.h"

/*
 * Bytes of directories and tables that are loaded at a time, and how many if some of them cannot be
 * read.
 */
enum { PIECE = 16384, SMALL_PIECE = VMDK_SECTOR };

#define SMALL_KEY (UINT64_C(1) << 33) /* no file has so many sectors that are read */

/* ---- what entries say ---- */

uint64_t vmdk_table_span(const struct vmdk_part *p)
{
        return (uint64_t)p->h.table * p->h.grain;
}

uint64_t vmdk_table_count(const struct vmdk_part *p)
{
        uint64_t span = vmdk_table_span(p);

        return p->len / span + (p->len % span != 0);
}

bool vmdk_is_inside(const struct vmdk_part *p, uint64_t offset)
{
        uint64_t len = p->h.compressed ? VMDK_MARKER + 1 : 1;

        return offset >= VMDK_SECTOR && range_within(offset, len, p->verdict.end);
}

uint64_t vmdk_grain_sectors(const struct vmdk_part *p, uint64_t offset)
{
        uint64_t len = min_u64(p->h.grain, p->verdict.end - offset);

        return round_up(len, VMDK_SECTOR) / VMDK_SECTOR;
}

enum vmdk_claimant vmdk_claimant(const struct vmdk_part *p, unsigned number, bool agreed)
{
        if (agreed || !p->verdict.directory[0] || !p->verdict.directory[1])
                return CLAIM_GRAIN;
        return number ? CLAIM_COPY_GRAIN : CLAIM_TABLE_GRAIN;
}

/* ---- pieces of tables ---- */

/* Entries that are loaded. */
struct entries {
        struct block *block; /* what they lie in; NULL: there are none */
        const unsigned char *list;
        uint64_t count;
};

/* A sparse part that is being looked at. */
struct look {
        struct vmdk *v;
        const struct vmdk_part *p;
        size_t i; /* its number */
};

/* Where a piece lies. */
struct piece_at {
        struct source *source;
        uint64_t offset;
};

/* A blockcache_load_fn. */
static int load_piece(void *ctx, uint64_t key, void *buf, size_t len)
{
        const struct piece_at *at = ctx;

        (void)key;
        return source_pread_all(at->source, buf, len, at->offset);
}

/* Does RC say only that some bytes cannot be read? */
static bool is_unreadable(int rc)
{
        return rc == -EIO || rc == -EAGAIN;
}

static void release(const struct look *l, struct entries *e)
{
        if (e->block)
                blockcache_put(l->v->tables, e->block);
        e->block = NULL;
}

/* As load_entries, from the piece of SIZE bytes that contains them. */
static int load_from(const struct look *l, uint64_t size, uint64_t at, uint64_t count,
                     struct entries *e)
{
        uint64_t within = at % size, number = at / size;
        struct piece_at piece = {l->p->source, at - within};
        size_t len = (size_t)min_u64(size, l->p->verdict.end - piece.offset);
        int rc;

        if (size == SMALL_PIECE)
                number |= SMALL_KEY;
        rc = blockcache_get(l->v->tables, VMDK_KEY(l->i, number), len, load_piece, &piece,
                            &e->block);
        if (rc < 0) {
                e->block = NULL;
                return rc;
        }
        e->list = (const unsigned char *)block_data(e->block) + within;
        e->count = min_u64(count, (len - within) / l->p->h.entry);
        return 0;
}

/*
 * Load up to COUNT entries from byte AT on, which is within the file. 0 and at least one entry, or
 * as source_pread.
 */
static int load_entries(const struct look *l, uint64_t at, uint64_t count, struct entries *e)
{
        int rc = load_from(l, PIECE, at, count, e);

        return is_unreadable(rc) ? load_from(l, SMALL_PIECE, at, count, e) : rc;
}

/* ---- directories ---- */

/* What an entry of a directory names. */
enum table { TABLE_NONE, TABLE_THERE, TABLE_BAD };

/* A table of one directory. */
struct table_at {
        enum table what;
        uint64_t at;   /* THERE: byte of the file; otherwise of the directory's entry */
        uint64_t none; /* NONE: how many entries of the directory, from this one on, are the same */
};

static bool belongs_to_it(const struct vmdk_part *p, uint64_t at, uint64_t len)
{
        return vmdk_claims_won(&p->verdict.claims, CLAIM_TABLES, at / VMDK_SECTOR,
                               round_up(len, VMDK_SECTOR) / VMDK_SECTOR);
}

/* Table NUMBER of directory K, which is in use. 0, -ENOMEM, -ESTALE. */
static int find_table(const struct look *l, unsigned k, uint64_t number, struct table_at *out)
{
        const struct vmdk_part *p = l->p;
        uint64_t len = vmdk_table_bytes(p), at;
        struct entries e;
        int rc;

        *out = (struct table_at){TABLE_BAD, p->verdict.directory[k] + number * p->h.entry, 0};
        rc = load_entries(l, out->at, vmdk_table_count(p) - number, &e);
        if (rc < 0)
                return is_unreadable(rc) ? 0 : rc;
        while (out->none < e.count && vmdk_load(p, e.list + out->none * p->h.entry) == 0)
                out->none++;
        at = vmdk_table_at(p, e.list);
        if (out->none) {
                out->what = TABLE_NONE;
        } else if (range_within(at, len, p->verdict.end) && belongs_to_it(p, at, len)) {
                out->what = TABLE_THERE;
                out->at = at;
        }
        release(l, &e);
        return 0;
}

/* ---- entries ---- */

/* What the tables say of one grain. */
struct grain {
        enum vmdk_state state;
        uint64_t offset; /* STORED: byte of the file … */
        uint64_t have;   /* … and how many bytes of the grain the file has */
        const char *why; /* why the rest is lost */
};

/* Does the grain that ENTRY names, in a table of directory K, belong to that entry? */
static bool is_won(const struct vmdk_part *p, unsigned k, const unsigned char *entry, bool agreed)
{
        uint64_t offset = vmdk_entry(p, entry);

        return vmdk_is_inside(p, offset) &&
               vmdk_claims_won(&p->verdict.claims, vmdk_claimant(p, k, agreed),
                               offset / VMDK_SECTOR, vmdk_grain_sectors(p, offset));
}

/*
 * Choose between the grains that A and B name: entries of the two tables, either of them NULL if
 * there is no such table. 0: neither can be right.
 */
static uint64_t choose(const struct vmdk_part *p, const unsigned char *a, const unsigned char *b)
{
        bool agreed = a && b && vmdk_load(p, a) == vmdk_load(p, b);
        bool won_a = a && is_won(p, 0, a, agreed);
        bool won_b = b && is_won(p, 1, b, agreed);

        if (agreed || won_a != won_b)
                return won_a ? vmdk_entry(p, a) : won_b ? vmdk_entry(p, b) : 0;
        return 0;
}

/* The grain for LEN bytes of P, for which A and B are the entries, as for choose. */
static struct grain look_at(const struct vmdk_part *p, const unsigned char *a,
                            const unsigned char *b, uint64_t len)
{
        uint64_t first = a ? vmdk_entry(p, a) : 0, copy = b ? vmdk_entry(p, b) : 0;
        uint64_t left = p->verdict.end;
        struct grain g = {.state = VMDK_HOLE, .have = len};

        if (!first && !copy) {
                if ((a && vmdk_load(p, a)) || (b && vmdk_load(p, b)))
                        g.state = VMDK_ZEROED;
                return g;
        }
        g.offset = choose(p, a, b);
        g.state = g.offset ? VMDK_STORED : VMDK_LOST;
        g.why = "grains are missing: a table has them past the file's end";
        if (!g.offset && vmdk_is_inside(p, first ? first : copy))
                g.why = "a table names grains that belong to others, or other ones than its copy";
        left -= min_u64(left, g.offset);
        if (g.offset && !p->h.compressed && left < len)
                g.have = left / VMDK_BLOCK_SIZE * VMDK_BLOCK_SIZE;
        return g;
}

/* Can PIECE, which ends at the end of a grain, be continued by G? */
static bool goes_on(const struct vmdk_part *p, const struct vmdk_piece *piece,
                    const struct grain *g, bool count)
{
        if (g->state != piece->state || g->have == 0)
                return false;
        if (g->state != VMDK_STORED)
                return g->why == piece->why;
        return count || (!p->h.compressed && g->offset == piece->offset + piece->len);
}

/*
 * The piece that begins SKIP bytes into G, a grain of LEN bytes. False: it ends before G does, so
 * it cannot be continued.
 */
static bool begin(const struct vmdk_part *p, const struct grain *g, uint64_t skip, uint64_t len,
                  struct vmdk_piece *out)
{
        out->state = g->state;
        out->why = g->why;
        out->len = len - skip;
        out->offset = g->offset;
        if (g->state != VMDK_STORED)
                return true;
        out->why = NULL;
        if (skip >= g->have) {
                out->state = VMDK_LOST;
                out->why = g->why;
                return false;
        }
        out->offset += p->h.compressed ? 0 : skip;
        out->len = g->have - skip;
        return g->have == len;
}

/* The entries of the tables of both directories, as far as those exist. */
struct pair {
        struct entries e[2];
        uint64_t count; /* entries that each of them has */
};

static const unsigned char *entry_of(const struct vmdk_part *p, const struct pair *pair, unsigned k,
                                     uint64_t n)
{
        return pair->e[k].block ? pair->e[k].list + n * p->h.entry : NULL;
}

/* The piece of up to LEN bytes by the entries of PAIR, the first of which is for POS. */
static void find_in_entries(const struct vmdk_part *p, const struct pair *pair, uint64_t pos,
                            uint64_t len, bool count, struct vmdk_piece *out)
{
        uint64_t grain = p->h.grain, start = pos / grain * grain, end = pos + len;

        for (uint64_t n = 0; n < pair->count && start < end; n++, start += grain) {
                uint64_t size = min_u64(grain, p->len - start);
                struct grain g = look_at(p, entry_of(p, pair, 0, n), entry_of(p, pair, 1, n), size);

                if (n == 0 && !begin(p, &g, pos - start, size, out))
                        break;
                if (n && !goes_on(p, out, &g, count))
                        break;
                if (n)
                        out->len += g.have;
                if (g.have < size)
                        break;
        }
        out->len = min_u64(out->len, len);
}

/* Load the entries from POS on of each table that is THERE, as many as both have loaded. */
static int load_pair(const struct look *l, const struct table_at *t, uint64_t pos,
                     struct pair *pair)
{
        uint64_t n = pos / l->p->h.grain % l->p->h.table;
        int rc = 0;

        pair->count = l->p->h.table - n;
        for (unsigned k = 0; k < 2 && rc == 0; k++) {
                if (t[k].what != TABLE_THERE)
                        continue;
                rc = load_entries(l, t[k].at + n * l->p->h.entry, pair->count, &pair->e[k]);
                if (rc == 0)
                        pair->count = min_u64(pair->count, pair->e[k].count);
                if (is_unreadable(rc))
                        rc = 0;
        }
        return rc;
}

static int find_in_tables(const struct look *l, const struct table_at *t, uint64_t pos,
                          uint64_t len, bool count, struct vmdk_piece *out)
{
        struct pair pair = {0};
        int rc = load_pair(l, t, pos, &pair);

        out->origin = t[0].what == TABLE_THERE ? t[0].at : t[1].at;
        if (rc == 0 && (pair.e[0].block || pair.e[1].block)) {
                find_in_entries(l->p, &pair, pos, len, count, out);
        } else if (rc == 0) {
                out->state = VMDK_LOST;
                out->why = "a grain table cannot be read: it is damaged or cut off";
        }
        release(l, &pair.e[0]);
        release(l, &pair.e[1]);
        return rc;
}

static int find_by_tables(const struct look *l, uint64_t pos, uint64_t len, bool count,
                          struct vmdk_piece *out)
{
        const struct vmdk_verdict *verdict = &l->p->verdict;
        uint64_t span = vmdk_table_span(l->p), number = pos / span, none = UINT64_MAX;
        struct table_at t[2] = {{.what = TABLE_NONE}, {.what = TABLE_NONE}};
        bool bad = false, there = false;

        for (unsigned k = 0; k < 2; k++) {
                int rc = verdict->directory[k] ? find_table(l, k, number, &t[k]) : 0;

                if (rc < 0)
                        return rc;
                bad |= t[k].what == TABLE_BAD;
                there |= t[k].what == TABLE_THERE;
                if (verdict->directory[k])
                        none = min_u64(none, t[k].none);
        }
        out->origin = verdict->directory[0] ? t[0].at : t[1].at;
        if (there) {
                out->len = min_u64(len, (number + 1) * span - pos);
                return find_in_tables(l, t, pos, out->len, count, out);
        }
        out->state = bad ? VMDK_LOST : VMDK_HOLE;
        out->why = bad ? "a grain table cannot be read: it is damaged or cut off" : NULL;
        out->len = min_u64(len, (number + (bad ? 1 : none)) * span - pos);
        return 0;
}

/* ---- markers ---- */

static void find_by_markers(const struct vmdk_part *p, uint64_t pos, uint64_t len,
                            struct vmdk_piece *out)
{
        uint64_t number = pos / p->h.grain, found = number;
        uint32_t sector;

        out->state = VMDK_LOST;
        if (!vmdk_marked_next(&p->verdict.marked, &found, &sector))
                return;
        if (found > number) {
                out->len = min_u64(len, found * p->h.grain - pos);
                return;
        }
        out->state = VMDK_STORED;
        out->offset = out->origin = (uint64_t)sector * VMDK_SECTOR;
        out->len = min_u64(len, (number + 1) * p->h.grain - pos);
}

/* ---- all of it ---- */

int vmdk_find(struct vmdk *v, size_t i, uint64_t pos, uint64_t len, bool count,
              struct vmdk_piece *out)
{
        const struct look l = {v, &v->parts.items[i], i};
        const struct vmdk_verdict *verdict = &l.p->verdict;
        int rc = 0;

        *out = (struct vmdk_piece){.state = VMDK_LOST, .len = len};
        if (verdict->all_lost)
                return 0;
        if (verdict->by_markers)
                find_by_markers(l.p, pos, len, out);
        else
                rc = find_by_tables(&l, pos, len, count, out);
        if (rc == 0 && verdict->holes_lost &&
            (out->state == VMDK_HOLE || out->state == VMDK_ZEROED))
                out->state = VMDK_LOST;
        return rc;
}
