/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk in a tar may itself hold tars, whose headers are as valid as the archive's. Where the
 * headers lead tells them apart: those of the archive lead from one to the next up to the archive's
 * end, those of an inner tar only up to the end of that tar.
 */
#include "archive/tarfile/tar_resync.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/tarfile/tar_member.h"

enum {
        WINDOW = 256 * 1024,
        CHAIN_MAX = 8192,      /* headers that are followed */
        PADDING_MAX = 1 << 20, /* bytes after an end mark that are looked at */
        END_MARK = 2 * TAR_BLOCK,
        RECORD = 10240, /* what most tars are padded to a multiple of */
};

/* Bytes to search backwards for a header that a cut has moved there. */
#define BACK_MAX (UINT64_C(64) << 20)
/* The same if only zeros follow, as at the end of every sound tar. */
#define BACK_AT_END (UINT64_C(128) << 10)
/* Bytes to search for a header after what is probably the end mark. */
#define AFTER_END_MAX (UINT64_C(64) << 20)

struct search {
        struct tar_reader *r;
        uint64_t place;    /* at which there should be a header */
        uint64_t fallback; /* the first header that leads to others, but not to the end; 0: none */
        unsigned char *window;
};

/* ---- following ---- */

static struct tar_reader follower(const struct tar_reader *r, uint64_t at)
{
        return (struct tar_reader){.source = r->source,
                                   .pos = at,
                                   .end = r->end,
                                   .data = at,
                                   .all = r->all,
                                   .follows = true};
}

/* Is all from byte AT on padding? 1, 0, -errno. */
static int only_padding(struct tar_reader *r, uint64_t at, struct error *err)
{
        unsigned char block[TAR_BLOCK];

        for (uint64_t end = at + PADDING_MAX; at < end; at += sizeof block) {
                int rc = tar_fetch(r, block, sizeof block, at, err);

                if (rc <= 0)
                        return rc < 0 ? rc : !r->broken;
                if (!tar_is_zero(block))
                        return 0;
        }
        return 1;
}

/* Where the headers from a certain one on lead. */
struct lead {
        uint64_t stop; /* where the next one should be */
        uint64_t next; /* where to search for headers that are not among them */
        bool cut;      /* there is no header at STOP, or the stream has ended before it */
};

/*
 * Follow the headers from AT on. 1: they lead to the archive's end; 0: they do not, or not past
 * byte PAST; -errno.
 */
static int follow(struct search *s, uint64_t at, uint64_t past, struct lead *out, struct error *err)
{
        struct tar_reader f = follower(s->r, at);
        int rc = 1;

        for (unsigned i = 0; rc > 0 && i < CHAIN_MAX; i++) {
                struct tar_member m;

                rc = tar_next(&f, &m, err);
                if (rc > 0)
                        tar_member_fini(&m);
        }
        out->stop = max_u64(f.pos, at + TAR_BLOCK);
        out->cut = f.broken || out->stop >= round_up(f.end, TAR_BLOCK) + TAR_BLOCK;
        /* Where something was cut out, the size in the last header may be wrong. */
        out->next = out->cut ? max_u64(f.data, at + TAR_BLOCK) : out->stop;
        s->r->end = max_u64(s->r->end, f.end);
        if (rc < 0)
                return rc;
        if (rc > 0 || out->cut || out->stop <= past)
                return 0;
        return only_padding(&f, f.pos, err);
}

/* ---- searching ---- */

/* The first header in the N bytes at s->window, which lie at byte AT, from FROM on; N: none. */
static size_t first_header(const struct search *s, uint64_t at, size_t from, size_t n)
{
        const unsigned char *w = s->window;
        size_t aligned = from + (size_t)((s->place - (at + from)) % TAR_BLOCK), found = n;

        for (; aligned + TAR_BLOCK <= n && found == n; aligned += TAR_BLOCK)
                if (tar_is_header(w + aligned, TAR_BLOCK))
                        found = aligned;
        /* A header with a magic is accepted at any byte. */
        for (size_t i = from; i + TAR_BLOCK <= n && i < found;) {
                const unsigned char *magic = memmem(w + i + AT_MAGIC, n - i - AT_MAGIC, "ustar", 5);

                if (!magic)
                        break;
                i = (size_t)(magic - w) - AT_MAGIC;
                if (i + TAR_BLOCK <= n && i < found && tar_is_header(w + i, TAR_BLOCK))
                        return i;
                i++;
        }
        return found;
}

/*
 * Search the N bytes at s->window, which lie at byte FROM. 1 and *FOUND; 0 and *NEXT, where to go
 * on; -errno.
 */
static int search_window(struct search *s, uint64_t from, size_t n, uint64_t past, uint64_t *found,
                         uint64_t *next, struct error *err)
{
        size_t at = 0;

        while ((at = first_header(s, from, at, n)) < n) {
                struct lead lead;
                int rc = follow(s, from + at, past, &lead, err);

                *found = from + at;
                if (rc != 0)
                        return rc;
                if (lead.cut && !s->fallback && lead.stop > past)
                        s->fallback = *found;
                /* The headers that were followed lead no further. */
                *next = lead.next;
                if (lead.next - from >= n)
                        return 0;
                at = (size_t)(lead.next - from);
        }
        *next = source_next_window(from, (ssize_t)n, TAR_BLOCK);
        return 0;
}

/* The first header from FROM on, before END, that leads to the archive's end. 1, 0, -errno. */
static int search(struct search *s, uint64_t from, uint64_t end, uint64_t past, uint64_t *found,
                  struct error *err)
{
        struct tar_reader f = follower(s->r, from);
        int rc = 0;

        while (rc == 0 && from < end) {
                /* Including the last header that begins before END, excluding one at END. */
                size_t want = (size_t)min_u64(WINDOW, end - from + TAR_BLOCK - 1);
                ssize_t n;

                rc = tar_reach(&f, from + want, err);
                if (rc < 0)
                        return rc;
                n = source_pread_partly(f.source, s->window, want, from);
                s->r->end = max_u64(s->r->end, f.end);
                if (n < 0 && n != -EIO)
                        return (int)n;
                if (n == 0 || (f.broken && n < 0))
                        return 0;
                if (n < 0)
                        from = source_next_window(from, n, TAR_BLOCK);
                else
                        rc = search_window(s, from, (size_t)n, past, found, &from, err);
        }
        return rc;
}

/* Does the damaged BLOCK still lead to the next header? 1, 0, -errno. */
static int believe_size(struct search *s, const unsigned char *block, uint64_t *next,
                        struct error *err)
{
        struct tar_reader f = follower(s->r, s->place);
        unsigned char header[TAR_BLOCK];
        struct lead lead;
        uint64_t size;
        int rc;

        if (!tar_parse_number(block + AT_SIZE, NUMBER_LEN, &size) || size > TAR_FAR)
                return 0;
        *next =
            s->place + TAR_BLOCK + round_up(tar_data_size((char)block[AT_TYPE], size), TAR_BLOCK);
        rc = follow(s, *next, s->place, &lead, err);
        if (rc != 0)
                return rc;
        rc = tar_fetch(&f, header, sizeof header, *next, err);
        return rc < 0 ? rc : rc > 0 && tar_is_header(header, sizeof header);
}

/* May BLOCK have been a header that describes the member after it? */
static bool speaks_of_next(const unsigned char *block)
{
        char type = (char)block[AT_TYPE];

        return !tar_is_file(type) && !(type >= '1' && type <= '6') && type != 'V';
}

int tar_resync(struct tar_reader *r, const unsigned char *block, struct tar_found *out,
               struct error *err)
{
        cleanup_free unsigned char *window = malloc(WINDOW + TAR_BLOCK);
        struct search s = {.r = r, .place = r->pos, .window = window};
        bool was_header = tar_was_header(block), wiped = tar_is_zero(block);
        bool in_place = memcmp(block + AT_MAGIC, "ustar", 5) == 0;
        uint64_t back = r->pos - min_u64(r->pos - r->data, BACK_MAX);
        int rc = 0, believed = 0;

        if (!window)
                return error_set(err, ENOMEM, "out of memory");
        out->shifted = false;
        out->doubted = was_header ? speaks_of_next(block) : true;
        /* What looks like a damaged header may be a sound one displaced by some bytes. */
        if (!in_place && !wiped)
                rc = search(&s, max_u64(back, r->resumed), r->pos + TAR_BLOCK, r->pos, &out->at,
                            err);
        if (rc == 0 && was_header)
                believed = believe_size(&s, block, &out->at, err);
        if (believed != 0)
                return believed;
        if (rc == 0)
                rc = search(&s, r->pos + 1, UINT64_MAX - WINDOW, r->pos, &out->at, err);
        if (rc == 0 && s.fallback) {
                out->at = s.fallback;
                rc = 1;
        }
        /* What looks like a header may be the next one, displaced by a little. */
        if (rc > 0 && (out->at < r->pos || (out->at - r->pos) % TAR_BLOCK != 0))
                out->shifted = !in_place;
        else
                out->shifted = !was_header && !wiped;
        return rc;
}

/*
 * Zeros lie at s->place, which may be padding. Is it worth searching what follows them? 1 and *AT,
 * where the zeros end; 0; -errno.
 */
static int find_more(struct search *s, uint64_t *at, struct error *err)
{
        struct tar_reader f = follower(s->r, s->place);
        unsigned char block[TAR_BLOCK];
        int rc;

        *at = s->place;
        do {
                *at += TAR_BLOCK;
                rc = tar_fetch(&f, block, sizeof block, *at, err);
                s->r->end = max_u64(s->r->end, f.end);
                if (rc <= 0)
                        return rc;
        } while (tar_is_zero(block) && *at - s->place < PADDING_MAX);
        if (tar_is_zero(block))
                return 0;
        /* What follows a complete end mark belongs to another tar, or to none. */
        if (*at % RECORD == 0 && *at - s->place >= END_MARK)
                return 0;
        return *at - s->place != END_MARK || !tar_is_header(block, TAR_BLOCK);
}

int tar_pass_zeros(struct tar_reader *r, struct tar_found *out, struct error *err)
{
        cleanup_free unsigned char *window = malloc(WINDOW + TAR_BLOCK);
        struct search s = {.r = r, .place = r->pos, .window = window};
        uint64_t at, back;
        int more, rc;

        if (!window)
                return error_set(err, ENOMEM, "out of memory");
        more = find_more(&s, &at, err);
        if (more < 0)
                return more;
        back = min_u64(r->pos - r->data, more ? BACK_MAX : BACK_AT_END);
        rc = search(&s, max_u64(r->pos - back, r->resumed), r->pos, r->pos, &out->at, err);
        if (rc == 0 && more)
                rc = search(&s, at, at + AFTER_END_MAX, r->pos, &out->at, err);
        /*
         * One block of zeros is an overwritten header. More of them are the end of something that
         * is displaced, and so is a single one if the header itself was found further on.
         */
        out->shifted = rc > 0 && (out->at < r->pos || (out->at - r->pos) % TAR_BLOCK != 0 ||
                                  at - r->pos > TAR_BLOCK || s.fallback > r->pos);
        out->doubted = true;
        /* Half an end mark, then something else: the member before it may not end here. */
        out->unended = rc == 0 && more && at - r->pos == TAR_BLOCK;
        return rc;
}
