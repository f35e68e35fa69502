/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/faultserver/s3check.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { CLOCK_SKEW = 900 };

struct words {
        char text[8192];
        size_t len;
};

static void add(struct words *w, const char *text, size_t len)
{
        if (w->len + len >= sizeof w->text)
                abort();
        memcpy(w->text + w->len, text, len);
        w->len += len;
        w->text[w->len] = '\0';
}

static void add_text(struct words *w, const char *text)
{
        add(w, text, strlen(text));
}

/* The value of header NAME, of LEN bytes, in HEAD: *N bytes. NULL: there is none. */
static const char *find(const char *head, const char *name, size_t len, size_t *n)
{
        for (const char *p = strstr(head, "\r\n"); p && p[2]; p = strstr(p + 2, "\r\n")) {
                const char *value = p + 2 + len;

                if (strncasecmp(p + 2, name, len) != 0 || *value != ':')
                        continue;
                value += 1 + strspn(value + 1, " ");
                *n = strcspn(value, "\r");
                return value;
        }
        return NULL;
}

/* The part of AUTHORIZATION after NAME, up to a comma, to OUT. */
static bool part(const char *authorization, const char *name, char *out, size_t size)
{
        const char *p = strstr(authorization, name);

        if (!p)
                return false;
        p += strlen(name);
        return snprintf(out, size, "%.*s", (int)strcspn(p, ",\r"), p) < (int)size;
}

static bool is_signed(const char *list, const char *name)
{
        size_t len = strlen(name);

        for (const char *p = list; *p; p += strcspn(p, ";") + (p[strcspn(p, ";")] == ';'))
                if (strcspn(p, ";") == len && strncmp(p, name, len) == 0)
                        return true;
        return false;
}

static bool add_signed(struct words *w, const char *head, const char *list)
{
        for (const char *p = list; *p;) {
                size_t len = strcspn(p, ";"), n;
                const char *value = find(head, p, len, &n);

                if (!value)
                        return false;
                add(w, p, len);
                add_text(w, ":");
                add(w, value, n);
                add_text(w, "\n");
                p += len + (p[len] == ';');
        }
        return true;
}

static void hex(const unsigned char *bytes, char out[65])
{
        for (size_t i = 0; i < 32; i++)
                sprintf(out + 2 * i, "%02x", bytes[i]);
}

static void step(unsigned char key[32], size_t len, const char *text)
{
        HMAC(EVP_sha256(), key, (int)len, (const unsigned char *)text, strlen(text), key, NULL);
}

/* Not too old, and not of the future: "20130524T000000Z". */
static bool is_fresh(const char *date)
{
        struct tm tm = {0};
        const char *end = strptime(date, "%Y%m%dT%H%M%SZ", &tm);

        return end && !*end && llabs((long long)timegm(&tm) - (long long)time(NULL)) < CLOCK_SKEW;
}

static bool canonical(const char *head, const char *list, char out[65])
{
        struct words w = {0};
        unsigned char digest[32];
        size_t n;
        const char *path = strchr(head, ' ') + 1;
        const char *content = find(head, "x-amz-content-sha256", 20, &n);

        if (!content)
                return false;
        add_text(&w, "GET\n");
        add(&w, path, strcspn(path, " ?"));
        add_text(&w, "\n");
        path += strcspn(path, " ?");
        /* As it came: whoever asks has to sort it. */
        if (*path == '?')
                add(&w, path + 1, strcspn(path + 1, " "));
        add_text(&w, "\n");
        if (!add_signed(&w, head, list))
                return false;
        add_text(&w, "\n");
        add_text(&w, list);
        add_text(&w, "\n");
        add(&w, content, n);
        EVP_Digest(w.text, w.len, digest, NULL, EVP_sha256(), NULL);
        hex(digest, out);
        return true;
}

bool s3check(const char *head, const char *key_id, const char *secret, const char *region)
{
        char credential[256], list[256], given[80], wanted[256], date[32], digest[65], right[65];
        unsigned char key[128] = "AWS4";
        struct words w = {0};
        size_t n;
        const char *authorization = find(head, "Authorization", 13, &n);
        const char *when = find(head, "x-amz-date", 10, &n);

        if (!authorization || !when || strncmp(authorization, "AWS4-HMAC-SHA256 ", 17) != 0 ||
            !part(authorization, "Credential=", credential, sizeof credential) ||
            !part(authorization, "SignedHeaders=", list, sizeof list) ||
            !part(authorization, "Signature=", given, sizeof given))
                return false;
        snprintf(date, sizeof date, "%.*s", (int)n, when);
        snprintf(wanted, sizeof wanted, "%s/%.8s/%s/s3/aws4_request", key_id, date, region);
        /* All x-amz- headers have to be signed, and the host. */
        if (!is_fresh(date) || strcmp(credential, wanted) != 0 || !is_signed(list, "host") ||
            !is_signed(list, "x-amz-date") ||
            (find(head, "x-amz-security-token", 20, &n) &&
             !is_signed(list, "x-amz-security-token")) ||
            !canonical(head, list, digest))
                return false;
        add_text(&w, "AWS4-HMAC-SHA256\n");
        add_text(&w, date);
        add_text(&w, "\n");
        add_text(&w, wanted + strlen(key_id) + 1);
        add_text(&w, "\n");
        add_text(&w, digest);
        strncat((char *)key, secret, sizeof key - 5);
        date[8] = '\0';
        step(key, strlen((char *)key), date);
        step(key, 32, region);
        step(key, 32, "s3");
        step(key, 32, "aws4_request");
        step(key, 32, w.text);
        hex(key, right);
        return strcmp(given, right) == 0;
}
