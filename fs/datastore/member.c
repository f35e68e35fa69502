/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/datastore/member.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/store/pbs/pbs_store.h"
#include "fs/datastore/snapshots.h"
#include "index/collection/snapshot_inside.h"
#include "index/index.h"

/* ---- items ---- */

/* Is the LEN bytes at WORD the file's name, or that without ".fidx", ".didx" or ".blob"? */
static bool is_file(const struct pbs_manifest_file *f, const char *word, size_t len)
{
        size_t name = f ? strlen(f->name) : 0;

        if (!f || name < len || strncmp(f->name, word, len) != 0)
                return false;
        return name == len || (f->name[len] == '.' && !strchr(f->name + len + 1, '.'));
}

static bool is_string(const char *s, const char *word, size_t len)
{
        return s && strlen(s) == len && strncmp(s, word, len) == 0;
}

/* The name that is shown takes precedence. */
static const struct pbs_item *find_item(const struct pbs_snapshot *s, const char *word, size_t len)
{
        for (size_t i = 0; i < pbs_snapshot_count(s); i++)
                if (is_string(pbs_snapshot_item(s, i)->name, word, len))
                        return pbs_snapshot_item(s, i);
        for (size_t i = 0; i < pbs_snapshot_count(s); i++) {
                const struct pbs_item *item = pbs_snapshot_item(s, i);

                if (is_string(item->device, word, len) || is_file(item->file, word, len))
                        return item;
        }
        return NULL;
}

/* ---- inside a disk ---- */

/* Why what is below the folder that PATH begins with cannot be told. */
static int say_why(const struct index *within, const char *path, int rc, struct error *err)
{
        cleanup_free char *folder = strndup(path, strcspn(path, "/"));
        const struct node *n = folder ? index_find(within, folder) : NULL;
        char why[512];

        if (n && snapshot_inside_why(within, n, why, sizeof why))
                return error_set(err, -rc, "%s", why);
        return error_set(err, -rc, "%s", strerror(-rc));
}

/* The partition or logical volume that is PATH in the snapshot. */
static int find_part(const struct snapshots *s, const char *path, struct member *out,
                     struct error *err)
{
        struct node *n;
        int rc = snapshot_inside(out->snapshot, s->shared, &out->within);

        if (rc < 0)
                return error_set(err, ENOMEM, "out of memory");
        rc = index_look_up(out->within, path, &n);
        if (rc == -ENOENT || rc == -ENOTDIR)
                return error_set(err, ENOENT, "is not in the snapshot");
        if (rc < 0)
                return say_why(out->within, path, rc, err);
        out->part = index_disk_of(n);
        return out->part ? 0
                         : error_set(err, ENOENT,
                                     "is a folder of what is inside of disks; name "
                                     "one file in it");
}

int member_find(const struct snapshots *s, const char *path, struct member *out, struct error *err)
{
        enum pbs_level level;
        size_t len = pbs_store_split(path, &level);
        cleanup_free char *folder = strndup(path, len);
        const char *rest = path + len + strspn(path + len, "/");
        int rc;

        *out = (struct member){0};
        if (!folder)
                return error_set(err, ENOMEM, "out of memory");
        if (level != PBS_SNAPSHOT)
                return error_set(err, ENOENT,
                                 "is no snapshot, nor in one; vmafs info lists the snapshots");
        rc = pbs_snapshot_open(s->store, folder, &out->snapshot, err);
        if (rc < 0)
                return rc;
        len = strcspn(rest, "/");
        out->inside = strdup(rest + len + strspn(rest + len, "/"));
        if (!out->inside)
                return error_set(err, ENOMEM, "out of memory");
        if (len == 0)
                return 0;
        out->item = find_item(out->snapshot, rest, len);
        if (!out->item)
                return find_part(s, rest, out, err);
        if (*out->inside && out->item->kind != PBS_ITEM_TREE)
                return error_set(err, ENOENT, "is not in the snapshot");
        return 0;
}

void member_fini(struct member *m)
{
        index_close(m->within);
        pbs_snapshot_close(m->snapshot);
        free(m->inside);
        *m = (struct member){0};
}

/* ---- inside a tree ---- */

enum { FOUND = 1, DONE = 2 };

/* The way to a node, from folder to folder. */
struct way {
        const char *name; /* that is looked for */
        size_t len;
        bool last;
        struct pxar_folder below;
        int (*each)(void *ctx, const struct pxar_entry *entry);
        void *ctx;
        int rc; /* of EACH */
};

static int compare(void *ctx, const struct pxar_entry *e)
{
        struct way *w = ctx;

        if (!is_string(e->name, w->name, w->len))
                return 0;
        if (w->last) {
                w->rc = w->each(w->ctx, e);
                return DONE;
        }
        w->below = e->folder;
        return S_ISDIR(e->mode) ? FOUND : 0;
}

int member_look_up(struct pxar *pxar, const struct pxar_folder *root, const char *path,
                   int (*each)(void *ctx, const struct pxar_entry *entry), void *ctx,
                   struct error *err)
{
        struct way w = {.below = *root, .each = each, .ctx = ctx};
        uint64_t damaged;

        for (w.name = path; *w.name; w.name += w.len + strspn(w.name + w.len, "/")) {
                struct pxar_folder folder = w.below;
                int rc;

                w.len = strcspn(w.name, "/");
                w.last = w.name[w.len + strspn(w.name + w.len, "/")] == '\0';
                rc = pxar_list(pxar, &folder, compare, &w, &damaged, err);
                if (rc == DONE)
                        return w.rc;
                if (rc < 0)
                        return rc;
                if (rc == 0)
                        return error_set(err, damaged ? EIO : ENOENT, "%s",
                                         damaged ? "cannot be found: entries of its folder are "
                                                   "damaged"
                                                 : "is not in the snapshot");
        }
        return -ENOENT;
}
