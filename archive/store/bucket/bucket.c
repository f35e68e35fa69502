/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/store/bucket/bucket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/remote/remote.h"
#include "archive/source/remote/remote_list.h"
#include "archive/source/source.h"
#include "archive/store/dir/dir.h"
#include "archive/store/store.h"

struct bucket {
        struct store base;
        struct bucket_ops ops;
};

/* An object. */
struct bucket_file {
        struct store_file base;
        struct remote *remote;
        struct source *source;
};

static const struct bucket_ops *ops_of(const struct store_folder *f)
{
        return &((const struct bucket *)f->store)->ops;
}

/* ---- objects ---- */

static ssize_t file_pread(struct store_file *f, void *buf, size_t len, uint64_t offset)
{
        struct source *s = ((struct bucket_file *)f)->source;
        ssize_t n;

        if (offset >= s->size)
                return 0;
        n = source_pread(s, buf, (size_t)min_u64(len, s->size - offset), offset);
        return n == -EREMOTEIO ? -EIO : n;
}

static int64_t file_size(struct store_file *f)
{
        return (int64_t)((struct bucket_file *)f)->source->size;
}

static void file_close(struct store_file *f)
{
        source_close(((struct bucket_file *)f)->source);
        remote_close(((struct bucket_file *)f)->remote);
        free(f);
}

static const struct store_file_ops file_ops = {file_pread, file_size, file_close};

static int open_file(const struct store_folder *f, const char *name, uint64_t size,
                     struct store_file **out)
{
        struct bucket_file *file = calloc(1, sizeof *file);
        cleanup_free char *path = NULL;
        int rc = -ENOMEM;

        if (asprintf(&path, "%s%s%s", f->path, *f->path ? "/" : "", name) < 0)
                path = NULL;
        if (file && path)
                rc = ops_of(f)->open(ops_of(f)->ctx, path, &file->remote, NULL);
        if (rc == 0)
                rc = remote_source(file->remote, REMOTE_ARCHIVE, &file->source, NULL);
        if (rc == 0 && file->source->size != size)
                rc = -ESTALE;
        if (rc < 0) {
                if (file)
                        file_close(&file->base);
                return rc == -ENOENT ? -ESTALE : rc;
        }
        file->base.ops = &file_ops;
        *out = &file->base;
        return 0;
}

/* ---- folders ---- */

static int enter(struct store *s, const char *path, struct store_folder *out)
{
        *out = (struct store_folder){.store = s, .fd = -1, .path = strdup(path)};
        return out->path ? 0 : -ENOMEM;
}

static void leave(struct store_folder *f)
{
        free(steal_ptr(&f->path));
}

static int look(const struct store_folder *f, struct store_state *out)
{
        (void)f;
        *out = (struct store_state){0};
        return 0;
}

struct listing {
        int (*each)(void *ctx, const struct dir_name *n);
        void *ctx;
};

static int take_entry(void *ctx, const struct remote_entry *e)
{
        const struct listing *l = ctx;
        struct dir_name n = {.name = e->name,
                             .kind = e->folder                 ? DIR_FOLDER
                                     : dir_is_archive(e->name) ? DIR_ARCHIVE
                                                               : DIR_FILE,
                             .inode = e->version,
                             .size = e->size,
                             .mtime = e->mtime};

        return l->each(l->ctx, &n);
}

static int list(const struct store_folder *f, int (*each)(void *ctx, const struct dir_name *n),
                void *ctx, struct error *err)
{
        struct listing l = {each, ctx};

        return ops_of(f)->list(ops_of(f)->ctx, f->path, take_entry, &l, err);
}

static ssize_t read_part(struct store *s, const char *path, struct remote_part *part, void **out,
                         struct error *err)
{
        const struct bucket_ops *with = &((struct bucket *)s)->ops;

        return with->part(with->ctx, path, part, out, err);
}

static void close_store(struct store *s)
{
        free(s);
}

static const struct store_ops ops = {.settle = BUCKET_SETTLE,
                                     .enter = enter,
                                     .leave = leave,
                                     .look = look,
                                     .list = list,
                                     .open = open_file,
                                     .part = read_part,
                                     .close = close_store};

struct store *bucket_new(const struct bucket_ops *with)
{
        struct bucket *b = malloc(sizeof *b);

        if (!b)
                return NULL;
        *b = (struct bucket){{&ops}, *with};
        return &b->base;
}
