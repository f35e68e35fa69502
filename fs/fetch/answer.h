/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a server's answer to a ranged request says of itself, and whether it is the answer to that
 * request: a server may be hostile, old, or another one than yesterday.
 */
#ifndef VMAFS_ANSWER_H
#define VMAFS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_UNKNOWN UINT64_MAX

enum { VALIDATOR_MAX = 200 };

/* What tells one version of an object from another. Empty strings: not given. */
struct validator {
        char etag[VALIDATOR_MAX];     /* strong, with its quotes */
        char modified[VALIDATOR_MAX]; /* as the server writes the date */
};

struct answer {
        bool has_range;         /* "bytes START-END/SIZE" */
        uint64_t start, end;    /* bytes; END is the first one after it */
        uint64_t size;          /* of the object; ANSWER_UNKNOWN */
        uint64_t length;        /* of the body; ANSWER_UNKNOWN */
        bool encoded;           /* compressed on the way */
        unsigned retry_after;   /* seconds; 0: not given */
        int64_t date;           /* by the server's clock, seconds since 1970; 0: not given */
        char bucket_region[64]; /* S3's */
        struct validator is;
};

/* No header has been seen. */
void answer_init(struct answer *a);

/* Take one header LINE of LEN bytes, without a NUL. What is not understood is ignored. */
void answer_take(struct answer *a, const char *line, size_t len);

/* What is wrong with a 206 for [START, END) of an object of SIZE bytes, or NULL. */
const char *answer_fault(const struct answer *a, uint64_t start, uint64_t end, uint64_t size);

/* Is the answer of another version than WAS? */
bool answer_is_other(const struct answer *a, const struct validator *was);

/* The date that the server writes as TEXT, seconds since 1970; 0: it is none. */
int64_t answer_time(const char *text);

#endif
