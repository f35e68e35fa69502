/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a byte of a disk to where it lies. Pieces of the table are read when they are looked at, and
 * a bounded cache keeps them: of an image of any size nothing else is in memory.
 */
#include <errno.h>
#include <string.h>

#include "archive/blocks/blocks.h"
#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/source/source.h"

enum { PIECE = 16 << 10 }; /* bytes of a file, aligned to that */

/* ---- pieces of a file ---- */

/* What is after the file's end reads as 0 here; who uses the bytes has checked that they exist. */
static int load_piece(void *ctx, uint64_t key, void *buf, size_t len)
{
        const struct blocks_layer *l = ctx;
        uint64_t offset = key & ((UINT64_C(1) << BLOCKS_KEY_LAYER_BIT) - 1);
        uint64_t left = offset < l->file_size ? l->file_size - offset : 0;
        ssize_t n = source_pread(blocks_tables(l), buf, (size_t)min_u64(len, left), offset);

        if (n < 0)
                return (int)n;
        memset((char *)buf + n, 0, len - (size_t)n);
        return 0;
}

static void let_go(struct cache_owner *tables, struct blocks_held *held)
{
        if (held->block)
                blockcache_put(tables, held->block);
        held->block = NULL;
}

/*
 * The LEN bytes at OFFSET of L's file, all in one piece, which stay until HELD is used again; *END
 * is lowered to where the piece ends. 0, -EIO where the file does not have them, as source_pread.
 */
static int hold(const struct blocks *b, const struct blocks_layer *l, struct blocks_held *held,
                uint64_t offset, size_t len, uint64_t *end, const uint8_t **out)
{
        uint64_t start = offset / PIECE * PIECE;
        uint64_t key = (uint64_t)l->number << BLOCKS_KEY_LAYER_BIT | start;

        if (!range_within(offset, len, min_u64(l->file_size, BLOCKS_FILE_MAX)))
                return -EIO;
        if (!held->block || held->key != key) {
                int rc;

                let_go(b->tables, held);
                rc = blockcache_get(b->tables, key, PIECE, load_piece, (void *)l, &held->block);
                if (rc < 0) {
                        held->block = NULL;
                        return rc;
                }
                held->key = key;
        }
        *end = min_u64(*end, start + PIECE);
        *out = (const uint8_t *)block_data(held->block) + (offset - start);
        return 0;
}

/* ---- one entry ---- */

static void bad(struct blocks_entry *e, const char *why)
{
        e->state = BLOCKS_BAD;
        e->why = why;
}

static bool is_fixed(const struct blocks_layer *l, uint64_t start, uint64_t len)
{
        for (unsigned i = 0; i < l->fixed_count; i++)
                if (start < l->fixed[i].end && start + len > l->fixed[i].start)
                        return true;
        return false;
}

/* Can a block's data be at OFFSET? */
static void place(const struct blocks_layer *l, struct blocks_entry *e)
{
        uint64_t start = e->offset - l->before, len = l->block + l->before;

        if (e->offset < l->before || start < l->first_byte)
                bad(e, "a block lies on the header or the table");
        else if (start >= min_u64(l->end_byte, l->file_size))
                bad(e, "a block lies past the end of the file");
        else if (is_fixed(l, start, len))
                bad(e, "a block lies on the header or the table");
        else if ((start - l->first_byte) % BLOCKS_UNIT)
                bad(e, "a block begins inside of a sector");
}

void blocks_parse(const struct blocks_layer *l, uint64_t block, const uint8_t *p,
                  struct blocks_entry *out)
{
        *out = (struct blocks_entry){.state = BLOCKS_HOLE};
        l->kind->parse(l, block, p, out);
        if (out->state == BLOCKS_STORED || (out->state == BLOCKS_PARTLY && out->offset))
                place(l, out);
}

/* The same, and what the scan has found. */
static void judge(const struct blocks_layer *l, struct blocks_entry *e)
{
        uint64_t start = e->offset - l->before;

        if (l->all_bad) {
                bad(e, l->all_bad);
        } else if (e->state == BLOCKS_HOLE && l->holes_doubted) {
                bad(e, "the table has lost entries: what it has as empty need not be");
        } else if (e->state == BLOCKS_STORED || (e->state == BLOCKS_PARTLY && e->offset)) {
                if (start >= l->doubted_from)
                        bad(e, "a block lies where the header says that there is none");
                else if (blocks_slots_doubted(&l->slots, start) ||
                         blocks_slots_touch(&l->bitmap_slots, start, l->block + l->before))
                        bad(e, "a place of the file belongs to two blocks");
        }
}

/* ---- bitmaps ---- */

static bool is_set(const struct blocks_layer *l, const uint8_t *bits, uint64_t n)
{
        unsigned shift = l->kind->low_bit_first ? n % 8 : 7 - n % 8;

        return bits[n / 8] >> shift & 1;
}

/* Where the bits of block number BLOCK begin, if another entry says so. 0, -EIO. */
static int find_bitmap(const struct blocks *b, const struct blocks_layer *l, uint64_t block,
                       struct blocks_held *held, uint64_t *bitmap)
{
        uint64_t group = block / l->group, end = UINT64_MAX;
        uint64_t at = l->table + ((group + 1) * (l->group + 1) - 1) * l->entry;
        uint64_t bytes = l->block / l->bit / 8;
        const uint8_t *p;
        int rc = hold(b, l, held, at, l->entry, &end, &p);

        if (rc < 0)
                return rc;
        *bitmap = l->kind->bitmaps(l, p);
        if (*bitmap < l->first_byte || is_fixed(l, *bitmap, l->group_bytes) ||
            !range_within(*bitmap, l->group_bytes, l->file_size) ||
            blocks_slots_doubted(&l->bitmap_slots, *bitmap) ||
            blocks_slots_touch(&l->slots, *bitmap, min_u64(l->group_bytes, l->block)))
                return -EIO;
        *bitmap += block % l->group * bytes;
        return 0;
}

/* The run of equal bits that begins at byte IN of block number BLOCK, which E says is there partly. */
static int find_bits(const struct blocks *b, const struct blocks_layer *l, uint64_t block,
                     uint64_t in, const struct blocks_entry *e, struct blocks_held *held,
                     struct blocks_piece *out)
{
        uint64_t bitmap = e->bitmap, first = in / l->bit, count = l->block / l->bit, n = first;
        uint64_t end;
        const uint8_t *p;
        bool set;
        int rc = 0;

        if (l->kind->bitmaps)
                rc = find_bitmap(b, l, block, held, &bitmap);
        end = bitmap + (count + 7) / 8;
        if (rc == 0)
                rc = hold(b, l, held, bitmap + first / 8, 1, &end, &p);
        if (rc != 0)
                return rc;
        set = is_set(l, p, first % 8);
        while (n < count && bitmap + n / 8 < end && is_set(l, p, n - first / 8 * 8) == set)
                n++;
        out->len = min_u64(out->len, n * l->bit - in);
        if (!set)
                out->state = l->holes_doubted ? BLOCKS_BAD : BLOCKS_HOLE;
        else
                out->state = e->offset ? BLOCKS_STORED : BLOCKS_ZERO;
        out->why = out->state == BLOCKS_BAD ? "the table has lost entries" : NULL;
        out->offset = out->state == BLOCKS_STORED ? e->offset + in : 0;
        return 0;
}

/* ---- runs of entries ---- */

/* Does an entry that is ALIKE continue what OUT, which is as long as whole blocks, begins? */
static bool joins(const struct blocks_piece *out, const struct blocks_entry *e)
{
        if (out->state != e->state)
                return false;
        if (e->state == BLOCKS_STORED)
                return out->offset + out->len == e->offset;
        return e->state != BLOCKS_BAD || out->why == e->why;
}

static void fail(struct blocks_piece *out, const char *why)
{
        out->state = BLOCKS_BAD;
        out->why = why;
}

/* What of a stored piece is past the end of the file, or of what blocks may lie in? */
static void cut(const struct blocks_layer *l, struct blocks_piece *out)
{
        uint64_t end = min_u64(l->end_byte, l->file_size);

        if (out->state != BLOCKS_STORED)
                return;
        if (out->offset >= end)
                fail(out, "a block lies past the end of the file");
        else
                out->len = min_u64(out->len, end - out->offset);
}

/* The piece that byte IN of block number BLOCK begins, whose entry is at P. */
static int begin_piece(const struct blocks *b, const struct blocks_layer *l, uint64_t block,
                       uint64_t in, const uint8_t *p, struct blocks_cursor *cursor,
                       struct blocks_piece *out)
{
        struct blocks_entry e;

        blocks_parse(l, block, p, &e);
        judge(l, &e);
        out->state = e.state;
        out->why = e.why;
        out->offset = e.state == BLOCKS_STORED ? e.offset + in : 0;
        return e.state == BLOCKS_PARTLY ? find_bits(b, l, block, in, &e, &cursor->bitmap, out) : 0;
}

/*
 * Of the COUNT entries from P on, which is block number BLOCK's and begins OUT, the next ones that
 * continue it, up to LEN bytes.
 */
static void add_blocks(const struct blocks_layer *l, uint64_t block, uint64_t len, const uint8_t *p,
                       size_t count, struct blocks_piece *out)
{
        uint64_t blocks = blocks_count(l);
        struct blocks_entry e;

        for (size_t i = 1; i < count && out->len < len && block + i < blocks; i++) {
                /* The entry of a group's bitmaps comes before the next one. */
                if (l->group && (block + i) % l->group == 0)
                        return;
                blocks_parse(l, block + i, p + i * l->entry, &e);
                judge(l, &e);
                if (!joins(out, &e))
                        return;
                out->len += l->block;
        }
}

static int find_in_table(const struct blocks *b, const struct blocks_layer *l, uint64_t pos,
                         uint64_t len, struct blocks_cursor *cursor, struct blocks_piece *out)
{
        uint64_t block = pos / l->block, in = pos % l->block;
        uint64_t at = l->table + blocks_entry_of(l, block) * l->entry;
        uint64_t end = l->table + blocks_entry_count(l) * l->entry;
        const uint8_t *p;
        int rc = hold(b, l, &cursor->table, at, l->entry, &end, &p);

        out->where = at;
        out->len = l->block - in;
        if (rc == 0)
                rc = begin_piece(b, l, block, in, p, cursor, out);
        if (rc == -EIO)
                fail(out, "a table cannot be read");
        else if (rc < 0)
                return rc;
        else if (in + out->len == l->block)
                add_blocks(l, block, len, p, (size_t)((end - at) / l->entry), out);
        out->len = min_u64(out->len, len);
        cut(l, out);
        return 0;
}

/* What layer L has at POS; LEN does not reach past its disk's end. */
static int find(const struct blocks *b, const struct blocks_layer *l, uint64_t pos, uint64_t len,
                struct blocks_cursor *cursor, struct blocks_piece *out)
{
        *out = (struct blocks_piece){.state = BLOCKS_STORED, .len = len};
        if (!l->flat)
                return find_in_table(b, l, pos, len, cursor, out);
        if (l->all_bad)
                fail(out, l->all_bad);
        out->offset = l->first_byte + pos;
        cut(l, out);
        return 0;
}

int blocks_look(const struct blocks *b, uint64_t pos, uint64_t len, struct blocks_look *look,
                struct blocks_piece *out)
{
        int rc = find(b, &b->layers[0], pos, len, &look->at[0], out);

        for (unsigned i = 1; i < b->count && rc == 0 && out->state == BLOCKS_HOLE; i++) {
                const struct blocks_layer *l = &b->layers[i];

                /* A smaller parent goes on with zeros, which are not its. */
                if (pos >= l->size)
                        break;
                rc = find(b, l, pos, min_u64(out->len, l->size - pos), &look->at[i], out);
                out->depth = i;
                /* A byte of another file says nothing to a person. */
                out->where = 0;
        }
        return rc;
}

void blocks_end_look(const struct blocks *b, struct blocks_look *look)
{
        for (unsigned i = 0; i < b->count; i++) {
                let_go(b->tables, &look->at[i].table);
                let_go(b->tables, &look->at[i].bitmap);
        }
}
