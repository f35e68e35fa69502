/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading a member of which only runs are stored. */
#include <errno.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/source.h"
#include "archive/tar.h"

static int fetch(struct source *source, void *buf, size_t len, uint64_t offset)
{
        ssize_t n = source_pread(source, buf, len, offset);

        if (n < 0)
                return (int)n;
        return (size_t)n == len ? 0 : -EIO;
}

size_t tar_find_run(const struct tar_member *m, uint64_t pos)
{
        size_t low = 0, high = m->run_count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (m->runs[middle].start + m->runs[middle].len <= pos)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

int tar_read_runs(struct source *source, const struct tar_member *m, uint64_t pos, char *buf,
                  size_t len)
{
        for (size_t i = tar_find_run(m, pos); len; i++) {
                const struct tar_run *run = i < m->run_count ? &m->runs[i] : NULL;
                size_t gap = run && run->start < pos + len
                                 ? (size_t)(run->start - min_u64(run->start, pos))
                                 : len;
                size_t n;
                int rc;

                memset(buf, 0, gap);
                pos += gap;
                buf += gap;
                len -= gap;
                if (len == 0)
                        return 0;
                n = (size_t)min_u64(len, run->start + run->len - pos);
                rc = fetch(source, buf, n, run->offset + (pos - run->start));
                if (rc < 0)
                        return rc;
                pos += n;
                buf += n;
                len -= n;
        }
        return 0;
}
