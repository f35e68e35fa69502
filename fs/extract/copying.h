/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copying the content of something in a datastore, from the first byte to the last. */
#ifndef VMAFS_COPYING_H
#define VMAFS_COPYING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct volume;

/* Where the bytes go. */
struct copying {
        void *ctx;
        /* LEN bytes at POS: 0 or -errno, which ends the copy. */
        int (*data)(void *ctx, const void *buf, size_t len, uint64_t pos);
        /* LEN bytes at POS are zeros, or with LOST cannot be read. The same. NULL: they are passed
         * over. */
        int (*gap)(void *ctx, uint64_t pos, uint64_t len, bool lost);
};

/*
 * Copy V. *LOST is how many bytes of it cannot be read. 0; -ENOMEM; what the functions of C return,
 * and what V gave.
 */
int copying_run(const struct copying *c, struct volume *v, uint64_t *lost);

/* The same to the file FD, which becomes as long as V, with holes. */
int copying_to_file(struct volume *v, int fd, uint64_t *lost);

/* The same to standard output, up to the first lost byte, *AT. -EIO where there is one. */
int copying_to_stdout(struct volume *v, uint64_t *at);

#endif
