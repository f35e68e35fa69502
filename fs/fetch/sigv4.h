/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Signature version 4 of Amazon Web Services for a GET request without a body, by which S3, and
 * servers that speak its protocol (Ceph, MinIO, Garage), recognise the caller.
 */
#ifndef VMAFS_SIGV4_H
#define VMAFS_SIGV4_H

#include <stddef.h>
#include <time.h>

enum {
        SIGV4_AUTHORIZATION = 1024, /* bytes of the header's value, with its NUL */
        SIGV4_DATE = 17,            /* "20130524T000000Z" */
};

/* SHA-256 of nothing, in hexadecimal: the value of x-amz-content-sha256. */
#define SIGV4_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* A header that is signed: its name in lower case. */
struct sigv4_header {
        const char *name, *value;
};

struct sigv4_request {
        const char *key_id, *secret;
        const char *region, *service;
        const char *path;                   /* encoded, from the first '/' on */
        const char *query;                  /* canonical; "" */
        const struct sigv4_header *headers; /* sorted by name; host and date are among them */
        size_t header_count;
        const char *date; /* as sigv4_date has it */
};

void sigv4_date(time_t when, char out[SIGV4_DATE]);

/*
 * The value of the header Authorization. 0; -E2BIG; -ENOTSUP: this OpenSSL has no SHA-256.
 */
int sigv4_sign(const struct sigv4_request *r, char out[SIGV4_AUTHORIZATION]);

#endif
