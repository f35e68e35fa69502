/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/lzop/lzop_find.h"

#include <errno.h>
#include <stdlib.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/resync.h"

enum { NEED = 64 };

/*
 * Limits on decompressing to try candidates: so much at first, and so much for each byte searched.
 * A hostile file has a candidate at every other byte.
 */
#define TRIAL_FREE (UINT64_C(16) << 20)
#define TRIAL_RATE 4

struct search {
        const struct lzop_reader *member;
        uint32_t usual;
        uint64_t from;
        uint64_t tried;         /* bytes of output */
        unsigned char *scratch; /* USUAL bytes */
        uint64_t aux;
};

bool lzop_goes_on(struct source *in, uint64_t at, uint32_t usual, bool *last)
{
        unsigned char head[8];
        uint32_t out_len, in_len;

        if (source_pread(in, head, sizeof head, at) < 4)
                return false;
        out_len = load_be32(head);
        *last = out_len == 0;
        if (*last)
                return true;
        if (source_pread(in, head, sizeof head, at) < (ssize_t)sizeof head)
                return false;
        in_len = load_be32(head + 4);
        return out_len <= usual && in_len > 0 && in_len <= out_len;
}

/* Is there a member's header at byte AT, and is its checksum right? */
static bool is_member(const struct search *s, uint64_t at)
{
        struct lzop_reader r;
        bool is = lzop_reader_open(&r, s->member->in.source, at, UINT64_MAX, NULL) == 0 &&
                  lzop_next_member(&r, NULL) == 1;

        input_fini(&r.in);
        return is;
}

/* Is there a block at byte AT, with IN_LEN bytes of data? */
static bool is_block(struct search *s, uint64_t at, uint32_t in_len)
{
        const struct restart_point point = {.aux = lzop_aux(s->member)};
        uint64_t limit = at + LZOP_HEADER + in_len;
        struct lzop_reader r;
        bool is;

        s->tried += s->usual;
        is = lzop_reader_open(&r, s->member->in.source, at, limit, NULL) == 0 &&
             lzop_enter(&r, &point, NULL) == 0 && lzop_next_block(&r, NULL) == 1 &&
             lzop_decode_block(&r, s->scratch, NULL) == 0;
        input_fini(&r.in);
        return is;
}

static bool may_try(const struct search *s, uint64_t at)
{
        return s->tried + s->usual <= TRIAL_FREE + (at - s->from) * TRIAL_RATE;
}

static size_t find(void *ctx, const uint8_t *p, size_t n, uint64_t at)
{
        struct search *s = ctx;

        for (size_t i = 0; i + NEED <= n; i++) {
                uint32_t in_len = load_be32(p + i + 4);

                if (lzop_probe(p + i, NEED)) {
                        s->aux = 0;
                        if (may_try(s, at + i) && is_member(s, at + i))
                                return i;
                }
                if (load_be32(p + i) != s->usual || in_len == 0 || in_len > s->usual)
                        continue;
                s->aux = lzop_aux(s->member);
                if (may_try(s, at + i) && is_block(s, at + i, in_len))
                        return i;
        }
        return RESYNC_NONE;
}

int lzop_find(const struct lzop_reader *member, uint32_t usual, uint64_t from, uint64_t *at,
              uint64_t *aux)
{
        cleanup_free unsigned char *scratch = malloc(usual);
        struct search s = {.member = member, .usual = usual, .from = from, .scratch = scratch};
        int rc;

        if (!scratch)
                return -ENOMEM;
        rc = resync_search(member->in.source, from, NEED, find, &s, at);
        *aux = s.aux;
        return rc;
}
