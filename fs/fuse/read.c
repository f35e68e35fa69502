/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fuse/read.h"

#include <errno.h>

#include "archive/bytes.h"
#include "fs/fuse/buffers.h"
#include "fs/fuse/ops.h"
#include "fs/fuse/park.h"
#include "fs/fuse/view.h"
#include "index/disk.h"
#include "index/index.h"
#include "index/pin.h"

/* How many bytes R gets, if none of them is lost. */
static size_t wanted(const struct request *r)
{
        uint64_t size = r->node->disk->size, offset = (uint64_t)r->offset;

        return (size_t)min_u64(min_u64(r->size, BUFFER_SIZE), size - min_u64(size, offset));
}

static void fail_read(const struct ops_context *c, const struct request *r, ssize_t rc)
{
        fuse_reply_err(r->req, rc == -ENOMEM || rc == -ESTALE ? (int)-rc : EIO);
        if (c->read_failed)
                c->read_failed(c->owner);
}

/*
 * A read stopped at N of WANT bytes. In cached mode a short reply would make the kernel take the
 * place for the end of the file and give zeros or nothing behind it: so the whole request fails,
 * the kernel asks again page by page, and exactly the lost ones fail. In direct mode the reader
 * gets what is in front of the damage, and the error with its next read. A mapping is read through
 * the page cache in that mode too, and nothing tells its requests from a reader's: it makes the
 * file look short until its size is asked for again, which is why that is never kept, and why
 * shared mappings (FUSE_DIRECT_IO_ALLOW_MMAP) are not asked for. FINAL: the index was sealed before
 * the read, so that asking again would not help.
 */
static bool reply_short(const struct ops_context *c, const struct request *r, const char *buf,
                        size_t n, bool final)
{
        uint64_t at = (uint64_t)r->offset + n;
        char block[MAP_BLOCK];
        /* All of the block: a bad sector need not be the block's first. */
        ssize_t rc = disk_read(r->node->disk, block, MAP_BLOCK - at % MAP_BLOCK, at);

        /* Not seen yet, or just now: the whole request again. */
        if (rc == -EAGAIN || (rc > 0 && !final))
                return false;
        if (c->direct_io && n > 0)
                fuse_reply_buf(r->req, buf, n);
        else
                fail_read(c, r, rc);
        return true;
}

static bool read_disk(struct ops_context *c, const struct request *r, char *buf)
{
        struct disk *d = r->node->disk;
        bool final = view_stat_final(c->view, r->node);
        size_t want = wanted(r);
        ssize_t n;

        if (want == 0) {
                fuse_reply_buf(r->req, NULL, 0);
                return true;
        }
        n = disk_read(d, buf, want, (uint64_t)r->offset);
        if (n == -EAGAIN)
                return false;
        if (n >= 0 && (size_t)n < want)
                return reply_short(c, r, buf, (size_t)n, final);
        if (n < 0)
                fail_read(c, r, n);
        else
                fuse_reply_buf(r->req, buf, (size_t)n);
        return true;
}

/* Small reads are most often one piece, which takes no memory for a list of them. */
static void reply(const struct request *r, const struct disk_loan *loan)
{
        if (loan->count == 1)
                fuse_reply_buf(r->req, loan->pieces[0].iov_base, loan->pieces[0].iov_len);
        else
                fuse_reply_iov(r->req, loan->pieces, (int)loan->count);
}

/* From where the bytes lie, without a copy of our own. False: that does not go. */
static bool lend_disk(const struct request *r)
{
        struct disk *d = r->node->disk;
        size_t want = wanted(r);
        struct disk_loan loan;

        if (want == 0 || !disk_borrow(d, want, (uint64_t)r->offset, &loan))
                return false;
        reply(r, &loan);
        disk_give_back(d, &loan);
        return true;
}

/* All in one go, as far as that can be, through BUF. False: that does not go. */
static bool gather_disk(const struct request *r, char *buf)
{
        size_t want = wanted(r);
        struct disk_loan loan;

        if (want == 0 || !disk_gather(r->node->disk, buf, want, (uint64_t)r->offset, &loan))
                return false;
        reply(r, &loan);
        return true;
}

bool answer_read(void *context, struct request *r)
{
        struct ops_context *c = context;
        struct stat st;
        void *buf;
        bool done;

        if (!view_stat(c->view, r->node, &st))
                return false;
        if (lend_disk(r))
                return true;
        buf = buffers_get(c->buffers);
        if (!buf) {
                fuse_reply_err(r->req, ENOMEM);
                return true;
        }
        done = gather_disk(r, buf) || read_disk(c, r, buf);
        buffers_put(c->buffers, buf);
        return done;
}
