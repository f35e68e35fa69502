/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table: an array of records in the order of the stream.
 *
 *   records  [0 point][1 point][2 continues][3 point][4 growing]
 *            `------------- finished: readers see them --------'
 *                  |                          |
 *                  history (zstd)             history (zstd)
 *
 * A rwlock guards it all. Readers hold it for one binary search; the pass takes it for writing
 * a few times a second.
 */
#include "archive/stream/restart_table.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <zstd.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/stream/parts.h"

/* Histories are mostly zeros, which every level compresses well; higher levels gain nothing. */
#define HISTORY_LEVEL 3

struct record {
        struct restart_point point;
        enum restart_state state;
        bool proven;
        void *history; /* compressed; NULL when none is needed, or when it is in the store */
        size_t history_size;
        uint64_t history_at;   /* in the store */
        uint64_t history_hash; /* XXH3-64 of the blob in the store */
        uint64_t *parts;       /* hashes of all parts, or NULL */
        size_t part_count;
};

struct restart_table {
        ZSTD_CCtx *compressor; /* of the one thread that attaches histories */
        pthread_rwlock_t lock; /* guards everything below */
        struct record *records;
        size_t count, capacity;
        bool finished;        /* the last record is no longer growing */
        uint64_t out_bytes;   /* of the stream; once finished */
        uint64_t in_bytes;    /* likewise */
        struct source *store; /* of histories that are not in memory, or NULL */
};

int restart_table_new(struct restart_table **out)
{
        struct restart_table *t = calloc(1, sizeof *t);

        if (!t)
                return -ENOMEM;
        pthread_rwlock_init(&t->lock, NULL);
        *out = t;
        return 0;
}

static void free_record(struct record *r)
{
        free(r->history);
        free(r->parts);
}

void restart_table_free(struct restart_table *t)
{
        if (!t)
                return;
        for (size_t i = 0; i < t->count; i++)
                free_record(&t->records[i]);
        free(t->records);
        source_close(t->store);
        ZSTD_freeCCtx(t->compressor);
        pthread_rwlock_destroy(&t->lock);
        free(t);
}

/* Caller holds the lock. */
static size_t finished_count(const struct restart_table *t)
{
        return t->finished || t->count == 0 ? t->count : t->count - 1;
}

/* Caller holds the lock. */
static uint64_t finished_end(const struct restart_table *t)
{
        if (t->finished)
                return t->out_bytes;
        return t->count ? t->records[t->count - 1].point.out : 0;
}

/* Caller holds the lock for writing. */
static int append(struct restart_table *t, const struct record *r)
{
        if (t->count == t->capacity) {
                size_t capacity = t->capacity ? t->capacity * 2 : 64;
                struct record *grown = reallocarray(t->records, capacity, sizeof *grown);

                if (!grown)
                        return -ENOMEM;
                t->records = grown;
                t->capacity = capacity;
        }
        t->records[t->count++] = *r;
        return 0;
}

static int copy_parts(struct record *r, const uint64_t *parts, size_t count)
{
        size_t size = count * sizeof *parts;

        if (count == 0)
                return 0;
        r->parts = malloc(size);
        if (!r->parts)
                return -ENOMEM;
        memcpy(r->parts, parts, size);
        r->part_count = count;
        return 0;
}

/* Caller holds the lock for writing. */
static int set_hash(struct record *r, const struct restart_hash *hash)
{
        r->point.hash = hash->hash;
        r->point.by_sums = hash->by_sums;
        return copy_parts(r, hash->parts, hash->part_count);
}

int restart_table_begin(struct restart_table *t, struct restart_hash hash,
                        const struct restart_point *point, enum restart_state state)
{
        struct record r = {.point = *point, .state = state};
        int rc = 0;

        pthread_rwlock_wrlock(&t->lock);
        if (t->count && t->records[t->count - 1].point.out == point->out) {
                free_record(&t->records[t->count - 1]);
                t->records[t->count - 1] = r;
        } else {
                rc = append(t, &r);
                if (rc == 0 && t->count > 1)
                        rc = set_hash(&t->records[t->count - 2], &hash);
        }
        pthread_rwlock_unlock(&t->lock);
        return rc;
}

int restart_table_finish(struct restart_table *t, struct restart_hash hash, uint64_t out,
                         uint64_t in_bytes)
{
        int rc = 0;

        pthread_rwlock_wrlock(&t->lock);
        if (t->count && t->records[t->count - 1].point.out == out) {
                t->count--;
                free_record(&t->records[t->count]);
        } else if (t->count) {
                rc = set_hash(&t->records[t->count - 1], &hash);
        }
        t->finished = true;
        t->out_bytes = out;
        t->in_bytes = in_bytes;
        pthread_rwlock_unlock(&t->lock);
        return rc;
}

int restart_table_attach(struct restart_table *t, size_t index, const void *history, size_t len,
                         uint64_t *stored)
{
        size_t bound = ZSTD_compressBound(len);
        cleanup_free char *blob = NULL;
        size_t size;
        char *trimmed;

        *stored = RESTART_RECORD_SIZE;
        if (len == 0)
                return 0;
        if (len > UINT32_MAX || ZSTD_isError(bound))
                return -EOVERFLOW;
        blob = malloc(bound);
        /* Kept, because setting one up takes longer than compressing a history. */
        if (!t->compressor)
                t->compressor = ZSTD_createCCtx();
        if (!blob || !t->compressor)
                return -ENOMEM;
        size = ZSTD_compressCCtx(t->compressor, blob, bound, history, len, HISTORY_LEVEL);
        if (ZSTD_isError(size))
                return -ENOMEM;
        trimmed = realloc(blob, size);
        if (trimmed)
                blob = trimmed;
        *stored += size;

        pthread_rwlock_wrlock(&t->lock);
        free(t->records[index].history);
        t->records[index].history = steal_ptr(&blob);
        t->records[index].history_size = size;
        t->records[index].point.history_len = (uint32_t)len;
        pthread_rwlock_unlock(&t->lock);
        return 0;
}

/* Caller holds the lock for writing. */
static void forget_history(struct record *r)
{
        free(r->history);
        r->history = NULL;
        r->history_size = 0;
        r->point.history_len = 0;
}

void restart_table_set_state(struct restart_table *t, size_t index, enum restart_state state)
{
        pthread_rwlock_wrlock(&t->lock);
        if (state == RESTART_CONTINUES)
                forget_history(&t->records[index]);
        t->records[index].state = state;
        pthread_rwlock_unlock(&t->lock);
}

size_t restart_table_records(struct restart_table *t)
{
        size_t count;

        pthread_rwlock_rdlock(&t->lock);
        count = t->count;
        pthread_rwlock_unlock(&t->lock);
        return count;
}

size_t restart_count(struct restart_table *t)
{
        size_t count;

        pthread_rwlock_rdlock(&t->lock);
        count = finished_count(t);
        pthread_rwlock_unlock(&t->lock);
        return count;
}

uint64_t restart_end(struct restart_table *t)
{
        uint64_t end;

        pthread_rwlock_rdlock(&t->lock);
        end = finished_end(t);
        pthread_rwlock_unlock(&t->lock);
        return end;
}

/* Caller holds the lock; INDEX is finished. */
static void describe(const struct restart_table *t, size_t index, struct restart_segment *out)
{
        const struct record *r = &t->records[index];
        bool last = index + 1 == t->count;

        out->index = index;
        out->point = r->point;
        out->end = last ? t->out_bytes : r[1].point.out;
        out->in_end = last ? t->in_bytes * 8 : r[1].point.in_bit;
        out->point_held = r->state == RESTART_DEFERRED || r->state == RESTART_POINT;
        out->proven = r->proven;
}

bool restart_get(struct restart_table *t, size_t index, struct restart_segment *out)
{
        bool found;

        pthread_rwlock_rdlock(&t->lock);
        found = index < finished_count(t);
        if (found)
                describe(t, index, out);
        pthread_rwlock_unlock(&t->lock);
        return found;
}

bool restart_find(struct restart_table *t, uint64_t offset, struct restart_segment *out)
{
        bool found;

        pthread_rwlock_rdlock(&t->lock);
        found = offset < finished_end(t);
        if (found) {
                size_t after = search_first(finished_count(t), m, t->records[m].point.out > offset);

                describe(t, after - 1, out);
        }
        pthread_rwlock_unlock(&t->lock);
        return found;
}

void restart_entry(struct restart_table *t, size_t index, struct restart_segment *out)
{
        pthread_rwlock_rdlock(&t->lock);
        while (index > 0 && !(t->records[index].state == RESTART_POINT && t->records[index].proven))
                index--;
        describe(t, index, out);
        pthread_rwlock_unlock(&t->lock);
}

bool restart_part(struct restart_table *t, size_t index, size_t part, uint64_t *hash)
{
        bool found;

        pthread_rwlock_rdlock(&t->lock);
        found = index < finished_count(t) && part < t->records[index].part_count;
        if (found)
                *hash = t->records[index].parts[part];
        pthread_rwlock_unlock(&t->lock);
        return found;
}

/* The blob of R into *BLOB: from memory, or into *READ, of its size, from the store. */
static int history_blob(struct restart_table *t, const struct record *r, void *read,
                        const void **blob)
{
        ssize_t n;

        *blob = r->history;
        if (*blob)
                return 0;
        if (!t->store)
                return -ENODATA;
        n = source_pread(t->store, read, r->history_size, r->history_at);
        /* Another time it may be there. */
        if (n == -EREMOTEIO)
                return -EREMOTEIO;
        if (n != (ssize_t)r->history_size || XXH3_64bits(read, r->history_size) != r->history_hash)
                return -ENODATA;
        *blob = read;
        return 0;
}

int restart_stored_blob(struct restart_table *t, size_t index, void **blob)
{
        cleanup_free void *buf = NULL;
        const void *found;
        int rc = -ENODATA;

        *blob = NULL;
        pthread_rwlock_rdlock(&t->lock);
        if (index < t->count && !t->records[index].history && t->records[index].history_size) {
                buf = malloc(t->records[index].history_size);
                rc = buf ? history_blob(t, &t->records[index], buf, &found) : -ENOMEM;
        }
        pthread_rwlock_unlock(&t->lock);
        if (rc == 0)
                *blob = steal_ptr(&buf);
        return rc;
}

int restart_history(struct restart_table *t, size_t index, void **history)
{
        cleanup_free void *read = NULL, *buf = NULL;
        const void *blob = NULL;
        struct record r;
        size_t len = 0;
        int rc = 0;

        *history = NULL;
        pthread_rwlock_rdlock(&t->lock);
        r = t->records[index];
        if (r.history_size > 0) {
                buf = malloc(r.point.history_len);
                read = r.history ? NULL : malloc(r.history_size);
                rc = buf && (read || r.history) ? history_blob(t, &r, read, &blob) : -ENOMEM;
                if (rc == 0)
                        len = ZSTD_decompress(buf, r.point.history_len, blob, r.history_size);
        }
        pthread_rwlock_unlock(&t->lock);
        /* The caller has seen a point here, but another thread may have dropped it since. */
        if (r.state == RESTART_CONTINUES)
                return -ENODATA;
        if (rc < 0 || r.history_size == 0)
                return rc;
        if (ZSTD_isError(len) || len != r.point.history_len)
                return -ENODATA;
        *history = steal_ptr(&buf);
        return 0;
}

void restart_proven(struct restart_table *t, size_t index)
{
        pthread_rwlock_wrlock(&t->lock);
        t->records[index].proven = true;
        pthread_rwlock_unlock(&t->lock);
}

void restart_drop(struct restart_table *t, size_t index)
{
        if (index > 0)
                restart_table_set_state(t, index, RESTART_CONTINUES);
}

void restart_measure(struct restart_table *t, struct restart_stats *out)
{
        uint64_t from = 0;

        *out = (struct restart_stats){0};
        pthread_rwlock_rdlock(&t->lock);
        out->segments = finished_count(t);
        for (size_t i = 0; i < out->segments; i++) {
                const struct record *r = &t->records[i];

                out->stored_bytes +=
                    RESTART_RECORD_SIZE + r->history_size + r->part_count * sizeof *r->parts;
                if (r->state != RESTART_POINT)
                        continue;
                out->points++;
                out->widest = max_u64(out->widest, r->point.out - from);
                from = r->point.out;
        }
        out->widest = max_u64(out->widest, finished_end(t) - from);
        pthread_rwlock_unlock(&t->lock);
}

bool restart_save(struct restart_table *t, size_t index, struct restart_record *out)
{
        bool found;

        pthread_rwlock_rdlock(&t->lock);
        found = t->finished && index < t->count;
        if (found) {
                const struct record *r = &t->records[index];

                out->point = r->point;
                out->enter = r->state == RESTART_POINT && r->proven;
                out->unproven = false;
                out->history = out->enter ? r->history : NULL;
                out->history_size = out->enter ? r->history_size : 0;
                out->history_at = r->history_at;
                out->history_hash =
                    out->history ? XXH3_64bits(r->history, r->history_size) : r->history_hash;
                if (!out->enter)
                        out->point.history_len = 0;
                out->parts = r->parts;
                out->part_count = r->part_count;
        }
        pthread_rwlock_unlock(&t->lock);
        return found;
}

/* Caller holds the lock. */
static int copy_history(const struct record *r, void **history)
{
        *history = NULL;
        if (r->history_size == 0)
                return 0;
        if (!r->history)
                return -ENODATA;
        *history = malloc(r->history_size);
        if (!*history)
                return -ENOMEM;
        memcpy(*history, r->history, r->history_size);
        return 0;
}

int restart_copy(struct restart_table *t, size_t index, struct restart_record *out, void **history)
{
        int rc = -ENODATA;

        if (history)
                *history = NULL;

        pthread_rwlock_rdlock(&t->lock);
        if (!t->finished && index < t->count) {
                const struct record *r = &t->records[index];

                *out = (struct restart_record){.point = r->point,
                                               .enter = r->state == RESTART_POINT,
                                               .unproven = !r->proven,
                                               .history_size = r->history_size,
                                               .parts = r->parts,
                                               .part_count = r->part_count};
                if (r->state == RESTART_POINT || r->state == RESTART_CONTINUES)
                        rc = history ? copy_history(r, history) : 0;
                out->history = history ? *history : NULL;
        }
        pthread_rwlock_unlock(&t->lock);
        return rc;
}

bool restart_growing(struct restart_table *t, struct restart_segment *out)
{
        bool found;

        pthread_rwlock_rdlock(&t->lock);
        found = !t->finished && t->count > 0;
        if (found) {
                const struct record *r = &t->records[t->count - 1];

                *out = (struct restart_segment){.index = t->count - 1,
                                                .point = r->point,
                                                .end = r->point.out,
                                                .in_end = RESTART_IN_UNKNOWN,
                                                .point_held = r->state == RESTART_POINT,
                                                .proven = r->proven};
        }
        pthread_rwlock_unlock(&t->lock);
        return found;
}

enum restart_state restart_table_state(struct restart_table *t, size_t index, bool *proven)
{
        enum restart_state state = RESTART_CONTINUES;

        pthread_rwlock_rdlock(&t->lock);
        *proven = index < t->count && t->records[index].proven;
        if (index < t->count)
                state = t->records[index].state;
        pthread_rwlock_unlock(&t->lock);
        return state;
}

void restart_use_store(struct restart_table *t, struct source *take_store, const uint64_t *at)
{
        pthread_rwlock_wrlock(&t->lock);
        source_close(t->store);
        t->store = take_store;
        for (size_t i = 0; at && i < t->count; i++) {
                struct record *r = &t->records[i];

                if (r->history_size == 0)
                        continue;
                r->history_at = at[i];
                if (r->history)
                        r->history_hash = XXH3_64bits(r->history, r->history_size);
                free(steal_ptr(&r->history));
        }
        pthread_rwlock_unlock(&t->lock);
}

/* A hostile blob can claim any length, but its frame header limits what it decodes to. */
static bool history_plausible(const struct restart_record *record, uint64_t history_max)
{
        uint32_t len = record->point.history_len;

        if (len == 0)
                return record->history_size == 0;
        if (record->history_size == 0 || len > history_max || len > record->point.out)
                return false;
        /* What is in the store is checked when it is needed: its hash and its length. */
        return record->history
                   ? ZSTD_getFrameContentSize(record->history, record->history_size) == len
                   : record->history_size <= ZSTD_compressBound(len);
}

static bool parts_plausible(const struct restart_record *record)
{
        if (record->part_count == 0)
                return true;
        return record->part_count <= PARTS_MAX && !record->point.by_sums &&
               parts_hash(record->point.out, record->parts, record->part_count) ==
                   record->point.hash;
}

/* Does R, which ends at OUT, have the hashes of all of its parts, or none? */
static bool parts_complete(const struct record *r, uint64_t out)
{
        return r->part_count == 0 || r->part_count == part_count(out - r->point.out);
}

/* Caller holds the lock. The records of a loaded table rise in both positions. */
static bool follows(const struct restart_table *t, const struct restart_point *point)
{
        const struct restart_point *last;

        if (t->count == 0)
                return point->out == 0 && point->in_bit == 0;
        last = &t->records[t->count - 1].point;
        if (point->out <= last->out || point->out - last->out > RESTART_SEGMENT_MAX ||
            !parts_complete(&t->records[t->count - 1], point->out))
                return false;
        return point->in_bit == RESTART_IN_UNKNOWN || last->in_bit == RESTART_IN_UNKNOWN ||
               point->in_bit >= last->in_bit;
}

int restart_load(struct restart_table *t, const struct restart_record *record, uint64_t history_max)
{
        struct record r = {.point = record->point};
        bool valid;
        int rc;

        if (!history_plausible(record, history_max) || !parts_plausible(record))
                return -EINVAL;
        if (record->enter && record->point.in_bit == RESTART_IN_UNKNOWN)
                return -EINVAL;
        if (!record->enter && (record->history_size > 0 || record->point.by_sums))
                return -EINVAL;
        r.state = record->enter ? RESTART_POINT : RESTART_CONTINUES;
        r.proven = record->enter && !record->unproven;
        r.history_size = record->history_size;
        r.history_at = record->history_at;
        r.history_hash = record->history_hash;
        if (record->history) {
                r.history = malloc(r.history_size);
                if (!r.history)
                        return -ENOMEM;
                memcpy(r.history, record->history, r.history_size);
        }
        if (copy_parts(&r, record->parts, record->part_count) < 0) {
                free_record(&r);
                return -ENOMEM;
        }
        pthread_rwlock_wrlock(&t->lock);
        valid = !t->finished && follows(t, &r.point) && (t->count > 0 || record->enter);
        rc = valid ? append(t, &r) : -EINVAL;
        pthread_rwlock_unlock(&t->lock);
        if (rc < 0)
                free_record(&r);
        return rc;
}

int restart_load_end(struct restart_table *t, uint64_t out_bytes, uint64_t in_bytes)
{
        const struct restart_point *last;
        bool valid;

        pthread_rwlock_wrlock(&t->lock);
        valid = !t->finished && in_bytes <= UINT64_MAX / 8 - 1;
        if (t->count == 0) {
                valid = valid && out_bytes == 0;
        } else {
                last = &t->records[t->count - 1].point;
                valid = valid && out_bytes > last->out &&
                        out_bytes - last->out <= RESTART_SEGMENT_MAX &&
                        parts_complete(&t->records[t->count - 1], out_bytes) &&
                        (last->in_bit == RESTART_IN_UNKNOWN || last->in_bit <= in_bytes * 8);
        }
        if (valid) {
                t->finished = true;
                t->out_bytes = out_bytes;
                t->in_bytes = in_bytes;
        }
        pthread_rwlock_unlock(&t->lock);
        return valid ? 0 : -EINVAL;
}
