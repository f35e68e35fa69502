/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/sidecar/stored_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/stream/parts.h"
#include "archive/stream/restart_table.h"
#include "index/sidecar/writer.h"

enum {
        SEGMENT = 64,
        PART = 8,
        SEGMENT_ENTER = 1,
        SEGMENT_BY_SUMS = 2,
        SEGMENT_KNOWN = SEGMENT_ENTER | SEGMENT_BY_SUMS,
};

bool stored_name_load(const uint8_t *in, char out[STORED_NAME + 1])
{
        size_t len = strnlen((const char *)in, STORED_NAME);

        memcpy(out, in, STORED_NAME);
        out[STORED_NAME] = '\0';
        for (size_t i = 0; i < STORED_NAME; i++)
                if (i < len ? in[i] <= ' ' || in[i] > '~' : in[i] != 0)
                        return false;
        return len > 0;
}

/* ---- writing ---- */

/* Add the hashes of the parts of segment INDEX to the tables. */
static void write_parts(struct writer *w, struct restart_table *table, size_t index)
{
        struct restart_record r;
        uint8_t out[PART];

        if (!restart_save(table, index, &r)) {
                writer_fail(w, -EINVAL);
                return;
        }
        for (size_t i = 0; i < r.part_count; i++) {
                store_le64(out, r.parts[i]);
                fwrite(out, sizeof out, 1, w->tables);
        }
}

/* Append the history of segment INDEX, which was found before the pass was interrupted. */
static void append_stored(struct writer *w, struct restart_table *table, size_t index, size_t size)
{
        cleanup_free void *blob = NULL;
        int rc = restart_stored_blob(table, index, &blob);

        if (rc == 0)
                writer_append(w, blob, size);
        else
                writer_fail(w, rc);
}

/* Append the history of segment INDEX and add its record to the tables. */
static void write_segment(struct writer *w, struct restart_table *table, size_t index, uint64_t *at)
{
        struct restart_record r;
        uint8_t out[SEGMENT] = {0};

        if (!restart_save(table, index, &r)) {
                writer_fail(w, -EINVAL);
                return;
        }
        *at = w->at;
        if (r.history)
                writer_append(w, r.history, r.history_size);
        else if (r.history_size)
                append_stored(w, table, index, r.history_size);
        store_le64(out, r.point.in_bit);
        store_le64(out + 8, r.point.out);
        store_le64(out + 16, r.point.hash);
        store_le64(out + 24, r.point.aux);
        store_le64(out + 32, *at);
        store_le64(out + 40, r.history_hash);
        store_le32(out + 48, (uint32_t)r.history_size);
        store_le32(out + 52, r.history_size ? r.point.history_len : 0);
        store_le32(out + 56,
                   (r.enter ? SEGMENT_ENTER : 0) | (r.point.by_sums ? SEGMENT_BY_SUMS : 0));
        store_le32(out + 60, (uint32_t)r.part_count);
        fwrite(out, sizeof out, 1, w->tables);
}

void stored_table_write(struct writer *w, struct restart_table *table, uint64_t *at)
{
        size_t count = restart_count(table);

        for (size_t i = 0; i < count && w->error == 0; i++)
                write_segment(w, table, i, &at[i]);
        for (size_t i = 0; i < count && w->error == 0; i++)
                write_parts(w, table, i);
}

/* ---- reading ---- */

/* COUNT hashes of parts into PARTS. */
static int load_parts(struct stored_tables *in, uint32_t count, uint64_t parts[PARTS_MAX])
{
        if (count > PARTS_MAX || !range_within(in->at, (uint64_t)count * PART, in->len))
                return -EINVAL;
        for (uint32_t i = 0; i < count; i++, in->at += PART)
                parts[i] = load_le64(in->bytes + in->at);
        return 0;
}

/* The segment at SEGMENT, whose parts come next. */
static int load_segment(struct stored_tables *in, const uint8_t *segment,
                        struct restart_table *table)
{
        uint64_t parts[PARTS_MAX];
        uint32_t kind = load_le32(segment + 56);
        struct restart_record r = {
            .point = {.in_bit = load_le64(segment),
                      .out = load_le64(segment + 8),
                      .hash = load_le64(segment + 16),
                      .aux = load_le64(segment + 24),
                      .history_len = load_le32(segment + 52),
                      .by_sums = (kind & SEGMENT_BY_SUMS) != 0},
            .enter = (kind & SEGMENT_ENTER) != 0,
            .history_size = load_le32(segment + 48),
            .history_at = load_le64(segment + 32),
            .history_hash = load_le64(segment + 40),
            .parts = parts,
            .part_count = load_le32(segment + 60),
        };

        if (kind > SEGMENT_KNOWN || !range_within(r.history_at, r.history_size, in->file_end) ||
            load_parts(in, load_le32(segment + 60), parts) < 0)
                return -EINVAL;
        return restart_load(table, &r, in->window);
}

int stored_table_load(struct stored_tables *in, uint32_t count, uint64_t out_bytes,
                      uint64_t in_bytes, struct restart_table **out)
{
        const uint8_t *segments = in->bytes + in->at;
        struct restart_table *table;
        int rc;

        if (!range_within(in->at, (uint64_t)count * SEGMENT, in->len))
                return -EINVAL;
        rc = restart_table_new(&table);
        if (rc < 0)
                return rc;
        in->at += (uint64_t)count * SEGMENT;
        for (uint32_t i = 0; i < count && rc == 0; i++)
                rc = load_segment(in, segments + (size_t)i * SEGMENT, table);
        if (rc == 0)
                rc = restart_load_end(table, out_bytes, in_bytes);
        if (rc < 0)
                restart_table_free(table);
        else
                *out = table;
        return rc;
}
