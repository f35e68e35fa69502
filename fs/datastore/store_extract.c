/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/datastore/store_extract.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/store/pbs/pbs_volume.h"
#include "archive/volume.h"
#include "fs/cli/usage.h"
#include "fs/datastore/member.h"
#include "fs/datastore/tree_source.h"
#include "fs/extract/copying.h"
#include "fs/extract/extract_helper.h"
#include "fs/extract/tree_extract.h"
#include "fs/extract/tree_helper.h"
#include "fs/print/report.h"
#include "index/index.h"

struct extracting {
        const struct store_extract *x;
        struct snapshots s;
        struct extract_helper maker; /* of disks and files */
        struct tree_helper trees;
        const char *path; /* what is extracted, below the datastore: for messages */
};

static int worse(int a, int b)
{
        return a > b ? a : b;
}

/* ---- disks and files ---- */

/* It has been copied into F, but for LOST bytes. */
static int end_file(struct extracting *e, struct made *f, const char *name, uint64_t lost)
{
        char size[32];
        int rc;

        if (lost == 0) {
                rc = extract_helper_finish(&e->maker, f);
                if (rc == 0)
                        return STATUS_OK;
                report("%s/%s.partial: cannot be renamed to %s: %s", e->x->dir, name, name,
                       strerror(-rc));
                return STATUS_FAILED;
        }
        rc = extract_helper_leave(&e->maker, f);
        report("%s/%s.partial: is incomplete: %s cannot be read and are holes in it; vmafs verify "
               "names them%s%s",
               e->x->dir, name, report_size(lost, size), rc < 0 ? "; " : "",
               rc < 0 ? strerror(-rc) : "");
        return STATUS_FAILED;
}

static int refuse(const struct extracting *e, const char *name, int rc)
{
        report("%s/%s: %s", e->x->dir, name,
               rc == -EEXIST  ? "is there already; --force replaces it"
               : rc == -EBUSY ? "is being written by another vmafs"
                              : strerror(-rc));
        return STATUS_FAILED;
}

/* The server gives no more of ITEM, or of something that is not all of one: into ERR. */
static void say_why(const struct pbs_item *item, struct error *err)
{
        if (!item || !item->is_index || !pbs_volume_failure(item->content, err))
                error_fill(err, EREMOTEIO, "the server does not give the rest now");
}

/* A file: LEAF in FOLDER of the helper, SHOWN to people. ITEM is what it has all of, or NULL. */
struct destination {
        uint32_t folder;
        const char *leaf, *shown;
        const struct pbs_item *item;
};

static int extract_content(struct extracting *e, struct volume *v, const struct destination *to)
{
        struct error err = {0};
        char partial[NAME_MAX + 1];
        uint64_t lost = 0;
        struct made f;
        int rc;

        if (snprintf(partial, sizeof partial, "%s.partial", to->leaf) >= (int)sizeof partial)
                return refuse(e, to->shown, -ENAMETOOLONG);
        rc = e->x->force ? 0 : extract_helper_look(&e->maker, to->folder, to->leaf);
        if (rc < 0)
                return refuse(e, to->shown, rc);
        rc = extract_helper_make(&e->maker, to->folder, partial, to->leaf, &f);
        if (rc < 0)
                return refuse(e, to->shown, rc);
        rc = copying_to_file(v, f.fd, &lost);
        if (rc == 0)
                return end_file(e, &f, to->shown, lost);
        if (rc == -EREMOTEIO)
                say_why(to->item, &err);
        report("%s/%s.partial: %s: %s", e->x->dir, to->shown,
               err.code ? "is incomplete" : "cannot be written",
               err.code ? err.text : strerror(-rc));
        close(f.fd);
        return STATUS_FAILED;
}

/* ITEM is as in struct destination. */
static int print_content(struct extracting *e, struct volume *v, const struct pbs_item *item)
{
        struct error err = {0};
        uint64_t at;
        int rc = copying_to_stdout(v, &at);

        if (rc == -EREMOTEIO) {
                say_why(item, &err);
                report_error(e->path, &err);
        } else if (rc == -EIO)
                report("%s: cannot be read from byte %" PRIu64
                       " on; vmafs verify names what is lost",
                       e->path, at);
        else if (rc < 0 && rc != -EPIPE)
                report("%s: %s", e->path, strerror(-rc));
        return rc < 0 ? STATUS_FAILED : STATUS_OK;
}

/* ---- trees ---- */

struct node_request {
        struct extracting *e;
        struct pxar *pxar;
        const char *name; /* of what is made; NULL: its own */
        int status;
};

static int print_node(struct node_request *r, const struct pxar_entry *entry)
{
        struct volume *v;
        int rc;

        if (!S_ISREG(entry->mode)) {
                report("%s: is no regular file", r->e->path);
                r->status = STATUS_USAGE;
                return 0;
        }
        rc = pxar_content(r->pxar, entry, &v);
        if (rc < 0)
                return rc;
        r->status = print_content(r->e, v, NULL);
        v->ops->close(v);
        return 0;
}

static int extract_node(void *ctx, const struct pxar_entry *entry)
{
        struct node_request *r = ctx;
        const char *name = r->name ? r->name : entry->name;
        const struct pxar_tree tree = pxar_tree_of(r->pxar);
        const struct tree_entry made = pxar_tree_entry(entry);
        int rc;

        if (r->e->x->to_stdout)
                return print_node(r, entry);
        rc = extract_helper_look(&r->e->maker, 0, name);
        if (rc == 0 || (rc == -EEXIST && r->e->x->force && !S_ISDIR(entry->mode)))
                r->status = tree_extract(&r->e->trees, &tree.base, &made, name, r->e->path);
        else if (rc == -EEXIST && S_ISDIR(entry->mode))
                r->status = (report("%s/%s: is there already", r->e->x->dir, name), STATUS_FAILED);
        else
                r->status = refuse(r->e, name, rc);
        return 0;
}

static int extract_tree(struct extracting *e, const struct pbs_item *item, const char *inside)
{
        struct node_request r = {.e = e, .name = *inside ? NULL : item->name};
        struct pxar_folder root;
        struct error err = {0};
        int rc = pxar_open(item->content, item->payload, &r.pxar, &root, &err);

        if (rc == 0)
                rc = *inside ? member_look_up(r.pxar, &root, inside, extract_node, &r, &err)
                             : pxar_root(r.pxar, &root, extract_node, &r, &err);
        pxar_free(r.pxar);
        if (rc == 0)
                return r.status;
        if (err.code)
                report_error(e->path, &err);
        else
                report("%s: %s", e->path, strerror(-rc));
        return rc == -ENOENT ? STATUS_USAGE : STATUS_FAILED;
}

/* ---- what is wanted ---- */

static int extract_item(struct extracting *e, const struct pbs_item *item, const char *inside)
{
        if (!item->content) {
                report("%s: %s", e->path, item->why);
                return STATUS_FAILED;
        }
        if (item->kind == PBS_ITEM_TREE)
                return extract_tree(e, item, inside);
        if (e->x->to_stdout)
                return print_content(e, item->content, item);
        return extract_content(e, item->content,
                               &(struct destination){0, item->name, item->name, item});
}

/* A partition or logical volume, in the folders that it is in. */
static int extract_part(struct extracting *e, const struct disk *part)
{
        struct destination to = {.shown = part->name};

        if (e->x->to_stdout)
                return print_content(e, part->volume, NULL);
        for (to.leaf = part->name; strchr(to.leaf, '/'); to.leaf = strchr(to.leaf, '/') + 1) {
                cleanup_free char *folder = strndup(to.leaf, strcspn(to.leaf, "/"));
                int rc = folder ? extract_helper_folder(&e->maker, to.folder, folder, &to.folder)
                                : -ENOMEM;

                if (rc == 0)
                        continue;
                report("%s/%s: its folder cannot be made: %s", e->x->dir, part->name,
                       strerror(-rc));
                return STATUS_FAILED;
        }
        return extract_content(e, part->volume, &to);
}

static int extract_member(struct extracting *e, const struct member *m)
{
        const char *snapshot = e->path;
        int status = STATUS_OK;

        if (m->part)
                return extract_part(e, m->part);
        if (m->item)
                return extract_item(e, m->item, m->inside);
        if (e->x->to_stdout) {
                report("%s: is a snapshot; -O takes one file", e->path);
                return STATUS_USAGE;
        }
        for (size_t i = 0; i < pbs_snapshot_count(m->snapshot); i++) {
                const struct pbs_item *item = pbs_snapshot_item(m->snapshot, i);
                cleanup_free char *path = NULL;

                if (asprintf(&path, "%s/%s", snapshot, item->name) < 0)
                        return STATUS_FAILED;
                e->path = path;
                status = worse(status, extract_item(e, item, ""));
        }
        return status;
}

/* WANTED below the place that was given; "" for that itself. */
static int extract_path(struct extracting *e, const char *wanted)
{
        const char *below = e->s.place.below ? e->s.place.below : "";
        cleanup_free char *path = NULL;
        struct error err = {0};
        struct member m;
        int status, rc;

        if (asprintf(&path, "%s%s%s", below, *below && *wanted ? "/" : "", wanted) < 0)
                return STATUS_FAILED;
        e->path = path;
        rc = member_find(&e->s, path, &m, &err);
        if (rc < 0) {
                report_error(*path ? path : e->x->given->path, &err);
                status = rc == -ENOENT ? STATUS_USAGE : STATUS_FAILED;
        } else {
                status = extract_member(e, &m);
        }
        member_fini(&m);
        return status;
}

static int extract_all(struct extracting *e)
{
        int status = STATUS_OK;

        for (int i = 0; i < e->x->wanted_count; i++)
                status = worse(status, extract_path(e, e->x->wanted[i]));
        return e->x->wanted_count ? status : extract_path(e, "");
}

static int start_helpers(struct extracting *e)
{
        cleanup_close int dirfd = open(e->x->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int rc;

        if (dirfd < 0) {
                report("%s: cannot be extracted into: %s%s", e->x->dir, strerror(errno),
                       errno == ENOENT ? "; make it with mkdir" : "");
                return STATUS_USAGE;
        }
        rc = extract_helper_start(&e->maker, dirfd, e->x->force);
        if (rc == 0)
                rc = tree_helper_start(&e->trees, dirfd, e->x->force);
        if (rc == 0)
                return STATUS_OK;
        report("the process that makes files cannot be started: %s", strerror(-rc));
        return STATUS_FAILED;
}

int store_extract(const struct store_extract *x)
{
        struct extracting e = {
            .x = x, .maker = EXTRACT_HELPER_NONE, .trees = TREE_HELPER_NONE, .s = SNAPSHOTS_NONE};
        int status = x->to_stdout ? STATUS_OK : start_helpers(&e);

        if (x->to_stdout && x->wanted_count > 1)
                return usage_error("extract -O needs one file");
        if (status == STATUS_OK) {
                const int sockets[2] = {e.maker.helper.fd, e.trees.helper.fd};

                status = snapshots_open(x->given, &x->words, sockets, &e.s);
        }
        if (status == STATUS_OK)
                status = extract_all(&e);
        tree_report_left_out(e.x->dir, e.trees.left_out);
        snapshots_close(&e.s);
        tree_helper_end(&e.trees);
        extract_helper_end(&e.maker);
        return x->to_stdout ? report_finish_output(status) : status;
}
