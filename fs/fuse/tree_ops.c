/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fuse/tree_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/cleanup.h"
#include "fs/fuse/content.h"
#include "fs/fuse/context.h"
#include "fs/fuse/member.h"
#include "fs/fuse/park.h"
#include "fs/fuse/read.h"
#include "index/collection/archives.h"
#include "index/index.h"
#include "index/members/members.h"
#include "index/tree/tree.h"

/* Seconds. Nothing in an archive ever changes. */
#define FOREVER (365.0 * 86400)

#define NUMBER_BITS 32

static struct ops_context *context(fuse_req_t req)
{
        return fuse_req_userdata(req);
}

/* ---- ids ---- */

static uint32_t number_of(fuse_ino_t ino)
{
        return (uint32_t)ino;
}

/* Which archive of a folder. */
static uint32_t archive_of(fuse_ino_t ino)
{
        return (uint32_t)((ino & ~TREE_OPS_ID) >> NUMBER_BITS);
}

/* The id of N, a member of the archive that FROM is one of. */
static fuse_ino_t id_of(const struct members_node *n, fuse_ino_t from)
{
        return (from & ~(fuse_ino_t)UINT32_MAX) | n->same;
}

int tree_ops_root(struct ops_context *c, struct node *folder, fuse_ino_t *ino)
{
        int rc;

        *ino = 0;
        if (c->view.index && index_is_tree(c->view.index) && folder->parent == folder)
                *ino = TREE_OPS_ID | MEMBERS_ROOT;
        if (!c->view.archives || archives_kind(folder) != ARCHIVES_ARCHIVE)
                return 0;
        /* What kind it is of is found when it is filled. */
        rc = tree_open(folder);
        if (rc < 0)
                return rc;
        if (archives_is_tree(folder))
                *ino = TREE_OPS_ID | (uint64_t)archives_tree_id(folder) << NUMBER_BITS;
        tree_close(folder);
        return 0;
}

/* ---- asking ---- */

static void drop_name(struct request *r)
{
        if (r->own_name)
                free(steal_ptr(&r->name));
}

/* R waits, and needs its name. False: out of memory. */
static bool keep_name(struct request *r)
{
        if (!r->name || r->own_name)
                return true;
        r->name = strdup(r->name);
        r->own_name = true;
        return r->name != NULL;
}

/* With the archive open: R is answered, or about to be parked. */
static bool answer_kept(void *ctx, struct request *r)
{
        if (r->tree_answer(ctx, r)) {
                drop_name(r);
                return true;
        }
        if (keep_name(r))
                return false;
        fuse_reply_err(r->req, ENOMEM);
        return true;
}

/* Are members known? */
static bool is_known(void *ctx, struct request *r)
{
        const struct ops_context *c = ctx;

        (void)r;
        return index_sealed(c->view.index);
}

/*
 * Answer R, which has ANSWER, about the member NODEID of it, or park it. NAME is the kernel's: it is
 * copied if R waits.
 */
static void ask(struct ops_context *c, struct request *r)
{
        r->tree_answer = r->answer;
        r->answer = answer_kept;
        r->failed = drop_name;
        r->ready = is_known;
        if (c->view.archives) {
                r->node = archives_tree_node(c->view.archives, archive_of(r->nodeid));
                member_ask(c, r);
                return;
        }
        r->node = tree_root(c->tree);
        if (!r->answer(c, r))
                park_add(c->park, r);
}

/* What R is about: 0, -EAGAIN where that is not known yet, -EIO where it never is. */
static int find(const struct ops_context *c, const struct request *r, const struct members **m,
                const struct members_node **n)
{
        uint32_t number = number_of(r->nodeid);

        if (!index_sealed(c->view.index))
                return -EAGAIN;
        *m = index_members(c->view.index);
        if (!*m || number >= members_count(*m))
                return -EIO;
        *n = members_get(*m, number);
        return *n ? 0 : -EIO;
}

/* The same, of a KIND of S_IFMT; WRONG if it is another. */
static int find_kind(const struct ops_context *c, const struct request *r, mode_t kind, int wrong,
                     const struct members **m, const struct members_node **n)
{
        int rc = find(c, r, m, n);

        return rc == 0 && ((*n)->mode & S_IFMT) != kind ? wrong : rc;
}

/* R fails with RC, unless that is -EAGAIN. Returns whether it is answered. */
static bool fail(const struct ops_context *c, const struct request *r, int rc)
{
        if (rc == -EIO && c->read_failed)
                c->read_failed(c->owner, r->node);
        if (rc != -EAGAIN)
                fuse_reply_err(r->req, -rc);
        return rc != -EAGAIN;
}

/* ---- names and attributes ---- */

/* As st_ino. */
static ino_t inode_of(const struct ops_context *c, const struct members_node *n)
{
        uint64_t own = TREE_ROOT_INO + n->same, ino;

        if (!c->seed)
                return own;
        ino = XXH3_64bits_withSeed(&own, sizeof own, c->seed);
        return ino > TREE_ROOT_INO ? ino : ino + 2;
}

static void stat_member(const struct ops_context *c, const struct members *m,
                        const struct members_node *n, struct stat *st)
{
        *st = (struct stat){.st_ino = inode_of(c, n),
                            .st_mode = n->mode,
                            .st_nlink = n->links,
                            .st_uid = n->uid,
                            .st_gid = n->gid,
                            .st_blksize = 131072,
                            .st_mtim = {n->mtime, n->mtime_ns}};
        st->st_ctim = st->st_atim = st->st_mtim;
        if (S_ISREG(n->mode) || S_ISLNK(n->mode))
                st->st_size = (off_t)n->size;
        if (S_ISREG(n->mode)) {
                st->st_blocks = (blkcnt_t)(members_stored(m, n) / 512);
        } else if (S_ISCHR(n->mode) || S_ISBLK(n->mode)) {
                st->st_rdev = n->rdev;
        }
}

static void fill_entry(const struct ops_context *c, const struct members *m,
                       const struct members_node *n, fuse_ino_t from, struct fuse_entry_param *e)
{
        *e = (struct fuse_entry_param){
            .ino = id_of(n, from), .attr_timeout = FOREVER, .entry_timeout = FOREVER};
        stat_member(c, m, n, &e->attr);
}

static struct ops_context *session_of(struct ops_context *c)
{
        return c->outer ? c->outer : c;
}

/* COUNT more lookups, or fewer, of members of the archive that INO is one of. */
static void count_lookups(struct ops_context *c, fuse_ino_t ino, int64_t count)
{
        struct archives *archives = session_of(c)->view.archives;

        if (archives)
                archives_count_lookups(archives, archive_of(ino), count);
}

bool tree_ops_always_plus(const struct ops_context *c)
{
        return !c->view.archives && c->view.index && index_is_tree(c->view.index);
}

/*
 * A list can give attributes with the names, which saves the kernel a lookup of each. Folders
 * always have theirs, since a program that walks a tree enters them. Files do not: for a program
 * that needs names alone, such as find, making an inode of each file is most of the kernel's work.
 * Once a file is looked up, the next lists give the attributes of files, too. After so many of them,
 * one goes without, to see whether files are still looked up. The number grows while they are.
 */
enum { GRANT_MIN = 32, GRANT_MAX = 1024 };

static void note_lookup(struct ops_context *c, const struct members_node *n)
{
        struct ops_context *session = session_of(c);
        unsigned more = session->grant * 4;

        if (S_ISDIR(n->mode))
                return;
        if (session->stated == 0)
                session->grant = more < GRANT_MIN ? GRANT_MIN : more < GRANT_MAX ? more : GRANT_MAX;
        session->stated = session->grant;
}

static bool gives_files(struct ops_context *c, const struct request *r)
{
        struct ops_context *session = session_of(c);
        unsigned left = session->stated;

        /* Where the kernel decides, it asks further on only if they were looked up. */
        if (r->offset > 0 && !tree_ops_always_plus(session))
                return true;
        while (left && !atomic_compare_exchange_weak(&session->stated, &left, left - 1))
                ;
        if (!left)
                session->grant = session->grant / 2;
        return left > 0;
}

static bool answer_lookup(void *ctx, struct request *r)
{
        struct ops_context *c = ctx;
        struct fuse_entry_param e = {.entry_timeout = FOREVER};
        const struct members_node *n, *found;
        const struct members *m;
        int rc = find_kind(c, r, S_IFDIR, -ENOTDIR, &m, &n);

        if (rc == 0)
                rc = members_find(m, n, r->name, &found);
        if (rc < 0 && rc != -ENOENT)
                return fail(c, r, rc);
        if (rc == -ENOENT) {
                fuse_reply_entry(r->req, &e); /* the kernel keeps that there is none */
                return true;
        }
        note_lookup(c, found);
        fill_entry(c, m, found, r->nodeid, &e);
        count_lookups(c, r->nodeid, 1);
        if (fuse_reply_entry(r->req, &e) < 0)
                count_lookups(c, r->nodeid, -1);
        return true;
}

void tree_ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        struct request r = {
            .req = req, .nodeid = parent, .name = (char *)(uintptr_t)name, .answer = answer_lookup};

        ask(context(req), &r);
}

void tree_ops_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
        count_lookups(context(req), ino, -(int64_t)count);
}

static bool answer_getattr(void *ctx, struct request *r)
{
        const struct members_node *n;
        const struct members *m;
        int rc = find(ctx, r, &m, &n);
        struct stat st;

        if (rc < 0)
                return fail(ctx, r, rc);
        stat_member(ctx, m, n, &st);
        fuse_reply_attr(r->req, &st, FOREVER);
        return true;
}

void tree_ops_getattr(fuse_req_t req, fuse_ino_t ino)
{
        struct request r = {.req = req, .nodeid = ino, .answer = answer_getattr};

        ask(context(req), &r);
}

static bool answer_readlink(void *ctx, struct request *r)
{
        const struct members_node *n;
        const struct members *m;
        int rc = find_kind(ctx, r, S_IFLNK, -EINVAL, &m, &n);

        if (rc < 0)
                return fail(ctx, r, rc);
        fuse_reply_readlink(r->req, members_target(m, n));
        return true;
}

void tree_ops_readlink(fuse_req_t req, fuse_ino_t ino)
{
        struct request r = {.req = req, .nodeid = ino, .answer = answer_readlink};

        ask(context(req), &r);
}

static bool answer_xattr(void *ctx, struct request *r)
{
        const struct members_node *n;
        const struct members *m;
        int rc = find(ctx, r, &m, &n);
        struct view_xattrs list;
        ssize_t len;
        char *value;

        if (rc < 0)
                return fail(ctx, r, rc);
        list.at = members_xattrs(m, n, &list.len);
        value = malloc(r->size + 1);
        if (!value)
                return fail(ctx, r, -ENOMEM);
        len = r->name ? view_recorded(&list, r->name, value, r->size)
                      : view_recorded_names(&list, value, r->size);
        if (len < 0)
                fuse_reply_err(r->req, (int)-len);
        else if (r->size == 0)
                fuse_reply_xattr(r->req, (size_t)len);
        else if ((size_t)len > r->size)
                fuse_reply_err(r->req, ERANGE);
        else
                fuse_reply_buf(r->req, value, (size_t)len);
        free(value);
        return true;
}

void tree_ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
        struct request r = {.req = req,
                            .nodeid = ino,
                            .name = (char *)(uintptr_t)name,
                            .size = size,
                            .answer = answer_xattr};

        ask(context(req), &r);
}

void tree_ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
        struct request r = {.req = req, .nodeid = ino, .size = size, .answer = answer_xattr};

        ask(context(req), &r);
}

/* ---- folders ---- */

/*
 * A request that has to wait for members waits here. While the kernel lists a folder it holds a lock, and
 * other readers of that folder could not be interrupted.
 */
static bool answer_opendir(void *ctx, struct request *r)
{
        /* A list without attributes is not kept: whoever wants them next is to get them with it. */
        bool kept = session_of(ctx)->stated > 0;
        const struct fuse_file_info fi = {.cache_readdir = kept, .keep_cache = kept};
        const struct members_node *n;
        const struct members *m;
        int rc = find_kind(ctx, r, S_IFDIR, -ENOTDIR, &m, &n);

        if (rc < 0)
                return fail(ctx, r, rc);
        fuse_reply_open(r->req, &fi);
        return true;
}

void tree_ops_opendir(fuse_req_t req, fuse_ino_t ino)
{
        struct request r = {.req = req, .nodeid = ino, .answer = answer_opendir};

        ask(context(req), &r);
}

/* A list's offsets: 0, after it ".", 1, after it "..", 2 and on: 2 more than positions. */
enum { AFTER_DOT = 1, AFTER_DOTS = 2 };

/* Room for the answer to a readdir, and what of it is used. */
struct listing {
        const struct ops_context *c;
        const struct request *r;
        const struct members *m;
        bool plus, with_files; /* attributes of folders, and of all else */
        char *out;
        size_t used, size;
        int64_t lookups;
};

/* N, called NAME, after which the list goes on at NEXT. False: it does not fit. */
static bool add_name(struct listing *l, const char *name, const struct members_node *n, off_t next)
{
        bool is_lookup = l->plus && next > AFTER_DOTS && (S_ISDIR(n->mode) || l->with_files);
        size_t room = l->size - l->used, one;
        struct fuse_entry_param e = {.attr.st_ino = inode_of(l->c, n),
                                     .attr.st_mode = n->mode & S_IFMT};

        if (is_lookup)
                fill_entry(l->c, l->m, n, l->r->nodeid, &e);
        if (l->plus)
                one = fuse_add_direntry_plus(l->r->req, l->out + l->used, room, name, &e, next);
        else
                one = fuse_add_direntry(l->r->req, l->out + l->used, room, name, &e.attr, next);
        if (one > room)
                return false;
        l->used += one;
        l->lookups += is_lookup;
        return true;
}

/* The list of FOLDER, whose odd names are NAMES, as far as there is room. 0 or -EIO. */
static int add_all(struct listing *l, const struct members_node *folder,
                   const struct members_names *names)
{
        const struct members_node *parent = members_get(l->m, folder->parent);
        uint64_t at = (uint64_t)l->r->offset;
        bool room = true;

        if (!parent)
                return -EIO;
        if (at < AFTER_DOT)
                room = add_name(l, ".", folder, AFTER_DOT);
        if (at < AFTER_DOTS)
                room = room && add_name(l, "..", parent, AFTER_DOTS);
        for (at = max_u64(at, AFTER_DOTS); room && at - AFTER_DOTS < folder->count; at++) {
                uint64_t position = at - AFTER_DOTS;
                const struct members_node *child = members_child(l->m, folder, position);

                if (!child)
                        return -EIO;
                room =
                    add_name(l, members_shown(l->m, names, position, child), child, (off_t)at + 1);
        }
        return 0;
}

/* Is there more of FOLDER than R has seen? */
static bool lists_more(const struct members_node *folder, const struct request *r)
{
        return r->offset < AFTER_DOTS || (uint64_t)r->offset - AFTER_DOTS < folder->count;
}

static bool answer_readdir(void *ctx, struct request *r)
{
        struct listing l = {.c = ctx, .r = r, .plus = r->whence, .size = r->size};
        const struct members_names *names = NULL;
        const struct members_node *n;
        cleanup_free char *out = NULL;
        int rc = find_kind(ctx, r, S_IFDIR, -ENOTDIR, &l.m, &n);

        if (rc == 0)
                rc = members_names(l.m, n, &names);
        if (rc == 0)
                l.out = out = malloc(r->size + 1);
        if (rc < 0 || !out)
                return fail(ctx, r, rc < 0 ? rc : -ENOMEM);
        l.with_files = l.plus && lists_more(n, r) && gives_files(ctx, r);
        rc = add_all(&l, n, names);
        if (rc < 0)
                return fail(ctx, r, rc);
        count_lookups(ctx, r->nodeid, l.lookups);
        if (fuse_reply_buf(r->req, out, l.used) < 0)
                count_lookups(ctx, r->nodeid, -l.lookups);
        return true;
}

void tree_ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
        struct request r = {.req = req,
                            .nodeid = ino,
                            .size = size,
                            .offset = offset,
                            .whence = plus,
                            .answer = answer_readdir};

        if (offset < 0)
                fuse_reply_err(req, EINVAL);
        else
                ask(context(req), &r);
}

/* ---- files ---- */

static bool answer_open(void *ctx, struct request *r)
{
        struct ops_context *c = ctx, *session = session_of(c);
        struct fuse_file_info fi = {.keep_cache = 1, .noflush = 1, .direct_io = c->direct_io};
        const struct members_node *n;
        const struct members *m;
        int rc = find_kind(c, r, S_IFREG, -EINVAL, &m, &n);

        if (rc < 0)
                return fail(c, r, rc);
        if (n->flags & MEMBERS_BROKEN) {
                fuse_reply_err(r->req, EIO);
                return true;
        }
        session->opens++;
        fi.fh = member_keep(c);
        /* Of an open that was interrupted no release follows. */
        if (fuse_reply_open(r->req, &fi) == -ENOENT) {
                session->opens--;
                member_let_go(fi.fh);
        }
        return true;
}

void tree_ops_open(fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi)
{
        struct request r = {.req = req, .nodeid = ino, .answer = answer_open};

        if ((fi->flags & O_ACCMODE) != O_RDONLY)
                fuse_reply_err(req, EROFS);
        else
                ask(context(req), &r);
}

void tree_ops_release(fuse_req_t req, const struct fuse_file_info *fi)
{
        context(req)->opens--;
        member_let_go(fi->fh);
        fuse_reply_err(req, 0);
}

static bool answer_content(void *ctx, struct request *r)
{
        struct ops_context *c = ctx;
        struct members_volume open;
        const struct members_node *n;
        const struct members *m;
        int rc = find_kind(c, r, S_IFREG, -EINVAL, &m, &n);
        struct volume *v;

        if (rc < 0)
                return fail(c, r, rc);
        v = index_member_open(c->view.index, n, &open);
        if (!r->whence)
                return answer_volume(c, r, v);
        content_seek_in(r, v);
        return true;
}

/* ask's ready is not for what waits for bytes. */
static void ask_content(fuse_req_t req, struct request *r)
{
        r->answer = answer_content;
        ask(context(req), r);
}

void tree_ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset)
{
        struct request r = {.req = req, .nodeid = ino, .size = size, .offset = offset};

        if (offset < 0)
                fuse_reply_err(req, EINVAL);
        else
                ask_content(req, &r);
}

void tree_ops_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence)
{
        struct request r = {.req = req, .nodeid = ino, .offset = offset, .whence = whence};

        if (whence != SEEK_DATA && whence != SEEK_HOLE)
                fuse_reply_err(req, EINVAL);
        else if (offset < 0)
                fuse_reply_err(req, ENXIO);
        else
                ask_content(req, &r);
}
