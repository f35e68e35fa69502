/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/gzip/gzip_isal.h"

#ifdef VMAFS_ISAL

#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/input.h"
#include "archive/stream/restart_table.h"

#define TRAILER 8 /* CRC-32 and length */
#define HEADER  10

/* Flags of the header. */
#define HEADER_CRC 0x02
#define EXTRA      0x04
#define NAME       0x08
#define COMMENT    0x10
#define RESERVED   0xe0

/* A longer name or comment is left to zlib. */
#define TEXT_MAX ((size_t)64 << 10)

struct decoder {
        struct input in;
        struct inflate_state *state;
        uint8_t *out;
        size_t len;
};

/* Enter in the middle of a byte, with the history that the following blocks refer to. */
static int enter_block(struct decoder *d, unsigned bit, const void *history, uint32_t history_len)
{
        struct inflate_state *z = d->state;
        int rc;

        isal_inflate_init(z);
        if (history_len > 0 &&
            isal_inflate_set_dict(z, (uint8_t *)history, history_len) != ISAL_DECOMP_OK)
                return -EIO;
        if (bit == 0)
                return 0;
        rc = input_want(&d->in, 1, NULL);
        if (rc < 0 || input_available(&d->in) < 1)
                return -EIO;
        z->read_in = (uint64_t)input_bytes(&d->in)[0] >> bit;
        z->read_in_length = (int32_t)(8 - bit);
        input_skip(&d->in, 1);
        return 0;
}

/* Skip N bytes of the input. */
static int skip(struct decoder *d, size_t n)
{
        int rc = input_want(&d->in, n, NULL);

        if (rc < 0 || input_available(&d->in) < n)
                return -EIO;
        input_skip(&d->in, n);
        return 0;
}

/* ISA-L may already have consumed a part of the trailer. */
static int skip_trailer(struct decoder *d)
{
        size_t taken = (size_t)d->state->read_in_length / 8;

        return taken > TRAILER ? -EIO : skip(d, TRAILER - taken);
}

/* A name or a comment, with its NUL. */
static int skip_text(struct decoder *d)
{
        for (size_t want = 1; want <= TEXT_MAX; want *= 2) {
                const unsigned char *nul;
                int rc = input_want(&d->in, want, NULL);

                if (rc < 0)
                        return rc;
                nul = memchr(input_bytes(&d->in), 0,
                             (size_t)min_u64(input_available(&d->in), TEXT_MAX));
                if (nul)
                        return skip(d, (size_t)(nul - input_bytes(&d->in)) + 1);
        }
        return -EIO;
}

static int skip_extra(struct decoder *d)
{
        int rc = input_want(&d->in, 2, NULL);

        if (rc < 0 || input_available(&d->in) < 2)
                return -EIO;
        return skip(d, 2 + (size_t)load_le16(input_bytes(&d->in)));
}

/*
 * Skip a member's header (RFC 1952, 2.3). ISA-L could do that, but it reads uninitialised flags if
 * its input ends inside a header.
 */
static int skip_header(struct decoder *d)
{
        static const uint8_t magic[] = {0x1f, 0x8b, 0x08};
        uint8_t flags;
        int rc = input_want(&d->in, HEADER, NULL);

        if (rc < 0 || input_available(&d->in) < HEADER ||
            memcmp(input_bytes(&d->in), magic, sizeof magic) != 0)
                return -EIO;
        flags = input_bytes(&d->in)[sizeof magic];
        rc = flags & RESERVED ? -EIO : skip(d, HEADER);
        if (rc == 0 && (flags & EXTRA))
                rc = skip_extra(d);
        if (rc == 0 && (flags & NAME))
                rc = skip_text(d);
        if (rc == 0 && (flags & COMMENT))
                rc = skip_text(d);
        return rc == 0 && (flags & HEADER_CRC) ? skip(d, 2) : rc;
}

static int enter_member(struct decoder *d)
{
        isal_inflate_init(d->state);
        return skip_header(d);
}

static int next_member(struct decoder *d)
{
        int rc = skip_trailer(d);

        return rc < 0 ? rc : enter_member(d);
}

/*
 * Give it all input in one piece: each call of isal_inflate decodes at least the first 32 KiB into
 * its own buffer and copies them, and saves as much at the end.
 */
static int inflate_all(struct decoder *d)
{
        struct inflate_state *z = d->state;
        size_t done = 0;

        while (done < d->len) {
                size_t available, room = (size_t)min_u64(d->len - done, 1U << 30);
                int rc = input_want(&d->in, 1, NULL);

                available = rc < 0 ? 0 : (size_t)min_u64(input_available(&d->in), 1U << 30);
                if (available == 0)
                        return -EIO;
                z->next_in = (uint8_t *)input_bytes(&d->in);
                z->avail_in = (uint32_t)available;
                z->next_out = d->out + done;
                z->avail_out = (uint32_t)room;
                rc = isal_inflate(z);
                input_skip(&d->in, available - z->avail_in);
                done += room - z->avail_out;
                if (rc != ISAL_DECOMP_OK && rc != ISAL_END_INPUT)
                        return -EIO;
                if (z->block_state != ISAL_BLOCK_FINISH || done == d->len)
                        continue;
                rc = next_member(d);
                if (rc < 0)
                        return rc;
        }
        return 0;
}

int gzip_isal_decode(const struct restart_point *point, bool member, const void *history,
                     uint8_t *input, size_t size, void *out, size_t len)
{
        cleanup_free struct inflate_state *state = malloc(sizeof *state);
        struct decoder d = {.state = state, .out = out, .len = len};
        int rc;

        if (!state)
                return -ENOMEM;
        input_init_memory(&d.in, input, size, point->in_bit / 8);
        rc = member ? enter_member(&d)
                    : enter_block(&d, point->in_bit % 8, history, point->history_len);
        return rc < 0 ? rc : inflate_all(&d);
}

#endif
