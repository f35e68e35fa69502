/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fuse/read.h"

#include <errno.h>

#include "archive/bytes.h"
#include "fs/fuse/buffers.h"
#include "fs/fuse/context.h"
#include "fs/fuse/park.h"
#include "index/disk.h"
#include "index/index.h"
#include "index/pin.h"

/* How many bytes R gets, if none of them is lost. */
static size_t wanted(const struct request *r)
{
        uint64_t size = index_disk_of(r->node)->size, offset = (uint64_t)r->offset;

        return (size_t)min_u64(min_u64(r->size, BUFFER_SIZE), size - min_u64(size, offset));
}

/* Whoever gets the error finds the reason in the log, and may have R's node freed. */
static void fail_read(const struct ops_context *c, const struct request *r, ssize_t rc)
{
        if (c->read_failed)
                c->read_failed(c->owner, r->node);
        fuse_reply_err(r->req, rc == -ENOMEM || rc == -ESTALE ? (int)-rc : EIO);
}

/* Small reads are most often one piece, which takes no memory for a list of them. */
static void reply(const struct request *r, const struct disk_pin *pin)
{
        if (pin->count == 1)
                fuse_reply_buf(r->req, pin->pieces[0].iov_base, pin->pieces[0].iov_len);
        else
                fuse_reply_iov(r->req, pin->pieces, (int)pin->count);
}

/*
 * A read stopped at N of WANT bytes, not 0, which PIN has. In cached mode a short reply would make
 * the kernel take the place for the end of the file and give zeros or nothing after it: so the
 * whole request fails, the kernel asks again page by page, and exactly the lost ones fail. In
 * direct mode the reader gets what is before the damage, and the error with its next read. A
 * mapping is read through the page cache in that mode too, and nothing tells its requests from a
 * reader's: it makes the file look short until its size is asked for again, which is why that is
 * never kept, and why shared mappings (FUSE_DIRECT_IO_ALLOW_MMAP) are not asked for. FINAL: the
 * index was sealed before the read, so that asking again would not help.
 */
static bool reply_short(const struct ops_context *c, const struct request *r,
                        const struct disk_pin *pin, size_t n, bool final)
{
        uint64_t at = (uint64_t)r->offset + n;
        char block[MAP_BLOCK];
        /* All of the block: a bad sector need not be the block's first. */
        ssize_t rc = disk_read(index_disk_of(r->node), block, MAP_BLOCK - at % MAP_BLOCK, at);

        /* Not seen yet, or just now: the whole request again. */
        if (rc == -EAGAIN || (rc > 0 && !final))
                return false;
        if (c->direct_io)
                reply(r, pin);
        else
                fail_read(c, r, rc);
        return true;
}

/* BUF has room for what R wants, which is not nothing. */
static bool read_disk(const struct ops_context *c, const struct request *r, void *buf)
{
        struct disk *d = index_disk_of(r->node);
        bool final = view_stat_final(&c->view, r->node), done = true;
        struct disk_pin pin;
        ssize_t n = disk_gather(d, buf, wanted(r), (uint64_t)r->offset, &pin);

        if (n < 0) {
                done = n != -EAGAIN;
                if (done)
                        fail_read(c, r, n);
                return done;
        }
        if ((size_t)n < wanted(r))
                done = reply_short(c, r, &pin, (size_t)n, final);
        else
                reply(r, &pin);
        disk_unpin(&pin);
        return done;
}

bool read_ready(void *context, struct request *r)
{
        const struct ops_context *c = context;
        struct disk *d = index_disk_of(r->node);
        uint64_t offset = (uint64_t)r->offset, end;

        if (view_stat_final(&c->view, r->node))
                return true;
        if (d->provisional_size)
                return false;
        end = offset + wanted(r);
        r->unknown = disk_first_unknown(d, max_u64(r->unknown, offset), end);
        return r->unknown == end;
}

bool answer_read(void *context, struct request *r)
{
        struct ops_context *c = context;
        struct stat st;
        void *buf;
        bool done;

        if (!view_stat(&c->view, r->node, &st))
                return false;
        if (wanted(r) == 0) {
                fuse_reply_buf(r->req, NULL, 0);
                return true;
        }
        buf = buffers_get(c->buffers);
        if (!buf) {
                fuse_reply_err(r->req, ENOMEM);
                return true;
        }
        done = read_disk(c, r, buf);
        buffers_put(c->buffers, buf);
        return done;
}

/* How many of the WANT bytes at AT of V, into BUF, come before what cannot be read. */
static size_t read_sound(const struct ops_context *c, struct volume *v, char *buf, size_t want,
                         uint64_t at)
{
        size_t done = 0, n;

        for (; done < want; done += n) {
                n = (size_t)min_u64(want - done, MAP_BLOCK - (at + done) % MAP_BLOCK);
                if (index_volume_read(c->view.index, v, buf + done, n, at + done) < 0)
                        break;
        }
        return done;
}

bool answer_volume(struct ops_context *c, const struct request *r, struct volume *v)
{
        uint64_t at = min_u64((uint64_t)r->offset, v->size);
        size_t want = (size_t)min_u64(min_u64(r->size, BUFFER_SIZE), v->size - at);
        void *buf = buffers_get(c->buffers);
        int rc = buf ? index_volume_read(c->view.index, v, buf, want, at) : -ENOMEM;

        /* As reply_short has it for disks. */
        if (rc == -EIO && c->direct_io) {
                want = read_sound(c, v, buf, want, at);
                rc = want ? 0 : -EIO;
        }
        if (rc == 0)
                fuse_reply_buf(r->req, buf, want);
        else if (rc != -EAGAIN)
                fail_read(c, r, rc);
        if (buf)
                buffers_put(c->buffers, buf);
        return rc != -EAGAIN;
}

bool answer_file(void *context, struct request *r)
{
        return answer_volume(context, r, index_file_of(r->node)->volume);
}
