/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/store/pbs/pbs_snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/store/pbs/pbs_content.h"
#include "archive/store/pbs/pbs_far.h"
#include "archive/store/pbs/pbs_file.h"
#include "archive/store/pbs/pbs_files.h"
#include "archive/store/pbs/pbs_store.h"
#include "archive/store/pbs/pbs_volume.h"
#include "archive/volume.h"

/* An item, with the memory that its strings are in. */
struct owned {
        struct pbs_item item;
        char *name, *device, *why;
};

struct pbs_snapshot {
        struct pbs_store *store;
        const char *path;  /* while it is opened */
        struct error *err; /* the same */
        int dir;           /* the same; then -1 */
        struct pbs_manifest *manifest;
        struct owned *items;
        size_t count;
};

static void close_volume(struct volume *v)
{
        if (v)
                v->ops->close(v);
}

void pbs_snapshot_close(struct pbs_snapshot *s)
{
        if (!s)
                return;
        for (size_t i = 0; i < s->count; i++) {
                close_volume(s->items[i].item.content);
                close_volume(s->items[i].item.payload);
                free(s->items[i].name);
                free(s->items[i].device);
                free(s->items[i].why);
        }
        free(s->items);
        pbs_manifest_free(s->manifest);
        if (s->dir >= 0)
                close(s->dir);
        free(s);
}

static void cleanup_snapshot_fn(struct pbs_snapshot **s)
{
        pbs_snapshot_close(*s);
}

const struct pbs_manifest *pbs_snapshot_manifest(const struct pbs_snapshot *s)
{
        return s->manifest;
}

size_t pbs_snapshot_count(const struct pbs_snapshot *s)
{
        return s->count;
}

const struct pbs_item *pbs_snapshot_item(const struct pbs_snapshot *s, size_t i)
{
        return &s->items[i].item;
}

/* ---- names ---- */

/* NAME without ENDING, if it has that and more: a new string, or NULL; *FAILED: out of memory. */
static char *strip(const char *name, const char *ending, bool *failed)
{
        size_t len = strlen(name), end = strlen(ending);
        char *out;

        if (len <= end || strcmp(name + len - end, ending) != 0)
                return NULL;
        out = strndup(name, len - end);
        *failed |= !out;
        return out;
}

/* ---- content ---- */

static int open_index(struct pbs_snapshot *s, const struct pbs_manifest_file *f,
                      struct volume **out, struct error *err)
{
        struct source *source;
        int rc = pbs_files_open(pbs_store_files(s->store), s->path, f->name, &source, err);

        if (rc < 0)
                return rc;
        rc = pbs_volume_open(source, pbs_store_chunks(s->store),
                             f->crypt == PBS_FILE_ENCRYPTED ? PBS_CRYPT_ENCRYPTED : PBS_CRYPT_PLAIN,
                             f->digest, out, err);
        if (rc < 0 || (*out)->size == f->size)
                return rc;
        close_volume(*out);
        *out = NULL;
        return error_set(err, EIO, "%s: does not have the size that the manifest says", f->name);
}

/* What the next item is made of: it is zeroed, and in the list. */
static struct owned *next_item(struct pbs_snapshot *s)
{
        struct owned *o = &s->items[s->count++];

        o->item.why = NULL;
        return o;
}

/* What fails so, for WHY, may be there, and the snapshot is to be opened again. */
static bool is_passing(const struct pbs_snapshot *s, int rc, const struct error *why)
{
        if (rc == -EREMOTEIO)
                error_fill(s->err, EREMOTEIO, "%s", why->text);
        return rc == -ENOMEM || rc == -EREMOTEIO;
}

/* O cannot be opened, which is no failure. 0 or -ENOMEM. */
static int say_why(struct owned *o, int code, const struct error *err)
{
        o->why = strdup(err->text);
        o->item.why = o->why;
        o->item.error = code;
        return o->why ? 0 : -ENOMEM;
}

/* Of F, under the name TAKE_NAME; with MORE, a payload. */
static int add_index(struct pbs_snapshot *s, enum pbs_item_kind kind, char *take_name,
                     const struct pbs_manifest_file *f, const struct pbs_manifest_file *more)
{
        struct owned *o = next_item(s);
        struct error err = {0};
        int rc;

        o->name = take_name;
        if (!take_name)
                return -ENOMEM;
        o->item.kind = kind;
        o->item.name = take_name;
        o->item.is_index = true;
        o->item.file = f;
        o->item.payload_file = more;
        rc = open_index(s, f, &o->item.content, &err);
        if (rc == 0 && more)
                rc = open_index(s, more, &o->item.payload, &err);
        if (is_passing(s, rc, &err))
                return rc;
        if (rc < 0) {
                close_volume(o->item.content);
                o->item.content = NULL;
        }
        return rc < 0 ? say_why(o, -rc, &err) : 0;
}

static int add_disk(struct pbs_snapshot *s, char *take_device, const struct pbs_manifest_file *f)
{
        struct owned *o = &s->items[s->count];
        char *name;
        int rc;

        o->device = take_device;
        if (asprintf(&name, "disk-%s.raw", take_device) < 0)
                name = NULL;
        rc = add_index(s, PBS_ITEM_DISK, name, f, NULL);
        o->item.device = take_device;
        return rc;
}

/* A blob is looked at when it is read; F is NULL for one that no manifest names. */
static int add_blob(struct pbs_snapshot *s, char *take_name, const char *file,
                    const struct pbs_manifest_file *f)
{
        struct owned *o = next_item(s);
        struct error err = {0};
        int rc;

        o->name = take_name;
        o->item.kind = PBS_ITEM_FILE;
        o->item.name = take_name;
        o->item.file = f;
        rc = pbs_content_open(pbs_store_files(s->store), s->path, file, f, pbs_store_key(s->store),
                              &o->item.content, &err);
        if (is_passing(s, rc, &err))
                return rc;
        return rc < 0 ? say_why(o, -rc, &err) : 0;
}

/* The payload of the split archive whose metadata are META, or NULL. */
static const struct pbs_manifest_file *find_payload(const struct pbs_snapshot *s, const char *stem)
{
        char name[512];

        snprintf(name, sizeof name, "%s.ppxar.didx", stem);
        return pbs_manifest_find(s->manifest, name);
}

static bool has_metadata(const struct pbs_snapshot *s, const char *stem)
{
        char name[512];

        snprintf(name, sizeof name, "%s.mpxar.didx", stem);
        return pbs_manifest_find(s->manifest, name) != NULL;
}

static int add_file(struct pbs_snapshot *s, const struct pbs_manifest_file *f)
{
        bool failed = false;
        char *stem;

        if ((stem = strip(f->name, ".img.fidx", &failed)))
                return add_disk(s, stem, f);
        if ((stem = strip(f->name, ".pxar.didx", &failed)))
                return add_index(s, PBS_ITEM_TREE, stem, f, NULL);
        if ((stem = strip(f->name, ".mpxar.didx", &failed)))
                return add_index(s, PBS_ITEM_TREE, stem, f, find_payload(s, stem));
        if ((stem = strip(f->name, ".ppxar.didx", &failed)) && has_metadata(s, stem)) {
                free(stem);
                return 0;
        }
        free(stem);
        if ((stem = strip(f->name, ".fidx", &failed)) || (stem = strip(f->name, ".didx", &failed)))
                return add_index(s, PBS_ITEM_FILE, stem, f, NULL);
        if ((stem = strip(f->name, ".blob", &failed)))
                return add_blob(s, stem, f->name, f);
        return failed ? -ENOMEM : 0;
}

/* 1 or 0; or -errno. */
static int has_file(const struct pbs_snapshot *s, const char *name, struct error *err)
{
        struct pbs_far *far = pbs_store_far(s->store);
        struct stat st;

        if (far)
                return pbs_far_has(far, s->path, name, err);
        return fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* No manifest names it. */
static int add_log(struct pbs_snapshot *s)
{
        static const char file[] = "client.log.blob";
        struct error err = {0};
        int rc = pbs_manifest_find(s->manifest, file) ? 0 : has_file(s, file, &err);
        char *name;

        if (rc <= 0)
                return is_passing(s, rc, &err) ? rc : 0;
        name = strdup("client.log");
        return name ? add_blob(s, name, file, NULL) : -ENOMEM;
}

static int add_all(struct pbs_snapshot *s)
{
        int rc = 0;

        s->items = calloc(s->manifest->count + 1, sizeof *s->items);
        if (!s->items)
                return -ENOMEM;
        for (size_t i = 0; i < s->manifest->count && rc == 0; i++)
                rc = add_file(s, &s->manifest->files[i]);
        return rc == 0 ? add_log(s) : rc;
}

/* ---- opening ---- */

static int read_manifest(struct pbs_snapshot *s, struct error *err)
{
        cleanup_free void *blob = NULL;
        struct pbs_far *far = pbs_store_far(s->store);
        ssize_t n =
            far ? pbs_far_read(far, s->path, PBS_MANIFEST_NAME, PBS_MANIFEST_MAX, &blob, err)
                : pbs_file_read(s->dir, PBS_MANIFEST_NAME, PBS_MANIFEST_MAX, &blob, err);

        if (n == -ENOENT)
                return error_set(err, ENOENT,
                                 "has no manifest: the backup is not finished, or was "
                                 "broken off");
        if (n < 0)
                return (int)n;
        return pbs_manifest_parse(blob, (size_t)n, pbs_store_key(s->store), &s->manifest, err);
}

int pbs_snapshot_open(struct pbs_store *store, const char *path, struct pbs_snapshot **out,
                      struct error *err)
{
        __attribute__((cleanup(cleanup_snapshot_fn))) struct pbs_snapshot *s = calloc(1, sizeof *s);
        int rc;

        if (!s)
                return error_set(err, ENOMEM, "out of memory");
        s->store = store;
        s->path = path;
        s->err = err;
        s->dir = pbs_store_far(store) ? -1 : pbs_store_folder(store, path);
        if (s->dir < 0 && !pbs_store_far(store))
                return error_set(err, -s->dir, "%s", strerror(-s->dir));
        rc = read_manifest(s, err);
        if (rc == 0)
                rc = add_all(s);
        if (rc == -ENOMEM)
                return error_set(err, ENOMEM, "out of memory");
        if (rc < 0)
                return rc;
        if (s->dir >= 0)
                close(steal_fd(&s->dir));
        s->path = NULL;
        s->err = NULL;
        *out = steal_ptr(&s);
        return 0;
}
