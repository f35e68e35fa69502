/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is in an archive, as nodes of the folder's tree: they stay when the archive is closed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/format.h"
#include "index/collection/archives_internal.h"
#include "index/inside/groups.h"
#include "index/inside/inside.h"
#include "index/inside/parts.h"

enum { DEPTH_MAX = 64 }; /* folders in an archive's folders */

/* The archive FOLDER is open as OPEN: show what is in its folder INNER. */
struct copying {
        struct archives *a;
        const struct open_archive *open;
        struct place *archive;
        struct place *root; /* which has all the places */
        uint64_t seed;
        bool inside;      /* of its disks */
        size_t next_file; /* to be looked at first */
};

static int copy_folder(struct copying *c, struct node *inner, struct node *folder, unsigned depth);

/* WHY P is not all there. */
static int say_why(struct archives *a, struct place *p, const char *why)
{
        char *copy = strdup(why);
        scoped_lock(&a->lock);

        if (!copy)
                return -ENOMEM;
        free(p->why);
        p->why = copy;
        return 0;
}

static void forget_why(struct archives *a, struct place *p)
{
        scoped_lock(&a->lock);

        free(p->why);
        p->why = NULL;
}

/* The disk of INDEX that P is; NULL: of a partition, that it is one was not found yet. */
static const struct disk *disk_of(const struct place *p, const struct index *index)
{
        struct part *part;

        if (!p->within)
                return p->number < index_disk_count(index) ? index_disk(index, p->number) : NULL;
        part = inside_find(index, p->within);
        if (part)
                part_count(part);
        return part ? &part->disk : NULL;
}

/* The archive of P is open: are P's numbers final by now? */
void archives_take_final(struct place *p, const struct index *index)
{
        const struct disk *d = index_sealed(index) ? disk_of(p, index) : NULL;

        if (!d)
                return;
        p->size = d->size;
        p->blocks = (int64_t)disk_allocated(d);
}

static int describe_disk(struct place *p, struct disk *d)
{
        p->number = d->number;
        if (part_of(d) && !(p->within = strdup(d->name)))
                return -ENOMEM;
        p->provisional = d->provisional_size && !index_sealed(d->index);
        p->size = d->size;
        archives_take_final(p, d->index);
        p->device = d->device ? strdup(d->device) : NULL;
        return d->device && !p->device ? -ENOMEM : 0;
}

/* The files come in about the order in which the index has them. */
static size_t file_number(struct copying *c, const struct index_file *f)
{
        size_t count = index_file_count(c->open->index);

        for (size_t i = 0; i < count; i++) {
                size_t at = (c->next_file + i) % count;

                if (index_file(c->open->index, at) == f) {
                        c->next_file = at + 1;
                        return at;
                }
        }
        return SIZE_MAX;
}

/* What N, a node of the archive's own tree, is to the folder's tree: into *P and *E. */
static int describe(struct copying *c, struct node *n, struct place *p, struct entry *e)
{
        struct disk *d = index_disk_of(n);
        const struct index_file *f = index_file_of(n);

        p->archive = c->archive;
        p->what = node_is_folder(n)  ? ARCHIVES_FOLDER
                  : S_ISLNK(n->mode) ? ARCHIVES_LINK
                  : index_disk_of(n) ? ARCHIVES_DISK
                                     : ARCHIVES_FILE;
        *e = (struct entry){.name = n->name,
                            .mode = n->mode,
                            .recorded = n->flags & NODE_RECORDED,
                            .uid = n->uid,
                            .gid = n->gid,
                            .has_mtime = true,
                            .mtime = {.tv_sec = n->mtime, .tv_nsec = n->mtime_ns},
                            .size = n->size,
                            .links = S_ISREG(n->mode) ? n->links : 0,
                            .target = S_ISLNK(n->mode) ? n->extra->target : NULL};
        if (!(n->flags & NODE_MTIME))
                e->mtime = (struct timespec){.tv_sec = index_info(c->open->index)->ctime};
        if (S_ISCHR(n->mode) || S_ISBLK(n->mode))
                e->rdev = n->rdev;
        if (f) {
                p->number = file_number(c, f);
                e->size = f->volume->size;
        }
        if (d)
                e->size = d->size;
        return d ? describe_disk(p, d) : 0;
}

/* N, a folder of the archive's own tree, has something that is inside of its disks: so does P. */
static int describe_inside(struct copying *c, const struct node *n, struct place *p,
                           struct entry *e)
{
        char why[512];

        e->later = inside_has(c->open->index, n);
        p->within = tree_path(n);
        if (!p->within)
                return -ENOMEM;
        if (!e->later && groups_why(c->open->index, n, why, sizeof why))
                return say_why(c->a, p, why);
        return 0;
}

static int copy_node(struct copying *c, struct node *n, const char *name, struct node *folder,
                     unsigned depth)
{
        struct place *p = archives_add_place(c->a, c->root, ARCHIVES_FILE, NULL);
        struct node *made;
        struct entry e;
        int rc = p ? describe(c, n, p, &e) : -ENOMEM;

        if (rc == 0 && node_is_folder(n) && (c->inside || inside_has(c->open->index, n)))
                rc = describe_inside(c, n, p, &e);
        if (rc < 0)
                return rc;
        e.name = name; /* another one for a hard link */
        rc = tree_add(folder, &e, number_of(c->a, c->seed, &n->ino, sizeof n->ino), p, &made);
        if (rc < 0)
                return rc;
        p->node = made;
        return node_is_folder(n) && !e.later ? copy_folder(c, n, made, depth + 1) : 0;
}

static int copy_folder(struct copying *c, struct node *inner, struct node *folder, unsigned depth)
{
        struct tree_cursor cursor = {0};
        struct node *n;
        int rc = depth < DEPTH_MAX ? tree_open(inner) : -ELOOP;

        if (rc < 0)
                return rc;
        while (rc == 0 && (n = tree_next(inner, &cursor))) {
                rc = copy_node(c, n, cursor.name, folder, depth);
                tree_release(n, 1);
        }
        tree_close(inner);
        return rc;
}

/* Is RC no fault of the archive's? */
static bool may_pass(int rc)
{
        return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE || rc == -ESTALE || rc == -EINTR ||
               rc == -EREMOTEIO;
}

int archives_fill(struct archives *a, struct node *folder)
{
        struct place *p = place_of(folder);
        struct copying c = {.a = a, .archive = p, .root = p, .seed = folder->ino};
        struct open_archive *open = NULL;
        struct error err = {0};
        char text[512];
        struct stat st;
        int rc = archives_stat(a, folder, &st);

        if (rc == 0)
                rc = archives_get(a, folder, &open, &err);
        if (!open && rc == -EREMOTEIO && a->unopened)
                a->unopened(a->unopened_ctx, folder, &err);
        if (!open && (may_pass(rc) || !err.code))
                return rc;
        /* It stays so until the file is another one. On a server that is another node. */
        if (!open) {
                if (a->unopened)
                        a->unopened(a->unopened_ctx, folder, &err);
                if (!archives_is_far(a))
                        open_archives_note(a->set, &p->slot, file_identity_of(&st));
                error_format(&err, text, sizeof text);
                return say_why(a, p, text);
        }
        c.open = open;
        forget_why(a, p);
        rc = archives_note_tree(a, folder, index_is_tree(open->index));
        if (rc == 0 && !index_is_tree(open->index))
                rc = copy_folder(&c, tree_root(index_tree(open->index)), folder, 0);
        open_archives_put(open);
        return rc;
}

/* FOLDER shows what is in INNER, of the archive that is open as C has it. */
static int fill_from(struct copying *c, struct node *inner, struct node *folder)
{
        struct parted *p = index_parted_of(inner);
        char why[512];
        int rc = copy_folder(c, inner, folder, 0);

        if (rc == -EAGAIN || !p || !parted_why(p, why, sizeof why))
                forget_why(c->a, c->root);
        else if (say_why(c->a, c->root, why) < 0)
                return -ENOMEM;
        return rc;
}

int archives_fill_parts(struct archives *a, struct node *folder)
{
        struct place *p = place_of(folder);
        struct copying c = {
            .a = a, .archive = p->archive, .root = p, .seed = folder->ino, .inside = true};
        struct open_archive *open;
        struct node *inner;
        int rc = archives_get(a, folder, &open, NULL);

        if (rc < 0)
                return may_pass(rc) ? rc : -EIO;
        c.open = open;
        rc = index_look_up(open->index, p->within, &inner);
        if (rc == 0)
                rc = fill_from(&c, inner, folder);
        else if (rc == -ENOENT)
                rc = -EIO;
        open_archives_put(open);
        return rc;
}
