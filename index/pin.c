/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/pin.h"

#include <string.h>

#include "archive/bytes.h"
#include "archive/format.h"
#include "index/disk.h"
#include "index/index.h"

enum {
        READS = 128, /* stored pieces of one range */
        /* Fewer zeros than these are written between what is read, or they would be many pieces. */
        ZEROS_MIN = 32 << 10,
};

/* A range that is being read. */
struct gathering {
        struct disk_loan *loan;
        char *memory; /* for the range, from its beginning */
        struct source_piece reads[READS];
        size_t count;
};

/* Add N bytes at DATA, which may go on where the last ones ended. False: there is no room. */
static bool add_piece(struct disk_loan *loan, const void *data, size_t n)
{
        struct iovec *last = loan->count ? &loan->pieces[loan->count - 1] : NULL;

        if (last && (const char *)last->iov_base + last->iov_len == data) {
                last->iov_len += n;
                return true;
        }
        if (loan->count == LOAN_PIECES)
                return false;
        loan->pieces[loan->count++] =
            (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = n};
        return true;
}

/* N bytes that read as zeros. */
static bool add_zeros(struct disk_loan *loan, size_t n)
{
        static const char zeros[65536];

        while (n > 0) {
                size_t piece = (size_t)min_u64(n, sizeof zeros);

                if (!add_piece(loan, zeros, piece))
                        return false;
                n -= piece;
        }
        return true;
}

/* The loan that has byte AT of SOURCE; NULL: none can be had. */
static struct source_loan *find_loan(struct disk_loan *loan, struct source *source, uint64_t at)
{
        for (size_t i = 0; i < loan->held_count; i++)
                if (at >= loan->held[i].start && at < loan->held[i].end)
                        return &loan->held[i];
        if (loan->held_count == LOAN_HELD)
                return NULL;
        /* Whoever holds some already does not wait for more. */
        if (source_borrow(source, at, loan->held_count == 0, &loan->held[loan->held_count]) <= 0)
                return NULL;
        return &loan->held[loan->held_count++];
}

/* N bytes at byte AT of SOURCE. */
static bool borrow_stored(struct disk_loan *loan, struct source *source, uint64_t at, size_t n)
{
        while (n > 0) {
                struct source_loan *from = find_loan(loan, source, at);
                size_t piece;

                if (!from)
                        return false;
                piece = (size_t)min_u64(n, from->end - at);
                if (!add_piece(loan, from->data + (at - from->start), piece))
                        return false;
                from->used += piece;
                at += piece;
                n -= piece;
        }
        return true;
}

/* N bytes at byte AT of the file, which are DONE bytes behind the range's beginning. */
static bool gather_stored(struct gathering *g, uint64_t at, size_t done, size_t n)
{
        if (g->count == READS)
                return false;
        g->reads[g->count++] = (struct source_piece){at, g->memory + done, n};
        return add_piece(g->loan, g->memory + done, n);
}

static bool gather_zeros(struct gathering *g, size_t done, size_t n)
{
        if (n >= ZEROS_MIN)
                return add_zeros(g->loan, n);
        memset(g->memory + done, 0, n);
        return add_piece(g->loan, g->memory + done, n);
}

/*
 * The first of LEN bytes at POS, as many as are alike: *N of them, at byte *AT of the stream or,
 * EXTENT_ZERO, zeros. False: they are neither.
 */
static bool find_part(struct disk *d, uint64_t pos, size_t len, uint64_t *at, size_t *n)
{
        struct extent e;

        disk_find(d, pos, &e);
        *n = (size_t)min_u64(len, e.start + e.len - pos);
        *at = EXTENT_ZERO;
        if (e.addr == EXTENT_ZERO || (e.addr == EXTENT_LOST && index_recover_zero(d->index)))
                return true;
        if (e.addr == MAP_UNKNOWN || e.addr == MAP_KEPT || e.addr == EXTENT_LOST)
                return false;
        *at = e.addr + (pos - e.start);
        return true;
}

/* An address is the byte of the stream only where the format has no other use for it. */
static bool has_plain_addresses(const struct archive *a)
{
        return !a->addr_end && !a->ops->locate;
}

static bool borrow_all(struct disk *d, size_t len, uint64_t offset, struct disk_loan *loan)
{
        struct source *source = index_archive(d->index)->source;
        uint64_t at;
        size_t n;

        for (size_t done = 0; done < len; done += n) {
                if (!find_part(d, offset + done, len - done, &at, &n))
                        return false;
                if (at == EXTENT_ZERO ? !add_zeros(loan, n) : !borrow_stored(loan, source, at, n))
                        return false;
        }
        return true;
}

bool disk_borrow(struct disk *d, size_t len, uint64_t offset, struct disk_loan *loan)
{
        const struct archive *a = index_archive(d->index);

        loan->count = loan->held_count = 0;
        if (!has_plain_addresses(a) || !source_lends(a->source))
                return false;
        if (borrow_all(d, len, offset, loan))
                return true;
        for (size_t i = 0; i < loan->held_count; i++)
                loan->held[i].used = 0;
        disk_give_back(d, loan);
        return false;
}

void disk_give_back(struct disk *d, struct disk_loan *loan)
{
        struct source *source = index_archive(d->index)->source;

        while (loan->held_count > 0)
                source_give_back(source, &loan->held[--loan->held_count]);
}

bool disk_gather(struct disk *d, void *memory, size_t len, uint64_t offset, struct disk_loan *loan)
{
        const struct archive *a = index_archive(d->index);
        struct gathering g;
        uint64_t at;
        size_t n;

        loan->count = loan->held_count = 0;
        if (!has_plain_addresses(a) || !source_is_file(a->source))
                return false;
        g.loan = loan;
        g.memory = memory;
        g.count = 0;
        for (size_t done = 0; done < len; done += n) {
                if (!find_part(d, offset + done, len - done, &at, &n))
                        return false;
                if (at == EXTENT_ZERO ? !gather_zeros(&g, done, n)
                                      : !gather_stored(&g, at, done, n))
                        return false;
        }
        return source_gather(a->source, g.reads, g.count) == 0;
}
