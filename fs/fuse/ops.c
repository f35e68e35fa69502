/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fuse/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "fs/fuse/content.h"
#include "fs/fuse/context.h"
#include "fs/fuse/member.h"
#include "fs/fuse/park.h"
#include "fs/fuse/read.h"
#include "fs/fuse/readonly.h"
#include "fs/fuse/tree_ops.h"
#include "fs/fuse/wait.h"
#include "index/collection/datastore.h"
#include "index/index.h"
#include "index/inside/parts.h"
#include "index/tree/tree.h"

/* Seconds. Nothing in the tree ever changes but what an unfinished index makes provisional. */
#define FOREVER (365.0 * 86400)

/* Of a folder of a datastore, to which a server adds while it is mounted. */
#define SOON 1.0

static struct ops_context *context(fuse_req_t req)
{
        return fuse_req_userdata(req);
}

fuse_ino_t ops_nodeid(const struct node *n)
{
        return n->parent == n ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)n;
}

static struct node *node_of(fuse_req_t req, fuse_ino_t ino)
{
        return ino == FUSE_ROOT_ID ? tree_root(context(req)->tree) : (struct node *)(uintptr_t)ino;
}

/* A file of a datastore, rather than of an archive? */
static bool is_content(const struct ops_context *c, const struct node *n)
{
        return c->view.datastore && S_ISREG(n->mode);
}

/* R, which was not answered. */
static void park_request(struct ops_context *c, struct request *r)
{
        if (c->view.archives)
                member_park(c, r);
        else
                park_add(c->park, r);
}

/* Answer R, or park it. */
static void answer_or_park(struct ops_context *c, struct request *r)
{
        if (!r->answer(c, r))
                park_request(c, r);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
        struct ops_context *c = userdata;

        /* Small requests gain nothing from a pipe in between; replies are faster copied. */
        conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                                  FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA);
        conn->want |= conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
                                       FUSE_CAP_EXPLICIT_INVAL_DATA);
        c->tells_parallel = conn->capable & FUSE_CAP_PARALLEL_DIROPS;
        /*
         * The group's bits of a mode are not the group's rights where there is an ACL. With this, the
         * kernel asks for the ACL of each folder on a path; so it is used only where others may use
         * the mount. The user who mounted may read all of the archive anyway.
         */
        if (c->others && (!c->view.index || index_is_tree(c->view.index)))
                conn->want |= conn->capable & FUSE_CAP_POSIX_ACL;
        if (tree_ops_always_plus(c))
                conn->want &= ~(unsigned)FUSE_CAP_READDIRPLUS_AUTO;
        conn->max_background = 64;
        conn->congestion_threshold = 48;
}

/* ---- names and attributes ---- */

static bool fill_entry(const struct ops_context *c, struct node *n, struct fuse_entry_param *e)
{
        *e = (struct fuse_entry_param){.ino = ops_nodeid(n),
                                       .entry_timeout =
                                           view_folder_final(&c->view, n->parent) ? FOREVER : SOON};
        /*
         * Asked first: an index that is sealed meanwhile must not make old numbers final. With
         * direct_io the kernel itself may get the size wrong, see reply_short.
         */
        if (view_stat_final(&c->view, n) && !(c->direct_io && index_disk_of(n)))
                e->attr_timeout = FOREVER;
        else if (view_stat_keeps(&c->view, n))
                e->attr_timeout = SOON;
        return view_stat(&c->view, n, &e->attr);
}

static void let_go(struct request *r)
{
        tree_release(r->node, 1);
}

/* The node is held: that becomes the kernel's lookup, unless the answer does not reach it. */
static bool answer_lookup(void *ctx, struct request *r)
{
        struct fuse_entry_param e;

        if (!fill_entry(ctx, r->node, &e))
                return false;
        if (fuse_reply_entry(r->req, &e) < 0)
                let_go(r);
        return true;
}

static void drop_name(struct request *r)
{
        free(steal_ptr(&r->name));
}

/* R, which was not answered, and needs NAME for that. */
static void park_named(struct ops_context *c, struct request *r, const char *name)
{
        r->name = strdup(name);
        r->failed = drop_name;
        if (r->name)
                park_request(c, r);
        else
                fuse_reply_err(r->req, ENOMEM);
}

/* The folder is filled once what is inside of a disk, or all of the archive, is known. */
static bool is_fillable(void *ctx, struct request *r)
{
        return index_folder_ready(((const struct ops_context *)ctx)->view.index, r->node);
}

static void reply_not_found(fuse_req_t req, int rc, bool final)
{
        struct fuse_entry_param none = {.entry_timeout = final ? FOREVER : SOON};

        if (rc == -ENOENT)
                fuse_reply_entry(req, &none); /* the kernel keeps that there is none */
        else
                fuse_reply_err(req, -rc);
}

static void fail_folder(const struct ops_context *c, const struct node *folder, int rc)
{
        if (rc != -ENOENT && (!c->view.index || index_parted_of(folder)) && c->read_failed)
                c->read_failed(c->owner, folder);
}

/*
 * Fill the folder that INO is, if it is to be filled, and is of a collection. False: REQ was answered,
 * with an error.
 */
static bool enter(fuse_req_t req, fuse_ino_t ino)
{
        struct node *folder = tree_ops_has(ino) ? NULL : node_of(req, ino);
        struct ops_context *c = context(req);
        struct wait wait;
        int rc;

        if (!folder || c->view.index || tree_is_filled(folder))
                return true;
        if (!wait_begin(&wait, c, req, WAIT_FOLDERS))
                return false;
        rc = tree_open(folder);
        if (rc == 0)
                tree_close(folder);
        if (!wait_end(&wait))
                return false;
        if (rc == 0 || rc == -EAGAIN)
                return true;
        fuse_reply_err(req, -rc);
        fail_folder(c, folder, rc);
        return false;
}

/* What is to be said of N is found out. False: REQ was answered, with an error. */
static bool count(fuse_req_t req, struct node *n)
{
        struct ops_context *c = context(req);
        struct wait wait;

        if (view_is_counted(&c->view, n))
                return true;
        if (!wait_begin(&wait, c, req, WAIT_FOLDERS))
                return false;
        view_count(&c->view, n);
        return wait_end(&wait);
}

/* A lookup of R's name in its node, a folder that could not be filled at first. */
static bool answer_lookup_inside(void *ctx, struct request *r)
{
        struct request found = {.req = r->req, .failed = let_go};
        int rc = tree_lookup(r->node, r->name, &found.node);

        if (rc == -EAGAIN)
                return false;
        drop_name(r);
        /* All sizes in such a folder are final. */
        if (rc == 0 && !answer_lookup(ctx, &found)) {
                let_go(&found);
                rc = -EIO;
        }
        if (rc < 0) {
                reply_not_found(r->req, rc, true);
                fail_folder(ctx, r->node, rc);
        }
        return true;
}

static void lookup_node(fuse_req_t req, struct node *folder, const char *name)
{
        struct request r = {.req = req, .answer = answer_lookup, .failed = let_go};
        struct ops_context *c = context(req);
        bool final = view_folder_final(&c->view, folder);
        int rc = final ? 0 : view_refresh(&c->view, folder, name);

        if (rc == 0)
                rc = tree_lookup(folder, name, &r.node);
        if (rc == 0 && !count(req, r.node)) {
                let_go(&r);
        } else if (rc == 0) {
                answer_or_park(c, &r);
        } else if (rc == -EAGAIN && !c->view.datastore) {
                r.node = folder;
                r.ready = is_fillable;
                r.answer = answer_lookup_inside;
                park_named(c, &r, name);
        } else {
                reply_not_found(req, rc, final);
                fail_folder(c, folder, rc);
        }
}

/*
 * The member that INO is, as a folder, into *MEMBER: it is one, or the root of an archive that is a
 * tree; else 0. False: REQ was answered with an error.
 */
static bool find_root(fuse_req_t req, fuse_ino_t ino, fuse_ino_t *member)
{
        int rc = 0;

        *member = ino;
        if (!tree_ops_has(ino))
                rc = tree_ops_root(context(req), node_of(req, ino), member);
        if (rc < 0)
                fuse_reply_err(req, -rc);
        return rc == 0;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        fuse_ino_t member;

        if (!enter(req, parent) || !find_root(req, parent, &member))
                return;
        if (member)
                tree_ops_lookup(req, member, name);
        else
                lookup_node(req, node_of(req, parent), name);
}

static void forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
        if (tree_ops_has(ino))
                tree_ops_forget(req, ino, count);
        else
                tree_release(node_of(req, ino), count);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
        forget(req, ino, count);
        fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
        for (size_t i = 0; i < count; i++)
                forget(req, forgets[i].ino, forgets[i].nlookup);
        fuse_reply_none(req);
}

static bool answer_getattr(void *ctx, struct request *r)
{
        struct fuse_entry_param e;

        if (!fill_entry(ctx, r->node, &e))
                return false;
        fuse_reply_attr(r->req, &e.attr, e.attr_timeout);
        return true;
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        struct request r = {.req = req, .answer = answer_getattr};

        (void)fi;
        if (tree_ops_has(ino)) {
                tree_ops_getattr(req, ino);
                return;
        }
        r.node = node_of(req, ino);
        if (count(req, r.node))
                answer_or_park(context(req), &r);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
        const struct node *n = tree_ops_has(ino) ? NULL : node_of(req, ino);

        if (!n)
                tree_ops_readlink(req, ino);
        else if (S_ISLNK(n->mode))
                fuse_reply_readlink(req, n->extra->target);
        else
                fuse_reply_err(req, EINVAL);
}

static void op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
        (void)ino;
        fuse_reply_err(req, mask & W_OK ? EROFS : 0);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
        struct statvfs st;

        (void)ino;
        view_statfs(&context(req)->view, &st);
        fuse_reply_statfs(req, &st);
}

/* An attribute, or the list of their names: LEN bytes in VALUE, which has SIZE; or -errno. */
static void reply_xattr(fuse_req_t req, const char *value, ssize_t len, size_t size)
{
        if (len < 0)
                fuse_reply_err(req, (int)-len);
        else if (size == 0)
                fuse_reply_xattr(req, (size_t)len);
        else if ((size_t)len > size)
                fuse_reply_err(req, ERANGE);
        else
                fuse_reply_buf(req, value, (size_t)len);
}

/* May the file system of R's node, a partition, be told? */
static bool is_tellable(void *ctx, struct request *r)
{
        struct disk *d = index_disk_of(r->node);

        (void)ctx;
        return !d || !part_of(d) || part_ready(part_of(d));
}

static bool answer_getxattr(void *ctx, struct request *r)
{
        struct ops_context *c = ctx;
        cleanup_free char *value = malloc(r->size + 1);
        ssize_t len = -ENOMEM;

        if (value)
                len = view_getxattr(&c->view, r->node, r->name, value, r->size);
        if (len == -EAGAIN)
                return false;
        reply_xattr(r->req, value, len, r->size);
        /* A copy, if it was parked. */
        if (r->failed)
                drop_name(r);
        return true;
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
        struct request r = {.req = req,
                            .node = node_of(req, ino),
                            .size = size,
                            .name = (char *)(uintptr_t)name,
                            .ready = is_tellable,
                            .answer = answer_getxattr};

        if (tree_ops_has(ino))
                tree_ops_getxattr(req, ino, name, size);
        else if (!answer_getxattr(context(req), &r))
                park_named(context(req), &r, name);
}

static bool answer_listxattr(void *ctx, struct request *r)
{
        struct ops_context *c = ctx;
        cleanup_free char *names = malloc(r->size + 1);
        ssize_t len = -ENOMEM;

        if (names)
                len = view_listxattr(&c->view, r->node, names, r->size);
        if (len == -EAGAIN)
                return false;
        reply_xattr(r->req, names, len, r->size);
        return true;
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
        struct request r = {.req = req, .size = size, .answer = answer_listxattr};

        if (tree_ops_has(ino)) {
                tree_ops_listxattr(req, ino, size);
                return;
        }
        r.node = node_of(req, ino);
        answer_or_park(context(req), &r);
}

/* ---- directories ---- */

/* A folder that is open as a node: one of members is not open anywhere. */
enum { AS_NODE = 1 };

static bool answer_opendir(void *ctx, struct request *r)
{
        const struct ops_context *c = ctx;
        bool final = view_folder_final(&c->view, r->node);
        struct fuse_file_info fi = {.cache_readdir = final, .keep_cache = final, .fh = AS_NODE};
        int rc = tree_open(r->node);

        if (rc == -EAGAIN && !c->view.datastore)
                return false;
        if (rc < 0) {
                fuse_reply_err(r->req, -rc);
                fail_folder(c, r->node, rc);
        } else if (fuse_reply_open(r->req, &fi) == -ENOENT) {
                tree_close(r->node); /* of an open that was interrupted no release follows */
        }
        return true;
}

static void open_node(fuse_req_t req, struct node *folder)
{
        struct request r = {
            .req = req, .node = folder, .ready = is_fillable, .answer = answer_opendir};
        bool final = view_folder_final(&context(req)->view, folder);
        int rc = final ? 0 : view_refresh(&context(req)->view, folder, NULL);

        if (rc < 0)
                fuse_reply_err(req, -rc);
        else
                answer_or_park(context(req), &r);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        fuse_ino_t member;

        (void)fi;
        if (!enter(req, ino) || !find_root(req, ino, &member))
                return;
        if (member)
                tree_ops_opendir(req, member);
        else
                open_node(req, node_of(req, ino));
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        if (fi->fh == AS_NODE)
                tree_close(node_of(req, ino));
        fuse_reply_err(req, 0);
}

/* Room for the answer to a readdir, and what of it is used. */
struct listing {
        fuse_req_t req;
        bool plus;
        char *out;
        size_t used, size;
};

/* N, called NAME, after which the list goes on at NEXT. False: it does not fit. */
static bool add_name(struct listing *l, const char *name, const struct node *n, off_t next)
{
        struct stat st = {.st_ino = n->ino, .st_mode = n->mode & S_IFMT};
        struct fuse_entry_param e = {.attr = st}; /* no node: the kernel counts no lookup */
        size_t room = l->size - l->used, one;

        if (l->plus)
                one = fuse_add_direntry_plus(l->req, l->out + l->used, room, name, &e, next);
        else
                one = fuse_add_direntry(l->req, l->out + l->used, room, name, &st, next);
        if (one > room)
                return false;
        l->used += one;
        return true;
}

/* The same with all its attributes, as a lookup: N's hold becomes the kernel's. */
static bool add_lookup(struct listing *l, const char *name, struct node *n, off_t next)
{
        size_t room = l->size - l->used, one;
        struct fuse_entry_param e;
        bool added;

        /* What has no size yet, or has to be read for it, is not looked up on the way. */
        if (!l->plus || !view_is_counted(&context(l->req)->view, n) ||
            !fill_entry(context(l->req), n, &e)) {
                added = add_name(l, name, n, next);
                tree_release(n, 1);
                return added;
        }
        one = fuse_add_direntry_plus(l->req, l->out + l->used, room, name, &e, next);
        added = one <= room;
        if (added)
                l->used += one;
        else
                tree_release(n, 1);
        return added;
}

/*
 * A list's offsets: 0, after it ".", 1, after it "..", 2 and on: 2 more than the tree's positions.
 */
enum { AFTER_DOT = 1, AFTER_DOTS = 2 };

static void list_node(fuse_req_t req, struct node *folder, size_t size, off_t offset, bool plus)
{
        struct node *n;
        cleanup_free char *out = malloc(size);
        struct listing l = {.req = req, .plus = plus, .out = out, .size = size};
        struct tree_cursor c = {0};
        bool room = true;

        if (!out || !node_is_folder(folder)) {
                fuse_reply_err(req, out ? ENOTDIR : ENOMEM);
                return;
        }
        if (offset < AFTER_DOT)
                room = add_name(&l, ".", folder, AFTER_DOT);
        if (offset < AFTER_DOTS)
                room = room && add_name(&l, "..", folder->parent, AFTER_DOTS);
        else
                c.position = (uint64_t)offset - AFTER_DOTS;
        while (room && (n = tree_next(folder, &c)))
                room = add_lookup(&l, c.name, n, (off_t)c.position + AFTER_DOTS);
        fuse_reply_buf(req, out, l.used);
}

static void list_folder(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                        const struct fuse_file_info *fi, bool plus)
{
        fuse_ino_t member = 0;

        /* What was opened as a node stays one. */
        if (fi->fh != AS_NODE && !find_root(req, ino, &member))
                return;
        if (member)
                tree_ops_readdir(req, member, size, offset, plus);
        else
                list_node(req, node_of(req, ino), size, offset, plus);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
        list_folder(req, ino, size, offset, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                           struct fuse_file_info *fi)
{
        list_folder(req, ino, size, offset, fi, true);
}

/* ---- files ---- */

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        struct ops_context *c = context(req);
        const struct node *n;

        if (tree_ops_has(ino)) {
                tree_ops_open(req, ino, fi);
                return;
        }
        n = node_of(req, ino);
        /* One that cannot be read has no size, either: it must not look empty. */
        if (is_content(c, n) && !datastore_content(n)) {
                c->read_failed(c->owner, n);
                fuse_reply_err(req, EIO);
                return;
        }
        if (node_is_folder(n) || (n->flags & NODE_BROKEN)) {
                fuse_reply_err(req, node_is_folder(n) ? EISDIR : EIO);
                return;
        }
        if ((fi->flags & O_ACCMODE) != O_RDONLY) {
                fuse_reply_err(req, EROFS);
                return;
        }
        if (c->view.archives) {
                member_open(req, c, n, fi);
                return;
        }
        fi->keep_cache = 1;
        fi->noflush = 1;
        fi->direct_io = context(req)->direct_io;
        context(req)->opens++;
        /* Of an open that was interrupted no release follows. */
        if (fuse_reply_open(req, fi) == -ENOENT)
                context(req)->opens--;
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        struct ops_context *c = context(req);

        if (tree_ops_has(ino)) {
                tree_ops_release(req, fi);
                return;
        }
        if (c->view.archives)
                member_release(c, node_of(req, ino), fi);
        else
                c->opens--;
        fuse_reply_err(req, 0);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
        struct ops_context *c = context(req);
        struct request r = {.req = req, .offset = offset, .size = size, .answer = answer_file};
        struct node *n;

        if (tree_ops_has(ino)) {
                tree_ops_read(req, ino, size, offset);
                return;
        }
        r.node = n = node_of(req, ino);
        if (index_disk_of(n)) {
                r.ready = read_ready;
                r.answer = answer_read;
        }
        if (node_is_folder(n) || offset < 0)
                fuse_reply_err(req, EINVAL);
        else if (c->view.archives)
                member_read(c, &r, fi);
        else if (is_content(c, n))
                content_read(c, &r);
        else if (n->content)
                answer_or_park(c, &r);
        else
                fuse_reply_err(req, EIO);
}

static bool answer_lseek(void *ctx, struct request *r)
{
        struct ops_context *c = ctx;
        struct disk *d = index_disk_of(r->node);
        uint64_t found = 0;
        struct stat st;
        int rc;

        if (!view_stat(&c->view, r->node, &st))
                return false;
        if (r->whence == SEEK_DATA)
                rc = disk_next_data(d, (uint64_t)r->offset, &found);
        else
                rc = disk_next_hole(d, (uint64_t)r->offset, &found);
        if (rc == -EAGAIN) {
                /* From the start each time, a disk of terabytes would hold up its own indexing. */
                r->offset = (off_t)found;
                return false;
        }
        if (rc < 0)
                fuse_reply_err(r->req, -rc);
        else
                fuse_reply_lseek(r->req, (off_t)found);
        return true;
}

/* What is no disk is all data. */
static void lseek_file(const struct request *r)
{
        off_t end = (off_t)r->node->size;

        if (r->offset >= end)
                fuse_reply_err(r->req, ENXIO);
        else
                fuse_reply_lseek(r->req, r->whence == SEEK_DATA ? r->offset : end);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
                     struct fuse_file_info *fi)
{
        struct ops_context *c = context(req);
        struct request r = {.req = req, .offset = offset, .whence = whence, .answer = answer_lseek};
        struct node *n;

        if (tree_ops_has(ino)) {
                tree_ops_lseek(req, ino, offset, whence);
                return;
        }
        r.node = n = node_of(req, ino);
        if (node_is_folder(n) || (whence != SEEK_DATA && whence != SEEK_HOLE))
                fuse_reply_err(req, EINVAL);
        else if (offset < 0)
                fuse_reply_err(req, ENXIO);
        else if (c->view.archives)
                member_lseek(c, &r, fi, answer_lseek);
        else if (is_content(c, n))
                content_seek(&r);
        else if (index_disk_of(n))
                answer_or_park(c, &r);
        else
                lseek_file(&r);
}

const struct fuse_lowlevel_ops vmafs_ops = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .readlink = op_readlink,
    .access = op_access,
    .statfs = op_statfs,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .opendir = op_opendir,
    .releasedir = op_releasedir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .open = op_open,
    .read = op_read,
    .release = op_release,
    .lseek = op_lseek,

    .setattr = readonly_setattr,
    .mknod = readonly_mknod,
    .mkdir = readonly_mkdir,
    .unlink = readonly_remove,
    .rmdir = readonly_remove,
    .symlink = readonly_symlink,
    .rename = readonly_rename,
    .link = readonly_link,
    .create = readonly_create,
    .write = readonly_write,
    .fallocate = readonly_fallocate,
    .setxattr = readonly_setxattr,
    .removexattr = readonly_removexattr,
};
