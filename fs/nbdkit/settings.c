/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/nbdkit/settings.h"

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "archive/error.h"
#include "fs/cli/opening.h"
#include "fs/fetch/url.h"

#define WINDOW_MAX  (INT64_C(1) << 31)
#define CACHE_MAX   (INT64_C(1) << 46)
#define THREADS_MAX 1024
#define TIMEOUT_MAX 3600

static int refuse(const char *key, const char *what)
{
        nbdkit_error("%s %s", key, what);
        return -1;
}

/* ---- one kind of value each ---- */

static int set_text(char **out, const char *key, const char *value)
{
        if (*out)
                return refuse(key, "was given twice");
        if (!*value)
                return refuse(key, "is empty");
        *out = strdup(value);
        return *out ? 0 : refuse(key, "does not fit into memory");
}

/* nbdkit changes to another folder later. */
static int set_path(char **out, const char *key, const char *value)
{
        if (*out)
                return refuse(key, "was given twice");
        if (!*value)
                return refuse(key, "is empty");
        *out = nbdkit_absolute_path(value);
        return *out ? 0 : -1;
}

static int set_size(int64_t max, const char *key, const char *value, int64_t *out)
{
        *out = nbdkit_parse_size(value);
        if (*out < 0)
                return -1;
        return *out >= 1 && *out <= max ? 0 : refuse(key, "is not a size that is allowed");
}

/* Which of the two words it is: 0 or 1. */
static int set_word(const char *first, const char *second, const char *key, const char *value,
                    int *out)
{
        *out = strcmp(value, second) == 0;
        if (*out || strcmp(value, first) == 0)
                return 0;
        nbdkit_error("%s is %s or %s", key, first, second);
        return -1;
}

/* ---- the keys ---- */

static int set_index(struct settings *s, const char *key, const char *value)
{
        if (strcmp(value, "none") != 0)
                return set_path(&s->index, key, value);
        return set_text(&s->index, key, value);
}

static int set_cache(struct settings *s, const char *key, const char *value)
{
        int64_t size;

        if (set_size(CACHE_MAX, key, value, &size) < 0)
                return -1;
        s->opening.cache_bytes = (size_t)size;
        return 0;
}

static int set_window(struct settings *s, const char *key, const char *value)
{
        int64_t size;

        if (set_size(WINDOW_MAX, key, value, &size) < 0)
                return -1;
        s->opening.window = (uint64_t)size;
        return 0;
}

static int set_threads(struct settings *s, const char *key, const char *value)
{
        if (nbdkit_parse_unsigned(key, value, &s->opening.threads) < 0)
                return -1;
        if (s->opening.threads >= 1 && s->opening.threads <= THREADS_MAX)
                return 0;
        return refuse(key, "is a number from 1 to 1024");
}

static int set_backing(struct settings *s, const char *key, const char *value)
{
        int any;

        if (set_word("dir", "any", key, value, &any) < 0)
                return -1;
        s->opening.backing = any ? NEIGHBOUR_ANYWHERE : NEIGHBOUR_BELOW;
        return 0;
}

static int set_recover(struct settings *s, const char *key, const char *value)
{
        int zero;

        if (set_word("eio", "zero", key, value, &zero) < 0)
                return -1;
        s->opening.recover_zero = zero;
        return 0;
}

static int set_partitions(struct settings *s, const char *key, const char *value)
{
        int yes = nbdkit_parse_bool(value);

        (void)key;
        s->partitions = yes == 1;
        return yes < 0 ? -1 : 0;
}

static int set_archive(struct settings *s, const char *key, const char *value)
{
        struct error err = {0};

        if (url_is(value) && url_check(value, &err) < 0)
                return refuse(key, err.text);
        if (url_is(value))
                return set_text(&s->archive, key, value);
        if (strstr(value, "://"))
                return refuse(key, "is a file, or a http://, https:// or s3:// address");
        return set_path(&s->archive, key, value);
}

static int set_endpoint(struct settings *s, const char *key, const char *value)
{
        return set_text(&s->endpoint, key, value);
}

static int set_cafile(struct settings *s, const char *key, const char *value)
{
        return set_path(&s->cafile, key, value);
}

static int set_timeout(struct settings *s, const char *key, const char *value)
{
        unsigned *timeout = &s->opening.server.timeout;

        if (nbdkit_parse_unsigned(key, value, timeout) < 0)
                return -1;
        return *timeout >= 1 && *timeout <= TIMEOUT_MAX
                   ? 0
                   : refuse(key, "is a number of seconds from 1 to 3600");
}

static int set_spool(struct settings *s, const char *key, const char *value)
{
        struct remote_options *server = &s->opening.server;

        if (set_text(&s->spool, key, value) < 0)
                return -1;
        return opening_parse_spool(s->spool, server)
                   ? 0
                   : refuse(key, "is a folder, a comma, and a size of at least 16M");
}

static int set_disk(struct settings *s, const char *key, const char *value)
{
        return set_text(&s->disk, key, value);
}

static int set_keyfile(struct settings *s, const char *key, const char *value)
{
        return set_path(&s->keyfile, key, value);
}

static int set_passfile(struct settings *s, const char *key, const char *value)
{
        return set_path(&s->passfile, key, value);
}

static const struct {
        const char *key;
        int (*set)(struct settings *s, const char *key, const char *value);
} keys[] = {
    {"archive", set_archive}, {"disk", set_disk},         {"partitions", set_partitions},
    {"index", set_index},     {"cache", set_cache},       {"threads", set_threads},
    {"window", set_window},   {"backing", set_backing},   {"recover", set_recover},
    {"keyfile", set_keyfile}, {"passfile", set_passfile}, {"endpoint", set_endpoint},
    {"cafile", set_cafile},   {"timeout", set_timeout},   {"spool", set_spool},
};

int settings_set(struct settings *s, const char *key, const char *value)
{
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
                if (strcmp(keys[i].key, key) == 0)
                        return keys[i].set(s, key, value);
        return refuse(key, "is no parameter of this plugin; see nbdkit-vmafs-plugin(1)");
}

int settings_complete(struct settings *s)
{
        struct index_options *o = &s->opening;

        if (!s->archive)
                return refuse("archive", "is missing: nbdkit vmafs ARCHIVE");
        /* Whoever names one may open it. Looking for them takes nothing until then. */
        o->partitions = true;
        o->sidecar = INDEX_SIDECAR_USE;
        if (s->index && strcmp(s->index, "none") == 0)
                o->sidecar = INDEX_SIDECAR_NONE;
        o->sidecar_path = s->index;
        o->server.endpoint = s->endpoint;
        o->server.cafile = s->cafile;
        return 0;
}

void settings_fini(struct settings *s)
{
        free(s->archive);
        free(s->index);
        free(s->keyfile);
        free(s->passfile);
        free(s->disk);
        free(s->endpoint);
        free(s->cafile);
        free(s->spool);
        *s = (struct settings){0};
}
