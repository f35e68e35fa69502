/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/collection/datastore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/shared.h"
#include "archive/store/pbs/pbs_key.h"
#include "archive/store/pbs/pbs_snapshot.h"
#include "archive/store/pbs/pbs_volume.h"
#include "archive/store/store.h"
#include "archive/volume.h"
#include "index/collection/datastore_internal.h"
#include "index/index.h"

/* ---- making and freeing ---- */

/* What P has opened. */
static void close_place(struct place *p)
{
        if (p->meta)
                pxar_free(p->pxar);
        if (p->meta)
                p->pxar = NULL;
        index_close(p->inside);
        p->inside = NULL;
        pbs_snapshot_close(p->opened);
        p->opened = NULL;
        p->filled = false;
}

static void free_place(struct place *p)
{
        close_place(p);
        free(p->why);
        if (p->owns_volume)
                p->volume->ops->close(p->volume);
        free(p);
}

static void move_all(struct places *from, struct places *to)
{
        struct place *p;

        while ((p = LIST_FIRST(from))) {
                LIST_REMOVE(p, next);
                LIST_INSERT_HEAD(to, p, next);
        }
}

/*
 * Under lock: nothing below P is in use. No recursion, since a tree may be a million levels deep;
 * what is below another place goes before it.
 */
static void empty(struct place *p)
{
        struct places todo = LIST_HEAD_INITIALIZER(todo), found = LIST_HEAD_INITIALIZER(found);
        struct place *child;

        move_all(&p->below, &todo);
        while ((child = LIST_FIRST(&todo))) {
                LIST_REMOVE(child, next);
                move_all(&child->below, &todo);
                LIST_INSERT_HEAD(&found, child, next);
        }
        while ((child = LIST_FIRST(&found))) {
                LIST_REMOVE(child, next);
                free_place(child);
        }
        close_place(p);
}

/* P cannot be read for a reason. 0 or -ENOMEM. */
__attribute__((format(printf, 2, 3))) static int say_why(struct place *p, const char *fmt, ...)
{
        va_list args;
        int rc;

        free(p->why);
        va_start(args, fmt);
        rc = vasprintf(&p->why, fmt, args);
        va_end(args);
        if (rc < 0)
                p->why = NULL;
        return rc < 0 ? -ENOMEM : 0;
}

struct place *datastore_add_place(struct datastore *d, struct place *parent, enum place_kind what)
{
        struct place *p = calloc(1, sizeof *p);
        scoped_lock(&d->lock);

        if (!p)
                return NULL;
        p->kind = CONTENT_PLACE;
        p->what = what;
        p->stored = STORED_UNKNOWN;
        LIST_INSERT_HEAD(&parent->below, p, next);
        return p;
}

int datastore_add_node(struct datastore *d, struct node *folder, const struct entry *e,
                       struct place *content, struct node **out)
{
        return tree_add(folder, e, datastore_number(d, folder->ino, e->name), content, out);
}

/* ---- pxar archives ---- */

/* What lists a folder of an archive. */
struct pxar_listing {
        struct datastore *d;
        struct node *folder;
};

static int take_pxar_entry(void *ctx, const struct pxar_entry *e)
{
        struct pxar_listing *l = ctx;
        struct place *parent = place_of(l->folder);
        struct place *p =
            datastore_add_place(l->d, parent, S_ISDIR(e->mode) ? PLACE_PXAR : PLACE_FILE);
        struct entry entry = {.name = e->name,
                              .mode = e->mode,
                              .recorded = true,
                              .uid = e->uid,
                              .gid = e->gid,
                              .has_mtime = true,
                              .mtime = e->mtime,
                              .size = e->size,
                              .target = e->target,
                              .rdev = e->rdev,
                              .later = S_ISDIR(e->mode),
                              .xattrs = (const struct entry_xattr *)e->xattrs,
                              .xattr_count = e->xattr_count};

        if (!p)
                return -ENOMEM;
        p->pxar = parent->pxar;
        p->range = e->folder;
        if (S_ISREG(e->mode)) {
                if (pxar_content(parent->pxar, e, &p->volume) < 0)
                        return -ENOMEM;
                p->owns_volume = true;
        }
        return datastore_add_node(l->d, l->folder, &entry, p, NULL);
}

static int fill_pxar(struct datastore *d, struct node *folder)
{
        struct place *p = place_of(folder);
        struct pxar_listing listing = {d, folder};
        struct error err = {0};
        uint64_t damaged = 0;
        int rc = 0;

        if (p->meta)
                rc = pxar_open(p->meta, p->payload, &p->pxar, &p->range, &err);
        if (rc == 0)
                rc = pxar_list(p->pxar, &p->range, take_pxar_entry, &listing, &damaged, &err);
        if (rc == 0 && damaged)
                rc = say_why(p, "%" PRIu64 " of its entries are damaged", damaged);
        if (rc == -EIO)
                say_why(p, "%s", err.text);
        return rc;
}

/* ---- snapshots ---- */

/* The folder of a tree that is to be added. */
struct root {
        struct datastore *d;
        struct node *folder;
        struct entry *entry;
        struct place *place;
        bool added;
};

/* It shows what the archive has recorded of its root, if that can be read. */
static int add_root(void *ctx, const struct pxar_entry *e)
{
        struct root *r = ctx;

        r->entry->mode = e->mode;
        r->entry->recorded = true;
        r->entry->uid = e->uid;
        r->entry->gid = e->gid;
        r->entry->mtime = e->mtime;
        r->entry->xattrs = (const struct entry_xattr *)e->xattrs;
        r->entry->xattr_count = e->xattr_count;
        r->added = true;
        return datastore_add_node(r->d, r->folder, r->entry, r->place, NULL);
}

static int add_tree(struct datastore *d, struct node *folder, const struct pbs_item *item,
                    struct entry *entry, struct place *p)
{
        struct root root = {d, folder, entry, p, false};
        struct pxar_folder range;
        struct error err = {0};
        struct pxar *pxar = NULL;
        int rc = 0;

        p->meta = item->content;
        p->payload = item->payload;
        entry->later = p->meta != NULL;
        if (p->meta && pxar_open(p->meta, p->payload, &pxar, &range, &err) < 0)
                say_why(p, "%s", err.text);
        if (pxar)
                rc = pxar_root(pxar, &range, add_root, &root, NULL);
        pxar_free(pxar);
        return root.added ? rc : datastore_add_node(d, folder, entry, p, NULL);
}

static int add_item(struct datastore *d, struct node *folder, const struct pbs_item *item)
{
        bool is_tree = item->kind == PBS_ITEM_TREE;
        struct place *p =
            datastore_add_place(d, place_of(folder), is_tree ? PLACE_PXAR : PLACE_FILE);
        struct entry entry = {.name = item->name,
                              .mode = is_tree ? S_IFDIR : S_IFREG,
                              .has_mtime = true,
                              .mtime.tv_sec = folder->mtime,
                              .size = item->content ? item->content->size : 0};

        if (!p)
                return -ENOMEM;
        if (item->why && say_why(p, "%s", item->why) < 0)
                return -ENOMEM;
        if (is_tree)
                return add_tree(d, folder, item, &entry, p);
        p->volume = item->content;
        p->is_index = item->content && item->is_index;
        p->device = item->device;
        return datastore_add_node(d, folder, &entry, p, NULL);
}

/* FOLDER, of the datastore's own, was asked for, with RC for WHY. On disk only the former is known. */
static void tell(struct datastore *d, const struct node *folder, int rc, const struct error *why)
{
        struct place *p = place_of(folder);
        struct error err = {0};
        bool told = rc < 0 && why->code;

        {
                scoped_lock(&d->lock);
                bool before = p->told;

                p->told = told;
                told = told && !before;
        }
        if (!told || !d->unopened)
                return;
        error_fill(&err, why->code, "cannot be listed: %s", why->text);
        d->unopened(d->unopened_ctx, folder, &err);
}

static int fill_snapshot(struct datastore *d, struct node *folder, const char *path)
{
        struct place *p = place_of(folder);
        struct error err = {0};
        int rc = pbs_snapshot_open(d->store, path, &p->opened, &err);

        tell(d, folder, rc == -EREMOTEIO ? rc : 0, &err);
        if (rc < 0 && rc != -ENOMEM && rc != -EREMOTEIO)
                return say_why(p, "%s", err.text);
        for (size_t i = 0; rc == 0 && i < pbs_snapshot_count(p->opened); i++)
                rc = add_item(d, folder, pbs_snapshot_item(p->opened, i));
        if (rc == 0 && d->shows_parts)
                rc = datastore_add_parts(d, folder);
        return rc;
}

/* ---- folders of the datastore ---- */

struct listing {
        struct datastore *d;
        struct node *folder;
};

static int add_folder(void *ctx, const struct pbs_folder *folder)
{
        struct listing *l = ctx;
        struct entry entry = {.name = folder->name,
                              .mode = S_IFDIR,
                              .later = true,
                              .has_mtime = true,
                              .mtime.tv_sec = folder->time};
        struct place *p = datastore_add_place(l->d, place_of(l->folder), PLACE_STORE);

        if (!p)
                return -ENOMEM;
        p->level = folder->level;
        return datastore_add_node(l->d, l->folder, &entry, p, NULL);
}

static int fill_store(struct datastore *d, struct node *folder)
{
        struct place *p = place_of(folder);
        struct listing listing = {d, folder};
        cleanup_free char *path = tree_path(folder);
        struct error err = {0};
        int rc;

        if (!path)
                return -ENOMEM;
        if (p->level == PBS_SNAPSHOT) {
                rc = fill_snapshot(d, folder, path);
        } else {
                rc = pbs_store_changed(d->store, path, &p->seen);
                if (rc == 0)
                        rc = pbs_store_list(d->store, path, p->level, add_folder, &listing, &err);
                tell(d, folder, rc, &err);
        }
        if (rc == 0) {
                scoped_lock(&d->lock);

                p->filled = true;
        }
        return rc;
}

/* What is new in a folder is added; TAKEN gets all names that are there. */
struct comparison {
        struct listing listing;
        ARRAY(char *) names;
};

static void cleanup_comparison_fn(struct comparison *c)
{
        for (size_t i = 0; i < c->names.count; i++)
                free(c->names.items[i]);
        array_free(&c->names);
}

static int compare_folder(void *ctx, const struct pbs_folder *folder)
{
        struct comparison *c = ctx;
        cleanup_free char *name = strdup(folder->name);
        struct node *n;
        int rc;

        if (!name || array_reserve(&c->names, 1) < 0)
                return -ENOMEM;
        array_add(&c->names, steal_ptr(&name));
        rc = tree_lookup(c->listing.folder, folder->name, &n);
        if (rc == 0)
                tree_release(n, 1);
        return rc == -ENOENT ? add_folder(&c->listing, folder) : rc;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Remove from FOLDER, which is open, what C has not met. */
static int remove_gone(struct node *folder, const struct comparison *c)
{
        struct tree_cursor cursor = {0};
        struct node *n;
        int rc = 0;

        qsort(c->names.items, c->names.count, sizeof(*c->names.items), by_name);
        while (rc == 0 && (n = tree_next(folder, &cursor))) {
                const char *name = n->name;

                if (!bsearch(&name, c->names.items, c->names.count, sizeof(*c->names.items),
                             by_name))
                        rc = tree_remove(n);
                tree_release(n, 1);
        }
        return rc;
}

static int list_again(struct datastore *d, struct node *folder, const char *path)
{
        struct place *p = place_of(folder);
        __attribute__((cleanup(cleanup_comparison_fn))) struct comparison c = {
            .listing = {d, folder}};
        struct error err = {0};
        int rc = tree_open(folder);

        if (rc < 0)
                return rc;
        rc = pbs_store_list(d->store, path, p->level, compare_folder, &c, &err);
        tell(d, folder, rc, &err);
        if (rc == 0)
                rc = remove_gone(folder, &c);
        tree_close(folder);
        return rc;
}

/* Has FOLDER, of which PATH is the path, changed since it was listed? *NOW: when. 1, 0 or -errno. */
static int has_changed(struct datastore *d, const struct node *folder, const char *path,
                       struct timespec *now)
{
        const struct place *p = place_of(folder);
        int rc = pbs_store_changed(d->store, path, now);
        scoped_lock(&d->lock);

        if (rc < 0)
                return rc;
        return now->tv_sec != p->seen.tv_sec || now->tv_nsec != p->seen.tv_nsec;
}

/* Only one thread at a time: list FOLDER, which was listed before, if it has changed since. */
static int list_if_changed(void *ctx, struct node *folder)
{
        struct datastore *d = ctx;
        cleanup_free char *path = tree_path(folder);
        struct timespec now = {0};
        int rc = path ? has_changed(d, folder, path, &now) : -ENOMEM;

        if (rc <= 0)
                return rc;
        {
                scoped_lock(&d->lock);

                place_of(folder)->seen = now;
        }
        rc = list_again(d, folder, path);
        /* What was there is shown as long as the server does not say what is. */
        return pbs_store_far(d->store) && rc != -ENOMEM ? 0 : rc;
}

/* Likewise, by a thread of its own. */
static int list_far(struct datastore *d, struct node *folder)
{
        cleanup_free char *path = tree_path(folder);
        struct timespec now = {0};
        int rc = path ? has_changed(d, folder, path, &now) : -ENOMEM;

        return rc == 1 ? relist_run(&d->relist, list_if_changed, d, folder) : rc;
}

int datastore_refresh(struct datastore *d, struct node *folder)
{
        const struct place *p = place_of(folder);

        if (!datastore_changes(folder))
                return 0;
        {
                scoped_lock(&d->lock);

                if (!p->filled)
                        return 0;
        }
        if (pbs_store_far(d->store))
                return list_far(d, folder);
        {
                scoped_lock(&d->listing);

                return list_if_changed(d, folder);
        }
}

/* ---- the tree ---- */

static int fill(void *ctx, struct node *folder)
{
        switch (place_of(folder)->what) {
        case PLACE_PXAR:
                return fill_pxar(ctx, folder);
        case PLACE_PARTS:
                return datastore_fill_parts(ctx, folder);
        case PLACE_STORE:
        case PLACE_FILE:
                break;
        }
        return fill_store(ctx, folder);
}

static void emptied(void *ctx, struct node *folder)
{
        struct datastore *d = ctx;
        scoped_lock(&d->lock);

        empty(place_of(folder));
}

static void gone(void *ctx, void *content)
{
        struct datastore *d = ctx;
        struct place *p = content;
        scoped_lock(&d->lock);

        empty(p);
        LIST_REMOVE(p, next);
        free_place(p);
}

static const struct tree_ops ops = {.fill = fill, .emptied = emptied, .gone = gone};

/* *OUT, of which the store is still to be opened. */
static int new_datastore(const struct datastore_key *key, struct shared *shared,
                         struct datastore **out, struct error *err)
{
        struct datastore *d = calloc(1, sizeof *d);
        int rc = 0;

        if (!d)
                return error_set(err, ENOMEM, "out of memory");
        pthread_mutex_init(&d->lock, NULL);
        pthread_mutex_init(&d->listing, NULL);
        relist_init(&d->relist);
        d->shared = shared;
        d->root = (struct place){.kind = CONTENT_PLACE, .what = PLACE_STORE};
        if (getrandom(&d->seed, sizeof d->seed, 0) != sizeof d->seed)
                d->seed = 0;
        if (key->text)
                rc = pbs_key_parse(key->text, key->len, key->password, &d->key, err);
        if (rc == 0) {
                d->tree = tree_new(&ops, d, true);
                rc = d->tree ? 0 : error_set(err, ENOMEM, "out of memory");
        }
        if (rc < 0) {
                datastore_close(d);
                return rc;
        }
        tree_root(d->tree)->content = &d->root;
        *out = d;
        return 0;
}

int datastore_open(int take_dir, const struct datastore_key *key, struct shared *shared,
                   struct datastore **out, struct error *err)
{
        cleanup_close int dir = take_dir;
        struct datastore *d;
        int rc = new_datastore(key, shared, &d, err);

        if (rc < 0)
                return rc;
        rc = pbs_store_open(steal_fd(&dir), d->key, shared, &d->store, err);
        if (rc < 0)
                datastore_close(d);
        else
                *out = d;
        return rc;
}

int datastore_open_far(struct store *take_store, const struct datastore_key *key,
                       struct shared *shared, struct datastore **out, struct error *err)
{
        struct datastore *d;
        int rc = new_datastore(key, shared, &d, err);

        if (rc < 0) {
                take_store->ops->close(take_store);
                return rc;
        }
        rc = pbs_store_open_far(take_store, d->key, shared, &d->store, err);
        if (rc < 0)
                datastore_close(d);
        else
                *out = d;
        return rc;
}

void datastore_close(struct datastore *d)
{
        if (!d)
                return;
        relist_fini(&d->relist);
        tree_free(d->tree);
        empty(&d->root);
        free(d->root.why);
        pbs_store_close(d->store);
        pbs_key_free(d->key);
        pthread_mutex_destroy(&d->listing);
        pthread_mutex_destroy(&d->lock);
        free(d);
}

void datastore_observe(struct datastore *d,
                       void (*unopened)(void *ctx, const struct node *n, const struct error *why),
                       void *ctx)
{
        d->unopened = unopened;
        d->unopened_ctx = ctx;
}

void datastore_show_parts(struct datastore *d)
{
        d->shows_parts = true;
}

struct tree *datastore_tree(const struct datastore *d)
{
        return d->tree;
}

/* ---- nodes ---- */

bool datastore_changes(const struct node *n)
{
        const struct place *p = place_of(n);

        return p->what == PLACE_STORE && p->level != PBS_SNAPSHOT;
}

struct volume *datastore_content(const struct node *n)
{
        return place_of(n)->volume;
}

/* The tables tell. */
static int64_t count_stored(struct volume *v)
{
        uint64_t stored = 0, pos = 0;

        while (pos < v->size) {
                struct volume_extent e;
                int rc = v->ops->extent(v, pos, v->size - pos, &e);

                if (rc < 0)
                        return rc;
                if (e.kind != VOLUME_ZERO)
                        stored += e.len;
                pos += e.len;
        }
        return (int64_t)round_up(stored, 4096);
}

/* Data of a pxar archive have no holes, and to ask would read the payload. */
static bool has_tables(const struct place *p)
{
        return p->volume && (p->is_index || p->snapshot);
}

bool datastore_is_counted(const struct node *n)
{
        const struct place *p = place_of(n);

        return !has_tables(p) || p->stored != STORED_UNKNOWN;
}

int64_t datastore_stored(struct node *n)
{
        struct place *p = place_of(n);
        int64_t stored = p->stored;

        if (!has_tables(p))
                return p->volume ? (int64_t)round_up(p->volume->size, 4096) : 0;
        if (stored != STORED_UNKNOWN)
                return stored;
        stored = count_stored(p->volume);
        /* What a server does not give now it may give later. */
        if (stored >= 0)
                p->stored = stored;
        return stored;
}

const char *datastore_device(const struct node *n)
{
        return place_of(n)->device;
}

bool datastore_why(const struct node *n, char *out, size_t size)
{
        const struct place *p = place_of(n);
        struct error err;

        if (p->snapshot)
                return datastore_parts_why(p, out, size);
        if (p->is_index && pbs_volume_failure(p->volume, &err))
                snprintf(out, size, "%s", err.text);
        else if (p->why)
                snprintf(out, size, "%s", p->why);
        else
                return false;
        return true;
}
