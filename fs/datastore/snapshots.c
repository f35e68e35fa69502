/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/datastore/snapshots.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/array.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/shared.h"
#include "archive/store/pbs/pbs_key.h"
#include "archive/store/pbs/pbs_store.h"
#include "fs/cli/given.h"
#include "fs/folder/bucket_folder.h"
#include "fs/print/report.h"
#include "fs/process/sandbox.h"

bool snapshots_option(int c, struct datastore_words *w)
{
        if (c == DATASTORE_KEYFILE)
                w->keyfile = optarg;
        else if (c == DATASTORE_PASSFILE)
                w->passfile = optarg;
        else
                return false;
        return true;
}

int snapshots_check_words(struct datastore_words *w, char *const *paths, size_t count)
{
        w->alone = count == 1;
        for (size_t i = 0; i < count; i++)
                if (stored_has(paths[i]) || given_may_be_more(paths[i]))
                        return STATUS_OK;
        return stored_refuse_key(paths[0], "--", w->keyfile, w->passfile);
}

int snapshots_check_given(const struct datastore_words *w, const struct given *g)
{
        if (!w->alone || g->kind == GIVEN_DATASTORE)
                return STATUS_OK;
        return stored_refuse_key(g->path, "--", w->keyfile, w->passfile);
}

static int open_it(struct given *g, struct snapshots *s, struct error *err)
{
        struct store *store;

        if (!g->far)
                return pbs_store_open(steal_fd(&s->stored.folder), s->key, s->shared, &s->store,
                                      err);
        store = bucket_folder_store(&g->fetchers);
        return store ? pbs_store_open_far(store, s->key, s->shared, &s->store, err)
                     : error_set(err, ENOMEM, "out of memory");
}

static int open_store(struct given *g, const struct datastore_words *words, const int *sockets,
                      struct snapshots *s, struct error *err)
{
        struct sandbox sandbox = {.sockets = {-1, -1, g->fetchers.helper.fd},
                                  .has_folder = !g->far,
                                  .folder = s->stored.folder};
        int rc = 0;

        if (sockets)
                memcpy(sandbox.sockets, sockets, 2 * sizeof *sockets);
        /* What the kernel does not offer is done without. */
        sandbox_enter(&sandbox, NULL);
        if (s->stored.key)
                rc = pbs_key_parse(s->stored.key, s->stored.key_len, s->stored.password, &s->key,
                                   err);
        if (rc == 0)
                rc = shared_new(words->cache_bytes, words->threads, &s->shared, err);
        if (rc == 0)
                rc = open_it(g, s, err);
        if (rc == 0)
                shared_release(s->shared);
        return rc;
}

/* "vm/100/2026-02-01T00:00:00Z/root/etc": the folder of the datastore, and the rest. */
static int split_place(struct snapshots *s, struct error *err)
{
        const char *below = s->place.below ? s->place.below : "";
        size_t len = pbs_store_split(below, &s->level);

        s->folder = strndup(below, len);
        s->rest = below + len + strspn(below + len, "/");
        return s->folder ? 0 : error_set(err, ENOMEM, "out of memory");
}

/* Its place, its folder where it is on disk, and its key. */
static int find(const struct given *g, const struct datastore_words *words, struct snapshots *s,
                struct error *err)
{
        int rc;

        if (!g->far)
                stored_locate(g->path, &s->place);
        else if (!(s->place.below = strdup(g->below)))
                return error_set(err, ENOMEM, "out of memory");
        rc = split_place(s, err);
        if (rc < 0)
                return rc;
        if (g->far)
                return stored_find_key(words->keyfile, words->passfile, &s->stored, err);
        return stored_find(s->place.root ? s->place.root : g->path, words->keyfile, words->passfile,
                           &s->stored, err);
}

int snapshots_open(struct given *g, const struct datastore_words *words, const int sockets[2],
                   struct snapshots *s)
{
        struct error err = {0};
        int rc;

        *s = SNAPSHOTS_NONE;
        rc = find(g, words, s, &err);
        if (rc == 0)
                rc = open_store(g, words, sockets, s, &err);
        if (rc == 0)
                return STATUS_OK;
        report_error(g->path, &err);
        return report_status(rc);
}

void snapshots_close(struct snapshots *s)
{
        pbs_store_close(s->store);
        shared_free(s->shared);
        pbs_key_free(s->key);
        stored_close(&s->stored);
        stored_place_fini(&s->place);
        free(s->folder);
}

int snapshots_need_folder(const struct snapshots *s, const char *path)
{
        struct error err = {0};
        int rc;

        if (*s->rest) {
                report("%s: is neither a snapshot nor a folder of snapshots", path);
                return STATUS_USAGE;
        }
        rc = pbs_store_look(s->store, s->folder, &err);
        if (rc == 0)
                return STATUS_OK;
        report_error(path, &err);
        return report_status(rc);
}

/* ---- going through it ---- */

struct name {
        char *name;
        enum pbs_level level;
};

struct names {
        ARRAY(struct name) list;
};

static void cleanup_names_fn(struct names *n)
{
        for (size_t i = 0; i < n->list.count; i++)
                free(n->list.items[i].name);
        array_free(&n->list);
}

static int take_name(void *ctx, const struct pbs_folder *folder)
{
        struct names *n = ctx;
        struct name name = {.level = folder->level};

        if (array_reserve(&n->list, 1) < 0)
                return -ENOMEM;
        name.name = strdup(folder->name);
        return name.name ? array_add(&n->list, name) : -ENOMEM;
}

/* Types before the namespaces below them. */
static int by_name(const void *a, const void *b)
{
        const struct name *x = a, *y = b;

        if (x->level != y->level)
                return x->level == PBS_NAMESPACES ? 1 : y->level == PBS_NAMESPACES ? -1 : 0;
        return strcmp(x->name, y->name);
}

static int walk(const struct snapshots *s, const char *path, enum pbs_level level,
                int (*each)(void *ctx, const char *path), void *ctx, struct error *err)
{
        __attribute__((cleanup(cleanup_names_fn))) struct names names = {0};
        int rc = pbs_store_list(s->store, path, level, take_name, &names, err);

        if (names.list.count)
                qsort(names.list.items, names.list.count, sizeof *names.list.items, by_name);
        for (size_t i = 0; rc == 0 && i < names.list.count; i++) {
                const struct name *n = &names.list.items[i];
                cleanup_free char *below = NULL;

                if (asprintf(&below, "%s%s%s", path, *path ? "/" : "", n->name) < 0)
                        return -ENOMEM;
                rc = n->level == PBS_SNAPSHOT ? each(ctx, below)
                                              : walk(s, below, n->level, each, ctx, err);
                /* A server has pruned it meanwhile. */
                if (rc == -ENOENT)
                        rc = 0;
        }
        return rc;
}

int snapshots_each(const struct snapshots *s, int (*each)(void *ctx, const char *path), void *ctx,
                   struct error *err)
{
        int rc;

        if (s->level != PBS_SNAPSHOT)
                return walk(s, s->folder, s->level, each, ctx, err);
        rc = each(ctx, s->folder);
        return rc == -ENOENT ? 0 : rc;
}
