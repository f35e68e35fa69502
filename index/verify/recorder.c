/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/verify/recorder.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/shared.h"
#include "archive/workers.h"
#include "index/index.h"
#include "index/verify/hashtree.h"
#include "index/verify/record.h"

enum {
        BATCH_LEAVES = 16,
        BATCHES_A_THREAD = 4,
        THREADS_MAX = 64,
        MISSING_MAX = 1 << 20, /* leaves that are sorted at a time: 16 MiB of memory */
};

struct leaf {
        struct hashtree *tree;
        uint64_t number;
        size_t len;
};

/* The bytes of leaf i are at i * HASHTREE_LEAF of data. */
struct batch {
        struct recorder *recorder;
        struct batch *next; /* guarded by the recorder's lock while the batch is free */
        uint8_t *data;
        size_t count;
        struct leaf leaves[BATCH_LEAVES];
};

struct recorder {
        struct index *index;
        recorder_read_fn read;
        void *read_ctx;
        struct hashtree **trees;
        size_t tree_count;
        struct batch *batches;
        size_t batch_count;
        struct workers *workers;

        /* Used only by the scan's thread. */
        struct batch *filling;
        struct hashtree *open_tree; /* of the leaf that is being assembled, or NULL … */
        uint64_t open_leaf;
        size_t open_len; /* … of which so many bytes are in the batch, after its complete leaves */

        pthread_mutex_t lock; /* guards the two below */
        struct batch *free;
        int error; /* the first one, -errno */
};

/* ---- batches ---- */

static void hash_batch(void *ctx, size_t arg)
{
        struct batch *b = ctx;
        struct recorder *r = b->recorder;
        int rc = 0;

        (void)arg;
        for (size_t i = 0; i < b->count && rc == 0; i++) {
                const struct leaf *leaf = &b->leaves[i];
                uint8_t hash[HASHTREE_LEN];

                rc = hashtree_sha256(b->data + i * HASHTREE_LEAF, leaf->len, hash);
                if (rc == 0)
                        rc = hashtree_put(leaf->tree, leaf->number, hash);
        }
        b->count = 0;
        scoped_lock(&r->lock);
        if (rc < 0 && r->error == 0)
                r->error = rc;
        b->next = r->free;
        r->free = b;
}

static struct batch *take_free(struct recorder *r)
{
        scoped_lock(&r->lock);
        struct batch *b = r->free;

        if (b)
                r->free = b->next;
        return b;
}

static int first_error(struct recorder *r)
{
        scoped_lock(&r->lock);

        return r->error;
}

/* Hash the filled batch: on a worker if there is another batch to go on with. */
static int pass_on(struct recorder *r)
{
        struct batch *next = take_free(r);

        if (!next || workers_submit(r->workers, WORK_LATER, hash_batch, r->filling, 0) < 0) {
                hash_batch(r->filling, 0);
                if (!next)
                        next = take_free(r);
        }
        r->filling = next;
        return first_error(r);
}

static int add_batches(struct recorder *r, size_t count)
{
        r->batches = calloc(count, sizeof *r->batches);
        if (!r->batches)
                return -ENOMEM;
        for (; r->batch_count < count; r->batch_count++) {
                struct batch *b = &r->batches[r->batch_count];

                b->data = malloc((size_t)BATCH_LEAVES * HASHTREE_LEAF);
                if (!b->data)
                        return -ENOMEM;
                b->recorder = r;
                b->next = r->free;
                r->free = b;
        }
        r->filling = take_free(r);
        return 0;
}

static int add_trees(struct recorder *r)
{
        size_t count = index_disk_count(r->index);

        r->trees = calloc(count + 1, sizeof(*r->trees));
        if (!r->trees)
                return -ENOMEM;
        for (; r->tree_count < count; r->tree_count++) {
                const struct disk *d = index_disk(r->index, r->tree_count);
                int rc = hashtree_new(d->provisional_size ? MAP_SIZE_MAX : d->size, HASHTREE_MEMORY,
                                      &r->trees[r->tree_count]);

                if (rc < 0)
                        return rc;
        }
        return 0;
}

int recorder_new(struct index *index, recorder_read_fn read, void *ctx, struct recorder **out)
{
        struct worker_pool *pool = index_shared(index)->pool;
        unsigned threads = worker_pool_threads(pool);
        struct recorder *r = calloc(1, sizeof *r);
        int rc;

        if (!r)
                return -ENOMEM;
        if (threads > THREADS_MAX)
                threads = THREADS_MAX;
        r->index = index;
        r->read = read;
        r->read_ctx = ctx;
        pthread_mutex_init(&r->lock, NULL);
        rc = add_trees(r);
        if (rc == 0)
                rc = add_batches(r, (size_t)threads * BATCHES_A_THREAD);
        if (rc == 0)
                rc = workers_new(pool, &r->workers);
        if (rc < 0) {
                recorder_free(r);
                return rc;
        }
        *out = r;
        return 0;
}

void recorder_free(struct recorder *r)
{
        if (!r)
                return;
        workers_free(r->workers);
        for (size_t i = 0; i < r->batch_count; i++)
                free(r->batches[i].data);
        free(r->batches);
        for (size_t i = 0; i < r->tree_count; i++)
                hashtree_free(r->trees[i]);
        free(r->trees);
        pthread_mutex_destroy(&r->lock);
        free(r);
}

/* ---- the pass ---- */

/* A part of one leaf: LEN bytes at SKIP into it. */
struct part {
        uint64_t leaf;
        size_t skip, len;
        struct volume_extent at; /* where it is */
};

/* Append P to its leaf, or begin the leaf with it. False: P does not follow what the leaf has. */
static bool follows(struct recorder *r, struct hashtree *t, const struct part *p)
{
        if (p->skip == 0) {
                r->open_tree = t;
                r->open_leaf = p->leaf;
                r->open_len = 0;
        }
        return r->open_tree == t && r->open_leaf == p->leaf && r->open_len == p->skip;
}

/* Copy the bytes of P to AT. */
static int fetch(struct recorder *r, struct disk *d, const struct part *p, uint8_t *at)
{
        if (p->at.kind != VOLUME_ZERO)
                return r->read(r->read_ctx, d, p->leaf * HASHTREE_LEAF + p->skip, &p->at, at);
        memset(at, 0, p->len);
        return 0;
}

static int add_part(struct recorder *r, struct disk *d, const struct part *p)
{
        struct hashtree *t = r->trees[d->number];
        struct batch *b = r->filling;
        size_t leaf_len = hashtree_leaf_len(t, p->leaf);

        if (!hashtree_wants(t, p->leaf))
                return 0;
        if (p->at.kind == VOLUME_ZERO && p->len == HASHTREE_LEAF)
                return hashtree_put_zero(t, p->leaf);
        if (p->at.kind == VOLUME_LOST || !follows(r, t, p)) {
                r->open_tree = NULL;
                return 0;
        }
        if (fetch(r, d, p, b->data + b->count * HASHTREE_LEAF + p->skip) < 0) {
                hashtree_spoil(t, p->leaf / HASHTREE_LEAVES);
                r->open_tree = NULL;
                return 0;
        }
        r->open_len += p->len;
        if (r->open_len < leaf_len)
                return 0;
        r->open_tree = NULL;
        b->leaves[b->count++] = (struct leaf){t, p->leaf, leaf_len};
        return b->count == BATCH_LEAVES ? pass_on(r) : 0;
}

int recorder_extent(struct recorder *r, struct disk *disk, uint64_t pos,
                    const struct volume_extent *e)
{
        struct hashtree *t = r->trees[disk->number];
        uint64_t start = pos, end = min_u64(pos + e->len, hashtree_size(t));
        int rc = 0;

        while (pos < end && rc == 0) {
                struct part p = {.leaf = pos / HASHTREE_LEAF, .skip = pos % HASHTREE_LEAF};

                p.len = (size_t)min_u64(end - pos, HASHTREE_LEAF - p.skip);
                p.at = volume_part(e, pos - start, p.len);
                rc = add_part(r, disk, &p);
                pos += p.len;
        }
        return rc;
}

/* ---- its end ---- */

/* Has PIECE lost something? *SKIP is the next piece for which the answer may differ. */
static bool has_lost(struct disk *d, uint64_t piece, uint64_t *skip)
{
        uint64_t end = min_u64(d->size, (piece + 1) * HASHTREE_PIECE);
        struct volume_extent e;

        *skip = piece + 1;
        for (uint64_t pos = piece * HASHTREE_PIECE; pos < end; pos += e.len) {
                if (disk_extent(d, pos, d->size - pos, &e) == 0 && e.kind != VOLUME_LOST)
                        continue;
                *skip = max_u64(*skip, (pos + e.len) / HASHTREE_PIECE);
                return true;
        }
        return false;
}

/* A leaf that did not come whole. */
struct missing {
        uint64_t offset; /* of what it begins with, in the disk's source */
        uint64_t leaf;
};

typedef ARRAY(struct missing) missing_leaves;

static int by_offset(const void *a, const void *b)
{
        const struct missing *x = a, *y = b;

        if (x->offset != y->offset)
                return x->offset < y->offset ? -1 : 1;
        return (x->leaf > y->leaf) - (x->leaf < y->leaf);
}

static int complete_leaf(struct hashtree *t, struct disk *d, uint64_t leaf, uint8_t *buf)
{
        size_t len = hashtree_leaf_len(t, leaf);
        uint8_t hash[HASHTREE_LEN];
        int rc;

        /* Another leaf of its piece may have been lost meanwhile. */
        if (!hashtree_wants(t, leaf))
                return 0;
        if (disk_read(d, buf, len, leaf * HASHTREE_LEAF) != (ssize_t)len) {
                hashtree_spoil(t, leaf / HASHTREE_LEAVES);
                return 0;
        }
        rc = hashtree_sha256(buf, len, hash);
        return rc < 0 ? rc : hashtree_put(t, leaf, hash);
}

/*
 * Read LIST in the order in which the source has it. That of a compressed member is a stream, of
 * which a small cache holds a segment or two: in the disk's order each leaf would decode one.
 */
static int complete_leaves(struct hashtree *t, struct disk *d, missing_leaves *list, uint8_t *buf)
{
        int rc = 0;

        if (list->count > 1)
                qsort(list->items, list->count, sizeof *list->items, by_offset);
        for (size_t i = 0; i < list->count && rc == 0; i++)
                rc = complete_leaf(t, d, list->items[i].leaf, buf);
        list->count = 0;
        return rc;
}

/* Add the leaves of PIECE that did not come whole. */
static int add_missing(struct hashtree *t, struct disk *d, uint64_t piece, missing_leaves *list)
{
        uint64_t leaf = piece * HASHTREE_LEAVES, end = leaf + HASHTREE_LEAVES;
        int rc = 0;

        for (; leaf < end && leaf * HASHTREE_LEAF < d->size && rc == 0; leaf++) {
                uint64_t pos = leaf * HASHTREE_LEAF;
                struct volume_extent e;

                if (!hashtree_wants(t, leaf))
                        continue;
                if (disk_extent(d, pos, d->size - pos, &e) < 0)
                        e = (struct volume_extent){0};
                rc = array_add(list, ((struct missing){e.source ? e.offset : 0, leaf}));
        }
        return rc;
}

static int finish_disk(struct hashtree *t, struct disk *d, uint8_t *buf)
{
        int rc = hashtree_settle(t, d->size);
        uint64_t pieces = hashtree_pieces(t), skip = 0;
        missing_leaves missing = {0};

        for (uint64_t piece = 0; piece < pieces && rc == 0; piece++) {
                uint8_t hash[HASHTREE_LEN];

                if (d->totals.lost && (piece < skip || has_lost(d, piece, &skip)))
                        hashtree_spoil(t, piece);
                else if (hashtree_piece(t, piece, hash) == HASHTREE_OPEN)
                        rc = add_missing(t, d, piece, &missing);
                if (rc == 0 && missing.count >= MISSING_MAX)
                        rc = complete_leaves(t, d, &missing, buf);
        }
        if (rc == 0)
                rc = complete_leaves(t, d, &missing, buf);
        array_free(&missing);
        return rc;
}

int recorder_finish(struct recorder *r)
{
        cleanup_free uint8_t *buf = malloc(HASHTREE_LEAF);
        int rc = buf ? 0 : -ENOMEM;

        hash_batch(r->filling, 0);
        r->filling = NULL;
        workers_drain(r->workers);
        if (rc == 0)
                rc = first_error(r);
        for (size_t i = 0; i < r->tree_count && rc == 0; i++)
                rc = finish_disk(r->trees[i], index_disk(r->index, i), buf);
        return rc;
}

struct hashtree *recorder_tree(const struct recorder *r, size_t disk)
{
        return r->trees[disk];
}

int recorder_record(const struct recorder *r, uint64_t time, struct record **out)
{
        return record_build(r->trees, r->tree_count, time, out);
}
