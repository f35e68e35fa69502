/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MD5 sums that lie inside the bytes they cover, as in VMA headers. The algorithm is fetched once:
 * OpenSSL's one-shot calls would look it up again for each of millions of headers.
 */
#ifndef VMAFS_MD5_H
#define VMAFS_MD5_H

#include <openssl/evp.h>
#include <stddef.h>

enum { MD5_LEN = 16 };

/* For one thread at a time. */
struct md5 {
        EVP_MD *md;
        EVP_MD_CTX *ctx;
};

/* 0; -ENOTSUP if OpenSSL refuses MD5 (FIPS mode); -ENOMEM. */
int md5_init(struct md5 *m);
void md5_fini(struct md5 *m);

/*
 * Check the sum stored at SUM, which covers the LEN bytes at P with that field zeroed. Zeroes the
 * field. 0; -EIO if the sum is wrong; -ENOTSUP.
 */
int md5_check(const struct md5 *m, unsigned char *p, size_t len, size_t sum);

#endif
