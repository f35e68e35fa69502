/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fetch/sigv4.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/cleanup.h"

enum { DIGEST = 32 };

#define ALGORITHM "AWS4-HMAC-SHA256"

static void to_hex(const uint8_t in[DIGEST], char out[2 * DIGEST + 1])
{
        for (size_t i = 0; i < DIGEST; i++)
                snprintf(out + 2 * i, 3, "%02x", in[i]);
}

void sigv4_date(time_t when, char out[SIGV4_DATE])
{
        struct tm tm;

        gmtime_r(&when, &tm);
        strftime(out, SIGV4_DATE, "%Y%m%dT%H%M%SZ", &tm);
}

static bool hmac(const void *key, size_t key_len, const char *text, uint8_t out[DIGEST])
{
        unsigned len = DIGEST;

        return HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text), out,
                    &len) &&
               len == DIGEST;
}

/* The key of one day, region and service, which is all that signs. */
static bool derive_key(const struct sigv4_request *r, const char *day, uint8_t key[DIGEST])
{
        char *secret = NULL;
        int len = asprintf(&secret, "AWS4%s", r->secret);
        bool done;

        if (len < 0)
                return false;
        done = hmac(secret, (size_t)len, day, key) && hmac(key, DIGEST, r->region, key) &&
               hmac(key, DIGEST, r->service, key) && hmac(key, DIGEST, "aws4_request", key);
        OPENSSL_cleanse(secret, (size_t)len);
        free(secret);
        return done;
}

/* "host;range;x-amz-date" */
static void write_names(FILE *f, const struct sigv4_request *r)
{
        for (size_t i = 0; i < r->header_count; i++)
                fprintf(f, "%s%s", i ? ";" : "", r->headers[i].name);
}

/* What is signed about the request, as a new string. NULL: out of memory. */
static char *canonical(const struct sigv4_request *r)
{
        char *text = NULL;
        size_t len;
        FILE *f = open_memstream(&text, &len);

        if (!f)
                return NULL;
        fprintf(f, "GET\n%s\n%s\n", r->path, r->query);
        for (size_t i = 0; i < r->header_count; i++)
                fprintf(f, "%s:%s\n", r->headers[i].name, r->headers[i].value);
        fputc('\n', f);
        write_names(f, r);
        fprintf(f, "\n%s", SIGV4_EMPTY);
        if (fclose(f) == 0)
                return text;
        free(text);
        return NULL;
}

static int sign_text(const struct sigv4_request *r, const char *day, const char *scope,
                     const char *request, char out[2 * DIGEST + 1])
{
        uint8_t key[DIGEST], digest[DIGEST];
        char hex[2 * DIGEST + 1];
        cleanup_free char *text = NULL;
        bool done;

        if (EVP_Digest(request, strlen(request), digest, NULL, EVP_sha256(), NULL) != 1)
                return -ENOTSUP;
        to_hex(digest, hex);
        if (asprintf(&text, ALGORITHM "\n%s\n%s\n%s", r->date, scope, hex) < 0) {
                text = NULL;
                return -ENOMEM;
        }
        done = derive_key(r, day, key) && hmac(key, sizeof key, text, digest);
        OPENSSL_cleanse(key, sizeof key);
        to_hex(digest, out);
        return done ? 0 : -ENOTSUP;
}

int sigv4_sign(const struct sigv4_request *r, char out[SIGV4_AUTHORIZATION])
{
        cleanup_free char *request = canonical(r);
        char day[9], scope[256], signature[2 * DIGEST + 1];
        cleanup_fclose FILE *f = NULL;
        int rc;

        if (!request)
                return -ENOMEM;
        snprintf(day, sizeof day, "%s", r->date);
        if (snprintf(scope, sizeof scope, "%s/%s/%s/aws4_request", day, r->region, r->service) >=
            (int)sizeof scope)
                return -E2BIG;
        rc = sign_text(r, day, scope, request, signature);
        if (rc < 0)
                return rc;
        f = fmemopen(out, SIGV4_AUTHORIZATION, "w");
        if (!f)
                return -ENOMEM;
        fprintf(f, ALGORITHM " Credential=%s/%s,SignedHeaders=", r->key_id, scope);
        write_names(f, r);
        fprintf(f, ",Signature=%s", signature);
        return fflush(f) == 0 && ftell(f) < SIGV4_AUTHORIZATION ? 0 : -E2BIG;
}
