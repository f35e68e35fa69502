/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fetch/url.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "archive/cleanup.h"
#include "archive/error.h"

enum { LEN_MAX = 4096 };

static const char *after(const char *url, const char *scheme)
{
        size_t len = strlen(scheme);

        return strncasecmp(url, scheme, len) == 0 ? url + len : NULL;
}

const char *url_host(const char *url)
{
        const char *host = after(url, "https://");

        return host ? host : after(url, "http://");
}

bool url_is(const char *word)
{
        return url_host(word) || after(word, "s3://");
}

static size_t host_len(const char *host)
{
        return strcspn(host, "/?#");
}

int url_check(const char *url, struct error *err)
{
        const char *host = url_host(url), *bucket = after(url, "s3://");
        const char *place = host ? host : bucket;

        if (!place || host_len(place) == 0)
                return error_set(err, EINVAL, "is no address: a host or a bucket is missing");
        if (strlen(url) > LEN_MAX)
                return error_set(err, EINVAL, "is longer than %d bytes", LEN_MAX);
        for (const char *p = url; *p; p++)
                if ((unsigned char)*p < 0x20 || *p == 0x7f || (host && *p == ' '))
                        return error_set(err, EINVAL,
                                         "has a byte that no address has; write it as %%%02X",
                                         (unsigned)(unsigned char)*p);
        if (memchr(place, '@', host_len(place)))
                return error_set(err, EINVAL,
                                 "a user or password in an address can be read by everybody in "
                                 "the list of processes: put it into ~/.netrc");
        return 0;
}

bool url_is_prefix(const char *url)
{
        const char *bucket = after(url, "s3://");

        return bucket && (!bucket[host_len(bucket)] || bucket[strlen(bucket) - 1] == '/');
}

char *url_shown(const char *url)
{
        return url_host(url) ? strndup(url, url_path_len(url)) : strdup(url);
}

size_t url_path_len(const char *url)
{
        return strcspn(url, "?#");
}

/* Bytes of URL that name the folder that it is in, with its '/' if it has one. */
static size_t folder_len(const char *url)
{
        size_t host = (size_t)(url_host(url) - url), len = url_path_len(url);

        host += host_len(url + host);
        while (len > host && url[len - 1] != '/')
                len--;
        return len;
}

bool url_has_name(const char *url)
{
        size_t len = folder_len(url);

        return url[len - 1] == '/' && len < url_path_len(url);
}

char *url_beside(const char *url, const char *name)
{
        size_t len = folder_len(url);
        cleanup_free char *encoded = url_encode(name);
        char *out = NULL;

        /* After a host alone there is no '/'. */
        if (!encoded ||
            asprintf(&out, "%.*s%s%s", (int)len, url, url[len - 1] == '/' ? "" : "/", encoded) < 0)
                return NULL;
        return out;
}

bool url_may_lead(const char *from, const char *to, bool *same_host)
{
        const char *here = url_host(from), *there = url_host(to);
        bool secure = after(from, "https://"), stays_secure = after(to, "https://");

        if (!here || !there || host_len(there) == 0 || memchr(there, '@', host_len(there)))
                return false;
        *same_host = secure == stays_secure && host_len(here) == host_len(there) &&
                     strncasecmp(here, there, host_len(here)) == 0;
        return stays_secure || !secure;
}

static char *encode(const char *text, const char *kept)
{
        static const char digits[] = "0123456789ABCDEF";
        char *out = malloc(3 * strlen(text) + 1), *p = out;

        if (!out)
                return NULL;
        for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
                if ((*c < 0x80 && isalnum(*c)) || strchr(kept, *c)) {
                        *p++ = (char)*c;
                        continue;
                }
                *p++ = '%';
                *p++ = digits[*c >> 4];
                *p++ = digits[*c & 15];
        }
        *p = '\0';
        return out;
}

char *url_encode(const char *text)
{
        return encode(text, "-._~/");
}

char *url_encode_value(const char *text)
{
        return encode(text, "-._~");
}
