/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/store/pbs/pbs_far.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/shared.h"
#include "archive/source/remote/remote_part.h"
#include "archive/source/source.h"
#include "archive/store/dir/dir.h"
#include "archive/store/store.h"

enum {
        PIECE = 1 << 20,  /* bytes of a file of a snapshot that are fetched at once */
        PIECE_BITS = 24,  /* of a key in the cache; a file has at most 1 << PIECE_BITS pieces */
        GOOD_FACTOR = 10, /* a list that takes long is good for as many times as long */
};

struct pbs_far {
        struct store *store;
        const char *snapshots;     /* what their paths begin with */
        struct cache_owner *cache; /* of pieces */
        _Atomic uint64_t files;    /* that were opened: the next one's number */

        /* Milliseconds of the monotonic clock. */
        _Atomic int64_t changed;    /* when folders may have been changed, as far as we say */
        _Atomic int64_t rest_until; /* before that nothing else is said */
};

struct far_file {
        struct source base;
        struct pbs_far *far;
        char *path;       /* in the store */
        uint64_t number;  /* no other file's */
        uint64_t version; /* when it was opened */
};

/* ---- opening ---- */

struct look {
        bool has_chunks, has_snapshots;
};

static int look_at(void *ctx, const struct dir_name *n)
{
        struct look *look = ctx;

        if (n->kind == DIR_FOLDER) {
                look->has_chunks |= strcmp(n->name, PBS_CHUNKS_FOLDER) == 0;
                look->has_snapshots |= strcmp(n->name, PBS_BUCKET_FOLDER) == 0;
        }
        return 0;
}

static int list_path(const struct pbs_far *f, const char *path,
                     int (*each)(void *ctx, const struct dir_name *n), void *ctx, struct error *err)
{
        struct store_folder folder;
        int rc = f->store->ops->enter(f->store, path, &folder);

        if (rc < 0)
                return error_set(err, -rc, "%s", strerror(-rc));
        rc = f->store->ops->list(&folder, each, ctx, err);
        f->store->ops->leave(&folder);
        return rc;
}

static int find_layout(struct pbs_far *f, struct error *err)
{
        struct look look = {0};
        int rc = list_path(f, "", look_at, &look, err);

        if (rc < 0)
                return rc;
        if (!look.has_chunks && !look.has_snapshots)
                return error_set(err, EMEDIUMTYPE, "is no datastore of Proxmox Backup Server");
        f->snapshots = look.has_snapshots ? PBS_BUCKET_FOLDER "/" : "";
        return 0;
}

int pbs_far_open(struct store *take_store, struct shared *shared, struct pbs_far **out,
                 struct error *err)
{
        struct pbs_far *f = calloc(1, sizeof *f);
        int rc = 0;

        if (!f) {
                take_store->ops->close(take_store);
                return error_set(err, ENOMEM, "out of memory");
        }
        f->store = take_store;
        if (blockcache_join(shared->cache, CACHE_TABLES, &f->cache) < 0)
                rc = error_set(err, ENOMEM, "out of memory");
        if (rc == 0)
                rc = find_layout(f, err);
        if (rc < 0) {
                pbs_far_close(f);
                return rc;
        }
        *out = f;
        return 0;
}

void pbs_far_close(struct pbs_far *f)
{
        if (!f)
                return;
        blockcache_leave(f->cache);
        f->store->ops->close(f->store);
        free(f);
}

/* ---- as a whole ---- */

static ssize_t read_whole(struct pbs_far *f, const char *path, size_t max, void **out,
                          struct error *err)
{
        struct remote_part part = {.len = max, .max = max};
        struct error why = {0};
        ssize_t n = f->store->ops->part(f->store, path, &part, out, &why);

        if (n >= 0)
                return n;
        if (n == -EFBIG)
                return error_set(err, EIO, "%s", why.text);
        return error_set(err, (int)-n, "cannot be fetched: %s", why.text);
}

ssize_t pbs_far_chunk(struct pbs_far *f, const char *path, size_t max, void **out,
                      struct error *err)
{
        char whole[sizeof PBS_CHUNKS_FOLDER + 128];

        snprintf(whole, sizeof whole, PBS_CHUNKS_FOLDER "/%s", path);
        return read_whole(f, whole, max, out, err);
}

/* A new string; NULL: out of memory. */
static char *path_of(const struct pbs_far *f, const char *path, const char *name)
{
        char *whole = NULL;

        if (asprintf(&whole, "%s%s%s%s", f->snapshots, path, *path && *name ? "/" : "", name) < 0)
                return NULL;
        return whole;
}

ssize_t pbs_far_read(struct pbs_far *f, const char *path, const char *name, size_t max, void **out,
                     struct error *err)
{
        cleanup_free char *whole = path_of(f, path, name);

        if (!whole)
                return error_set(err, ENOMEM, "out of memory");
        return read_whole(f, whole, max, out, err);
}

int pbs_far_has(struct pbs_far *f, const char *path, const char *name, struct error *err)
{
        cleanup_free char *whole = path_of(f, path, name);
        cleanup_free void *bytes = NULL;
        struct remote_part part = {.len = 1, .max = UINT64_MAX};
        struct error why = {0};
        ssize_t n = whole ? f->store->ops->part(f->store, whole, &part, &bytes, &why) : -ENOMEM;

        if (n == -ENOENT)
                return 0;
        return n >= 0 ? 1 : error_set(err, (int)-n, "%s: %s", name, why.text);
}

/* ---- in pieces ---- */

static uint64_t key_of(const struct far_file *f, uint64_t piece)
{
        return f->number << PIECE_BITS | piece;
}

static int load_piece(void *ctx, uint64_t key, void *buf, size_t len)
{
        const struct far_file *f = ctx;
        struct remote_part part = {.offset =
                                       (key & ((UINT64_C(1) << PIECE_BITS) - 1)) * (uint64_t)PIECE,
                                   .len = len,
                                   .max = f->base.size};
        cleanup_free void *bytes = NULL;
        ssize_t n = f->far->store->ops->part(f->far->store, f->path, &part, &bytes, NULL);

        if (n == -ENOENT || n == -EFBIG ||
            (n >= 0 && (part.version != f->version || (size_t)n != len)))
                return -ESTALE;
        if (n < 0)
                return (int)n;
        memcpy(buf, bytes, len);
        return 0;
}

/* Some bytes at OFFSET, below the size, from one piece. How many, or -errno. */
static ssize_t read_piece(struct far_file *f, void *buf, size_t len, uint64_t offset)
{
        uint64_t piece = offset / PIECE;
        size_t skip = (size_t)(offset % PIECE);
        size_t n = (size_t)min_u64(PIECE, f->base.size - piece * PIECE);
        struct block *block;
        int rc = blockcache_get(f->far->cache, key_of(f, piece), n, load_piece, f, &block);

        if (rc < 0)
                return rc;
        n = (size_t)min_u64(len, n - skip);
        memcpy(buf, (const char *)block_data(block) + skip, n);
        blockcache_put(f->far->cache, block);
        return (ssize_t)n;
}

static ssize_t file_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        size_t done = 0;

        while (done < len && offset + done < s->size) {
                ssize_t n =
                    read_piece((struct far_file *)s, (char *)buf + done, len - done, offset + done);

                if (n < 0)
                        return n;
                done += (size_t)n;
        }
        return (ssize_t)done;
}

static void file_close(struct source *s)
{
        struct far_file *f = (struct far_file *)s;

        free(f->path);
        free(f);
}

static const struct source_ops ops = {.name = "none", .pread = file_pread, .close = file_close};

/* The first request has said how long it is: what came with that is the first piece. */
static int keep_first(struct far_file *f, const void *bytes, size_t len)
{
        struct block *block;

        if (len == 0)
                return 0;
        if (blockcache_prepare(f->far->cache, key_of(f, 0), len, &block) < 0)
                return -ENOMEM;
        memcpy(block_data(block), bytes, len);
        blockcache_add(f->far->cache, block, len);
        blockcache_put(f->far->cache, block);
        return 0;
}

static int open_file(struct far_file *f, const char *name, struct error *err)
{
        struct remote_part part = {.len = PIECE, .max = (uint64_t)PIECE << PIECE_BITS};
        cleanup_free void *bytes = NULL;
        struct error why = {0};
        ssize_t n = f->far->store->ops->part(f->far->store, f->path, &part, &bytes, &why);

        if (n < 0)
                return error_set(err, (int)-n, "%s: %s", name, why.text);
        f->base.size = part.size;
        f->version = part.version;
        f->number = f->far->files++;
        return keep_first(f, bytes, (size_t)n) < 0 ? error_set(err, ENOMEM, "out of memory") : 0;
}

int pbs_far_source(struct pbs_far *far, const char *path, const char *name, struct source **out,
                   struct error *err)
{
        struct far_file *f = calloc(1, sizeof *f);
        int rc = 0;

        if (!f)
                return error_set(err, ENOMEM, "out of memory");
        f->base.ops = &ops;
        f->far = far;
        f->path = path_of(far, path, name);
        if (!f->path)
                rc = error_set(err, ENOMEM, "out of memory");
        if (rc == 0)
                rc = open_file(f, name, err);
        if (rc < 0) {
                file_close(&f->base);
                return rc;
        }
        *out = &f->base;
        return 0;
}

/* ---- folders ---- */

static int64_t now_milliseconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A list has taken so long: with a server that does not answer, nobody waits all the time. */
static void rest(struct pbs_far *f, int64_t from)
{
        int64_t now = now_milliseconds(), until = now + (now - from) * GOOD_FACTOR;

        if (until > f->rest_until)
                f->rest_until = until;
}

int pbs_far_list(struct pbs_far *f, const char *path,
                 int (*each)(void *ctx, const struct dir_name *n), void *ctx, struct error *err)
{
        cleanup_free char *whole = path_of(f, path, "");
        size_t len = whole ? strlen(whole) : 0;
        int64_t from = now_milliseconds();
        int rc;

        if (!whole)
                return error_set(err, ENOMEM, "out of memory");
        if (len > 0 && whole[len - 1] == '/')
                whole[len - 1] = '\0';
        rc = list_path(f, whole, each, ctx, err);
        rest(f, from);
        return rc;
}

void pbs_far_changed(struct pbs_far *f, struct timespec *out)
{
        int64_t now = now_milliseconds(), last = f->changed;

        if (now >= last + f->store->ops->settle && now >= f->rest_until)
                f->changed = last = now;
        *out = (struct timespec){.tv_sec = last / 1000 + 1, .tv_nsec = last % 1000 * 1000000};
}
