/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The maps of sparse members: GNU's own, and three that GNU tar writes into pax headers. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/tarfile/tar_extra.h"
#include "archive/tarfile/tar_member.h"

bool tar_parse_decimal(const char *s, uint64_t *out)
{
        char *end;

        if (!isdigit((unsigned char)*s))
                return false;
        errno = 0;
        *out = strtoull(s, &end, 10);
        return errno == 0 && (*end == '\0' || *end == '.' || *end == ',');
}

int tar_add_run(struct tar_reader *r, struct tar_extra *x, uint64_t start, uint64_t len)
{
        if (len == 0)
                return 0;
        if (r->runs >= TAR_RUNS_MAX) {
                x->broken = true;
                return 0;
        }
        r->runs++;
        return array_add(&x->runs, ((struct tar_run){.start = start, .len = len}));
}

/* N pairs of numbers in the form of GNU's headers; the first empty pair ends them. */
static int add_pairs(struct tar_reader *r, struct tar_extra *x, const unsigned char *p, size_t n)
{
        int rc = 0;

        for (size_t i = 0; i < n && rc == 0; i++, p += 2 * (size_t)NUMBER_LEN) {
                uint64_t start = 0, len = 0;

                if (p[0] == '\0')
                        return 0;
                if (!tar_parse_number(p, NUMBER_LEN, &start) ||
                    !tar_parse_number(p + NUMBER_LEN, NUMBER_LEN, &len))
                        x->broken = true;
                rc = tar_add_run(r, x, start, len);
        }
        return rc;
}

int tar_read_gnu_map(struct tar_reader *r, struct tar_extra *x, const unsigned char *header,
                     uint64_t *data, struct error *err)
{
        unsigned char block[TAR_BLOCK];
        bool more = header[AT_EXTENDED] != 0;
        int rc = add_pairs(r, x, header + AT_RUNS, RUNS);

        x->sparse = true;
        if (tar_parse_number(header + AT_REAL_SIZE, NUMBER_LEN, &x->real_size))
                x->has_real_size = true;
        while (more && rc == 0) {
                rc = tar_fetch(r, block, sizeof block, *data, err);
                if (rc <= 0)
                        return rc;
                *data += TAR_BLOCK;
                rc = add_pairs(r, x, block, MORE_RUNS);
                more = block[AT_MORE_EXTENDED] != 0;
        }
        return rc < 0 ? error_set(err, ENOMEM, "out of memory") : 1;
}

/* Reads decimal numbers, one a line, from blocks of the stream. */
struct lines {
        unsigned char block[TAR_BLOCK];
        size_t at;     /* TAR_BLOCK: the next block is needed */
        uint64_t next; /* of the next block */
        uint64_t end;  /* of the member's data */
};

/* 1; 0: there is no number, or only a part of one; -errno. */
static int next_number(struct tar_reader *r, struct lines *l, uint64_t *out, struct error *err)
{
        char digits[24];

        for (size_t n = 0; n < sizeof digits; n++) {
                if (l->at == TAR_BLOCK) {
                        int rc = l->next < l->end
                                     ? tar_fetch(r, l->block, sizeof l->block, l->next, err)
                                     : 0;

                        if (rc <= 0)
                                return rc;
                        l->next += TAR_BLOCK;
                        l->at = 0;
                }
                digits[n] = (char)l->block[l->at++];
                if (digits[n] != '\n')
                        continue;
                digits[n] = '\0';
                return tar_parse_decimal(digits, out);
        }
        return 0;
}

int tar_read_pax_map(struct tar_reader *r, struct tar_extra *x, uint64_t *data, uint64_t *stored,
                     struct error *err)
{
        struct lines l = {.at = TAR_BLOCK, .next = *data, .end = *data + *stored};
        uint64_t count, start, len;
        int rc = next_number(r, &l, &count, err);

        for (uint64_t i = 0; rc > 0 && i < count && !x->broken; i++) {
                rc = next_number(r, &l, &start, err);
                if (rc > 0)
                        rc = next_number(r, &l, &len, err);
                if (rc > 0 && tar_add_run(r, x, start, len) < 0)
                        return error_set(err, ENOMEM, "out of memory");
        }
        if (rc < 0)
                return rc;
        x->broken |= rc == 0;
        *stored -= min_u64(*stored, l.next - *data);
        *data = l.next;
        return 1;
}

int tar_take_list(struct tar_reader *r, struct tar_extra *x, const char *s)
{
        int rc = 0;

        while (*s && rc == 0) {
                uint64_t start, len;
                const char *comma = strchr(s, ',');

                if (!comma || !tar_parse_decimal(s, &start) ||
                    !tar_parse_decimal(comma + 1, &len)) {
                        x->broken = true;
                        return 0;
                }
                rc = tar_add_run(r, x, start, len);
                s = comma + 1 + strcspn(comma + 1, ",");
                s += *s == ',';
        }
        return rc;
}

bool tar_place_runs(struct tar_member *m)
{
        uint64_t at = 0, offset = 0;

        for (size_t i = 0; i < m->runs.count; i++) {
                struct tar_run *run = &m->runs.items[i];

                if (run->start < at || !range_within(run->start, run->len, m->size) ||
                    !range_within(offset, run->len, m->stored))
                        return false;
                run->offset = m->data + offset;
                at = run->start + run->len;
                offset += run->len;
        }
        return m->stored - offset < TAR_BLOCK;
}
