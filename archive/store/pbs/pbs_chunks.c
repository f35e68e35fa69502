/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/store/pbs/pbs_chunks.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/shared.h"
#include "archive/store/pbs/pbs_blob.h"
#include "archive/store/pbs/pbs_far.h"
#include "archive/store/pbs/pbs_file.h"
#include "archive/workers.h"

enum {
        HEX_LEN = 2 * PBS_DIGEST_LEN,
        PATH_LEN = 4 + 1 + HEX_LEN + 1,   /* "bb9f/bb9f8d…" */
        ZERO_SIZES = 8,                   /* whose digests are remembered */
        PREFETCH_MAX = 2 * PBS_DEPTH_MAX, /* chunks at a time, of all readers */
};

/* The name of a chunk of SIZE zeros. */
struct zeros {
        size_t size; /* 0: free */
        enum pbs_crypt crypt;
        uint8_t digest[PBS_DIGEST_LEN];
};

/* A chunk that is prefetched. */
struct prefetch {
        size_t size; /* 0: free */
        enum pbs_crypt crypt;
        uint8_t digest[PBS_DIGEST_LEN];
};

struct pbs_chunks {
        int dir;             /* on disk; -1: … */
        struct pbs_far *far; /* … in a bucket */
        const struct pbs_key *key;
        struct shared *shared;
        struct cache_owner *cache; /* of data, each with its digest after it */
        struct workers *workers;
        pthread_mutex_t lock;
        struct prefetch prefetches[PREFETCH_MAX]; /* lock */
        struct zeros zeros[ZERO_SIZES];           /* lock */
        unsigned next_zeros;                      /* lock: which is replaced next */
};

static int new_chunks(const struct pbs_key *key, struct shared *shared, struct pbs_chunks **out)
{
        cleanup_free struct pbs_chunks *c = calloc(1, sizeof *c);

        if (!c || blockcache_join(shared->cache, CACHE_STREAM, &c->cache) < 0)
                return -ENOMEM;
        if (workers_new(shared->pool, &c->workers) < 0) {
                blockcache_leave(c->cache);
                return -ENOMEM;
        }
        c->dir = -1;
        c->key = key;
        c->shared = shared;
        pthread_mutex_init(&c->lock, NULL);
        *out = steal_ptr(&c);
        return 0;
}

int pbs_chunks_new(int take_dir, const struct pbs_key *key, struct shared *shared,
                   struct pbs_chunks **out)
{
        cleanup_close int dir = take_dir;
        int rc = new_chunks(key, shared, out);

        if (rc == 0)
                (*out)->dir = steal_fd(&dir);
        return rc;
}

int pbs_chunks_new_far(struct pbs_far *far, const struct pbs_key *key, struct shared *shared,
                       struct pbs_chunks **out)
{
        int rc = new_chunks(key, shared, out);

        if (rc == 0)
                (*out)->far = far;
        return rc;
}

void pbs_chunks_free(struct pbs_chunks *c)
{
        if (!c)
                return;
        workers_free(c->workers);
        blockcache_leave(c->cache);
        pthread_mutex_destroy(&c->lock);
        if (c->dir >= 0)
                close(c->dir);
        free(c);
}

/* ---- reading one ---- */

static void chunk_path(const uint8_t digest[PBS_DIGEST_LEN], char out[PATH_LEN])
{
        char hex[HEX_LEN + 1];

        for (size_t i = 0; i < PBS_DIGEST_LEN; i++)
                snprintf(hex + 2 * i, 3, "%02x", digest[i]);
        snprintf(out, PATH_LEN, "%.4s/%s", hex, hex);
}

/* What is being loaded, and why that failed. */
struct loading {
        struct pbs_chunks *c;
        const uint8_t *digest;
        enum pbs_crypt crypt;
        struct error *err;
};

static int compare(const struct loading *l, const void *data, size_t len)
{
        uint8_t digest[PBS_DIGEST_LEN];
        const struct pbs_key *key = l->crypt == PBS_CRYPT_ENCRYPTED ? l->c->key : NULL;

        if (pbs_chunk_digest(key, data, len, digest) < 0)
                return error_set(l->err, ENOMEM, "out of memory");
        if (memcmp(digest, l->digest, PBS_DIGEST_LEN) != 0)
                return error_set(l->err, EIO, "does not hold what its name says");
        return 0;
}

/* Is the folder of the chunk PATH a link? */
static bool is_in_link(const struct pbs_chunks *c, const char path[PATH_LEN])
{
        char folder[5];
        struct stat st;

        snprintf(folder, sizeof folder, "%.4s", path);
        return fstatat(c->dir, folder, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

/*
 * The file's bytes, of the kind that the manifest says. How many, or -errno. Links are followed to
 * the folder, which some move elsewhere, and not to the chunk itself.
 */
static ssize_t fetch(const struct loading *l, void **out)
{
        const size_t max = PBS_BLOB_MAX + PBS_BLOB_HEADER_MAX;
        char path[PATH_LEN];
        ssize_t n;

        chunk_path(l->digest, path);
        n = l->c->far ? pbs_far_chunk(l->c->far, path, max, out, l->err)
                      : pbs_file_read(l->c->dir, path, max, out, l->err);
        if (n == -ENOENT)
                return error_set(l->err, EIO, "is missing");
        if (n == -EACCES && !l->c->far && is_in_link(l->c, path))
                return error_set(l->err, EIO,
                                 "is in a folder that is a link out of .chunks, which the sandbox "
                                 "does not follow: mount that folder in its place with mount "
                                 "--bind");
        if (n > 0 && pbs_blob_is_encrypted(*out, (size_t)n) != (l->crypt == PBS_CRYPT_ENCRYPTED))
                return error_set(l->err, EIO,
                                 l->crypt == PBS_CRYPT_ENCRYPTED
                                     ? "is not encrypted, and should be"
                                     : "is encrypted, and should not be");
        return n;
}

/* SIZE bytes of plain data into BUF, compared with the name. */
static int decode(const struct loading *l, void *buf, size_t size)
{
        cleanup_free void *file = NULL;
        ssize_t n = fetch(l, &file);

        if (n < 0)
                return (int)n;
        n = pbs_blob_decode(file, (size_t)n, l->c->key, buf, size, l->err);
        if (n < 0)
                return (int)n;
        if ((size_t)n != size)
                return error_set(l->err, EIO, "has %zd bytes, and should have %zu", n, size);
        return compare(l, buf, size);
}

/* ---- through the cache ---- */

/* The digest follows the data: two digests may begin alike, and would have one key. */
static int load(void *ctx, uint64_t key, void *buf, size_t len)
{
        const struct loading *l = ctx;
        size_t size = len - PBS_DIGEST_LEN;
        int rc = decode(l, buf, size);

        (void)key;
        memcpy((char *)buf + size, l->digest, PBS_DIGEST_LEN);
        return rc;
}

/* Where the cache has another chunk under this key, or could not load this one. */
static int read_past_cache(const struct loading *l, size_t size, size_t skip, void *buf, size_t len)
{
        cleanup_free char *data = malloc(size + 1);
        int rc;

        if (!data)
                return error_set(l->err, ENOMEM, "out of memory");
        rc = decode(l, data, size);
        if (rc == 0)
                memcpy(buf, data + skip, len);
        return rc;
}

/* RC failed for WHY: say it in ERR. */
static int report(const uint8_t *digest, int rc, const struct error *why, struct error *err)
{
        char path[PATH_LEN];

        if (rc >= 0)
                return rc;
        chunk_path(digest, path);
        return error_set(err, -rc, "chunk %s %s", path + 5, why->text);
}

int pbs_chunks_get(struct pbs_chunks *c, const uint8_t digest[PBS_DIGEST_LEN], enum pbs_crypt crypt,
                   size_t size, bool wait, struct block **out, const char **data, struct error *err)
{
        struct error why = {0};
        struct loading l = {c, digest, crypt, &why};
        struct block *block = NULL;
        uint64_t key = load_le64(digest);
        int rc = 0;

        if (wait)
                rc = blockcache_get(c->cache, key, size + PBS_DIGEST_LEN, load, &l, &block);
        else
                block = blockcache_get_ready(c->cache, key);
        if (rc < 0 && why.code)
                return report(digest, rc, &why, err);
        /* Another thread, a prefetch as a rule, has failed to load it, and only that one knows why. */
        if (!block)
                return -EAGAIN;
        *data = block_data(block);
        if (block_len(block) != size + PBS_DIGEST_LEN ||
            memcmp(*data + size, digest, PBS_DIGEST_LEN) != 0) {
                blockcache_put(c->cache, block);
                return -EAGAIN;
        }
        *out = block;
        return 0;
}

void pbs_chunks_put(struct pbs_chunks *c, struct block *block, size_t read)
{
        blockcache_put_read(c->cache, block, read);
}

int pbs_chunks_read(struct pbs_chunks *c, const uint8_t digest[PBS_DIGEST_LEN],
                    enum pbs_crypt crypt, size_t size, size_t skip, void *buf, size_t len,
                    struct error *err)
{
        struct error why = {0};
        struct loading l = {c, digest, crypt, &why};
        struct block *block = NULL;
        const char *data = NULL;
        int rc = pbs_chunks_get(c, digest, crypt, size, true, &block, &data, err);

        if (rc == -EAGAIN)
                return report(digest, read_past_cache(&l, size, skip, buf, len), &why, err);
        if (rc == 0 && data) {
                memcpy(buf, data + skip, len);
                pbs_chunks_put(c, block, len);
        }
        return rc;
}

/* ---- ahead of a reader ---- */

unsigned pbs_chunks_depth(const struct pbs_chunks *c, size_t size)
{
        size_t room = blockcache_bound(c->shared->cache) / 4 / (size + PBS_DIGEST_LEN);
        unsigned threads = workers_threads(c->workers);

        return (unsigned)min_u64(min_u64(2 * (uint64_t)threads, room), PBS_DEPTH_MAX);
}

static void run_prefetch(void *ctx, size_t slot)
{
        struct pbs_chunks *c = ctx;
        struct prefetch p;
        struct loading l;
        struct block *block;

        {
                scoped_lock(&c->lock);

                p = c->prefetches[slot];
        }
        l = (struct loading){c, p.digest, p.crypt, NULL};
        if (blockcache_get(c->cache, load_le64(p.digest), p.size + PBS_DIGEST_LEN, load, &l,
                           &block) == 0)
                blockcache_put(c->cache, block);
        {
                scoped_lock(&c->lock);

                c->prefetches[slot].size = 0;
        }
}

/* A slot for P; PREFETCH_MAX: there is none, or it is being prefetched. */
static size_t take_slot(struct pbs_chunks *c, const struct prefetch *p)
{
        size_t slot = PREFETCH_MAX;
        scoped_lock(&c->lock);

        for (size_t i = 0; i < PREFETCH_MAX; i++) {
                if (c->prefetches[i].size == 0)
                        slot = i;
                else if (memcmp(c->prefetches[i].digest, p->digest, PBS_DIGEST_LEN) == 0)
                        return PREFETCH_MAX;
        }
        if (slot < PREFETCH_MAX)
                c->prefetches[slot] = *p;
        return slot;
}

void pbs_chunks_prefetch(struct pbs_chunks *c, const uint8_t digest[PBS_DIGEST_LEN],
                         enum pbs_crypt crypt, size_t size)
{
        struct prefetch p = {.size = size, .crypt = crypt};
        size_t slot;

        if (blockcache_contains(c->cache, load_le64(digest)))
                return;
        memcpy(p.digest, digest, PBS_DIGEST_LEN);
        slot = take_slot(c, &p);
        if (slot == PREFETCH_MAX)
                return;
        if (workers_submit(c->workers, WORK_SOON, run_prefetch, c, slot) < 0) {
                scoped_lock(&c->lock);

                c->prefetches[slot].size = 0;
        }
}

/* ---- checking ---- */

int pbs_chunks_check(struct pbs_chunks *c, const uint8_t digest[PBS_DIGEST_LEN],
                     enum pbs_crypt crypt, size_t size, struct error *err)
{
        struct error why = {0};
        struct loading l = {c, digest, crypt, &why};
        int rc;

        if (crypt == PBS_CRYPT_ENCRYPTED && !c->key) {
                cleanup_free void *file = NULL;
                ssize_t n = fetch(&l, &file);

                rc = n < 0 ? (int)n : pbs_blob_check(file, (size_t)n, &why);
        } else {
                cleanup_free char *data = malloc(size + 1);

                rc = data ? decode(&l, data, size) : error_set(&why, ENOMEM, "out of memory");
        }
        return report(digest, rc, &why, err);
}

/* ---- zeros ---- */

static bool find_zeros(struct pbs_chunks *c, enum pbs_crypt crypt, size_t size,
                       uint8_t out[PBS_DIGEST_LEN])
{
        scoped_lock(&c->lock);

        for (unsigned i = 0; i < ZERO_SIZES; i++) {
                const struct zeros *z = &c->zeros[i];

                if (z->size == size && z->crypt == crypt) {
                        memcpy(out, z->digest, PBS_DIGEST_LEN);
                        return true;
                }
        }
        return false;
}

static bool remember_zeros(struct pbs_chunks *c, enum pbs_crypt crypt, size_t size,
                           uint8_t out[PBS_DIGEST_LEN])
{
        cleanup_free void *data = calloc(1, size);
        struct zeros z = {.size = size, .crypt = crypt};
        scoped_lock(&c->lock);

        if (!data || pbs_chunk_digest(crypt == PBS_CRYPT_ENCRYPTED ? c->key : NULL, data, size,
                                      z.digest) < 0)
                return false;
        memcpy(out, z.digest, PBS_DIGEST_LEN);
        c->zeros[c->next_zeros++ % ZERO_SIZES] = z;
        return true;
}

bool pbs_chunks_is_zeros(struct pbs_chunks *c, const uint8_t digest[PBS_DIGEST_LEN],
                         enum pbs_crypt crypt, size_t size)
{
        uint8_t zeros[PBS_DIGEST_LEN];

        if (size == 0 || (crypt == PBS_CRYPT_ENCRYPTED && !c->key))
                return false;
        if (!find_zeros(c, crypt, size, zeros) && !remember_zeros(c, crypt, size, zeros))
                return false;
        return memcmp(digest, zeros, PBS_DIGEST_LEN) == 0;
}
