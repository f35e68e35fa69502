/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/collection/archives.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/store/dir/dir.h"
#include "archive/store/store.h"
#include "index/collection/archives_internal.h"
#include "index/inside/inside.h"

/* A list that takes long is good for as many times as long. */
enum { GOOD_FACTOR = 10 };

/* ---- making and freeing ---- */

/* Without lock. Nothing is below P. */
static void free_place(struct archives *a, struct place *p)
{
        if (p->what == ARCHIVES_ARCHIVE)
                open_archives_drop(a->set, &p->slot);
        free(p->name);
        free(p->why);
        free(p->device);
        free(p->within);
        free(p);
}

/* Under lock. */
static void move_all(struct places *from, struct places *to)
{
        struct place *p;

        while ((p = LIST_FIRST(from))) {
                LIST_REMOVE(p, next);
                LIST_INSERT_HEAD(to, p, next);
        }
}

/* Under lock: P has no node any more. */
static void disuse(struct archives *a, struct place *p)
{
        LIST_REMOVE(p, next);
        LIST_INSERT_HEAD(&a->disused, p, next);
        if (p->what == ARCHIVES_ARCHIVE)
                archives_drop_tree(a, p);
}

/* Under lock: nothing below P is in use. No recursion, since a folder may be very deep. */
static void empty(struct archives *a, struct place *p)
{
        struct places todo = LIST_HEAD_INITIALIZER(todo);

        p->filled = false;
        move_all(&p->below, &todo);
        while ((p = LIST_FIRST(&todo))) {
                move_all(&p->below, &todo);
                disuse(a, p);
        }
}

/*
 * Free places that are disused. Whoever lets go of a node may have its archive open, so this is no part
 * of that; and to close an archive may take long, so what is open stays until that is closed.
 */
static void free_disused(struct archives *a)
{
        struct places todo = LIST_HEAD_INITIALIZER(todo);
        struct place *p;

        {
                scoped_lock(&a->lock);

                if (LIST_EMPTY(&a->disused))
                        return;
                move_all(&a->disused, &todo);
        }
        while ((p = LIST_FIRST(&todo))) {
                LIST_REMOVE(p, next);
                if (p->what != ARCHIVES_ARCHIVE || !open_archives_is_open(a->set, &p->slot)) {
                        free_place(a, p);
                        continue;
                }
                {
                        scoped_lock(&a->lock);

                        LIST_INSERT_HEAD(&a->disused, p, next);
                }
        }
}

struct place *archives_add_place(struct archives *a, struct place *parent, enum archives_kind what,
                                 const char *name)
{
        struct place *p = calloc(1, sizeof *p);

        if (p && name)
                p->name = strdup(name);
        if (!p || (name && !p->name)) {
                free(p);
                return NULL;
        }
        p->kind = CONTENT_PLACE;
        p->what = what;
        p->blocks = BLOCKS_UNKNOWN;
        {
                scoped_lock(&a->lock);

                LIST_INSERT_HEAD(&parent->below, p, next);
        }
        return p;
}

/* ---- paths ---- */

/* The folders from the root to N, N itself with ITSELF, by their files' own names. A new string. */
static char *path_of(const struct node *n, bool itself)
{
        const struct node *from = itself || n->parent == n ? n : n->parent;
        size_t len = 0;
        char *path, *at;

        for (const struct node *p = from; p->parent != p; p = p->parent)
                len += strlen(place_of(p)->name) + 1;
        path = malloc(len + 1);
        if (!path)
                return NULL;
        at = path + len;
        *at = '\0';
        for (const struct node *p = from; p->parent != p; p = p->parent) {
                size_t one = strlen(place_of(p)->name);

                *--at = p == from ? '\0' : '/';
                at -= one;
                memcpy(at, place_of(p)->name, one);
        }
        return path;
}

/* How many folders N is below the root. */
static unsigned depth_of(const struct node *n)
{
        unsigned depth = 0;

        for (; n->parent != n; n = n->parent)
                depth++;
        return depth;
}

/* Is there nothing more to be known of a file than what a list has said? */
static bool is_far(const struct archives *a)
{
        return !a->store->ops->stat;
}

/* Enter the folder N, or with PARENT the one that it is in. leave_folder in any case. */
static int enter_folder(const struct archives *a, const struct node *n, bool parent,
                        struct store_folder *out)
{
        cleanup_free char *path = path_of(n, !parent);

        *out = (struct store_folder){.fd = -1};
        return path ? a->store->ops->enter(a->store, path, out) : -ENOMEM;
}

static void leave_folder(struct store_folder *f)
{
        if (f->store)
                f->store->ops->leave(f);
}

#define cleanup_folder __attribute__((cleanup(leave_folder)))

/* The node that is the archive which N is or is below. */
static const struct node *archive_node(const struct node *n)
{
        while (n->parent != n && place_of(n)->what != ARCHIVES_ARCHIVE)
                n = n->parent;
        return n;
}

/* ---- the folder itself ---- */

struct listing {
        struct archives *a;
        struct node *folder;
        const struct store_folder *in;
        struct store_state state;
};

static const mode_t modes[] = {
    [DIR_FOLDER] = S_IFDIR, [DIR_ARCHIVE] = S_IFDIR, [DIR_FILE] = S_IFREG, [DIR_LINK] = S_IFLNK};
static const enum archives_kind kinds[] = {[DIR_FOLDER] = ARCHIVES_FOLDER,
                                           [DIR_ARCHIVE] = ARCHIVES_ARCHIVE,
                                           [DIR_FILE] = ARCHIVES_PLAIN,
                                           [DIR_LINK] = ARCHIVES_LINK};

static bool is_hidden(const struct listing *l, const struct dir_name *n)
{
        const struct archives_hidden *h = &l->a->hidden;

        return h->some && n->kind == DIR_FOLDER && n->inode == h->inode && l->state.dev == h->dev;
}

/* The target of the link N. False: it is not shown. */
static bool read_link(const struct listing *l, const char *name, char target[PATH_MAX])
{
        ssize_t n = l->a->store->ops->link(l->in, name, target, PATH_MAX - 1);

        if (n <= 0)
                return false;
        target[n] = '\0';
        return dir_link_stays(target, depth_of(l->folder));
}

static int add_name(const struct listing *l, const struct dir_name *n)
{
        char target[PATH_MAX];
        struct entry e = {.name = n->name,
                          .mode = modes[n->kind],
                          .later = S_ISDIR(modes[n->kind]),
                          .size = n->size,
                          .target = target};
        struct place *p;

        if (is_hidden(l, n) || (n->kind == DIR_LINK && !read_link(l, n->name, target)))
                return 0;
        p = archives_add_place(l->a, place_of(l->folder), kinds[n->kind], n->name);
        if (!p)
                return -ENOMEM;
        p->inode = n->inode;
        p->size = n->size;
        p->mtime = n->mtime;
        return tree_add(l->folder, &e, number_of(l->a, l->folder->ino, n->name, strlen(n->name)), p,
                        NULL);
}

struct name {
        struct dir_name is; /* its name is a string of its own */
        bool shown;
};

struct names {
        struct name *list;
        size_t count;
};

static void cleanup_names_fn(struct names *n)
{
        for (size_t i = 0; i < n->count; i++)
                free((char *)n->list[i].is.name);
        free(n->list);
}

static int collect_name(void *ctx, const struct dir_name *n)
{
        struct names *all = ctx;
        struct name *grown = all->list;

        if ((all->count & (all->count - 1)) == 0)
                grown = reallocarray(grown, all->count ? 2 * all->count : 1, sizeof *grown);
        if (!grown)
                return -ENOMEM;
        all->list = grown;
        grown[all->count] = (struct name){.is = *n};
        grown[all->count].is.name = strdup(n->name);
        return grown[all->count++].is.name ? 0 : -ENOMEM;
}

/* On a server a folder may have a file's name. */
static int by_name(const void *a, const void *b)
{
        const struct dir_name *x = &((const struct name *)a)->is;
        const struct dir_name *y = &((const struct name *)b)->is;
        int order = strcmp(x->name, y->name);

        return order ? order : (int)x->kind - (int)y->kind;
}

static int64_t now_milliseconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until when is a list good, of which nobody will know whether it is, and which took since FROM? */
static int64_t good_until(const struct archives *a, int64_t from)
{
        int64_t now = now_milliseconds(), settle = a->store->ops->settle;

        if (is_far(a) && (now - from) * GOOD_FACTOR > settle)
                settle = (now - from) * GOOD_FACTOR;
        return now + settle;
}

/* The folder that L is of was listed, with RC for WHY. What is missing on disk has gone; a server says more. */
static void tell(const struct listing *l, int rc, const struct error *why)
{
        struct place *p = place_of(l->folder);
        struct error err = {0};
        bool told = rc < 0 && why->code;

        {
                scoped_lock(&l->a->lock);
                bool before = p->told;

                p->told = told;
                told = told && !before;
        }
        if (!told || !l->a->unopened)
                return;
        error_fill(&err, why->code, "cannot be listed: %s", why->text);
        l->a->unopened(l->a->unopened_ctx, l->folder, &err);
}

/* All names in the folder that L is of, in order, and none of them twice. */
static int collect(const struct listing *l, struct names *all)
{
        struct error err = {0};
        size_t kept = 0;
        int rc = l->a->store->ops->list(l->in, collect_name, all, &err);

        tell(l, rc, &err);
        if (all->count)
                qsort(all->list, all->count, sizeof *all->list, by_name);
        for (size_t i = 0; i < all->count; i++) {
                if (kept > 0 && by_name(&all->list[kept - 1], &all->list[i]) == 0)
                        free((char *)all->list[i].is.name);
                else
                        all->list[kept++] = all->list[i];
        }
        all->count = kept;
        return rc;
}

static int fill_folder(struct archives *a, struct node *folder)
{
        __attribute__((cleanup(cleanup_names_fn))) struct names all = {0};
        cleanup_folder struct store_folder in;
        struct place *p = place_of(folder);
        struct listing l = {.a = a, .folder = folder, .in = &in};
        int64_t from = now_milliseconds();
        int rc = enter_folder(a, folder, false, &in);

        if (rc == 0)
                rc = a->store->ops->look(&in, &l.state);
        if (rc == 0)
                rc = collect(&l, &all);
        for (size_t i = 0; rc == 0 && i < all.count; i++)
                rc = add_name(&l, &all.list[i].is);
        if (rc == 0) {
                scoped_lock(&a->lock);

                p->seen = l.state.changed;
                p->good_until = is_far(a) ? good_until(a, from) : 0;
                p->filled = true;
        }
        return rc;
}

/* ---- listing it again ---- */

/* Is what P shows still there, as the same file? */
static bool is_there(struct names *all, const struct place *p)
{
        struct name key = {.is.name = p->name}, *found;

        while (kinds[key.is.kind] != p->what)
                key.is.kind++;
        found = all->count ? bsearch(&key, all->list, all->count, sizeof key, by_name) : NULL;
        if (!found || found->is.inode != p->inode)
                return false;
        found->shown = true;
        return true;
}

static int remove_gone(struct node *folder, struct names *all)
{
        struct tree_cursor cursor = {0};
        struct node *n;
        int rc = 0;

        while (rc == 0 && (n = tree_next(folder, &cursor))) {
                if (!is_there(all, place_of(n)))
                        rc = tree_remove(n);
                tree_release(n, 1);
        }
        return rc;
}

static int list_again(const struct listing *l)
{
        __attribute__((cleanup(cleanup_names_fn))) struct names all = {0};
        int rc = collect(l, &all);

        if (rc == 0)
                rc = remove_gone(l->folder, &all);
        for (size_t i = 0; rc == 0 && i < all.count; i++)
                if (!all.list[i].shown)
                        rc = add_name(l, &all.list[i].is);
        return rc;
}

/* Is the list of the folder P, in which STATE is what is known of changes, still good? */
static bool is_good(struct archives *a, const struct place *p, const struct store_state *state)
{
        scoped_lock(&a->lock);

        if (state->changed.tv_sec)
                return state->changed.tv_sec == p->seen.tv_sec &&
                       state->changed.tv_nsec == p->seen.tv_nsec;
        /* One that has just changed is not listed for each name that is looked up in it. */
        return now_milliseconds() < p->good_until;
}

/* As refresh, of what is in the folder. */
static int list_if_changed(struct listing *l)
{
        struct place *p = place_of(l->folder);
        int64_t from = now_milliseconds();
        int rc = l->a->store->ops->look(l->in, &l->state);

        if (rc < 0 || is_good(l->a, p, &l->state))
                return rc;
        rc = list_again(l);
        {
                scoped_lock(&l->a->lock);

                p->good_until = good_until(l->a, from);
                if (rc == 0)
                        p->seen = l->state.changed;
        }
        /* What a server does not say now is as it was. */
        return is_far(l->a) && rc != -ENOMEM ? 0 : rc;
}

/* An archive that was open, and whose file has been written to since, is another one. */
static int replace_if_changed(struct listing *l, const char *name)
{
        struct file_identity identity;
        struct node *n;
        struct place *p;
        struct stat st;
        int rc = tree_lookup(l->folder, name, &n);

        if (rc < 0)
                return rc == -ENOENT ? 0 : rc;
        p = place_of(n);
        if (p->what == ARCHIVES_ARCHIVE && l->a->store->ops->stat(l->in, p->name, &st) == 0 &&
            S_ISREG(st.st_mode)) {
                struct dir_name again = {.name = p->name, .kind = DIR_ARCHIVE, .inode = st.st_ino};

                identity = file_identity_of(&st);
                if (open_archives_differs(l->a->set, &p->slot, &identity)) {
                        rc = tree_remove(n);
                        if (rc == 0)
                                rc = add_name(l, &again);
                }
        }
        tree_release(n, 1);
        return rc;
}

/* Only one thread at a time: as archives_refresh. */
static int refresh(struct archives *a, struct node *folder, const char *name)
{
        cleanup_folder struct store_folder in = {.fd = -1};
        struct listing l = {.a = a, .folder = folder, .in = &in};
        int rc = enter_folder(a, folder, false, &in);

        if (rc == 0)
                rc = tree_open(folder);
        if (rc < 0)
                return rc;
        rc = list_if_changed(&l);
        if (rc == 0 && name)
                rc = replace_if_changed(&l, name);
        tree_close(folder);
        return rc;
}

static int refresh_far(void *a, struct node *folder)
{
        return refresh(a, folder, NULL);
}

int archives_refresh(struct archives *a, struct node *folder, const char *name)
{
        static const struct store_state unknown;
        struct place *p = place_of(folder);

        if (!archives_changes(folder))
                return 0;
        free_disused(a);
        {
                scoped_lock(&a->lock);

                if (!p->filled)
                        return 0;
        }
        if (!is_far(a)) {
                scoped_lock(&a->listing);

                return refresh(a, folder, name);
        }
        return is_good(a, p, &unknown) ? 0 : relist_run(&a->relist, refresh_far, a, folder);
}

/* ---- the tree ---- */

static int fill(void *ctx, struct node *folder)
{
        const struct place *p = place_of(folder);

        if (p->what == ARCHIVES_ARCHIVE)
                return archives_fill(ctx, folder);
        return p->within ? archives_fill_parts(ctx, folder) : fill_folder(ctx, folder);
}

static void emptied(void *ctx, struct node *folder)
{
        struct archives *a = ctx;
        scoped_lock(&a->lock);

        empty(a, place_of(folder));
}

static void gone(void *ctx, void *content)
{
        struct archives *a = ctx;
        scoped_lock(&a->lock);

        empty(a, content);
        disuse(a, content);
}

static const struct tree_ops tree_ops = {.fill = fill, .emptied = emptied, .gone = gone};

int archives_open(struct store *take_store, const struct archives_hidden *hidden,
                  const struct open_archives_ops *ops, const struct index_options *options,
                  struct archives **out, struct error *err)
{
        struct archives *a = calloc(1, sizeof *a);

        if (!a) {
                take_store->ops->close(take_store);
                return error_set(err, ENOMEM, "out of memory");
        }
        a->store = take_store;
        a->hidden = *hidden;
        pthread_mutex_init(&a->lock, NULL);
        pthread_mutex_init(&a->listing, NULL);
        relist_init(&a->relist);
        a->root = (struct place){.kind = CONTENT_PLACE, .what = ARCHIVES_FOLDER};
        if (getrandom(&a->seed, sizeof a->seed, 0) != sizeof a->seed)
                a->seed = 0;
        a->set = open_archives_new(ops, options);
        a->tree = tree_new(&tree_ops, a, true);
        if (!a->set || !a->tree) {
                archives_close(a);
                return error_set(err, ENOMEM, "out of memory");
        }
        tree_root(a->tree)->content = &a->root;
        *out = a;
        return 0;
}

int archives_start(struct archives *a)
{
        return open_archives_start(a->set);
}

void archives_observe(struct archives *a,
                      void (*unopened)(void *ctx, const struct node *n, const struct error *why),
                      void *ctx)
{
        a->unopened = unopened;
        a->unopened_ctx = ctx;
}

void archives_stop(struct archives *a)
{
        open_archives_stop(a->set);
}

void archives_close(struct archives *a)
{
        if (!a)
                return;
        relist_fini(&a->relist);
        /* What waits for one of them is failed by that, and has nodes of the tree. */
        if (a->set)
                open_archives_close_all(a->set);
        tree_free(a->tree);
        empty(a, &a->root);
        free_disused(a);
        open_archives_free(a->set);
        array_free(&a->trees);
        a->store->ops->close(a->store);
        pthread_mutex_destroy(&a->listing);
        pthread_mutex_destroy(&a->lock);
        free(a);
}

struct tree *archives_tree(const struct archives *a)
{
        return a->tree;
}

/* ---- nodes ---- */

bool archives_changes(const struct node *n)
{
        return place_of(n)->what == ARCHIVES_FOLDER && !place_of(n)->archive;
}

enum archives_kind archives_kind(const struct node *n)
{
        return place_of(n)->what;
}

/* The file N on a server, by what a list has said of it. */
static void stat_listed(const struct node *n, struct stat *st)
{
        const struct place *p = place_of(n);

        *st = (struct stat){.st_mode = p->what == ARCHIVES_FOLDER ? S_IFDIR : S_IFREG,
                            .st_ino = p->inode,
                            .st_size = (off_t)p->size,
                            .st_blocks = (blkcnt_t)((p->size + 511) / 512),
                            .st_mtim.tv_sec = p->mtime};
}

int archives_stat(const struct archives *a, const struct node *n, struct stat *st)
{
        cleanup_folder struct store_folder in = {.fd = -1};
        int rc;

        if (is_far(a)) {
                stat_listed(n, st);
                return 0;
        }
        rc = enter_folder(a, n, true, &in);
        if (rc < 0)
                return rc;
        return a->store->ops->stat(&in, n->parent == n ? "" : place_of(n)->name, st);
}

int archives_open_file(const struct archives *a, const struct node *n, struct store_file **out)
{
        cleanup_folder struct store_folder in = {.fd = -1};
        const struct place *p = place_of(n);
        int rc = enter_folder(a, n, true, &in);

        return rc < 0 ? rc : a->store->ops->open(&in, p->name, p->size, out);
}

bool archives_is_far(const struct archives *a)
{
        return is_far(a);
}

int archives_get(struct archives *a, const struct node *n, struct open_archive **out,
                 struct error *err)
{
        const struct node *archive = archive_node(n);
        cleanup_free char *path = path_of(archive, true);
        int rc;

        if (!path)
                return error_set(err, ENOMEM, "out of memory");
        rc = open_archives_get(a->set, &place_of(archive)->slot, path, out, err);
        return rc == -ENOENT || rc == -ENOTDIR ? -ESTALE : rc;
}

int archives_inner(const struct open_archive *a, const struct node *n, struct node **out)
{
        const struct place *p = place_of(n);

        *out = NULL;
        if (p->within)
                return index_look_up(a->index, p->within, out);
        if (p->what == ARCHIVES_DISK && p->number < index_disk_count(a->index))
                *out = index_disk(a->index, p->number)->node;
        else if (p->what == ARCHIVES_FILE && p->number < index_file_count(a->index))
                return index_look_up(a->index, index_file(a->index, p->number)->name, out);
        return *out ? 0 : -ENOENT;
}

bool archives_is_inside(const struct node *n)
{
        return place_of(n)->within != NULL;
}

bool archives_inside_ready(const struct open_archive *a, const struct node *n)
{
        const struct place *p = place_of(n);

        return !p->within || inside_is_ready(a->index, p->within);
}

bool archives_disk(struct archives *a, const struct node *n, struct stat *st, bool *final)
{
        struct place *p = place_of(n);
        struct open_archive *open = NULL;

        if (p->blocks == BLOCKS_UNKNOWN)
                open = open_archives_peek(a->set, &p->archive->slot);
        if (open) {
                archives_take_final(p, open->index);
                open_archives_put(open);
        }
        *final = p->blocks != BLOCKS_UNKNOWN;
        st->st_size = (off_t)p->size;
        /* Neither empty nor full, as disk_allocated. */
        st->st_blocks = *final ? p->blocks : (blkcnt_t)max_u64(2, p->size / 512) - 1;
        if (!*final && !p->provisional && p->size == 0)
                st->st_blocks = 0;
        return *final || !p->provisional;
}

const char *archives_device(const struct node *n)
{
        return place_of(n)->device;
}

bool archives_why(struct archives *a, const struct node *n, char *out, size_t size)
{
        const struct place *p = place_of(n);
        scoped_lock(&a->lock);

        if (!p->why)
                return false;
        snprintf(out, size, "%s", p->why);
        return true;
}

size_t archives_disk_nodes(struct archives *a, const struct open_archive *open, const void **out,
                           size_t max)
{
        struct place *archive = (struct place *)((char *)open->slot - offsetof(struct place, slot));
        const struct place *p, *part;
        size_t n = 0;
        scoped_lock(&a->lock);

        LIST_FOREACH(p, &archive->below, next)
        {
                if (p->what == ARCHIVES_DISK && n < max)
                        out[n++] = p->node;
                LIST_FOREACH(part, &p->below, next)
                if (part->what == ARCHIVES_DISK && n < max)
                        out[n++] = part->node;
        }
        return n;
}
