/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stored index while it is written: what is long goes to the file as it comes, and the tables are
 * kept in memory until all of it is there. After the first error nothing more is written.
 */
#ifndef VMAFS_WRITER_H
#define VMAFS_WRITER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct writer {
        int fd;
        uint64_t at;      /* bytes written so far */
        uint64_t extents; /* of these, bytes of extents */
        FILE *tables;     /* in memory */
        int error;        /* the first one, -errno */
};

/* Write LEN bytes of DATA to byte OFFSET of the file. */
void writer_put(struct writer *w, const void *data, size_t len, uint64_t offset);

/* The same at the end of what was written so far. */
void writer_append(struct writer *w, const void *data, size_t len);

/* Keep RC, unless there was an error before or it is 0. */
void writer_fail(struct writer *w, int rc);

#endif
