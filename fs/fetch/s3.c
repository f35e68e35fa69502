/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fetch/s3.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "fs/fetch/url.h"

/* ---- files ---- */

/* The value of NAME in LINE, "name = value", without the blanks around it; NULL: another line. */
static char *value_in(char *line, const char *name)
{
        size_t len = strlen(name);
        char *p = line + strspn(line, " \t");

        if (strncmp(p, name, len) != 0)
                return NULL;
        p += len + strspn(p + len, " \t");
        if (*p++ != '=')
                return NULL;
        p += strspn(p, " \t");
        p[strcspn(p, "\r\n")] = '\0';
        for (size_t n = strlen(p); n > 0 && strchr(" \t", p[n - 1]); n--)
                p[n - 1] = '\0';
        return p;
}

/* Is LINE the head of SECTION, "[section]"? */
static bool is_section(const char *line, const char *section)
{
        size_t len = strlen(section);

        return line[0] == '[' && strncmp(line + 1, section, len) == 0 && line[len + 1] == ']';
}

/* NAME in SECTION of the file PATH, as a new string. NULL: it is not there. */
static char *find_value(const char *path, const char *section, const char *name)
{
        cleanup_fclose FILE *f = fopen(path, "re");
        char *line = NULL, *found = NULL;
        size_t room = 0;
        bool inside = false;

        while (f && !found && getline(&line, &room, f) > 0) {
                if (line[0] == '[')
                        inside = is_section(line, section);
                else if (inside)
                        found = value_in(line, name);
                if (found)
                        found = strdup(found);
        }
        if (line)
                OPENSSL_cleanse(line, room);
        free(line);
        return found;
}

/* The path that the variable NAME gives, or else DEFAULT in the home directory; a new string. */
static char *path_of(const char *name, const char *otherwise)
{
        const char *given = getenv(name), *home = getenv("HOME");
        char *path = NULL;

        if (given && *given)
                return strdup(given);
        if (asprintf(&path, "%s/%s", home ? home : "", otherwise) < 0)
                return NULL;
        return path;
}

static const char *profile(void)
{
        const char *name = getenv("AWS_PROFILE");

        return name && *name ? name : "default";
}

/* ---- who ---- */

static char *copy_of(const char *name)
{
        const char *value = getenv(name);

        return value && *value ? strdup(value) : NULL;
}

static char *find_region(void)
{
        cleanup_free char *path = path_of("AWS_CONFIG_FILE", ".aws/config");
        cleanup_free char *section = NULL;
        char *region = copy_of("AWS_REGION");

        if (!region)
                region = copy_of("AWS_DEFAULT_REGION");
        if (region)
                return region;
        if (asprintf(&section, "%s%s", strcmp(profile(), "default") == 0 ? "" : "profile ",
                     profile()) < 0)
                section = NULL;
        if (path && section)
                region = find_value(path, section, "region");
        return region ? region : strdup("us-east-1");
}

int s3_identity_find(struct s3_identity *out, struct error *err)
{
        cleanup_free char *path = path_of("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");

        *out = (struct s3_identity){.region = find_region()};
        if (!path || !out->region)
                return error_set(err, ENOMEM, "out of memory");
        out->key_id = copy_of("AWS_ACCESS_KEY_ID");
        out->secret = copy_of("AWS_SECRET_ACCESS_KEY");
        out->token = copy_of("AWS_SESSION_TOKEN");
        if (out->key_id || out->secret) {
                if (out->key_id && out->secret)
                        return 0;
                return error_set(err, EINVAL,
                                 "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set");
        }
        free(steal_ptr(&out->token));
        out->key_id = find_value(path, profile(), "aws_access_key_id");
        out->secret = find_value(path, profile(), "aws_secret_access_key");
        out->token = find_value(path, profile(), "aws_session_token");
        if (!out->key_id != !out->secret || (getenv("AWS_PROFILE") && !out->key_id))
                return error_set(err, EINVAL, "%s has no key for the profile %s", path, profile());
        return 0;
}

static void forget(char *secret)
{
        if (secret)
                OPENSSL_cleanse(secret, strlen(secret));
        free(secret);
}

void s3_identity_fini(struct s3_identity *who)
{
        free(steal_ptr(&who->key_id));
        forget(steal_ptr(&who->secret));
        forget(steal_ptr(&who->token));
        free(steal_ptr(&who->region));
}

void s3_forget_environment(void)
{
        static const char *const secrets[] = {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"};

        for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
                char *value = getenv(secrets[i]);

                /* In place, since the kernel shows the memory to whoever may read our environ. */
                if (value)
                        OPENSSL_cleanse(value, strlen(value));
                unsetenv(secrets[i]);
        }
}

/* ---- where ---- */

static char *at_amazon(const char *bucket, const char *key, const char *region)
{
        const char *domain = strncmp(region, "cn-", 3) == 0 ? "amazonaws.com.cn" : "amazonaws.com";
        char *address = NULL;
        int len;

        /* Amazon's certificate is for one name before its own: a bucket with dots goes elsewhere. */
        if (strchr(bucket, '.'))
                len = asprintf(&address, "https://s3.%s.%s/%s/%s", region, domain, bucket, key);
        else
                len = asprintf(&address, "https://%s.s3.%s.%s/%s", bucket, region, domain, key);
        return len < 0 ? NULL : address;
}

static const char *endpoint_of_environment(void)
{
        const char *url = getenv("AWS_ENDPOINT_URL_S3");

        if (!url || !*url)
                url = getenv("AWS_ENDPOINT_URL");
        return url && *url ? url : NULL;
}

char *s3_address(const char *url, const char *endpoint, const char *region, struct error *err)
{
        const char *name = url + strlen("s3://"), *slash = strchr(name, '/');
        cleanup_free char *bucket = strndup(name, (size_t)(slash - name));
        cleanup_free char *key = url_encode(slash + 1);
        char *address = NULL;

        if (!endpoint)
                endpoint = endpoint_of_environment();
        if (bucket && strspn(bucket, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789.-_") != strlen(bucket)) {
                error_fill(err, EINVAL, "has a bucket of a name that no bucket can have");
                return NULL;
        }
        if (endpoint && (!url_host(endpoint) || url_check(endpoint, err) < 0)) {
                error_fill(err, EINVAL, "the endpoint %s is no http:// or https:// address",
                           endpoint);
                return NULL;
        }
        if (bucket && key && !endpoint)
                address = at_amazon(bucket, key, region);
        else if (bucket && key) {
                size_t len = strlen(endpoint);

                while (len > 0 && endpoint[len - 1] == '/')
                        len--;
                if (asprintf(&address, "%.*s/%s/%s", (int)len, endpoint, bucket, key) < 0)
                        address = NULL;
        }
        if (!address)
                error_fill(err, ENOMEM, "out of memory");
        return address;
}
