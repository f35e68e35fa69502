/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fuse/member.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/store/store.h"
#include "fs/fuse/buffers.h"
#include "fs/fuse/context.h"
#include "fs/fuse/park.h"
#include "fs/fuse/read.h"
#include "fs/fuse/wait.h"
#include "index/collection/archives.h"
#include "index/collection/open_archives.h"
#include "index/index.h"
#include "index/tree/node.h"

/* What is attached to an open archive. */
struct member {
        struct ops_context inner; /* first: the context of answers about the archive's own tree */
        struct ops_context *outer;
        struct open_archive *archive;
        pthread_mutex_t lock;
        struct park *park; /* lock; NULL: nothing had to wait yet */
        bool stopped;      /* lock */
};

static void read_failed(void *owner, const struct node *n)
{
        struct member *m = owner;

        (void)n;
        if (m->outer->archive_failed)
                m->outer->archive_failed(m->outer->owner, m->archive);
}

void *member_opened(void *ctx, struct open_archive *a)
{
        struct ops_context *outer = ctx;
        struct member *m = calloc(1, sizeof *m);

        if (!m)
                return NULL;
        m->outer = outer;
        m->archive = a;
        m->inner = (struct ops_context){.tree = index_tree(a->index),
                                        .view = {.index = a->index, .owner = outer->view.owner},
                                        .buffers = outer->buffers,
                                        .outer = outer,
                                        .seed = XXH3_64bits(a->path, strlen(a->path)) | 1,
                                        .direct_io = outer->direct_io,
                                        .owner = m,
                                        .read_failed = read_failed};
        pthread_mutex_init(&m->lock, NULL);
        return m;
}

static struct park *stop(struct member *m)
{
        scoped_lock(&m->lock);

        m->stopped = true;
        return m->park;
}

void member_closing(void *ctx, void *attached)
{
        struct member *m = attached;
        struct park *park = stop(m);

        (void)ctx;
        index_stop(m->archive->index);
        if (park && park_stop(park))
                park_free(park);
        pthread_mutex_destroy(&m->lock);
        free(m);
}

/* ---- waiting ---- */

static bool answer_held(void *ctx, struct request *r)
{
        struct open_archive *a = r->archive;

        (void)ctx;
        if (!r->held_answer(r->held_ctx, r))
                return false;
        open_archives_put(a);
        return true;
}

static void fail_held(struct request *r)
{
        struct open_archive *a = r->archive;

        if (r->held_failed)
                r->held_failed(r);
        open_archives_put(a);
}

/* The park of M, made now if there is none; NULL: it is stopped, or out of memory. */
static struct park *park_of(struct member *m)
{
        scoped_lock(&m->lock);

        if (!m->park && !m->stopped)
                m->park = park_new(m->archive->index, m);
        return m->stopped ? NULL : m->park;
}

static void refuse(struct request *r, int rc)
{
        fuse_reply_err(r->req, -rc);
        if (r->failed)
                r->failed(r);
}

/* Park R, whose answer wants CTX, with its archive A in use, which is put when R is answered. */
static void park(struct open_archive *a, struct request *r, void *ctx)
{
        struct member *m = a->attached;
        struct park *park = park_of(m);
        int rc = park ? open_archives_scan(a) : -ENOMEM;

        if (rc < 0) {
                refuse(r, rc == -ECANCELED ? -ENOTCONN : rc);
                open_archives_put(a);
                return;
        }
        r->archive = a;
        r->held_ctx = ctx;
        r->held_answer = r->answer;
        r->held_failed = r->failed;
        r->answer = answer_held;
        r->failed = fail_held;
        park_add(park, r);
}

/* R is about a node that is inside of a disk, or none; CTX is a struct member. */
static bool is_inside_ready(void *ctx, struct request *r)
{
        const struct member *m = ctx;

        return archives_inside_ready(m->archive, r->node);
}

void member_park(struct ops_context *c, struct request *r)
{
        struct open_archive *a;
        int rc = archives_get(c->view.archives, r->node, &a, NULL);

        if (rc < 0) {
                refuse(r, rc == -ENOMEM || rc == -ESTALE || rc == -EMFILE ? rc : -EIO);
                return;
        }
        if (archives_is_inside(r->node))
                r->ready = is_inside_ready;
        park(a, r, c);
}

/* Answer R, about a node of the archive A's own tree, or park it. */
static void answer_or_park(struct open_archive *a, struct request *r)
{
        struct member *m = a->attached;

        if (r->answer(&m->inner, r))
                return;
        open_archives_hold(a);
        park(a, r, &m->inner);
}

void member_ask(struct ops_context *c, struct request *r)
{
        struct open_archive *a;
        int rc = r->node ? archives_get(c->view.archives, r->node, &a, NULL) : -ESTALE;

        if (rc < 0) {
                refuse(r, rc == -ENOMEM || rc == -ESTALE || rc == -EMFILE ? rc : -EIO);
                return;
        }
        answer_or_park(a, r);
        open_archives_put(a);
}

uint64_t member_keep(const struct ops_context *c)
{
        const struct member *m = c->owner;

        if (!c->outer)
                return 0;
        open_archives_hold(m->archive);
        return (uintptr_t)m->archive;
}

void member_let_go(uint64_t kept)
{
        if (kept)
                open_archives_put((struct open_archive *)(uintptr_t)kept);
}

/* ---- what it is about ---- */

/* Does R have the node of the archive's own tree by now? */
static bool is_resolved(const struct request *r)
{
        return index_disk_of(r->node) || index_file_of(r->node);
}

static bool is_disk_ready(void *ctx, struct request *r)
{
        return is_resolved(r) ? read_ready(ctx, r) : is_inside_ready(ctx, r);
}

/*
 * R->inner answers it once it is about the node of the archive's own tree, which for a partition may
 * have to be found again.
 */
static bool answer_inner(void *ctx, struct request *r)
{
        const struct member *m = ctx;
        int rc = 0;

        if (!is_resolved(r)) {
                struct node *inner;

                rc = archives_inner(m->archive, r->node, &inner);
                if (rc == -EAGAIN)
                        return false;
                if (rc == 0)
                        r->node = inner;
        }
        if (rc == 0)
                return r->inner(ctx, r);
        read_failed((void *)(uintptr_t)m, r->node);
        fuse_reply_err(r->req, rc == -ENOMEM || rc == -ESTALE ? -rc : EIO);
        return true;
}

/* ---- files ---- */

static struct store_file *plain_of(const struct fuse_file_info *fi)
{
        return (struct store_file *)(uintptr_t)fi->fh;
}

static struct open_archive *archive_of(const struct fuse_file_info *fi)
{
        return (struct open_archive *)(uintptr_t)fi->fh;
}

static int open_member(struct ops_context *c, const struct node *n, struct fuse_file_info *fi)
{
        struct open_archive *a;
        struct error err = {0};
        struct node *inner;
        int rc = archives_get(c->view.archives, n, &a, &err);

        if (rc < 0)
                return rc == -ENOMEM || rc == -ESTALE || rc == -EMFILE ? rc : -EIO;
        /* Of a partition that may not be known again before it is read. */
        if (!archives_is_inside(n) && archives_inner(a, n, &inner) < 0) {
                open_archives_put(a);
                return -EIO;
        }
        fi->fh = (uintptr_t)a;
        fi->keep_cache = 1;
        return 0;
}

static int open_plain(const struct ops_context *c, const struct node *n, struct fuse_file_info *fi)
{
        struct store_file *f;
        int rc = archives_open_file(c->view.archives, n, &f);

        if (rc < 0)
                return rc;
        fi->fh = (uintptr_t)f;
        return 0;
}

void member_open(fuse_req_t req, struct ops_context *c, const struct node *n,
                 struct fuse_file_info *fi)
{
        bool plain = archives_kind(n) == ARCHIVES_PLAIN, asked;
        struct wait wait;
        int rc;

        if (!wait_begin(&wait, c, req, WAIT_FILES))
                return;
        rc = plain ? open_plain(c, n, fi) : open_member(c, n, fi);
        asked = wait_end(&wait);
        if (rc == 0)
                c->opens++;
        if (rc < 0 || !asked) {
                if (rc == 0)
                        member_release(c, n, fi);
                if (asked)
                        fuse_reply_err(req, -rc);
                return;
        }
        fi->noflush = 1;
        fi->direct_io = c->direct_io;
        /* Of an open that was interrupted no release follows. */
        if (fuse_reply_open(req, fi) == -ENOENT)
                member_release(c, n, fi);
}

void member_release(struct ops_context *c, const struct node *n, const struct fuse_file_info *fi)
{
        if (archives_kind(n) == ARCHIVES_PLAIN)
                plain_of(fi)->ops->close(plain_of(fi));
        else
                open_archives_put(archive_of(fi));
        c->opens--;
}

static void read_plain(const struct ops_context *c, const struct request *r, struct store_file *f)
{
        size_t want = (size_t)min_u64(r->size, BUFFER_SIZE), done = 0;
        void *buf = buffers_get(c->buffers);
        ssize_t n = 1;

        if (!buf) {
                fuse_reply_err(r->req, ENOMEM);
                return;
        }
        for (; done < want && n > 0; done += n > 0 ? (size_t)n : 0)
                n = f->ops->pread(f, (char *)buf + done, want - done, (uint64_t)r->offset + done);
        if (n < 0)
                fuse_reply_err(r->req, (int)-n);
        else
                fuse_reply_buf(r->req, buf, done);
        buffers_put(c->buffers, buf);
}

void member_read(struct ops_context *c, struct request *r, const struct fuse_file_info *fi)
{
        struct open_archive *a = archive_of(fi);
        bool is_disk = archives_kind(r->node) == ARCHIVES_DISK;

        if (archives_kind(r->node) == ARCHIVES_PLAIN) {
                read_plain(c, r, plain_of(fi));
                return;
        }
        r->ready = is_disk ? is_disk_ready : NULL;
        r->answer = answer_inner;
        r->inner = is_disk ? answer_read : answer_file;
        if (is_disk)
                open_archives_scan(a);
        answer_or_park(a, r);
}

/* What is no disk is all data. */
static void lseek_all_data(const struct request *r, off_t end)
{
        if (r->offset >= end)
                fuse_reply_err(r->req, ENXIO);
        else
                fuse_reply_lseek(r->req, r->whence == SEEK_DATA ? r->offset : end);
}

void member_lseek(struct ops_context *c, struct request *r, const struct fuse_file_info *fi,
                  bool (*answer)(void *ctx, struct request *r))
{
        off_t end = (off_t)r->node->size;

        (void)c;
        if (archives_kind(r->node) == ARCHIVES_DISK) {
                r->answer = answer_inner;
                r->inner = answer;
                open_archives_scan(archive_of(fi));
                answer_or_park(archive_of(fi), r);
                return;
        }
        if (archives_kind(r->node) == ARCHIVES_PLAIN)
                end = plain_of(fi)->ops->size(plain_of(fi));
        lseek_all_data(r, end);
}
