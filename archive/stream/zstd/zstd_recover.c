/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/zstd/zstd_recover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/stream/zstd/zstd_ahead.h"
#include "archive/stream/zstd/zstd_frame.h"
#include "archive/stream/zstd/zstd_parse.h"
#include "archive/stream/zstd/zstd_pass.h"

/*
 * Three random bytes are a possible block header with a chance of one in twenty. So many in a row,
 * each where the previous one says, are a chain of blocks, unless the frame ends earlier.
 */
#define CHAIN 16
/* How much junk to search for a chain. */
#define SEARCH_MAX (UINT64_C(256) << 20)
/* Of the window: boundaries that refer further back are not worth the time. */
#define REACH_PART 2

/* One of the two decodings. */
struct side {
        ZSTD_DCtx *dctx;
        uint8_t *filler; /* the made-up history, a window of it */
        uint8_t *recent; /* a ring: the last window of output */
        uint8_t block[ZSTD_PARSE_BLOCK_MAX];
};

struct recovery {
        struct zstd_pass *z;
        struct zstd_input *in;
        uint64_t window;
        uint64_t out; /* both sides' output so far */
        bool decoding;
        struct side sides[2];
};

/* ---- the chain ---- */

static bool is_plausible(const struct zstd_block_header *h)
{
        bool empty = h->type == ZSTD_BLOCK_RAW && h->size == 0;

        return h->type != ZSTD_BLOCK_RESERVED && h->size <= ZSTD_PARSE_BLOCK_MAX &&
               (!empty || h->last);
}

/* After a last block: the frame's checksum, and then the file's end or another frame. */
static bool ends_well(struct recovery *r, size_t at)
{
        struct zstd_frame frame;
        uint8_t *bytes;
        ssize_t n;

        at += r->z->frame.checksum ? ZSTD_FRAME_CHECKSUM : 0;
        n = zstd_input_want(r->in, at + ZSTD_FRAME_HEADER_MAX, &bytes, NULL);
        if (n < 0 || (size_t)n < at)
                return false;
        return (size_t)n == at ||
               zstd_frame_parse(bytes + at, (size_t)n - at, &frame) != ZSTD_FRAME_FOREIGN;
}

/* Do blocks begin AT bytes ahead? */
static bool is_chain(struct recovery *r, size_t at)
{
        for (unsigned i = 0; i < CHAIN; i++) {
                struct zstd_block_header header;
                const uint8_t *content;

                if (zstd_ahead_block(r->in, at, &header, &content, NULL) <= 0 ||
                    !is_plausible(&header))
                        return false;
                at += ZSTD_BLOCK_HEADER_SIZE + (size_t)header.content;
                if (header.last)
                        return ends_well(r, at);
        }
        return true;
}

/* The header of the damaged block may be sound, and then says where the next one is. */
static bool skip_failed(struct recovery *r)
{
        struct zstd_block_header header;
        const uint8_t *content;
        size_t len;

        if (zstd_ahead_block(r->in, 0, &header, &content, NULL) <= 0 || !is_plausible(&header) ||
            header.last)
                return false;
        len = ZSTD_BLOCK_HEADER_SIZE + (size_t)header.content;
        if (!is_chain(r, len))
                return false;
        zstd_input_skip(r->in, len);
        return true;
}

/* Does another frame begin here? Its blocks do not belong to this one. */
static bool frame_begins(const uint8_t *bytes, size_t n)
{
        struct zstd_frame frame;

        return zstd_frame_parse(bytes, n, &frame) == ZSTD_FRAME_DATA && !frame.reserved;
}

/* Move to where blocks begin again, past this byte. False: nowhere. */
static bool find_chain(struct recovery *r)
{
        uint64_t end = r->in->pos + SEARCH_MAX;

        if (skip_failed(r))
                return true;
        while (r->in->pos < end) {
                struct zstd_block_header header;
                uint8_t *bytes;
                ssize_t n;

                zstd_input_skip(r->in, 1);
                n = zstd_input_want(r->in, ZSTD_FRAME_HEADER_MAX, &bytes, NULL);
                if (n < ZSTD_BLOCK_HEADER_SIZE || frame_begins(bytes, (size_t)n))
                        return false;
                header = zstd_block_header(bytes);
                if (is_plausible(&header) && is_chain(r, 0))
                        return true;
        }
        return false;
}

/* ---- the two sides ---- */

static int side_init(struct side *s, uint64_t window, uint8_t fill)
{
        s->dctx = zstd_new_context();
        s->filler = malloc(window);
        s->recent = malloc(window);
        if (!s->dctx || !s->filler || !s->recent)
                return -ENOMEM;
        memset(s->filler, fill, window);
        return 0;
}

static void recover_fini(struct recovery *r)
{
        for (size_t i = 0; i < 2; i++) {
                ZSTD_freeDCtx(r->sides[i].dctx);
                free(r->sides[i].filler);
                free(r->sides[i].recent);
        }
        free(r);
}

static void cleanup_recovery_fn(struct recovery **r)
{
        if (*r)
                recover_fini(*r);
}

static int feed(struct side *s, const uint8_t *bytes, size_t len, size_t *made)
{
        ZSTD_inBuffer in = {.src = bytes, .size = len};
        ZSTD_outBuffer out = {.dst = s->block, .size = sizeof s->block};

        while (in.pos < in.size) {
                size_t in_before = in.pos, out_before = out.pos;
                size_t rc = ZSTD_decompressStream(s->dctx, &out, &in);

                if (ZSTD_isError(rc) || (in.pos == in_before && out.pos == out_before))
                        return -EIO;
        }
        *made = out.pos;
        return 0;
}

/* Begin to decode at the current boundary. */
static int begin(struct recovery *r)
{
        uint8_t standin[ZSTD_FRAME_STANDIN_SIZE];
        size_t none;
        int rc = 0;

        zstd_frame_standin(standin, r->z->frame.descriptor);
        for (size_t i = 0; i < 2 && rc == 0; i++) {
                struct side *s = &r->sides[i];

                ZSTD_DCtx_reset(s->dctx, ZSTD_reset_session_only);
                ZSTD_DCtx_refPrefix(s->dctx, s->filler, r->window);
                rc = feed(s, standin, sizeof standin, &none);
        }
        r->decoding = rc == 0;
        r->out = 0;
        return rc;
}

static void remember(struct side *s, uint64_t window, uint64_t out, size_t len)
{
        for (size_t done = 0; done < len;) {
                size_t at = (size_t)((out + done) % window);
                size_t n = (size_t)min_u64(len - done, window - at);

                memcpy(s->recent + at, s->block + done, n);
                done += n;
        }
}

/* Decode the current block, of SIZE bytes with its header, on both sides. */
static int decode(struct recovery *r, size_t size)
{
        uint8_t *bytes;
        size_t made[2];
        int rc = 0;

        if (zstd_input_want(r->in, size, &bytes, NULL) < (ssize_t)size)
                return -EIO;
        for (size_t i = 0; i < 2 && rc == 0; i++)
                rc = feed(&r->sides[i], bytes, size, &made[i]);
        if (rc < 0 || made[0] != made[1])
                return -EIO;
        for (size_t i = 0; i < 2; i++)
                remember(&r->sides[i], r->window, r->out, made[i]);
        r->out += made[0];
        return 0;
}

/* ---- boundaries ---- */

/*
 * Copy what the current boundary refers to, by PARSE, to the end of a history of REACH bytes.
 * False: a part of it is unknown.
 */
static bool gather(const struct recovery *r, const struct zstd_parse *parse, uint8_t *history,
                   uint32_t reach)
{
        const uint8_t *a = r->sides[0].recent, *b = r->sides[1].recent;
        uint32_t back = reach, len;

        if (!history)
                return reach == 0;
        if (reach > r->out || reach > r->window)
                return false;
        while (zstd_parse_next(parse, &back, &len)) {
                for (uint32_t i = 0; i < len; i++) {
                        size_t at = (size_t)((r->out - back + i) % r->window);

                        if (a[at] != b[at])
                                return false;
                        history[reach - back + i] = a[at];
                }
                back -= len;
        }
        return true;
}

/* Can the current boundary be entered with what is known? 1, 0, -ENOMEM. */
static int try_boundary(struct recovery *r, void **history, uint32_t *len)
{
        struct zstd_pass *z = r->z;
        cleanup_free uint8_t *bytes = NULL;
        uint64_t work;
        uint32_t reach;

        if (zstd_ahead_judge(r->in, 0, r->window / REACH_PART, z->parse, &work, NULL) <= 0)
                return 0;
        reach = zstd_parse_reach(z->parse);
        if (reach > 0) {
                bytes = calloc(1, reach);
                if (!bytes)
                        return -ENOMEM;
        }
        if ((!r->decoding && reach > 0) || !gather(r, z->parse, bytes, reach)) {
                /* Not yet, but from here on it can be determined what is known. */
                return r->decoding || begin(r) == 0 ? 0 : -ENOMEM;
        }
        *history = steal_ptr(&bytes);
        *len = reach;
        return 1;
}

/* Go from block to block until a boundary can be entered. 1; 0: the chain has ended; -errno. */
static int follow_chain(struct recovery *r, void **history, uint32_t *len, bool *frame_ended)
{
        for (;;) {
                struct zstd_block_header header;
                const uint8_t *content;
                size_t size;
                int rc;

                if (zstd_ahead_block(r->in, 0, &header, &content, NULL) <= 0 ||
                    !is_plausible(&header))
                        return 0;
                rc = try_boundary(r, history, len);
                if (rc != 0)
                        return rc;
                size = ZSTD_BLOCK_HEADER_SIZE + (size_t)header.content;
                if (r->decoding && decode(r, size) < 0)
                        return 0;
                zstd_input_skip(r->in, size);
                *frame_ended = header.last;
                if (header.last)
                        return 0;
        }
}

int zstd_recover_from(struct zstd_pass *z, void **history, uint32_t *len)
{
        __attribute__((cleanup(cleanup_recovery_fn))) struct recovery *r = calloc(1, sizeof *r);
        bool frame_ended = false;
        int rc;

        if (!r)
                return -ENOMEM;
        r->z = z;
        r->in = &z->input;
        r->window = z->frame.window;
        rc = side_init(&r->sides[0], r->window, 0x00);
        if (rc == 0)
                rc = side_init(&r->sides[1], r->window, 0xff);
        if (rc == 0)
                rc = zstd_ahead_parser(&z->parse, r->window);
        if (rc < 0)
                return rc == -EOVERFLOW ? 0 : rc;
        /* Damage may come more than once. */
        while (!frame_ended && find_chain(r)) {
                r->decoding = false;
                rc = follow_chain(r, history, len, &frame_ended);
                if (rc != 0)
                        return rc;
        }
        return 0;
}
