/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fuse/content.h"

#include <errno.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/volume.h"
#include "fs/fuse/buffers.h"
#include "fs/fuse/context.h"
#include "fs/fuse/park.h"
#include "index/collection/datastore.h"
#include "index/tree/node.h"

/* Up to LEN bytes at POS, block by block. How many come before the first that cannot be had. */
static size_t read_before_loss(struct volume *v, char *buf, size_t len, uint64_t pos)
{
        size_t done = 0, n;

        for (; done < len; done += n) {
                n = (size_t)min_u64(len - done, VOLUME_BLOCK - (pos + done) % VOLUME_BLOCK);
                if (volume_read(v, buf + done, n, pos + done) < 0)
                        break;
        }
        return done;
}

/* Whoever gets the error finds the reason in the log, and may have R's node freed. */
static void fail(const struct ops_context *c, const struct request *r, int rc)
{
        if (c->read_failed)
                c->read_failed(c->owner, r->node);
        fuse_reply_err(r->req, rc == -ENOMEM || rc == -ESTALE ? -rc : EIO);
}

void content_read(const struct ops_context *c, const struct request *r)
{
        struct volume *v = datastore_content(r->node);
        uint64_t offset = (uint64_t)r->offset;
        size_t len;
        char *buf;
        int rc;

        if (!v) {
                fail(c, r, -EIO);
                return;
        }
        len = (size_t)min_u64(min_u64(r->size, BUFFER_SIZE), v->size - min_u64(v->size, offset));
        buf = buffers_get(c->buffers);
        if (!buf) {
                fuse_reply_err(r->req, ENOMEM);
                return;
        }
        rc = volume_read(v, buf, len, offset);
        if (rc < 0 && c->direct_io)
                len = read_before_loss(v, buf, len, offset);
        if (rc == 0 || (c->direct_io && len > 0))
                fuse_reply_buf(r->req, buf, len);
        else
                fail(c, r, rc);
        buffers_put(c->buffers, buf);
}

/* ---- data and holes ---- */

static bool is_sought(const struct volume_extent *e, int whence)
{
        return (e->kind == VOLUME_ZERO) == (whence == SEEK_HOLE);
}

void content_seek(const struct request *r)
{
        content_seek_in(r, datastore_content(r->node));
}

void content_seek_in(const struct request *r, struct volume *v)
{
        uint64_t pos = (uint64_t)r->offset, size = v ? v->size : (uint64_t)r->node->size;

        if (pos >= size) {
                fuse_reply_err(r->req, ENXIO);
                return;
        }
        while (v && pos < size) {
                struct volume_extent e;
                int rc = v->ops->extent(v, pos, size - pos, &e);

                if (rc < 0) {
                        fuse_reply_err(r->req, -rc);
                        return;
                }
                if (is_sought(&e, r->whence))
                        break;
                pos += e.len;
        }
        if (!v && r->whence == SEEK_HOLE)
                pos = size;
        if (pos >= size && r->whence == SEEK_DATA)
                fuse_reply_err(r->req, ENXIO);
        else
                fuse_reply_lseek(r->req, (off_t)min_u64(pos, size));
}
