/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/extract/copying.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/volume.h"
#include "fs/extract/writer.h"

enum { PIECE = 1 << 20 };

static int tell_gap(const struct copying *c, uint64_t pos, uint64_t len, bool lost, uint64_t *total)
{
        *total += lost ? len : 0;
        return c->gap && len ? c->gap(c->ctx, pos, len, lost) : 0;
}

/* How many bytes to try next, after WAS bytes at AT could be read or not: by halves and doubles. */
static size_t next_try(size_t was, bool read, uint64_t at)
{
        if (read)
                return (size_t)min_u64(PIECE, 2 * (uint64_t)was);
        return was / 2 > VOLUME_BLOCK ? was / 2 : VOLUME_BLOCK - at % VOLUME_BLOCK;
}

/*
 * The bytes of E at POS. What is decoded is one chunk: where a part of that cannot be read, no other
 * part can. What is stored as it is may lie on a bad sector, with all around it sound. Or it is a part
 * of a stream, in which each read may decode much: so the sector is not looked for one by one.
 */
static int copy_extent(const struct copying *c, struct volume *v, uint64_t pos,
                       const struct volume_extent *e, char *buf, uint64_t *lost)
{
        size_t most = PIECE;

        for (uint64_t done = 0; done < e->len;) {
                uint64_t at = pos + done;
                size_t n = (size_t)min_u64(most, e->len - done);
                int rc = volume_read(v, buf, n, at);

                if (rc == -EIO && e->kind == VOLUME_CODED)
                        return tell_gap(c, at, e->len - done, true, lost);
                most = next_try(n, rc == 0, at);
                if (rc == -EIO && most < n)
                        continue;
                if (rc == -EIO) {
                        rc = tell_gap(c, at, n, true, lost);
                        most = VOLUME_BLOCK;
                } else if (rc == 0) {
                        rc = c->data(c->ctx, buf, n, at);
                }
                if (rc < 0)
                        return rc;
                done += n;
        }
        return 0;
}

int copying_run(const struct copying *c, struct volume *v, uint64_t *lost)
{
        cleanup_free char *buf = malloc(PIECE);
        uint64_t pos = 0;
        int rc = buf ? 0 : -ENOMEM;

        *lost = 0;
        while (rc == 0 && pos < v->size) {
                struct volume_extent e = {.len = min_u64(VOLUME_BLOCK, v->size - pos),
                                          .kind = VOLUME_LOST};

                rc = volume_find(v, pos, v->size - pos, &e);
                if (rc == -EIO)
                        rc = 0;
                if (rc < 0)
                        return rc;
                if (e.kind == VOLUME_RAW || e.kind == VOLUME_CODED)
                        rc = copy_extent(c, v, pos, &e, buf, lost);
                else
                        rc = tell_gap(c, pos, e.len, e.kind != VOLUME_ZERO, lost);
                pos += e.len;
        }
        return rc;
}

/* ---- to a file ---- */

static int write_to_file(void *ctx, const void *buf, size_t len, uint64_t pos)
{
        return write_all(*(const int *)ctx, buf, len, pos);
}

int copying_to_file(struct volume *v, int fd, uint64_t *lost)
{
        const struct copying c = {.ctx = &fd, .data = write_to_file};
        int rc = copying_run(&c, v, lost);

        if (rc == 0 && ftruncate(fd, (off_t)v->size) < 0)
                rc = -errno;
        return rc;
}

/* ---- to standard output ---- */

static int print_data(void *ctx, const void *buf, size_t len, uint64_t pos)
{
        (void)ctx;
        (void)pos;
        return fwrite(buf, 1, len, stdout) == len ? 0 : -EPIPE;
}

static int print_gap(void *ctx, uint64_t pos, uint64_t len, bool lost)
{
        static const char zeros[65536];
        uint64_t *at = ctx;
        int rc = 0;

        if (lost) {
                *at = pos;
                return -EIO;
        }
        for (uint64_t done = 0; done < len && rc == 0; done += sizeof zeros)
                rc = print_data(NULL, zeros, (size_t)min_u64(sizeof zeros, len - done), 0);
        return rc;
}

int copying_to_stdout(struct volume *v, uint64_t *at)
{
        const struct copying c = {.ctx = at, .data = print_data, .gap = print_gap};
        uint64_t lost;

        *at = 0;
        return copying_run(&c, v, &lost);
}
