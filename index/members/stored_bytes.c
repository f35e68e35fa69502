/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/members/stored_bytes.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"

struct stored_bytes {
        struct source *file;
        uint64_t at; /* byte of the file */
        size_t len;
        char *data;
        uint64_t *hashes;

        pthread_mutex_t lock; /* of reading into data */
        atomic_bool *here;    /* of each part; set with release after it was read */
};

static size_t count_parts(size_t len)
{
        return (len + STORED_BYTES_PART - 1) / STORED_BYTES_PART;
}

static size_t part_len(const struct stored_bytes *b, size_t part)
{
        return min_u64(STORED_BYTES_PART, b->len - part * STORED_BYTES_PART);
}

static uint64_t add_hash(const void *part, size_t len, XXH3_state_t *sum)
{
        uint64_t hash = XXH3_64bits(part, len);
        uint8_t stored[8];

        store_le64(stored, hash);
        XXH3_64bits_update(sum, stored, sizeof stored);
        return hash;
}

void stored_bytes_sum(const void *data, size_t len, XXH3_state_t *sum)
{
        const char *at = data;

        for (; len; at += STORED_BYTES_PART) {
                size_t n = min_u64(STORED_BYTES_PART, len);

                add_hash(at, n, sum);
                len -= n;
        }
}

static int read_part(const struct stored_bytes *b, size_t part, void *buf)
{
        return source_pread_all(b->file, buf, part_len(b, part), b->at + part * STORED_BYTES_PART);
}

static int hash_all(struct stored_bytes *b, bool whole, XXH3_state_t *sum)
{
        cleanup_free char *window = whole ? NULL : malloc(STORED_BYTES_PART);
        int rc = whole || window ? 0 : -ENOMEM;

        for (size_t i = 0; i < count_parts(b->len) && rc == 0; i++) {
                char *to = whole ? b->data + i * STORED_BYTES_PART : window;

                rc = read_part(b, i, to);
                if (rc == 0)
                        b->hashes[i] = add_hash(to, part_len(b, i), sum);
                b->here[i] = whole;
        }
        return rc;
}

int stored_bytes_open(struct source *file, uint64_t at, size_t len, bool whole, XXH3_state_t *sum,
                      struct stored_bytes **out)
{
        struct stored_bytes *b = calloc(1, sizeof *b);
        int rc;

        if (!b)
                return -ENOMEM;
        pthread_mutex_init(&b->lock, NULL);
        b->file = file;
        b->at = at;
        b->len = len;
        b->data = malloc(len + 1);
        b->hashes = calloc(count_parts(len) + 1, sizeof *b->hashes);
        b->here = calloc(count_parts(len) + 1, sizeof *b->here);
        rc = b->data && b->hashes && b->here ? hash_all(b, whole, sum) : -ENOMEM;
        if (rc < 0) {
                stored_bytes_free(b);
                return rc;
        }
        *out = b;
        return 0;
}

void stored_bytes_free(struct stored_bytes *b)
{
        if (!b)
                return;
        pthread_mutex_destroy(&b->lock);
        free(b->data);
        free(b->hashes);
        free(b->here);
        free(b);
}

void *stored_bytes_at(const struct stored_bytes *b)
{
        return b->data;
}

static int load_part(struct stored_bytes *b, size_t part)
{
        char *to = b->data + part * STORED_BYTES_PART;
        scoped_lock(&b->lock);
        int rc;

        if (atomic_load_explicit(&b->here[part], memory_order_relaxed))
                return 0;
        rc = read_part(b, part, to);
        if (rc == 0 && XXH3_64bits(to, part_len(b, part)) != b->hashes[part])
                rc = -EBADMSG;
        if (rc == 0)
                atomic_store_explicit(&b->here[part], true, memory_order_release);
        return rc;
}

int stored_bytes_need(struct stored_bytes *b, uint64_t from, uint64_t len)
{
        int rc = 0;

        if (!range_within(from, len, b->len))
                return -EBADMSG;
        for (uint64_t i = from / STORED_BYTES_PART; i * STORED_BYTES_PART < from + len && rc == 0;
             i++)
                if (!atomic_load_explicit(&b->here[i], memory_order_acquire))
                        rc = load_part(b, i);
        return rc;
}
