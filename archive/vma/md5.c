/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/vma/md5.h"

#include <errno.h>
#include <string.h>

int md5_init(struct md5 *m)
{
        m->ctx = EVP_MD_CTX_new();
        m->md = EVP_MD_fetch(NULL, "MD5", NULL);
        if (m->md && m->ctx)
                return 0;
        return m->ctx ? -ENOTSUP : -ENOMEM;
}

void md5_fini(struct md5 *m)
{
        EVP_MD_CTX_free(m->ctx);
        EVP_MD_free(m->md);
        *m = (struct md5){0};
}

int md5_check(const struct md5 *m, unsigned char *p, size_t len, size_t sum)
{
        unsigned char stored[MD5_LEN], actual[MD5_LEN];

        memcpy(stored, p + sum, MD5_LEN);
        memset(p + sum, 0, MD5_LEN);
        if (EVP_DigestInit_ex2(m->ctx, m->md, NULL) != 1 || EVP_DigestUpdate(m->ctx, p, len) != 1 ||
            EVP_DigestFinal_ex(m->ctx, actual, NULL) != 1)
                return -ENOTSUP;
        return memcmp(stored, actual, MD5_LEN) == 0 ? 0 : -EIO;
}
