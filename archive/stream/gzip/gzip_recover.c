/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/gzip/gzip_recover.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ZLIB_CONST /* next_in points to const */
#include <zlib.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/stream/gzip/deflate_find.h"

enum {
        VIEW = 256 * 1024,
        CHUNK = 64 * 1024,
        RAW_BITS = -15,
        TRAILER = 8,
        PAGE = 4096,
        TREES_MAX = 640, /* bytes that a dynamic header fits in */

        WEIGHT_DYNAMIC = 32,
        WEIGHT_STORED = 16,
        PROOF = 128,
        PROOF_AT_END = 64,
        EMBEDDED_MAX = DEFLATE_STORED_MAX + 5, /* bytes of another stream in one piece */
        OWN_MAX = 1024,                        /* stored blocks in a proof */
        RIVAL_BLOCKS = 16,
        RIVAL_COST = 256,

        MEMBER_HEADER = 10,
};

/* How much junk to search at a time. */
#define SEARCH_MAX (UINT64_C(128) << 20)

/* How much work may be wasted, in bytes examined: at first, and for each byte searched. */
#define GRANT_FIRST (UINT64_C(64) << 20)
#define GRANT_BYTE  16

/* A sliding part of the file in memory. */
struct view {
        struct source *in;
        uint8_t *bytes;
        uint64_t at;
        size_t len;
        size_t next; /* how much to read next time: little at first, as that may be enough */
};

/* Decodes blocks with one or two made-up windows. */
struct decoder {
        struct view view;
        unsigned sides;
        z_stream z[2];
        bool open[2];
        uint8_t out[2][CHUNK];
        uint64_t pos;         /* byte of the file to feed next */
        uint64_t made;        /* bytes of output, on each side */
        uint64_t unknown_end; /* after the last byte in which the two sides differ */
        uint64_t work, work_max;
};

enum step { STEP_BLOCK, STEP_LAST, STEP_BROKEN };

/* Blocks from START on, each where the previous one ends. */
struct chain {
        uint64_t start; /* byte of the file */
        unsigned weight;
        unsigned far; /* the same, counting only headers beyond the reach of an embedded stream */
        unsigned strong; /* headers with any weight */
        bool proven;
        uint64_t own[OWN_MAX]; /* positions of its stored blocks' lengths */
        size_t own_count;

        /* The last boundary from which all output may be known. */
        uint64_t point_bit, point_out;
        uint8_t windows[2][GZIP_WINDOW];
};

struct gzip_searcher {
        struct gzip_recovery *account;
        struct view search, scan;
        struct decoder both, probe;
        struct chain chain;
        uint64_t no_member; /* none begins before this byte, from the first one searched on */
        uint8_t filler[2][GZIP_WINDOW];
};

/* ---- the file ---- */

static int view_init(struct view *v, struct source *in)
{
        *v = (struct view){.in = in, .bytes = malloc(VIEW), .next = PAGE};
        return v->bytes ? 0 : -ENOMEM;
}

/*
 * Set *P to the bytes from POS on, at least NEED (at most VIEW) if there are so many. Returns their
 * number; 0 also if they cannot be read.
 */
static size_t show(struct view *v, uint64_t pos, size_t need, const uint8_t **p)
{
        uint64_t size = v->in->size;

        *p = NULL;
        if (pos >= size)
                return 0;
        need = (size_t)min_u64(need, size - pos);
        if (pos < v->at || pos - v->at > v->len || v->len - (pos - v->at) < need) {
                size_t len = need > v->next ? need : v->next;
                ssize_t n = source_pread_partly(v->in, v->bytes, len, pos);

                v->next = (size_t)min_u64(2 * (uint64_t)len, VIEW);
                v->at = pos;
                v->len = n > 0 ? (size_t)n : 0;
        }
        *p = v->bytes + (pos - v->at);
        return v->len - (size_t)(pos - v->at);
}

/* ---- decoding ---- */

static int decoder_init(struct decoder *d, struct source *in, unsigned sides)
{
        int rc = view_init(&d->view, in);

        d->sides = sides;
        for (unsigned i = 0; i < sides && rc == 0; i++) {
                d->open[i] = inflateInit2(&d->z[i], RAW_BITS) == Z_OK;
                rc = d->open[i] ? 0 : -ENOMEM;
        }
        return rc;
}

static void decoder_fini(struct decoder *d)
{
        for (unsigned i = 0; i < d->sides; i++)
                if (d->open[i])
                        inflateEnd(&d->z[i]);
        free(d->view.bytes);
}

/* Go to bit BIT of the file. False: it cannot be read, or out of memory. */
static bool enter(struct gzip_searcher *r, struct decoder *d, uint64_t bit)
{
        unsigned within = bit % 8;
        const uint8_t *p;

        d->pos = bit / 8 + (within > 0);
        d->made = d->unknown_end = d->work = 0;
        if (show(&d->view, bit / 8, 1, &p) == 0)
                return false;
        for (unsigned i = 0; i < d->sides; i++) {
                inflateReset2(&d->z[i], RAW_BITS);
                if (within)
                        inflatePrime(&d->z[i], (int)(8 - within), *p >> within);
                if (inflateSetDictionary(&d->z[i], r->filler[i], GZIP_WINDOW) != Z_OK)
                        return false;
        }
        return true;
}

/* The bit of the file at which the next block begins, right after enter or STEP_BLOCK. */
static uint64_t boundary(const struct decoder *d)
{
        return d->pos * 8 - ((unsigned)d->z[0].data_type & 7);
}

/* Compare the output of both sides, MADE bytes. */
static void note_unknown(struct decoder *d, size_t made)
{
        size_t n = made;

        if (d->sides < 2 || memcmp(d->out[0], d->out[1], made) == 0)
                return;
        while (d->out[0][n - 1] == d->out[1][n - 1])
                n--;
        d->unknown_end = d->made + n;
}

static enum step decode_block(struct decoder *d)
{
        while (d->work <= d->work_max) {
                const uint8_t *bytes;
                size_t n = (size_t)min_u64(show(&d->view, d->pos, 1, &bytes), CHUNK), made;
                int rc[2] = {0};

                if (n == 0)
                        return STEP_BROKEN;
                for (unsigned i = 0; i < d->sides; i++) {
                        d->z[i].next_in = bytes;
                        d->z[i].avail_in = (uInt)n;
                        d->z[i].next_out = d->out[i];
                        d->z[i].avail_out = CHUNK;
                        rc[i] = inflate(&d->z[i], Z_BLOCK);
                }
                if (d->sides == 2 && (rc[0] != rc[1] || d->z[0].avail_in != d->z[1].avail_in ||
                                      d->z[0].avail_out != d->z[1].avail_out))
                        return STEP_BROKEN;
                made = CHUNK - d->z[0].avail_out;
                note_unknown(d, made);
                d->made += made;
                d->pos += n - d->z[0].avail_in;
                d->work += n - d->z[0].avail_in + made / 16;
                if (rc[0] == Z_STREAM_END)
                        return STEP_LAST;
                if (rc[0] != Z_OK)
                        return STEP_BROKEN;
                /* 128: a block ended; 64: it was the member's last one. */
                if ((d->z[0].data_type & (128 | 64)) == 128)
                        return STEP_BLOCK;
        }
        return STEP_BROKEN;
}

/* Does the member, which has reached STEP_LAST, end with the file? */
static bool is_at_end(const struct decoder *d)
{
        return d->pos + TRAILER == d->view.in->size;
}

/* ---- headers ---- */

/* Is there a header at bit BIT that decodes up to its block's data? */
static bool has_trees(struct gzip_searcher *r, uint64_t bit)
{
        struct decoder *d = &r->probe;
        z_stream *z = &d->z[0];
        unsigned within = bit % 8;
        const uint8_t *p;
        size_t n = (size_t)min_u64(show(&d->view, bit / 8, TREES_MAX, &p), TREES_MAX);

        if (n < 2)
                return false;
        inflateReset2(z, RAW_BITS);
        if (within)
                inflatePrime(z, (int)(8 - within), *p >> within);
        z->next_in = p + (within > 0);
        z->avail_in = (uInt)(n - (within > 0));
        z->next_out = d->out[0];
        z->avail_out = CHUNK;
        return inflate(z, Z_TREES) == Z_OK && (z->data_type & 256);
}

/* What stands at bit BIT. False: the file ends. */
static bool header_at(struct view *v, uint64_t bit, struct deflate_header *h)
{
        const uint8_t *p;

        if (show(v, bit / 8, 2, &p) < 2)
                return false;
        *h = deflate_header(p, bit % 8);
        return true;
}

/* Where the lengths of a stored block with a header at bit BIT are. */
static uint64_t lengths_at(uint64_t bit)
{
        return (bit + DEFLATE_BITS + 7) / 8;
}

static bool is_stored_at(struct view *v, uint64_t lengths)
{
        const uint8_t *p;

        return show(v, lengths - 1, 1 + DEFLATE_LENGTHS, &p) >= 1 + DEFLATE_LENGTHS &&
               deflate_is_stored(p + 1);
}

/* ---- rivals ---- */

static bool is_own(const struct chain *c, uint64_t lengths)
{
        size_t i = search_first(c->own_count, m, c->own[m] >= lengths);

        return i < c->own_count && c->own[i] == lengths;
}

/* Do blocks follow the stored one whose lengths are at byte LENGTHS? */
static bool leads_on(struct gzip_searcher *r, uint64_t lengths)
{
        struct decoder *d = &r->probe;
        struct deflate_header h;
        const uint8_t *p;
        uint64_t bit;

        if (show(&d->view, lengths, DEFLATE_LENGTHS, &p) < DEFLATE_LENGTHS)
                return false;
        bit = (lengths + DEFLATE_LENGTHS + load_le16(p)) * 8;
        for (int i = 0; i < RIVAL_BLOCKS; i++) {
                enum step step;

                if (!header_at(&d->view, bit, &h) || h.kind == DEFLATE_RESERVED)
                        return false;
                if (!h.last && h.kind == DEFLATE_STORED)
                        return is_stored_at(&d->view, lengths_at(bit));
                if (!h.last && h.kind == DEFLATE_DYNAMIC)
                        return has_trees(r, bit);
                if (!enter(r, d, bit))
                        return false;
                d->work_max = VIEW;
                step = decode_block(d);
                r->account->spent += d->work;
                if (step != STEP_BLOCK)
                        return step == STEP_LAST && is_at_end(d);
                bit = boundary(d);
        }
        return true;
}

/*
 * A rival of the chain before byte END, at which the chain has otherwise proven itself: its bit, or
 * 0.
 */
static uint64_t find_rival(struct gzip_searcher *r, uint64_t end)
{
        for (uint64_t pos = r->chain.start; pos < end;) {
                const uint8_t *p;
                size_t n = show(&r->scan, pos, 1 + DEFLATE_LENGTHS, &p), i = 1;

                if (n < 1 + DEFLATE_LENGTHS)
                        return 0;
                for (; i + DEFLATE_LENGTHS <= n && pos + i < end; i++) {
                        if (!deflate_is_stored(p + i) || is_own(&r->chain, pos + i))
                                continue;
                        r->account->spent += RIVAL_COST;
                        if (leads_on(r, pos + i))
                                return (pos + i) * 8 - DEFLATE_BITS;
                }
                pos += i;
                pos -= pos < end;
        }
        return 0;
}

/* ---- the chain ---- */

/* The weight of the header at bit BIT, which begins a block of the chain. */
static unsigned weigh(struct gzip_searcher *r, uint64_t bit)
{
        struct chain *c = &r->chain;
        struct deflate_header h;

        if (!header_at(&r->both.view, bit, &h))
                return 0;
        if (h.kind == DEFLATE_STORED && !c->proven) {
                if (c->own_count == OWN_MAX)
                        return 0;
                c->own[c->own_count++] = lengths_at(bit);
        }
        return h.kind == DEFLATE_DYNAMIC  ? WEIGHT_DYNAMIC
               : h.kind == DEFLATE_STORED ? WEIGHT_STORED
                                          : 0;
}

/* All output from here on may be known. */
static void note_point(struct gzip_searcher *r, uint64_t bit)
{
        struct chain *c = &r->chain;
        uInt len;

        c->point_bit = bit;
        c->point_out = r->both.made;
        for (unsigned i = 0; i < 2; i++)
                inflateGetDictionary(&r->both.z[i], c->windows[i], &len);
}

static bool is_known(const struct gzip_searcher *r)
{
        return r->chain.point_out >= r->both.unknown_end;
}

/* The chain has come to a boundary, STEP, after a header that weighs WEIGHT and began at BIT. */
static void add_weight(struct chain *c, unsigned weight, uint64_t bit)
{
        c->weight += weight;
        c->strong += weight > 0;
        if (bit / 8 >= c->start + EMBEDDED_MAX)
                c->far += weight;
}

/* Has the chain proven itself at byte END? *RIVAL is the bit of a rival, or 0. */
static bool prove(struct gzip_searcher *r, bool last, uint64_t end, uint64_t *rival)
{
        struct chain *c = &r->chain;

        *rival = 0;
        if (c->proven)
                return true;
        if (last ? c->weight < PROOF_AT_END || !is_at_end(&r->both) : c->far < PROOF)
                return false;
        if (c->own_count < OWN_MAX)
                *rival = find_rival(r, end);
        c->proven = c->own_count < OWN_MAX && *rival == 0;
        return c->proven;
}

/*
 * Follow the blocks from bit BIT on. True: everything after the point is known and proven.
 * Otherwise *NEXT is the bit from which to search.
 */
static bool follow(struct gzip_searcher *r, uint64_t bit, uint64_t *next)
{
        struct decoder *d = &r->both;
        struct chain *c = &r->chain;
        uint64_t here = bit, rival = 0;
        bool found = false;

        *c = (struct chain){.start = bit / 8};
        *next = bit + 1;
        if (!enter(r, d, bit))
                return false;
        for (;;) {
                unsigned weight = weigh(r, here);
                enum step step;

                if (here == bit || !is_known(r))
                        note_point(r, here);
                d->work_max =
                    c->proven ? UINT64_MAX : r->account->granted - r->account->spent + d->work;
                step = decode_block(d);
                if (step == STEP_BROKEN)
                        break;
                add_weight(c, weight, here);
                here = boundary(d);
                if (prove(r, step == STEP_LAST, d->pos, &rival))
                        found = is_known(r) &&
                                (step == STEP_LAST || d->made - c->point_out >= GZIP_WINDOW);
                if (found || rival || step == STEP_LAST)
                        break;
        }
        if (!c->proven)
                r->account->spent += d->work;
        /* Any block of a chain that breaks later would lead to the same place. */
        if (rival)
                *next = max_u64(rival, bit + 1);
        else if (c->strong > 1)
                *next = max_u64(here, bit) + 1;
        return found;
}

/* ---- the search ---- */

/* Where in the N bytes at P a further member begins; N if nowhere. */
static size_t find_member(const uint8_t *p, size_t n)
{
        static const uint8_t magic[] = {0x1f, 0x8b, 0x08};
        const uint8_t *first = p, *end = p + n;

        while (end - p >= MEMBER_HEADER) {
                p = memmem(p, (size_t)(end - p), magic, sizeof magic);
                if (!p || end - p < MEMBER_HEADER)
                        break;
                /* Reserved flags; what was set of extra flags; a known system. */
                if ((p[3] & 0xe0) == 0 && (p[8] & ~6) == 0 && (p[9] <= 13 || p[9] == 255))
                        return (size_t)(p - first);
                p++;
        }
        return n;
}

/*
 * The same for the N bytes at P, which are at byte POS of the file. POS never decreases, and no
 * byte is looked at twice, however often a block is found in them.
 */
static size_t next_member(struct gzip_searcher *r, const uint8_t *p, size_t n, uint64_t pos)
{
        size_t known = (size_t)min_u64(r->no_member - min_u64(r->no_member, pos), n);
        size_t at = known + find_member(p + known, n - known);

        if (at < n)
                r->no_member = pos + at;
        else if (n >= MEMBER_HEADER)
                r->no_member = max_u64(r->no_member, pos + n - (MEMBER_HEADER - 1));
        return at;
}

/* Charge the work to the bytes searched. */
static void grant(struct gzip_recovery *a, uint64_t from, uint64_t to)
{
        a->granted += (to - min_u64(from, to)) * GRANT_BYTE;
        a->searched = max_u64(a->searched, to);
}

/*
 * Find the next bit at or after *BIT at which a block may begin. False: there is none, or a member
 * comes first.
 */
static bool find_block(struct gzip_searcher *r, uint64_t *bit, uint64_t end)
{
        while (*bit / 8 < end && r->account->spent < r->account->granted) {
                uint64_t pos = *bit / 8, hit;
                const uint8_t *p;
                size_t n = show(&r->search, pos, DEFLATE_NEED, &p), member, seen;

                if (n < DEFLATE_NEED && range_within(pos, DEFLATE_NEED, r->search.in->size)) {
                        /* It cannot be read. */
                        *bit = (pos / PAGE + 1) * PAGE * 8;
                        continue;
                }
                if (n < DEFLATE_NEED)
                        return false;
                /*
                 * What follows a member's header is not searched: there may be very many members.
                 */
                member = next_member(r, p, n, pos);
                n = (size_t)min_u64(n, member + DEFLATE_NEED);
                hit = deflate_find(p, n, *bit % 8);
                seen = hit == UINT64_MAX ? n - DEFLATE_NEED + 1 : (size_t)(hit / 8);
                if (member < seen)
                        return false;
                grant(r->account, max_u64(r->account->searched, pos), pos + seen);
                *bit = (pos + seen) * 8;
                if (hit == UINT64_MAX)
                        continue;
                *bit = pos * 8 + hit;
                return true;
        }
        return false;
}

/* Make what decodes, when there is something to decode: most of many damaged members need none. */
static int make_decoders(struct gzip_searcher *r)
{
        int rc = 0;

        if (r->both.sides)
                return 0;
        memset(r->filler[1], 0xff, GZIP_WINDOW);
        rc = decoder_init(&r->both, r->search.in, 2);
        if (rc == 0)
                rc = decoder_init(&r->probe, r->search.in, 1);
        return rc < 0 ? rc : view_init(&r->scan, r->search.in);
}

/* 1: found; 0; -ENOMEM. */
static int search(struct gzip_searcher *r, uint64_t from)
{
        uint64_t bit = from * 8, next, end = from + min_u64(SEARCH_MAX, UINT64_MAX / 16 - from);
        struct deflate_header h;

        while (find_block(r, &bit, end)) {
                int rc = make_decoders(r);

                if (rc < 0)
                        return rc;
                if (!header_at(&r->probe.view, bit, &h))
                        return 0;
                next = bit + 1;
                if ((h.kind == DEFLATE_STORED || has_trees(r, bit)) && follow(r, bit, &next))
                        return 1;
                bit = next;
        }
        return 0;
}

static void searcher_free(struct gzip_searcher *r)
{
        if (!r)
                return;
        decoder_fini(&r->both);
        decoder_fini(&r->probe);
        free(r->search.bytes);
        free(r->scan.bytes);
        free(r);
}

void gzip_recovery_fini(struct gzip_recovery *r)
{
        searcher_free(r->searcher);
        r->searcher = NULL;
}

/* Nothing of what was read before counts: the file may have changed. */
static void forget(struct view *v)
{
        v->at = v->len = 0;
        v->next = PAGE;
}

/* A million members may be damaged, so the memory is kept from one to the next. */
static int prepare(struct gzip_recovery *account, struct source *in)
{
        struct gzip_searcher *r = account->searcher;

        if (r && r->search.in != in) {
                gzip_recovery_fini(account);
                r = NULL;
        }
        if (!r) {
                r = calloc(1, sizeof *r);
                if (!r || view_init(&r->search, in) < 0) {
                        searcher_free(r);
                        return -ENOMEM;
                }
                r->account = account;
                account->searcher = r;
        }
        forget(&r->search);
        forget(&r->scan);
        forget(&r->both.view);
        forget(&r->probe.view);
        r->no_member = 0;
        return 0;
}

/* Copy the known part of the window before the point. Returns how much of it is needed. */
static uint32_t gather(const struct chain *c, unsigned char *window)
{
        bool any = false;

        for (size_t i = 0; i < GZIP_WINDOW; i++) {
                bool known = c->windows[0][i] == c->windows[1][i];

                window[i] = known ? c->windows[0][i] : 0;
                any |= known;
        }
        return any ? GZIP_WINDOW : 0;
}

int gzip_recover_from(struct gzip_recovery *account, struct source *in, uint64_t from,
                      uint64_t *bit, unsigned char *window, uint32_t *len)
{
        int rc = prepare(account, in);
        struct gzip_searcher *r = account->searcher;

        if (rc < 0)
                return rc;
        if (account->granted == 0)
                account->granted = GRANT_FIRST;
        rc = search(r, max_u64(from, account->searched));
        if (rc < 0)
                gzip_recovery_fini(account);
        if (rc <= 0)
                return rc;
        account->searched = max_u64(account->searched, r->both.pos);
        *bit = r->chain.point_bit;
        *len = gather(&r->chain, window);
        return 1;
}
