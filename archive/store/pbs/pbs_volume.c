/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/store/pbs/pbs_volume.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/store/pbs/pbs_index.h"

enum {
        READERS = 4, /* that are told apart */
        LATE = 3,    /* chunks by which a request may come late */
        LOOK = 64,   /* chunks, of zeros for the most part, that are looked at in one go */
};

/* A reader that goes through a volume chunk by chunk. */
struct reader {
        uint64_t next;  /* the chunk that such a reader asks for next */
        uint64_t ahead; /* the first one that was not looked at to be prefetched */
        unsigned
            waiting; /* those before AHEAD that are prefetched, and the reader has not reached */
};

enum trust { TRUST_UNKNOWN, TRUST_PROVEN, TRUST_REFUSED };

struct pbs_volume {
        struct volume base;
        struct pbs_index index;
        struct pbs_chunks *chunks;
        enum pbs_crypt crypt;
        uint8_t expected[PBS_DIGEST_LEN]; /* of the index's table */
        pthread_mutex_t lock;
        _Atomic(enum trust) trust;      /* changes under lock */
        struct error *failure;          /* lock */
        struct reader readers[READERS]; /* lock */
        unsigned next_reader;           /* lock: which is replaced next */
};

static struct pbs_volume *self(struct volume *v)
{
        return (struct pbs_volume *)v;
}

/* Under lock. Most volumes never have one. */
static void keep_failure(struct pbs_volume *p, const struct error *err)
{
        if (!p->failure)
                p->failure = malloc(sizeof *p->failure);
        if (p->failure)
                *p->failure = *err;
}

static void note_failure(struct pbs_volume *p, const struct error *err)
{
        scoped_lock(&p->lock);

        keep_failure(p, err);
}

/* Compare the table with what the manifest says of it. */
static int prove(struct pbs_volume *p)
{
        uint8_t digest[PBS_DIGEST_LEN];
        struct error err = {0};
        int rc;
        scoped_lock(&p->lock);

        if (p->trust != TRUST_UNKNOWN)
                return 0;
        rc = pbs_index_digest(&p->index, digest);
        if (rc < 0) {
                error_fill(&err, -rc, "the index cannot be read: %s", strerror(-rc));
                keep_failure(p, &err);
                return rc;
        }
        if (memcmp(digest, p->expected, sizeof digest) == 0) {
                p->trust = TRUST_PROVEN;
                return 0;
        }
        p->trust = TRUST_REFUSED;
        error_fill(&err, EIO, "the index is not the one that the manifest names");
        keep_failure(p, &err);
        return 0;
}

/* 0: the index can be trusted; -EIO: it cannot. */
static int is_proven(struct pbs_volume *p)
{
        int rc = p->trust == TRUST_UNKNOWN ? prove(p) : 0;

        if (rc < 0)
                return rc;
        return p->trust == TRUST_PROVEN ? 0 : -EIO;
}

int pbs_volume_prove(struct volume *v)
{
        return is_proven(self(v));
}

/* A reader does not ask for a chunk of zeros: it has passed it. */
static void pass_hole(struct pbs_volume *p, uint64_t number)
{
        scoped_lock(&p->lock);

        for (unsigned i = 0; i < READERS; i++)
                if (p->readers[i].next == number && number > 0)
                        p->readers[i].next++;
}

static int pbs_volume_extent(struct volume *v, uint64_t pos, uint64_t len,
                             struct volume_extent *out)
{
        struct pbs_volume *p = self(v);
        struct pbs_chunk_ref ref;
        int rc = is_proven(p);

        if (rc == 0)
                rc = pbs_index_find(&p->index, pos, &ref);
        if (rc == -EIO) {
                *out = (struct volume_extent){.len = len, .kind = VOLUME_LOST, .allocated = true};
                return 0;
        }
        if (rc < 0)
                return rc;
        *out = (struct volume_extent){
            .len = min_u64(len, ref.end - pos), .kind = VOLUME_CODED, .allocated = true};
        /* Elsewhere each chunk has a size of its own, whose zeros would have to be hashed. */
        if (!p->index.dynamic &&
            pbs_chunks_is_zeros(p->chunks, ref.digest, p->crypt, (size_t)(ref.end - ref.start)))
                out->kind = VOLUME_ZERO;
        if (out->kind == VOLUME_ZERO)
                pass_hole(p, ref.number);
        return 0;
}

/* ---- reading ---- */

/* Chunks of zeros have other names with a key than without. */
static bool is_zeros(struct pbs_volume *p, const struct pbs_chunk_ref *ref)
{
        return pbs_chunks_is_zeros(p->chunks, ref->digest, p->crypt,
                                   (size_t)(ref->end - ref->start));
}

/* The reader that has come to chunk NUMBER. NULL: it does not follow from the one before. Under lock. */
static struct reader *find_reader(struct pbs_volume *p, uint64_t number)
{
        struct reader *r = NULL;

        for (unsigned i = 0; i < READERS; i++) {
                /* Still in what was counted: a kernel's requests come in a loose order. */
                if (number < p->readers[i].next && number + LATE >= p->readers[i].next)
                        return NULL;
                if (p->readers[i].next == number && number > 0)
                        r = &p->readers[i];
        }
        if (!r)
                p->readers[p->next_reader++ % READERS] =
                    (struct reader){.next = number + 1, .ahead = number + 1};
        return r;
}

/*
 * Chunk NUMBER is being read. Those to be prefetched, so that DEPTH of them wait for the reader: into
 * OUT, how many. Chunks of zeros do not count, or a hole would use up the depth, and its end would be
 * met with nothing prefetched.
 */
static unsigned follow_reader(struct pbs_volume *p, uint64_t number, unsigned depth,
                              struct pbs_chunk_ref out[PBS_DEPTH_MAX])
{
        struct reader *r;
        unsigned n = 0;
        scoped_lock(&p->lock);

        r = find_reader(p, number);
        if (!r)
                return 0;
        r->next = number + 1;
        if (r->ahead <= number) {
                r->ahead = number + 1;
                r->waiting = 0;
        } else if (r->waiting > 0) {
                r->waiting--;
        }
        for (unsigned i = 0; i < LOOK && r->waiting < depth && r->ahead < p->index.count; i++) {
                if (pbs_index_chunk(&p->index, r->ahead, &out[n]) < 0)
                        break;
                r->ahead++;
                if (p->index.dynamic || !is_zeros(p, &out[n])) {
                        r->waiting++;
                        n++;
                }
        }
        return n;
}

static void prefetch(struct pbs_volume *p, const struct pbs_chunk_ref *ref)
{
        unsigned depth = pbs_chunks_depth(p->chunks, (size_t)(ref->end - ref->start)), n;
        struct pbs_chunk_ref next[PBS_DEPTH_MAX];

        if (depth == 0)
                return;
        n = follow_reader(p, ref->number, depth, next);
        for (unsigned i = 0; i < n; i++)
                pbs_chunks_prefetch(p->chunks, next[i].digest, p->crypt,
                                    (size_t)(next[i].end - next[i].start));
}

static int read_chunk(struct pbs_volume *p, uint64_t pos, void *buf, size_t len, size_t *done)
{
        struct pbs_chunk_ref ref;
        struct error err = {0};
        int rc = pbs_index_find(&p->index, pos, &ref);

        if (rc < 0)
                return rc;
        *done = (size_t)min_u64(len, ref.end - pos);
        prefetch(p, &ref);
        rc = pbs_chunks_read(p->chunks, ref.digest, p->crypt, (size_t)(ref.end - ref.start),
                             (size_t)(pos - ref.start), buf, *done, &err);
        if (rc < 0)
                note_failure(p, &err);
        /* Without the key it counts as lost. */
        return rc == -EACCES ? -EIO : rc;
}

static int pbs_volume_read(struct volume *v, void *buf, size_t len, uint64_t pos)
{
        struct pbs_volume *p = self(v);
        int rc = is_proven(p);
        size_t n = 0;

        for (size_t done = 0; rc == 0 && done < len; done += n)
                rc = read_chunk(p, pos + done, (char *)buf + done, len - done, &n);
        return rc;
}

/* As source_pin: the whole chunk. */
static int pbs_volume_pin(struct volume *v, uint64_t pos, size_t len, bool wait,
                          struct source_pin *pin)
{
        struct pbs_volume *p = self(v);
        struct pbs_chunk_ref ref;
        struct block *block;
        int rc = is_proven(p);

        (void)len;
        if (rc == 0)
                rc = pbs_index_find(&p->index, pos, &ref);
        if (rc < 0)
                return rc;
        prefetch(p, &ref);
        *pin = (struct source_pin){.start = ref.start, .end = ref.end};
        rc = pbs_chunks_get(p->chunks, ref.digest, p->crypt, (size_t)(ref.end - ref.start), wait,
                            &block, &pin->data, NULL);
        if (rc < 0)
                return rc;
        pin->held = block;
        return 1;
}

static void pbs_volume_unpin(struct volume *v, const struct source_pin *pin)
{
        pbs_chunks_put(self(v)->chunks, pin->held, pin->used);
}

static void pbs_volume_close(struct volume *v)
{
        struct pbs_volume *p = self(v);

        pbs_index_close(&p->index);
        pthread_mutex_destroy(&p->lock);
        free(p->failure);
        free(p);
}

static const struct volume_ops ops = {
    .extent = pbs_volume_extent,
    .read = pbs_volume_read,
    .pin = pbs_volume_pin,
    .unpin = pbs_volume_unpin,
    .close = pbs_volume_close,
};

int pbs_volume_open(struct source *take_source, struct pbs_chunks *chunks, enum pbs_crypt crypt,
                    const uint8_t *expected, struct volume **out, struct error *err)
{
        struct pbs_index index;
        struct pbs_volume *p;
        int rc = pbs_index_open(take_source, &index, err);

        if (rc < 0)
                return rc;
        p = calloc(1, sizeof *p);
        if (!p) {
                pbs_index_close(&index);
                return error_set(err, ENOMEM, "out of memory");
        }
        p->base = (struct volume){.ops = &ops, .size = index.size};
        p->index = index;
        p->chunks = chunks;
        p->crypt = crypt;
        p->trust = expected ? TRUST_UNKNOWN : TRUST_PROVEN;
        if (expected)
                memcpy(p->expected, expected, sizeof p->expected);
        pthread_mutex_init(&p->lock, NULL);
        *out = &p->base;
        return 0;
}

int pbs_volume_same(struct volume *a, struct volume *b, uint64_t pos, uint64_t *len)
{
        struct pbs_chunk_ref x, y;
        int rc = pbs_index_find(&self(a)->index, pos, &x);

        if (rc < 0)
                return rc;
        *len = min_u64(*len, x.end - pos);
        if (pos >= b->size)
                return 0;
        rc = pbs_index_find(&self(b)->index, pos, &y);
        if (rc < 0)
                return rc;
        /* One disk may have grown: then its last chunk is another one. */
        if (x.start != y.start || x.end != y.end)
                return is_zeros(self(a), &x) && is_zeros(self(b), &y) && y.end >= x.end;
        if (self(a)->crypt == self(b)->crypt)
                return memcmp(x.digest, y.digest, PBS_DIGEST_LEN) == 0;
        return is_zeros(self(a), &x) && is_zeros(self(b), &y);
}

int64_t pbs_volume_ctime(const struct volume *v)
{
        return ((const struct pbs_volume *)v)->index.ctime;
}

bool pbs_volume_failure(struct volume *v, struct error *err)
{
        struct pbs_volume *p = self(v);
        scoped_lock(&p->lock);

        *err = p->failure ? *p->failure : (struct error){0};
        return err->code != 0;
}

int pbs_volume_each(const struct volume *v, int (*each)(void *ctx, const struct pbs_chunk_ref *ref),
                    void *ctx)
{
        const struct pbs_volume *p = (const struct pbs_volume *)v;
        int rc = 0;

        for (uint64_t i = 0; rc == 0 && i < p->index.count; i++) {
                struct pbs_chunk_ref ref;

                rc = pbs_index_chunk(&p->index, i, &ref);
                if (rc == 0)
                        rc = each(ctx, &ref);
        }
        return rc;
}
