/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/cli/given.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/remote/remote_part.h"
#include "archive/store/dir/dir.h"
#include "archive/store/pbs/pbs_store.h"
#include "fs/cli/stored.h"
#include "fs/fetch/url.h"
#include "fs/folder/bucket_folder.h"
#include "fs/print/report.h"
#include "index/options.h"

/* ---- the form of an address ---- */

/* The first byte of the key in URL, or its end. */
static size_t key_start(const char *url)
{
        size_t at = strlen("s3://");

        at += strcspn(url + at, "/");
        return url[at] ? at + 1 : at;
}

/*
 * May the datastore be the folder at the first AT bytes of URL? An object may be called like a group,
 * but hardly like a snapshot.
 */
static bool may_be_store(const char *url, size_t at)
{
        cleanup_free char *below = NULL;
        enum pbs_level level;

        if (!stored_place_below(url + at, &below))
                return false;
        pbs_store_split(below, &level);
        return url_is_prefix(url) || level == PBS_SNAPSHOT;
}

/*
 * The last folder in URL that may be a datastore, and whose address is shorter than BEFORE bytes: *AT
 * is its length. False: there is none.
 */
static bool next_store(const char *url, size_t before, size_t *at)
{
        for (size_t first = key_start(url); before > first;) {
                before--;
                if ((before == first || url[before - 1] == '/') && may_be_store(url, before)) {
                        *at = before;
                        return true;
                }
        }
        return false;
}

/* The folder of the first part of URL that is called like an archive. False: none is. */
static bool find_archive_folder(const char *url, size_t *at)
{
        for (size_t start = key_start(url), len; url[start]; start += len + 1) {
                cleanup_free char *name = NULL;

                len = strcspn(url + start, "/");
                if (!url[start + len] || !url[start + len + 1])
                        return false;
                name = strndup(url + start, len);
                *at = start;
                if (name && dir_is_archive(name))
                        return true;
        }
        return false;
}

/* The folder that holds whatever URL may be: *AT is its length. False: URL can only be one object. */
static bool find_widest(const char *url, size_t *at)
{
        size_t len = strlen(url), before = len + 1;
        bool found = url_is_prefix(url);

        *at = len;
        while (next_store(url, before, &before)) {
                found = true;
                *at = before;
        }
        if (find_archive_folder(url, &before)) {
                found = true;
                *at = before < *at ? before : *at;
        }
        return found;
}

bool given_may_be_more(const char *path)
{
        size_t at;

        return url_is(path) && !url_host(path) &&
               (find_widest(path, &at) || bucket_folder_may_be_one(path));
}

/* ---- in a bucket ---- */

/* Sets what G fetches from to the folder of the first AT bytes of URL, where now it is that of FROM. */
static int narrow(struct given *g, const char *url, size_t from, size_t at, struct error *err)
{
        cleanup_free char *path = strndup(url + from, at > from ? at - from - 1 : 0);
        int rc;

        g->root = strndup(url, at);
        if (!path || !g->root)
                return error_set(err, ENOMEM, "out of memory");
        rc = fetchers_narrow(&g->fetchers, path, err);
        return rc;
}

/* Is the folder of the first AT bytes of URL a datastore? As bucket_folder_look. */
static int look(struct given *g, const char *url, size_t from, size_t at, struct error *err)
{
        cleanup_free char *path = strndup(url + from, at > from ? at - from - 1 : 0);

        return path ? bucket_folder_look(&g->fetchers, path, err)
                    : error_set(err, ENOMEM, "out of memory");
}

/*
 * 1: G is in a datastore, whose address is shorter than BEFORE bytes; 0: it is not. What is above the
 * folder that was named may be out of bounds, and is no datastore then as far as anybody can tell.
 */
static int find_store(struct given *g, const char *url, size_t from, size_t before,
                      struct error *err)
{
        size_t at = before;
        bool named = true;

        for (; next_store(url, at, &at); named = false) {
                struct error why = {0};
                int rc = look(g, url, from, at, &why);

                named = named && !url[at];
                if (rc == -ENOMEM || rc == -EREMOTEIO)
                        return error_set(err, -rc, "%s", why.text);
                if (rc < 0 && named && !err->code)
                        *err = why;
                if (rc < 1)
                        continue;
                *err = (struct error){0};
                g->kind = GIVEN_DATASTORE;
                if (!stored_place_below(url + at, &g->below))
                        return error_set(err, ENOMEM, "out of memory");
                rc = narrow(g, url, from, at, err);
                return rc < 0 ? rc : 1;
        }
        return err->code ? -err->code : 0;
}

/* Is there an object PATH? 1 or 0; or -errno. Who may not list a bucket is told that he may not read. */
static int has_object(struct given *g, const char *path, struct error *err)
{
        struct remote_part part = {.len = 1, .max = UINT64_MAX};
        cleanup_free void *bytes = NULL;
        ssize_t n = fetchers_part(&g->fetchers, path, &part, &bytes, err);

        return n >= 0 ? 1 : n == -ENOENT || n == -EACCES ? 0 : (int)n;
}

/* How many bytes of PATH name the object that it is, or that it leads into. ERR says why there is none. */
static int find_object(struct given *g, const char *path, size_t *out, struct error *err)
{
        for (size_t len = 0; path[len];) {
                cleanup_free char *name = NULL;
                int rc;

                len += strspn(path + len, "/");
                len += strcspn(path + len, "/");
                name = strndup(path, len);
                *err = (struct error){0};
                rc = name ? has_object(g, name, err) : error_set(err, ENOMEM, "out of memory");
                *out = len;
                if (rc != 0)
                        return rc < 0 ? rc : 0;
        }
        return err->code ? -err->code : error_set(err, ENOENT, "is not on the server");
}

/* URL is no datastore. */
static int find_archive(struct given *g, const char *url, size_t from, struct error *err)
{
        size_t len, slash;
        int rc = find_object(g, url + from, &len, err);

        if (rc < 0)
                return rc;
        for (slash = from + len; slash > from && url[slash - 1] != '/'; slash--)
                ;
        g->below = strndup(url + slash, from + len - slash);
        g->inside = strdup(url + from + len + strspn(url + from + len, "/"));
        if (!g->below || !g->inside)
                return error_set(err, ENOMEM, "out of memory");
        return narrow(g, url, from, slash, err);
}

static int find_far(struct given *g, const char *url, size_t from, struct error *err)
{
        int rc = find_store(g, url, from, strlen(url) + 1, err);

        if (rc != 0)
                return rc < 0 ? rc : 0;
        if (!url_is_prefix(url))
                return find_archive(g, url, from, err);
        g->kind = GIVEN_FOLDER;
        return narrow(g, url, from, strlen(url), err);
}

/* PATH with the '/' that it ends in if it names a bucket alone. */
static char *with_slash(const char *path)
{
        char *url = NULL;

        if (strchr(path + strlen("s3://"), '/'))
                return strdup(path);
        return asprintf(&url, "%s/", path) < 0 ? NULL : url;
}

static int start_at(struct given *g, const char *url, size_t at,
                    const struct index_options *options, struct error *err)
{
        cleanup_free char *widest = strndup(url, at);

        return widest ? fetchers_start(&g->fetchers, widest, &options->server, err)
                      : error_set(err, ENOMEM, "out of memory");
}

/* URL, which has no '/' at its end, is a folder or in a datastore, or else an object. */
static int find_either(struct given *g, const char *url, const struct index_options *options,
                       struct error *err)
{
        size_t beside = (size_t)(strrchr(url, '/') + 1 - url), at;
        cleanup_free char *folder = NULL;
        int rc;

        if (asprintf(&folder, "%s/", url) < 0)
                return error_set(err, ENOMEM, "out of memory");
        find_widest(folder, &at);
        at = at < beside ? at : beside;
        rc = start_at(g, url, at, options, err);
        if (rc == 0)
                rc = bucket_folder_try(&g->fetchers, url + at, err);
        if (rc >= 0)
                return find_far(g, folder, at, err);
        /* As the server has them, a group's snapshots are in another folder of the datastore. */
        if (rc == -ENOENT && !err->code)
                rc = find_store(g, folder, at, strlen(folder), err);
        if (rc != 0)
                return rc < 0 ? rc : 0;
        g->below = strdup(url + beside);
        g->inside = strdup("");
        if (!g->below || !g->inside)
                return error_set(err, ENOMEM, "out of memory");
        return narrow(g, url, at, beside, err);
}

static int start_far(struct given *g, const struct index_options *options, struct error *err)
{
        cleanup_free char *url = with_slash(g->path);
        size_t at;
        int rc = url_check(g->path, err);

        if (rc < 0)
                return rc;
        if (!url)
                return error_set(err, ENOMEM, "out of memory");
        if (!find_widest(url, &at))
                return find_either(g, url, options, err);
        rc = start_at(g, url, at, options, err);
        return rc < 0 ? rc : find_far(g, url, at, err);
}

/* ---- all ---- */

static enum given_kind kind_on_disk(const char *path)
{
        if (stored_has(path))
                return GIVEN_DATASTORE;
        if (stored_is_other_folder(path))
                return GIVEN_FOLDER;
        /* One that cannot be opened: stored_find says why. */
        return stored_is_folder(path) ? GIVEN_DATASTORE : GIVEN_ARCHIVE;
}

int given_find(const char *path, const struct index_options *options, struct given *g)
{
        struct error err = {0};
        int rc;

        g->path = path;
        if (!given_may_be_more(path)) {
                g->kind = kind_on_disk(path);
                return STATUS_OK;
        }
        g->far = true;
        rc = start_far(g, options, &err);
        if (rc < 0) {
                report_error(path, &err);
                return report_status(rc);
        }
        if (g->kind != GIVEN_DATASTORE || !options->server.spool)
                return STATUS_OK;
        report("%s: --spool is of archives, not of a datastore", path);
        return STATUS_USAGE;
}

void given_end(struct given *g)
{
        fetchers_end(&g->fetchers);
        free(steal_ptr(&g->root));
        free(steal_ptr(&g->below));
        free(steal_ptr(&g->inside));
}

/* ---- archives ---- */

int given_archive(struct given *g, struct archive_at *out)
{
        if (!g->far) {
                *out = (struct archive_at){.path = g->path};
                return STATUS_OK;
        }
        *out = (struct archive_at){g->path, &g->fetchers, g->below};
        if (!*g->inside)
                return STATUS_OK;
        report("%s: leads into an archive; give the archive alone", g->path);
        return STATUS_USAGE;
}

bool given_has_parts(const struct given *g)
{
        return g->far || archive_path_has_parts(g->path);
}

struct archive_at given_at(struct given *g, const char *archive)
{
        if (!g->far)
                return (struct archive_at){.path = archive};
        return (struct archive_at){archive, &g->fetchers, archive + strlen(g->root)};
}

/* Nothing at PATH, in the folder G, is an archive, for WHY. */
static int refuse(struct given *g, const char *path, const struct error *why)
{
        struct error err = {0};
        cleanup_free char *shown = NULL;

        if (asprintf(&shown, "%s%s", g->root, path) < 0)
                shown = NULL;
        if (shown && (!*path || bucket_folder_look(&g->fetchers, path, &err) >= 0)) {
                archive_path_refuse_folder(shown);
                return STATUS_USAGE;
        }
        report_error(shown, why);
        return report_status(-why->code);
}

/* PATH, in the folder G, leads to an archive, or into one. */
static int split_far(struct given *g, const char *path, struct archive_path *out)
{
        struct error err = {0};
        size_t len = 0;
        int rc = *path ? find_object(g, path, &len, &err) : -ENOENT;

        if (rc < 0)
                return refuse(g, path, &err);
        if (asprintf(&out->archive, "%s%.*s", g->root, (int)len, path) < 0)
                out->archive = NULL;
        out->inside = strdup(path + len + strspn(path + len, "/"));
        return STATUS_OK;
}

int given_split(struct given *g, const char *word, struct archive_path *out)
{
        int status = STATUS_OK;

        if (!g->far)
                return archive_path_find(g->path, word, out);
        *out = (struct archive_path){0};
        word = word ? word : "";
        if (g->kind == GIVEN_FOLDER) {
                status = split_far(g, word + strspn(word, "/"), out);
        } else {
                if (asprintf(&out->archive, "%s%s", g->root, g->below) < 0)
                        out->archive = NULL;
                if (asprintf(&out->inside, "%s%s%s", g->inside, *g->inside && *word ? "/" : "",
                             word) < 0)
                        out->inside = NULL;
        }
        if (status != STATUS_OK || (out->archive && out->inside))
                return status;
        report("out of memory");
        return STATUS_FAILED;
}

static int find_word(void *ctx, const char *word, struct archive_path *out)
{
        return given_split(ctx, word, out);
}

int given_parts(struct given *g, char *const *words, size_t count, struct archive_parts *out)
{
        return archive_parts_find(find_word, g, words, count, out);
}
