/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One block of a tar as a header: where its fields are, its numbers and its checksum. */
#ifndef VMAFS_TAR_BLOCK_H
#define VMAFS_TAR_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        TAR_BLOCK = 512,

        AT_NAME = 0,
        NAME_LEN = 100,
        AT_MODE = 100,
        AT_SIZE = 124,
        AT_MTIME = 136,
        NUMBER_LEN = 12,
        AT_SUM = 148,
        SUM_LEN = 8,
        AT_TYPE = 156,
        AT_MAGIC = 257,
        AT_PREFIX = 345,
        PREFIX_LEN = 155,

        /* GNU, type S */
        AT_RUNS = 386,
        RUNS = 4,
        AT_EXTENDED = 482,
        AT_REAL_SIZE = 483,
        MORE_RUNS = 21,
        AT_MORE_EXTENDED = 504,
};

/* The LEN bytes at P as octal digits, or in base 256 where the top bit is set. False: neither. */
bool tar_parse_number(const unsigned char *p, size_t len, uint64_t *out);

/*
 * Is the block a header? Headers from before POSIX have no magic, so the checksum decides. It is
 * the sum of the bytes, which some systems took for signed ones.
 */
bool tar_is_header(const void *block, size_t len);

/* Was the block a header before it was damaged? Its magic or the form of its numbers tells. */
bool tar_was_header(const unsigned char *block);

/* Does the block consist of zeros? */
bool tar_is_zero(const unsigned char *block);

/* Bytes of data after a header of TYPE and SIZE: links and folders have none. */
uint64_t tar_data_size(char type, uint64_t size);

/* Is TYPE that of a regular file? */
bool tar_is_file(char type);

#endif
