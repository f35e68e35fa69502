/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifdef VMAFS_BZIP2

#include "archive/stream/bzip2/bzip2_find.h"

#include <errno.h>
#include <stdlib.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/stream/bzip2/bzip2_reader.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/resync.h"

enum { NEED = 16, SCRATCH = 64 << 10 };

/*
 * Limits on decoding to try candidates, in bytes of output: so much at first, and so much for each
 * byte searched. Of a hostile file every few bytes may look like a block.
 */
#define TRIAL_FREE (UINT64_C(64) << 20)
#define TRIAL_RATE 16
#define TRIAL_COST ((uint64_t)1 << 20) /* of a candidate, whatever comes of it */

struct search {
        const struct bzip2_reader *r;
        uint64_t from;  /* bit */
        uint64_t tried; /* bytes of output */
        uint8_t *scratch;
        uint64_t bit, aux;
};

/* Decode one block at bit BIT to its end. */
static bool is_sound(struct search *s, uint64_t bit, uint64_t aux)
{
        const struct restart_point point = {.in_bit = bit, .aux = aux};
        struct bzip2_reader r;
        ssize_t n = -1;

        s->tried += TRIAL_COST;
        if (bzip2_reader_open(&r, s->r->in.source, bit / 8, NULL) == 0 &&
            bzip2_enter(&r, &point, NULL) == 0 && bzip2_next_block(&r, NULL) == 1) {
                do {
                        n = bzip2_read_block(&r, s->scratch, SCRATCH, NULL);
                        s->tried += n > 0 ? (uint64_t)n : 0;
                } while (n > 0);
        }
        bzip2_reader_fini(&r);
        return n == 0;
}

static bool try_at(struct search *s, uint64_t bit, uint64_t aux)
{
        if (bit < s->from || s->tried > TRIAL_FREE + (bit - s->from) / 8 * TRIAL_RATE ||
            !is_sound(s, bit, aux))
                return false;
        s->bit = bit;
        s->aux = aux;
        return true;
}

static bool try_byte(struct search *s, const uint8_t *p, uint64_t at)
{
        uint64_t bits = load_be64(p);

        if (bzip2_probe(p, NEED) && try_at(s, at * 8, 0))
                return true;
        for (unsigned shift = 0; shift < 8; shift++)
                if (bits << shift >> 16 == BZIP2_BLOCK &&
                    try_at(s, at * 8 + shift, bzip2_aux(s->r)))
                        return true;
        return false;
}

static size_t find(void *ctx, const uint8_t *p, size_t n, uint64_t at)
{
        struct search *s = ctx;

        for (size_t i = 0; i + NEED <= n; i++)
                if (try_byte(s, p + i, at + i))
                        return i;
        return RESYNC_NONE;
}

int bzip2_find(const struct bzip2_reader *r, uint64_t from, uint64_t *bit, uint64_t *aux)
{
        cleanup_free uint8_t *scratch = malloc(SCRATCH);
        struct search s = {.r = r, .from = from, .scratch = scratch};
        uint64_t at;
        int rc = scratch ? resync_search(r->in.source, from / 8, NEED, find, &s, &at) : -ENOMEM;

        *bit = s.bit;
        *aux = s.aux;
        return rc;
}

#endif
