/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A page of S3's ListObjectsV2, as a server answers it: names of objects, and prefixes that others'
 * names have in common. As much of XML as S3 writes; a document type, comments and the like are
 * refused, and so is a page of which any part is not understood.
 */
#ifndef VMAFS_LIST_PAGE_H
#define VMAFS_LIST_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum {
        LIST_KEY_MAX = 1024, /* bytes: S3's limit */
        LIST_TOKEN_MAX = 2048,
};

struct list_key {
        const char *key; /* LEN bytes, and a NUL; valid during the call */
        size_t len;
        bool is_prefix;
        uint64_t size;    /* bytes, of an object … */
        uint64_t version; /* … which differs between two versions of it */
        int64_t mtime;    /* seconds since 1970; 0: not given */
};

struct list_page {
        bool goes_on;               /* there is a next page … */
        char token[LIST_TOKEN_MAX]; /* … which this asks for */
};

/*
 * Parse the LEN bytes at TEXT, and if all of it is right, call EACH for every key in it, until it
 * returns other than 0, which is returned. -EREMOTEIO with ERR: it is no such page.
 */
int list_page_parse(const char *text, size_t len, struct list_page *out,
                    int (*each)(void *ctx, const struct list_key *key), void *ctx,
                    struct error *err);

/* The time of "2009-10-12T17:50:30.000Z", seconds since 1970; 0: TEXT is none. */
int64_t list_time(const char *text);

#endif
