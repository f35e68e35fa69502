/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/gzip_isal.h"

#ifdef VMAFS_ISAL

#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/input.h"
#include "archive/restart.h"

#define CHUNK   ((size_t)256 << 10)
#define TRAILER 8 /* CRC-32 and length */
#define MAGIC   3

struct decoder {
        struct input in;
        struct inflate_state *state;
        uint8_t *out;
        size_t len;
};

/* Into the middle of a byte, with what the blocks from there on refer to. */
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

/* What ISA-L has taken in already of what follows the member's blocks is part of the trailer. */
static int skip_trailer(struct decoder *d)
{
        size_t taken = (size_t)d->state->read_in_length / 8;
        int rc;

        if (taken > TRAILER)
                return -EIO;
        rc = input_want(&d->in, TRAILER - taken, NULL);
        if (rc < 0 || input_available(&d->in) < TRAILER - taken)
                return -EIO;
        input_skip(&d->in, TRAILER - taken);
        return 0;
}

/* At a header: from here on ISA-L reads it, and checks the trailer. */
static int enter_member(struct decoder *d)
{
        static const uint8_t magic[MAGIC] = {0x1f, 0x8b, 0x08};
        int rc = input_want(&d->in, MAGIC, NULL);

        if (rc < 0 || input_available(&d->in) < MAGIC ||
            memcmp(input_bytes(&d->in), magic, MAGIC) != 0)
                return -EIO;
        isal_inflate_init(d->state);
        d->state->crc_flag = ISAL_GZIP;
        return 0;
}

static int next_member(struct decoder *d)
{
        if (d->state->crc_flag != ISAL_GZIP) {
                int rc = skip_trailer(d);

                if (rc < 0)
                        return rc;
        }
        return enter_member(d);
}

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

int gzip_isal_segment(struct source *in, const struct restart_point *point, bool member,
                      const void *history, uint64_t in_end, void *out, size_t len)
{
        cleanup_free struct inflate_state *state = malloc(sizeof *state);
        struct decoder d = {.state = state, .out = out, .len = len};
        int rc;

        if (!state)
                return -ENOMEM;
        rc = input_init(&d.in, in, point->in_bit / 8, in_end / 8 + (in_end % 8 != 0), CHUNK, NULL);
        if (rc == 0)
                rc = member ? enter_member(&d)
                            : enter_block(&d, point->in_bit % 8, history, point->history_len);
        if (rc == 0)
                rc = inflate_all(&d);
        input_fini(&d.in);
        return rc;
}

#endif
