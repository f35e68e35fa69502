/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tree is made in the archive's order, folder by folder:
 *
 *   enter ── files, links, devices ── each folder below it ── hard links ── leave
 *
 * A hard link names a file that comes before it in the archive, so that it is there when the folder
 * of the link is left. Where it lies follows from the folders, each of which is a range; or the
 * source knows that it is there already, and where.
 */
#include "fs/extract/tree_extract.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/volume.h"
#include "fs/extract/copying.h"
#include "fs/extract/tree_helper.h"
#include "fs/print/report.h"

enum {
        LINES_MAX = 10, /* of what is lost */
        NOBODY = UINT32_MAX,
};

/* A folder that was entered. In the archive's order, so by start. */
struct folder {
        struct tree_range range;
        uint32_t parent; /* NOBODY: it is the tree's first */
        char *name;
};

/* A folder that is to be made, or is being filled. */
struct pending {
        struct tree_range range;
        char *name;
        bool entered;      /* then … */
        uint32_t number;   /* … of the folder */
        size_t first_link; /* … of those that belong to it */
};

/* Another name of a file that is made before the folder is left. */
struct link {
        char *name;
        char *original; /* in its folder */
        uint64_t id;    /* of the file, by which its folder is found */
};

struct tree_copy {
        struct tree_helper *helper;
        const struct tree_source *source;
        const char *path; /* of the tree, for messages */
        struct tree_range whole;
        uint32_t here; /* the folder at hand; NOBODY: none */
        ARRAY(struct folder) folders;
        ARRAY(struct pending) pending;
        ARRAY(struct link) links;
        uint64_t lost; /* nodes, or parts of them */
};

static void tree_copy_fini(struct tree_copy *t)
{
        for (size_t i = 0; i < t->folders.count; i++)
                free(t->folders.items[i].name);
        for (size_t i = 0; i < t->pending.count; i++)
                free(t->pending.items[i].name);
        for (size_t i = 0; i < t->links.count; i++) {
                free(t->links.items[i].name);
                free(t->links.items[i].original);
        }
        array_free(&t->folders);
        array_free(&t->pending);
        array_free(&t->links);
}

/* ---- paths ---- */

/* "a/b/NAME" below the tree's first folder, into OUT; FOLDER has NAME. False: it is too long. */
static bool path_below(const struct tree_copy *t, uint32_t folder, const char *name,
                       char out[PATH_MAX])
{
        char *at = out + PATH_MAX - 1;

        *at = '\0';
        while (true) {
                size_t len = strlen(name);

                if ((size_t)(at - out) < len + 1)
                        return false;
                at -= len;
                memcpy(at, name, len);
                if (folder == NOBODY || t->folders.items[folder].parent == NOBODY)
                        break;
                *--at = '/';
                name = t->folders.items[folder].name;
                folder = t->folders.items[folder].parent;
        }
        memmove(out, at, strlen(at) + 1);
        return true;
}

/* NAME in the folder at hand cannot be made, or not all of it. */
static void report_lost(struct tree_copy *t, const char *name, const char *why)
{
        char path[PATH_MAX];

        if (t->lost++ >= LINES_MAX)
                return;
        if (t->here == NOBODY)
                path[0] = '\0'; /* it is what is extracted */
        else if (!path_below(t, t->here, name, path))
                snprintf(path, sizeof path, ".../%.200s", name);
        report("%s%s%s: %s", t->path, *path ? "/" : "", path, why);
}

/* What may be wrong with one node is no reason to end. */
static int judge(struct tree_copy *t, const char *name, int rc)
{
        if (rc >= 0)
                return 0;
        if (rc == -ENOMEM || rc == -EPIPE || rc == -ENOSPC || rc == -EDQUOT || rc == -EROFS ||
            rc == -ESTALE)
                return rc;
        report_lost(t, name,
                    rc == -EEXIST  ? "is there already"
                    : rc == -ELOOP ? "is in more folders than can be made"
                                   : strerror(-rc));
        return 0;
}

/* The folder that has the node ID: the last that begins before it and does not end before it. */
static uint32_t folder_with(const struct tree_copy *t, uint64_t id)
{
        size_t after = search_first(t->folders.count, i, t->folders.items[i].range.start > id);
        uint32_t at = after ? (uint32_t)(after - 1) : NOBODY;

        while (at != NOBODY && t->folders.items[at].range.end <= id)
                at = t->folders.items[at].parent;
        return at;
}

/* ---- nodes ---- */

static struct tree_attributes attributes_of(const struct tree_entry *e)
{
        return (struct tree_attributes){.mode = e->mode,
                                        .uid = e->uid,
                                        .gid = e->gid,
                                        .rdev = e->rdev,
                                        .mtime = e->mtime.tv_sec,
                                        .nanoseconds = (uint32_t)e->mtime.tv_nsec};
}

/* Owner and attributes of the file or folder that is open. */
static int dress(struct tree_copy *t, const struct tree_entry *e)
{
        const struct tree_attributes a = attributes_of(e);
        int rc = tree_helper_own(t->helper, &a);

        for (size_t i = 0; rc == 0 && i < e->xattr_count; i++)
                rc = tree_helper_xattr(t->helper, e->xattrs[i].name, e->xattrs[i].value,
                                       e->xattrs[i].len);
        return rc;
}

static int copy_content(struct tree_copy *t, const struct tree_entry *e, int fd, uint64_t *lost)
{
        struct volume *v;
        int rc = t->source->content(t->source, e, &v);

        if (rc < 0)
                return rc;
        rc = copying_to_file(v, fd, lost);
        if (v->ops->close)
                v->ops->close(v);
        return rc;
}

static int make_file(struct tree_copy *t, const struct tree_entry *e, const char *name)
{
        const struct tree_attributes a = attributes_of(e);
        uint64_t lost = 0;
        int fd, rc = tree_helper_file(t->helper, name, &fd), ended;
        char text[80], size[32];

        if (rc < 0)
                return rc;
        rc = copy_content(t, e, fd, &lost);
        close(fd);
        if (lost) {
                snprintf(text, sizeof text, "%s of it cannot be read, and are holes",
                         report_size(lost, size));
                report_lost(t, name, text);
        }
        if (rc == 0)
                rc = dress(t, e);
        ended = tree_helper_close(t->helper, &a);
        return rc < 0 ? rc : ended;
}

static int make_other(struct tree_copy *t, const struct tree_entry *e, const char *name)
{
        const struct tree_attributes a = attributes_of(e);

        if (S_ISREG(e->mode))
                return make_file(t, e, name);
        if (S_ISLNK(e->mode))
                return tree_helper_symlink(t->helper, name, e->target, &a);
        return tree_helper_node(t->helper, name, &a);
}

/* ---- folders ---- */

static int put_off_folder(struct tree_copy *t, const struct tree_range *range, const char *name)
{
        struct pending p = {.range = *range, .name = strdup(name)};

        if (p.name && array_add(&t->pending, p) == 0)
                return 0;
        free(p.name);
        return -ENOMEM;
}

static int put_off_link(struct tree_copy *t, const struct tree_entry *e)
{
        struct link l = {strdup(e->name), strdup(e->same_name), e->same_as};

        if (l.name && l.original && array_add(&t->links, l) == 0)
                return 0;
        free(l.name);
        free(l.original);
        return -ENOMEM;
}

static int take_entry(void *ctx, const struct tree_entry *e)
{
        struct tree_copy *t = ctx;

        if (S_ISDIR(e->mode))
                return put_off_folder(t, &e->folder, e->name);
        if (e->same_path)
                return judge(t, e->name, tree_helper_link(t->helper, e->name, e->same_path));
        /* Of what is outside of the tree that is made, it is a file of its own. */
        if (e->same_as > t->whole.start && e->same_as < t->whole.end)
                return put_off_link(t, e);
        return judge(t, e->name, make_other(t, e, e->name));
}

static void reverse(struct pending *p, size_t count)
{
        for (size_t i = 0; i < count / 2; i++) {
                struct pending swap = p[i];

                p[i] = p[count - 1 - i];
                p[count - 1 - i] = swap;
        }
}

/* Make the folder that is PENDING's last, and what is in it but for folders and hard links. */
static int enter(struct tree_copy *t)
{
        size_t at = t->pending.count - 1;
        struct pending *p = array_at(&t->pending, at);
        struct folder folder = {.range = p->range, .parent = t->here, .name = strdup(p->name)};
        struct error err = {0};
        uint64_t damaged = 0;
        char text[80];
        int rc;

        if (!folder.name || t->folders.count >= NOBODY || array_add(&t->folders, folder) < 0) {
                free(folder.name);
                return -ENOMEM;
        }
        rc = tree_helper_enter(t->helper, p->name);
        if (rc < 0) {
                t->pending.count--;
                if (t->here != NOBODY)
                        rc = judge(t, p->name, rc);
                free(p->name);
                /* Nothing in it is made, so that nothing is looked for in it. */
                t->folders.items[t->folders.count - 1].range.end = folder.range.start;
                return rc;
        }
        p->entered = true;
        p->number = t->here = (uint32_t)(t->folders.count - 1);
        p->first_link = t->links.count;
        rc = t->source->list(t->source, &folder.range, take_entry, t, &damaged, &err);
        reverse(t->pending.items + at + 1, t->pending.count - at - 1);
        if (rc == -EIO) {
                report_lost(t, "", err.text);
                return 0;
        }
        if (rc == 0 && damaged) {
                snprintf(text, sizeof text, "%" PRIu64 " of its entries are damaged", damaged);
                report_lost(t, "", text);
        }
        return rc;
}

static int make_link(struct tree_copy *t, const struct link *l)
{
        uint32_t folder = folder_with(t, l->id);
        char path[PATH_MAX];

        if (folder == NOBODY)
                return -ENOENT;
        if (!path_below(t, folder, l->original, path))
                return -ENAMETOOLONG;
        return tree_helper_link(t->helper, l->name, path);
}

static int take_folder(void *ctx, const struct tree_entry *e)
{
        return dress(ctx, e);
}

static int take_attributes(void *ctx, const struct tree_entry *e)
{
        *(struct tree_attributes *)ctx = attributes_of(e);
        return 0;
}

/* All that is in the folder that is PENDING's last has been made. */
static int leave(struct tree_copy *t)
{
        struct pending *p = array_at(&t->pending, t->pending.count - 1);
        struct tree_attributes a = {.mode = 0700};
        struct error err = {0};
        int rc = 0;

        while (rc == 0 && t->links.count > p->first_link) {
                struct link *l = &t->links.items[t->links.count - 1];

                rc = judge(t, l->name, make_link(t, l));
                free(l->name);
                free(l->original);
                t->links.count--;
        }
        if (rc == 0)
                rc = t->source->folder(t->source, &p->range, take_folder, t, &err);
        if (rc == 0)
                rc = t->source->folder(t->source, &p->range, take_attributes, &a, &err);
        rc = judge(t, "", rc);
        if (rc == 0)
                rc = judge(t, "", tree_helper_leave(t->helper, &a));
        t->here = t->folders.items[p->number].parent;
        free(p->name);
        t->pending.count--;
        return rc;
}

static int make_all(struct tree_copy *t, const struct tree_entry *e, const char *name)
{
        int rc;

        t->whole = e->folder;
        rc = put_off_folder(t, &e->folder, name);
        while (rc == 0 && t->pending.count)
                rc = array_at(&t->pending, t->pending.count - 1)->entered ? leave(t) : enter(t);
        return rc;
}

int tree_extract(struct tree_helper *helper, const struct tree_source *source,
                 const struct tree_entry *entry, const char *name, const char *path)
{
        __attribute__((cleanup(tree_copy_fini))) struct tree_copy t = {
            .helper = helper, .source = source, .path = path, .here = NOBODY};
        char partial[NAME_MAX + 1];
        int rc;

        if (snprintf(partial, sizeof partial, "%s.partial", name) >= (int)sizeof partial)
                rc = -ENAMETOOLONG;
        else
                rc = S_ISDIR(entry->mode) ? make_all(&t, entry, partial)
                                          : make_other(&t, entry, partial);
        if (rc < 0) {
                tree_helper_abandon(helper);
                report("%s: cannot be extracted as %s: %s", path, partial,
                       rc == -EEXIST ? "that is there already" : strerror(-rc));
                return STATUS_FAILED;
        }
        if (t.lost > LINES_MAX)
                report("%s: and %" PRIu64 " more", path, t.lost - LINES_MAX);
        if (t.lost) {
                report("%s: is incomplete: what is lost is not in %s", path, partial);
                return STATUS_FAILED;
        }
        rc = tree_helper_finish(helper, partial, name);
        if (rc == 0)
                return STATUS_OK;
        report("%s: cannot be renamed to %s: %s", partial, name,
               rc == -EEXIST ? "that is there already" : strerror(-rc));
        return STATUS_FAILED;
}

void tree_report_left_out(const char *dir, unsigned left_out)
{
        if (!left_out)
                return;
        report("%s: without%s%s%s, which %s", dir, left_out & TREE_OWNERS ? " owners" : "",
               left_out & TREE_DEVICES ? (left_out & TREE_OWNERS ? ", devices" : " devices") : "",
               left_out & TREE_ATTRIBUTES
                   ? (left_out == TREE_ATTRIBUTES ? " some attributes" : ", some attributes")
                   : "",
               geteuid() == 0 ? "the file system or the system does not allow"
                              : "only root can set");
}
