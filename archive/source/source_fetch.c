/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Helpers on top of source_reach and source_pread: fetching what must exist, and searching. */
#include <errno.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/source/source.h"

enum { PAGE = 4096 }; /* the smallest part that a medium fails to read */

uint64_t source_straight(struct source *s, uint64_t from)
{
        struct source_lost_range gap = {.end = from};

        while (source_find_lost(s, gap.end, &gap))
                if (!gap.exact)
                        return max_u64(gap.start, from);
        return UINT64_MAX;
}

static int describe_failure(struct source *s, int rc, uint64_t offset, const char *what,
                            struct error *err)
{
        struct error why = {0};

        if (rc == -EIO && source_damage(s, &why) < 0 && why.has_offset)
                return error_set_at(err, EIO, why.offset, "%s is lost: %s", what, why.text);
        return error_set_at(err, -rc, offset, "%s cannot be read: %s", what, strerror(-rc));
}

/* Read as many of the LEN bytes at OFFSET as there are. */
static ssize_t fetch_some(struct source *s, void *buf, size_t len, uint64_t offset, bool early,
                          const char *what, struct error *err)
{
        uint64_t want, end = 0;
        ssize_t n;
        int rc;

        if (!checked_add(offset, len, &want))
                return error_set(err, EIO, "%s lies past the end of the file", what);
        rc = early ? source_look_ahead(s, want, &end, err) : source_reach(s, want, &end, err);
        if (rc < 0)
                return rc;
        n = early ? source_peek(s, buf, len, offset) : source_pread(s, buf, len, offset);
        if (n < 0)
                return describe_failure(s, (int)n, offset, what, err);
        if (end < offset)
                return error_set_at(err, EIO, offset, "%s lies past the end of the file", what);
        return n;
}

static int fetch_all(struct source *s, void *buf, size_t len, uint64_t offset, bool early,
                     const char *what, struct error *err)
{
        ssize_t n = fetch_some(s, buf, len, offset, early, what, err);

        if (n < 0)
                return (int)n;
        if ((size_t)n < len)
                return error_set_at(err, EIO, offset + (uint64_t)n,
                                    "ends inside %s: it was cut off", what);
        return 0;
}

int source_fetch(struct source *s, void *buf, size_t len, uint64_t offset, const char *what,
                 struct error *err)
{
        return fetch_all(s, buf, len, offset, false, what, err);
}

int source_fetch_early(struct source *s, void *buf, size_t len, uint64_t offset, const char *what,
                       struct error *err)
{
        return fetch_all(s, buf, len, offset, true, what, err);
}

ssize_t source_fetch_some(struct source *s, void *buf, size_t len, uint64_t offset,
                          const char *what, struct error *err)
{
        return fetch_some(s, buf, len, offset, false, what, err);
}

typedef ssize_t (*read_fn)(struct source *s, void *buf, size_t len, uint64_t offset);

static ssize_t read_partly(struct source *s, read_fn read, void *buf, size_t len, uint64_t offset)
{
        ssize_t n = read(s, buf, len, offset);
        size_t done = 0;

        if (n != -EIO)
                return n;
        while (done < len) {
                size_t piece = (size_t)min_u64(len - done, PAGE - (offset + done) % PAGE);

                n = read(s, (char *)buf + done, piece, offset + done);
                if (n <= 0)
                        break;
                done += (size_t)n;
        }
        return done ? (ssize_t)done : n;
}

ssize_t source_pread_partly(struct source *s, void *buf, size_t len, uint64_t offset)
{
        return read_partly(s, source_pread, buf, len, offset);
}

ssize_t source_peek_partly(struct source *s, void *buf, size_t len, uint64_t offset)
{
        return read_partly(s, source_peek, buf, len, offset);
}

uint64_t source_next_window(uint64_t at, ssize_t n, size_t need)
{
        if (n >= (ssize_t)need)
                return at + (uint64_t)n - (need - 1);
        return round_up(at + (n > 0 ? (uint64_t)n : 1), PAGE);
}
