/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fuse/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "fs/fuse/park.h"
#include "fs/fuse/read.h"
#include "fs/fuse/view.h"
#include "index/index.h"

/* Seconds. Nothing in the tree ever changes but what an unfinished index makes provisional. */
#define FOREVER (365.0 * 86400)

static struct ops_context *context(fuse_req_t req)
{
        return fuse_req_userdata(req);
}

/* Answer R, or park it. */
static void answer_or_park(struct ops_context *c, struct request *r)
{
        if (!r->answer(c, r))
                park_add(c->park, r);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
        (void)userdata;
        /* Small requests gain nothing from a pipe in between; replies are faster copied. */
        conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                                  FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA);
        conn->want |= conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
                                       FUSE_CAP_EXPLICIT_INVAL_DATA);
        conn->max_background = 64;
        conn->congestion_threshold = 48;
}

/* ---- names and attributes ---- */

static bool fill_entry(const struct ops_context *c, const struct node *n,
                       struct fuse_entry_param *e)
{
        *e = (struct fuse_entry_param){.ino = n->ino, .entry_timeout = FOREVER};
        /*
         * Asked first: an index that is sealed meanwhile must not make old numbers final. With
         * direct_io the kernel itself may get the size wrong, see reply_short.
         */
        if (view_stat_final(c->view, n) && !(c->direct_io && n->kind == NODE_DISK))
                e->attr_timeout = FOREVER;
        return view_stat(c->view, n, &e->attr);
}

static bool answer_lookup(void *ctx, struct request *r)
{
        struct fuse_entry_param e;

        if (!fill_entry(ctx, r->node, &e))
                return false;
        fuse_reply_entry(r->req, &e);
        return true;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        struct ops_context *c = context(req);
        const struct node *n = view_lookup(c->view, parent, name);
        struct request r = {.req = req, .node = n, .answer = answer_lookup};
        struct fuse_entry_param none = {.entry_timeout = FOREVER};

        if (n)
                answer_or_park(c, &r);
        else
                fuse_reply_entry(req, &none); /* the kernel keeps that there is none */
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
        (void)ino;
        (void)count;
        fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
        (void)count;
        (void)forgets;
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
        struct ops_context *c = context(req);
        const struct node *n = view_node(c->view, ino);
        struct request r = {.req = req, .node = n, .answer = answer_getattr};

        (void)fi;
        if (n)
                answer_or_park(c, &r);
        else
                fuse_reply_err(req, ENOENT);
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
        view_statfs(context(req)->view, &st);
        fuse_reply_statfs(req, &st);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
        struct ops_context *c = context(req);
        const struct node *n = view_node(c->view, ino);
        char value[1024];
        ssize_t len = n ? view_getxattr(c->view, n, name, value, sizeof value) : -ENOENT;

        if (len < 0)
                fuse_reply_err(req, (int)-len);
        else if (size == 0)
                fuse_reply_xattr(req, (size_t)len);
        else if ((size_t)len > size || (size_t)len > sizeof value)
                fuse_reply_err(req, ERANGE);
        else
                fuse_reply_buf(req, value, (size_t)len);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
        const struct node *n = view_node(context(req)->view, ino);
        char names[1024];
        ssize_t len = n ? view_listxattr(n, names, sizeof names) : -ENOENT;

        if (len < 0)
                fuse_reply_err(req, (int)-len);
        else if (size == 0)
                fuse_reply_xattr(req, (size_t)len);
        else if ((size_t)len > size || (size_t)len > sizeof names)
                fuse_reply_err(req, ERANGE);
        else
                fuse_reply_buf(req, names, (size_t)len);
}

/* ---- directories ---- */

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        const struct node *n = view_node(context(req)->view, ino);

        if (!n || !node_is_folder(n)) {
                fuse_reply_err(req, n ? ENOTDIR : ENOENT);
                return;
        }
        fi->cache_readdir = 1;
        fi->keep_cache = 1;
        fuse_reply_open(req, fi);
}

/* One entry into OUT, as fuse_add_direntry: what it takes, which is more than SIZE if it is not in.
 */
static size_t add_entry(fuse_req_t req, bool plus, const char *name, const struct node *n,
                        off_t next, char *out, size_t size)
{
        struct fuse_entry_param e;
        struct stat st = {.st_ino = n->ino, .st_mode = node_is_folder(n) ? S_IFDIR : S_IFREG};
        bool dot = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;

        if (!plus)
                return fuse_add_direntry(req, out, size, name, &st, next);
        /* "." and "..", and what has no size yet, are not looked up on the way. */
        if (dot || !fill_entry(context(req), n, &e))
                e = (struct fuse_entry_param){.attr = st};
        return fuse_add_direntry_plus(req, out, size, name, &e, next);
}

/* What is at OFFSET of FOLDER's list, and its name there; NULL behind the last. */
static const struct node *listed(const struct view *t, const struct node *folder, off_t offset,
                                 const char **name)
{
        const struct node *n;

        switch (offset) {
        case 0:
                *name = ".";
                return folder;
        case 1:
                *name = "..";
                return view_parent(t, folder);
        default:
                n = view_entry(t, folder, (size_t)offset - 2);
                *name = n ? n->name : NULL;
                return n;
        }
}

static void list_folder(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
        struct ops_context *c = context(req);
        const struct node *folder = view_node(c->view, ino), *n;
        cleanup_free char *out = malloc(size);
        const char *name;
        size_t used = 0;

        if (!out || !folder || !node_is_folder(folder)) {
                fuse_reply_err(req, out ? ENOTDIR : ENOMEM);
                return;
        }
        for (offset = offset < 0 ? 0 : offset; (n = listed(c->view, folder, offset, &name));
             offset++) {
                size_t one = add_entry(req, plus, name, n, offset + 1, out + used, size - used);

                if (one > size - used)
                        break;
                used += one;
        }
        fuse_reply_buf(req, out, used);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
        (void)fi;
        list_folder(req, ino, size, offset, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                           struct fuse_file_info *fi)
{
        (void)fi;
        list_folder(req, ino, size, offset, true);
}

/* ---- files ---- */

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        const struct node *n = view_node(context(req)->view, ino);

        if (!n || node_is_folder(n)) {
                fuse_reply_err(req, n ? EISDIR : ENOENT);
                return;
        }
        if ((fi->flags & O_ACCMODE) != O_RDONLY) {
                fuse_reply_err(req, EROFS);
                return;
        }
        fi->keep_cache = 1;
        fi->noflush = 1;
        fi->direct_io = context(req)->direct_io;
        fuse_reply_open(req, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
        struct ops_context *c = context(req);
        const struct node *n = view_node(c->view, ino);
        struct request r = {
            .req = req, .node = n, .offset = offset, .size = size, .answer = answer_read};

        (void)fi;
        if (!n || node_is_folder(n) || offset < 0) {
                fuse_reply_err(req, EINVAL);
        } else if (n->kind == NODE_FILE) {
                uint64_t at = min_u64((uint64_t)offset, n->file->len);

                fuse_reply_buf(req, (const char *)n->file->data + at,
                               (size_t)min_u64(size, n->file->len - at));
        } else {
                answer_or_park(c, &r);
        }
}

static bool answer_lseek(void *ctx, struct request *r)
{
        struct ops_context *c = ctx;
        struct disk *d = r->node->disk;
        uint64_t found = 0;
        struct stat st;
        int rc;

        if (!view_stat(c->view, r->node, &st))
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

/* A configuration file is all data. */
static void lseek_file(const struct request *r)
{
        off_t end = (off_t)r->node->file->len;

        if (r->offset >= end)
                fuse_reply_err(r->req, ENXIO);
        else
                fuse_reply_lseek(r->req, r->whence == SEEK_DATA ? r->offset : end);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
                     struct fuse_file_info *fi)
{
        struct ops_context *c = context(req);
        const struct node *n = view_node(c->view, ino);
        struct request r = {
            .req = req, .node = n, .offset = offset, .whence = whence, .answer = answer_lseek};

        (void)fi;
        if (!n || node_is_folder(n) || (whence != SEEK_DATA && whence != SEEK_HOLE))
                fuse_reply_err(req, EINVAL);
        else if (offset < 0)
                fuse_reply_err(req, ENXIO);
        else if (n->kind == NODE_FILE)
                lseek_file(&r);
        else
                answer_or_park(c, &r);
}

/* ---- everything that would change something ---- */

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                       struct fuse_file_info *fi)
{
        (void)ino;
        (void)attr;
        (void)to_set;
        (void)fi;
        fuse_reply_err(req, EROFS);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
        (void)parent;
        (void)name;
        (void)mode;
        (void)rdev;
        fuse_reply_err(req, EROFS);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
        (void)parent;
        (void)name;
        (void)mode;
        fuse_reply_err(req, EROFS);
}

static void op_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        (void)parent;
        (void)name;
        fuse_reply_err(req, EROFS);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
        (void)target;
        (void)parent;
        (void)name;
        fuse_reply_err(req, EROFS);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
                      const char *newname, unsigned int flags)
{
        (void)parent;
        (void)name;
        (void)newparent;
        (void)newname;
        (void)flags;
        fuse_reply_err(req, EROFS);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
        (void)ino;
        (void)newparent;
        (void)newname;
        fuse_reply_err(req, EROFS);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
        (void)parent;
        (void)name;
        (void)mode;
        (void)fi;
        fuse_reply_err(req, EROFS);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t offset,
                     struct fuse_file_info *fi)
{
        (void)ino;
        (void)buf;
        (void)size;
        (void)offset;
        (void)fi;
        fuse_reply_err(req, EROFS);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                         struct fuse_file_info *fi)
{
        (void)ino;
        (void)mode;
        (void)offset;
        (void)length;
        (void)fi;
        fuse_reply_err(req, EROFS);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                        size_t size, int flags)
{
        (void)ino;
        (void)name;
        (void)value;
        (void)size;
        (void)flags;
        fuse_reply_err(req, EROFS);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
        (void)ino;
        (void)name;
        fuse_reply_err(req, EROFS);
}

const struct fuse_lowlevel_ops vmafs_ops = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .access = op_access,
    .statfs = op_statfs,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .open = op_open,
    .read = op_read,
    .lseek = op_lseek,

    .setattr = op_setattr,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .unlink = op_remove,
    .rmdir = op_remove,
    .symlink = op_symlink,
    .rename = op_rename,
    .link = op_link,
    .create = op_create,
    .write = op_write,
    .fallocate = op_fallocate,
    .setxattr = op_setxattr,
    .removexattr = op_removexattr,
};
