/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/extract/archive_tree.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/format.h"
#include "archive/volume.h"
#include "fs/extract/copying.h"
#include "fs/extract/extract_helper.h"
#include "fs/extract/tree_extract.h"
#include "fs/extract/tree_helper.h"
#include "fs/print/report.h"
#include "index/index.h"
#include "index/members/members.h"
#include "index/tree/tree.h"

/* An archive as what a tree is extracted from: a folder's range is the address of its node. */
struct source {
        struct tree_source base;
        struct index *index;
        const struct node *top;     /* what is extracted */
        const struct node **made;   /* by number of a file with several names: the one made first */
        struct members_volume open; /* the content that was asked for last */
        char path[PATH_MAX];        /* of such a file */
};

static struct node *node_of(const struct tree_range *range)
{
        return (struct node *)(uintptr_t)range->start;
}

/* ---- nodes ---- */

/* The path of N below the top, in S->path; NULL: it is too long. */
static const char *path_below(struct source *s, const struct node *n)
{
        char *at = s->path + sizeof s->path - 1;

        *at = '\0';
        for (; n != s->top; n = n->parent) {
                if ((size_t)(at - s->path) < n->name_len + 1u)
                        return NULL;
                if (*at)
                        *--at = '/';
                at -= n->name_len;
                memcpy(at, n->name, n->name_len);
        }
        return at;
}

/* N, a file, may have been made under another name. */
static void find_made(struct source *s, const struct node *n, const struct members_node *m,
                      struct tree_entry *e)
{
        if (S_ISDIR(m->mode) || m->links < 2)
                return;
        if (s->made[m->same])
                e->same_path = path_below(s, s->made[m->same]);
        else
                s->made[m->same] = n;
}

static int pass(struct source *s, const struct node *n, const struct members_node *m,
                int (*each)(void *ctx, const struct tree_entry *e), void *ctx)
{
        cleanup_free struct entry_xattr *xattrs = NULL;
        struct tree_entry out;
        struct entry e;
        int rc = members_entry(index_members(s->index), m, &e, &xattrs);

        if (rc < 0)
                return rc;
        out = (struct tree_entry){.name = n->name,
                                  .mode = e.mode,
                                  .uid = e.uid,
                                  .gid = e.gid,
                                  .mtime = e.mtime,
                                  .rdev = e.rdev,
                                  .target = e.target,
                                  .xattrs = e.xattrs,
                                  .xattr_count = e.xattr_count,
                                  .folder = {.start = (uintptr_t)n},
                                  .own = m};
        find_made(s, n, m, &out);
        return each(ctx, &out);
}

/*
 * Files whose headers are damaged may have been in the folder that is extracted: in which one,
 * nobody knows any more. Of the whole tree nothing else may be damaged either.
 */
static int check_hidden(const struct source *s, struct error *err)
{
        bool all = s->top->parent == s->top;
        const struct index_damage *d = index_hiding_damage(s->index, all);

        if (!d)
                return 0;
        return error_set(err, EIO,
                         "the archive is damaged at byte %" PRIu64
                         ": %s; files may be missing, and vmafs verify names all damage",
                         d->offset, d->text);
}

static int list(const struct tree_source *base, const struct tree_range *folder,
                int (*each)(void *ctx, const struct tree_entry *e), void *ctx, uint64_t *damaged,
                struct error *err)
{
        struct source *s = (struct source *)(uintptr_t)base;
        struct tree_cursor cursor = {0};
        struct node *n;
        int rc = tree_open(node_of(folder));

        if (rc < 0)
                return rc;
        while (rc == 0 && (n = tree_next(node_of(folder), &cursor))) {
                const struct members_node *m = index_member_of(s->index, n);

                /* What is shown twice is made once. */
                if (m->flags & MEMBERS_BROKEN)
                        ++*damaged;
                else if (!(m->flags & MEMBERS_ADDED))
                        rc = pass(s, n, m, each, ctx);
                tree_release(n, 1);
        }
        tree_close(node_of(folder));
        return rc == 0 && node_of(folder) == s->top ? check_hidden(s, err) : rc;
}

static int describe_folder(const struct tree_source *base, const struct tree_range *folder,
                           int (*each)(void *ctx, const struct tree_entry *e), void *ctx,
                           struct error *err)
{
        struct source *s = (struct source *)(uintptr_t)base;
        const struct node *n = node_of(folder);

        (void)err;
        return pass(s, n, index_member_of(s->index, n), each, ctx);
}

static int content(const struct tree_source *base, const struct tree_entry *e, struct volume **out)
{
        struct source *s = (struct source *)(uintptr_t)base;

        *out = index_member_open(s->index, e->own, &s->open);
        return 0;
}

/* ---- what is wanted ---- */

/* The node PATH, held. NULL: there is none. */
static struct node *find(struct index *index, const char *path)
{
        struct node *n = tree_root(index_tree(index)), *below;

        tree_hold(n);
        for (;;) {
                char name[NAME_MAX + 1];
                size_t len;
                int rc;

                path += strspn(path, "/");
                if (!*path)
                        return n;
                len = strcspn(path, "/");
                if (len == 1 && *path == '.') {
                        path++;
                        continue;
                }
                rc = snprintf(name, sizeof name, "%.*s", (int)len, path) < (int)sizeof name
                         ? tree_lookup(n, name, &below)
                         : -ENOENT;
                tree_release(n, 1);
                if (rc < 0)
                        return NULL;
                n = below;
                path += len;
        }
}

/* Of the archive at PATH, without the suffixes of a tar and of its compression. */
static char *tree_name(const char *path)
{
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        const char *end = strstr(name, ".tar");

        if (!end)
                end = strchr(name + (*name == '.'), '.');
        return end && end > name ? strndup(name, (size_t)(end - name)) : strdup(name);
}

static int refuse(const struct archive_tree *t, const char *name, int rc)
{
        report("%s/%s: %s", t->dir, name, rc == -EEXIST ? "is there already" : strerror(-rc));
        return STATUS_FAILED;
}

/* Whom the first entry is passed to. */
struct making {
        const struct archive_tree *t;
        struct source *s;
        const char *name, *path;
        int status;
};

static int make(void *ctx, const struct tree_entry *e)
{
        struct making *m = ctx;

        m->status = tree_extract(m->t->trees, &m->s->base, e, m->name, m->path);
        return 0;
}

/* N, called PATH in messages, as NAME. */
static int extract_node(const struct archive_tree *t, const struct node *n, const char *name,
                        const char *path)
{
        const struct members_node *m = index_member_of(t->index, n);
        cleanup_free const struct node **made =
            calloc(members_count(index_members(t->index)), sizeof *made);
        struct source s = {
            .base = {list, describe_folder, content}, .index = t->index, .top = n, .made = made};
        struct making making = {t, &s, name, path, STATUS_FAILED};
        int rc = extract_helper_look(t->maker, 0, name);

        if (!made)
                return refuse(t, name, -ENOMEM);
        if (rc == -EEXIST && t->force && !S_ISDIR(m->mode))
                rc = 0;
        if (rc < 0)
                return refuse(t, name, rc);
        if (m->flags & MEMBERS_BROKEN) {
                report("%s: is another name of a file that is not there", path);
                return STATUS_FAILED;
        }
        rc = pass(&s, n, m, make, &making);
        return rc < 0 ? refuse(t, name, rc) : making.status;
}

static int extract_path(const struct archive_tree *t, const char *path)
{
        struct node *n = find(t->index, path);
        cleanup_free char *whole = NULL;
        int status;

        if (!n) {
                report("%s: holds nothing named %s", t->archive, path);
                return STATUS_USAGE;
        }
        if (n->parent == n)
                whole = tree_name(t->archive);
        status = n->parent == n && !whole
                     ? refuse(t, path, -ENOMEM)
                     : extract_node(t, n, whole ? whole : n->name, whole ? t->archive : path);
        tree_release(n, 1);
        return status;
}

static int check(const struct index *index, const char *archive)
{
        if (index_members(index))
                return STATUS_OK;
        report("%s: its tree is not known", archive);
        return STATUS_FAILED;
}

static void report_dropped(const struct archive_tree *t)
{
        struct members_counts c;

        members_tally(index_members(t->index), &c);
        if (c.dropped)
                report("%s: %" PRIu64 " attributes or ACLs in it are too large, too many, or name "
                       "nobody's number, and are never restored",
                       t->archive, c.dropped);
}

int archive_tree_extract(const struct archive_tree *t, char **wanted, int count)
{
        int status = check(t->index, t->archive);

        if (status != STATUS_OK)
                return status;
        report_dropped(t);
        if (count == 0)
                return extract_path(t, "");
        for (int i = 0; i < count; i++) {
                int one = extract_path(t, wanted[i]);

                status = one > status ? one : status;
        }
        return status;
}

static int print_node(struct index *index, const struct node *n, const char *archive,
                      const char *path)
{
        const struct members_node *m = index_member_of(index, n);
        struct members_volume open;
        uint64_t at;
        int rc;

        if (!S_ISREG(m->mode)) {
                report("%s: %s is no regular file", archive, path);
                return STATUS_USAGE;
        }
        rc = m->flags & MEMBERS_BROKEN ? -ENOENT
                                       : copying_to_stdout(index_member_open(index, m, &open), &at);
        if (rc == -EIO)
                report("%s: %s cannot be read from byte %" PRIu64
                       " on; vmafs verify names what is lost",
                       archive, path, at);
        else if (rc < 0 && rc != -EPIPE)
                report("%s: %s: %s", archive, path, strerror(-rc));
        return rc < 0 ? STATUS_FAILED : STATUS_OK;
}

int archive_tree_print(struct index *index, const char *archive, const char *path)
{
        int status = check(index, archive);
        struct node *n;

        if (status != STATUS_OK)
                return status;
        n = find(index, path);
        if (!n) {
                report("%s: holds no file named %s", archive, path);
                return STATUS_USAGE;
        }
        status = print_node(index, n, archive, path);
        tree_release(n, 1);
        return status;
}
