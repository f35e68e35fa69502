/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/sidecar/stored_map.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "index/map/extentcode.h"
#include "index/map/map.h"
#include "index/map/span_builder.h"

enum {
        HEAD = 32,
        SPAN = 24,
        SPAN_BLOCKS = (int)(MAP_SPAN / MAP_BLOCK),
        FORM_EXTENTS = 0, /* a head is followed by spans … */
        FORM_TOTAL = 1,   /* … or has, instead of where extents are, how many bytes are stored */
        EXTENT_MAX = 20,  /* bytes of an extent: two numbers */
        BYTES_MAX = SPAN_BLOCKS * EXTENT_MAX, /* of a span's extents */
};

_Static_assert((int)STORED_MAP_WINDOW >= (int)BYTES_MAX, "any span fits the window");

/* A span of the disk with stored blocks. */
struct stored_span {
        uint64_t at; /* byte of the file where its extents begin */
        uint64_t hash;
        uint32_t number; /* 0 is the disk's first span */
        uint32_t len;    /* bytes of its extents */
        uint32_t stored; /* blocks */
};

struct stored_map {
        struct source *file;
        uint64_t size;  /* bytes of the disk */
        uint64_t limit; /* of addresses */
        bool is_total;  /* there are no spans, and TOTAL bytes of blocks are stored */
        uint64_t total;
        bool sparse; /* the map treats gaps as zeros */
        struct stored_span *spans;
        size_t count;

        pthread_mutex_t lock;
        struct extent_map *map; /* the lock guards filling; look-ups need none */
};

/*
 * The length of span NUMBER of a disk of SIZE bytes, in bytes: whole blocks, fewer at the disk's
 * end.
 */
static uint64_t span_len(uint64_t size, uint64_t number)
{
        return min_u64(MAP_SPAN, round_up(size, MAP_BLOCK) - number * MAP_SPAN);
}

/* ---- writing ---- */

/* The first byte from POS on that is not known to be zero, or the size. */
static uint64_t skip_zeros(const struct extent_map *map, uint64_t pos)
{
        struct extent e;

        for (; pos < map_size(map); pos = e.start + e.len) {
                map_find(map, pos, &e);
                if (e.addr != EXTENT_ZERO)
                        return pos;
        }
        return map_size(map);
}

/* The part of E, an extent from map_find, that lies in [POS, END). */
static struct extent clip(const struct extent *e, uint64_t pos, uint64_t end)
{
        struct extent part = {pos, min_u64(e->start + e->len, end) - pos, e->addr};

        if (e->addr != EXTENT_ZERO && e->addr != EXTENT_LOST)
                part.addr += pos - e->start;
        return part;
}

/* Write the coalesced extents of the span [START, END). Returns how many blocks are stored. */
static uint32_t write_extents(const struct extent_map *map, uint64_t start, uint64_t end, FILE *out)
{
        struct extentcode code = {0};
        struct extent run = {0}, found, e;
        uint64_t stored = 0;

        for (uint64_t pos = start; pos < end; pos += e.len) {
                map_find(map, pos, &found);
                e = clip(&found, pos, end);
                if (e.addr <= EXTENT_ADDR_MAX)
                        stored += round_up(e.len, MAP_BLOCK) / MAP_BLOCK;
                if (run.len && extent_continues(&run, &e)) {
                        run.len += e.len;
                        continue;
                }
                if (run.len)
                        extentcode_write(&code, &run, out);
                run = e;
        }
        if (run.len)
                extentcode_write(&code, &run, out);
        return (uint32_t)stored;
}

/* Close the memory stream OUT. True: everything was written. */
static bool close_memory(FILE *out)
{
        bool failed = ferror(out);

        return fclose(out) == 0 && !failed;
}

static void write_span(uint64_t number, size_t len, uint32_t stored, uint64_t hash, FILE *out)
{
        uint8_t entry[SPAN] = {0};

        store_le32(entry, (uint32_t)number);
        store_le32(entry + 4, (uint32_t)len);
        store_le32(entry + 8, stored);
        store_le64(entry + 16, hash);
        fwrite(entry, sizeof entry, 1, out);
}

int stored_map_write(const struct extent_map *map, uint64_t at, FILE *tables, char **extents,
                     size_t *len)
{
        cleanup_free char *entries = NULL;
        size_t entries_len = 0, before = 0;
        FILE *spans = open_memstream(&entries, &entries_len);
        FILE *out = open_memstream(extents, len);
        uint8_t head[HEAD] = {0};
        bool ok = spans && out;

        for (uint64_t pos = 0; ok && (pos = skip_zeros(map, pos)) < map_size(map);) {
                uint64_t number = pos / MAP_SPAN;
                uint64_t end = min_u64((number + 1) * MAP_SPAN, map_size(map));
                uint32_t stored = write_extents(map, number * MAP_SPAN, end, out);

                ok = fflush(out) == 0;
                if (ok)
                        write_span(number, *len - before, stored,
                                   XXH3_64bits(*extents + before, *len - before), spans);
                before = *len;
                pos = end;
        }
        if (spans)
                ok &= close_memory(spans);
        if (out)
                ok &= close_memory(out);
        if (!ok)
                return -ENOMEM;
        store_le64(head, map_size(map));
        store_le64(head + 8, at);
        store_le64(head + 16, *len);
        store_le32(head + 24, (uint32_t)(entries_len / SPAN));
        fwrite(head, sizeof head, 1, tables);
        fwrite(entries, 1, entries_len, tables);
        return 0;
}

void stored_map_write_total(uint64_t size, uint64_t stored, FILE *tables)
{
        uint8_t head[HEAD] = {0};

        store_le64(head, size);
        store_le64(head + 8, stored);
        store_le32(head + 28, FORM_TOTAL);
        fwrite(head, sizeof head, 1, tables);
}

/* ---- reading ---- */

/* Parse the entry at IN. Its extents begin at AT, where those of the previous span end. */
static bool load_span(struct stored_map *k, const uint8_t *in, uint64_t at)
{
        const struct stored_span *before = k->count ? &k->spans[k->count - 1] : NULL;
        struct stored_span s = {.at = at,
                                .hash = load_le64(in + 16),
                                .number = load_le32(in),
                                .len = load_le32(in + 4),
                                .stored = load_le32(in + 8)};

        if ((before && s.number <= before->number) ||
            s.number >= round_up(k->size, MAP_SPAN) / MAP_SPAN)
                return false;
        if (s.len == 0 || s.len > BYTES_MAX || s.stored > span_len(k->size, s.number) / MAP_BLOCK)
                return false;
        k->spans[k->count++] = s;
        return true;
}

static int load_spans(struct stored_map *k, const uint8_t *in, uint32_t count, uint64_t at,
                      uint64_t len)
{
        uint64_t end = at + len;

        k->spans = calloc((size_t)count + 1, sizeof *k->spans);
        if (!k->spans)
                return -ENOMEM;
        for (uint32_t i = 0; i < count; i++) {
                if (!load_span(k, in + (size_t)i * SPAN, at) || k->spans[i].len > end - at)
                        return -EINVAL;
                at += k->spans[i].len;
        }
        return at == end ? 0 : -EINVAL;
}

/* The head of a disk without extents, at HEAD. */
static int load_total(const uint8_t *head, struct stored_map *k)
{
        k->is_total = true;
        k->total = load_le64(head + 8);
        if (k->total > round_up(k->size, MAP_BLOCK) || load_le64(head + 16) || load_le32(head + 24))
                return -EINVAL;
        return 0;
}

int stored_map_load(struct source *file, uint64_t file_end, const uint8_t **tables,
                    const uint8_t *end, struct stored_map **out)
{
        const uint8_t *head = *tables;
        uint64_t at, len;
        uint32_t count, form;
        struct stored_map *k;
        int rc;

        if (end - head < HEAD)
                return -EINVAL;
        at = load_le64(head + 8);
        len = load_le64(head + 16);
        count = load_le32(head + 24);
        form = load_le32(head + 28);
        if (load_le64(head) > MAP_SIZE_MAX || form > FORM_TOTAL ||
            (form == FORM_EXTENTS && !range_within(at, len, file_end)) ||
            count > (size_t)(end - head - HEAD) / SPAN)
                return -EINVAL;
        k = calloc(1, sizeof *k);
        if (!k)
                return -ENOMEM;
        pthread_mutex_init(&k->lock, NULL);
        k->file = file;
        k->size = load_le64(head);
        k->limit = EXTENT_ADDR_MAX;
        if (form == FORM_TOTAL)
                rc = load_total(head, k);
        else
                rc = load_spans(k, head + HEAD, count, at, len);
        if (rc < 0) {
                stored_map_free(k);
                return rc;
        }
        *tables = head + HEAD + (size_t)count * SPAN;
        *out = k;
        return 0;
}

void stored_map_free(struct stored_map *k)
{
        if (!k)
                return;
        pthread_mutex_destroy(&k->lock);
        free(k->spans);
        free(k);
}

int stored_map_check(const struct stored_map *k, void *window)
{
        uint64_t start = 0, end = 0, all = 0;

        if (k->count > 0)
                all = k->spans[k->count - 1].at + k->spans[k->count - 1].len;
        for (size_t i = 0; i < k->count; i++) {
                const struct stored_span *s = &k->spans[i];

                if (s->at + s->len > end) {
                        ssize_t n = source_pread(k->file, window,
                                                 min_u64(STORED_MAP_WINDOW, all - s->at), s->at);

                        if (n == -EREMOTEIO)
                                return -EREMOTEIO;
                        start = s->at;
                        end = start + (uint64_t)(n > 0 ? n : 0);
                }
                if (s->at + s->len > end ||
                    XXH3_64bits((uint8_t *)window + (s->at - start), s->len) != s->hash)
                        return -EINVAL;
        }
        return 0;
}

uint64_t stored_map_size(const struct stored_map *k)
{
        return k->size;
}

bool stored_map_is_total(const struct stored_map *k)
{
        return k->is_total;
}

uint64_t stored_map_stored(const struct stored_map *k)
{
        uint64_t blocks = 0;

        if (k->is_total)
                return k->total;

        for (size_t i = 0; i < k->count; i++)
                blocks += k->spans[i].stored;
        return blocks * MAP_BLOCK;
}

uint64_t stored_map_extents(const struct stored_map *k)
{
        uint64_t bytes = 0;

        for (size_t i = 0; i < k->count; i++)
                bytes += k->spans[i].len;
        return bytes;
}

int stored_map_attach(struct stored_map *k, struct extent_map *map, uint64_t limit)
{
        int rc = 0;

        k->map = map;
        k->limit = limit;
        k->sparse = map_gap(map) == MAP_GAP_ZERO;
        map_set_gap(map, MAP_GAP_ZERO);
        for (size_t i = 0; i < k->count && rc == 0; i++)
                rc = map_set_unloaded(map, k->spans[i].number * MAP_SPAN);
        return rc;
}

/* The span that holds POS; NULL: it is all zeros. */
static const struct stored_span *find_span(const struct stored_map *k, uint64_t pos)
{
        uint64_t number = pos / MAP_SPAN;
        size_t i = search_first(k->count, m, k->spans[m].number >= number);

        return i < k->count && k->spans[i].number == number ? &k->spans[i] : NULL;
}

bool stored_map_all_data(const struct stored_map *k, uint64_t pos)
{
        const struct stored_span *s = find_span(k, pos);

        return s && s->stored == span_len(k->size, s->number) / MAP_BLOCK;
}

/*
 * Pass the extents of span S, which are encoded at [AT, END), to TAKE. S begins at byte START of
 * the disk.
 */
static int decode(const struct stored_map *k, const struct stored_span *s, const uint8_t *at,
                  const uint8_t *end, uint64_t start,
                  int (*take)(void *ctx, const struct extent *e), void *ctx)
{
        uint64_t pos = start, stop = start + span_len(k->size, s->number), stored = 0;
        /* The disk's last block may be partial, and the format stores only that part. */
        uint64_t disk_end = start + min_u64(MAP_SPAN, k->size - s->number * MAP_SPAN);
        struct extentcode code = {0};

        while (pos < stop) {
                struct extent e;
                int rc = extentcode_read(&code, pos, &at, end, &e);

                /* Nothing can be lost: no index of a damaged archive is stored. */
                if (rc < 0 || e.len > stop - pos || e.addr == EXTENT_LOST)
                        return -EBADMSG;
                if (e.addr != EXTENT_ZERO &&
                    !range_within(e.addr, min_u64(e.len, disk_end - pos), k->limit))
                        return -EBADMSG;
                stored += e.addr == EXTENT_ZERO ? 0 : e.len / MAP_BLOCK;
                pos += e.len;
                rc = take(ctx, &e);
                if (rc < 0)
                        return rc;
        }
        return at == end && stored == s->stored ? 0 : -EBADMSG;
}

/* The same, reading S's extents from the file. */
static int read_span(const struct stored_map *k, const struct stored_span *s, uint64_t start,
                     int (*take)(void *ctx, const struct extent *e), void *ctx)
{
        cleanup_free uint8_t *bytes = malloc(s->len);
        int rc;

        if (!bytes)
                return -ENOMEM;
        rc = source_pread_all(k->file, bytes, s->len, s->at);
        if (rc < 0)
                return rc;
        if (XXH3_64bits(bytes, s->len) != s->hash)
                return -EBADMSG;
        return decode(k, s, bytes, bytes + s->len, start, take, ctx);
}

struct part {
        struct span_builder refill;
        bool sparse;
};

static int add_to_part(void *ctx, const struct extent *e)
{
        struct part *part = ctx;

        if (e->addr == EXTENT_ZERO && part->sparse)
                return 0;
        return span_builder_add(&part->refill, e);
}

int stored_map_fill(struct stored_map *k, uint64_t pos)
{
        const struct stored_span *s = find_span(k, pos);
        struct part part = {.sparse = k->sparse};
        struct extent_map *map;
        int rc;

        if (!s)
                return -EBADMSG;
        rc = map_new_part(MAP_GAP_ZERO, &map);
        if (rc < 0)
                return rc;
        part.refill.map = map;
        rc = read_span(k, s, 0, add_to_part, &part);
        if (rc == 0)
                rc = span_builder_end(&part.refill);
        if (rc == 0) {
                scoped_lock(&k->lock);

                map_seal(map);
                map_fill(k->map, s->number * MAP_SPAN, map);
        }
        map_free(map);
        return rc == -EINVAL || rc == -EFBIG ? -EBADMSG : rc;
}

int stored_map_each(const struct stored_map *k, int (*take)(void *ctx, const struct extent *e),
                    void *ctx)
{
        uint64_t pos = 0, end = round_up(k->size, MAP_BLOCK);
        int rc = 0;

        for (size_t i = 0; i <= k->count && rc == 0; i++) {
                uint64_t start = i < k->count ? k->spans[i].number * MAP_SPAN : end;

                if (start > pos)
                        rc = take(ctx, &(struct extent){pos, start - pos, EXTENT_ZERO});
                if (rc == 0 && i < k->count)
                        rc = read_span(k, &k->spans[i], start, take, ctx);
                pos = min_u64(start + MAP_SPAN, end);
        }
        return rc;
}
