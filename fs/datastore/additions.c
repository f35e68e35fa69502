/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/datastore/additions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/array.h"
#include "archive/cleanup.h"
#include "archive/store/pbs/pbs_index.h"
#include "archive/store/pbs/pbs_snapshot.h"
#include "archive/store/pbs/pbs_volume.h"
#include "fs/datastore/snapshots.h"

/* Half of a digest tells chunks apart, where nothing but a count depends on it. */
struct chunk_name {
        uint8_t digest[PBS_DIGEST_LEN / 2];
        uint32_t size; /* bytes of plain data */
};

struct gathering {
        ARRAY(struct chunk_name) names;
};

void additions_fini(struct additions *a)
{
        free(a->group);
        free(a->names);
        *a = (struct additions){0};
}

/* ---- the chunks of one snapshot ---- */

static int by_digest(const void *a, const void *b)
{
        const struct chunk_name *x = a, *y = b;

        return memcmp(x->digest, y->digest, sizeof x->digest);
}

static int gather_ref(void *ctx, const struct pbs_chunk_ref *ref)
{
        struct gathering *g = ctx;
        struct chunk_name name = {.size = (uint32_t)(ref->end - ref->start)};

        memcpy(name.digest, ref->digest, sizeof name.digest);
        return array_add(&g->names, name);
}

static int gather_volume(struct gathering *g, struct volume *v)
{
        int rc = v ? pbs_volume_prove(v) : 0;

        return v && rc == 0 ? pbs_volume_each(v, gather_ref, g) : rc;
}

static int gather_all(struct gathering *g, const struct pbs_snapshot *snapshot)
{
        int rc = 0;

        for (size_t i = 0; rc == 0 && i < pbs_snapshot_count(snapshot); i++) {
                const struct pbs_item *item = pbs_snapshot_item(snapshot, i);

                if (!item->is_index)
                        continue;
                rc = item->content ? gather_volume(g, item->content) : -EIO;
                if (rc == 0)
                        rc = gather_volume(g, item->payload);
        }
        return rc;
}

static void sort_and_unite(struct gathering *g)
{
        size_t kept = 0;

        if (g->names.count == 0)
                return;
        qsort(g->names.items, g->names.count, sizeof *g->names.items, by_digest);
        for (size_t i = 1; i < g->names.count; i++)
                if (by_digest(&g->names.items[kept], &g->names.items[i]) != 0)
                        g->names.items[++kept] = g->names.items[i];
        g->names.count = kept + 1;
}

static int gather(const struct snapshots *s, const char *path, struct gathering *out)
{
        struct pbs_snapshot *snapshot = NULL;
        int rc = pbs_snapshot_open(s->store, path, &snapshot, NULL);

        *out = (struct gathering){0};
        if (rc == 0)
                rc = gather_all(out, snapshot);
        pbs_snapshot_close(snapshot);
        if (rc < 0)
                array_free(&out->names);
        else
                sort_and_unite(out);
        return rc;
}

/* ---- the one before it ---- */

struct search {
        const char *name; /* of a snapshot … */
        char best[32];    /* … and the last one before it; "": there is none */
};

static int take_earlier(void *ctx, const struct pbs_folder *folder)
{
        struct search *s = ctx;

        if (folder->level == PBS_SNAPSHOT && strcmp(folder->name, s->name) < 0 &&
            strcmp(folder->name, s->best) > 0 && strlen(folder->name) < sizeof s->best)
                snprintf(s->best, sizeof s->best, "%s", folder->name);
        return 0;
}

/* A begins a GROUP: it gets the chunks of the snapshot before NAME. One that is damaged has none.
 */
static int find_before(struct additions *a, const struct snapshots *s, const char *group,
                       const char *name)
{
        struct search search = {.name = name};
        struct gathering before = {0};
        cleanup_free char *path = NULL;
        int rc = pbs_store_list(s->store, group, PBS_GROUP, take_earlier, &search, NULL);

        if (rc < 0 || !*search.best)
                return rc;
        if (asprintf(&path, "%s/%s", group, search.best) < 0)
                return -ENOMEM;
        rc = gather(s, path, &before);
        a->names = before.names.items;
        a->count = before.names.count;
        return rc == -ENOMEM ? rc : 0;
}

static void compare(const struct additions *before, const struct gathering *now,
                    struct addition *out)
{
        size_t at = 0;

        *out = (struct addition){.chunks = now->names.count};
        for (size_t i = 0; i < now->names.count; i++) {
                const struct chunk_name *name = &now->names.items[i];

                while (at < before->count && by_digest(&before->names[at], name) < 0)
                        at++;
                if (at < before->count && by_digest(&before->names[at], name) == 0)
                        continue;
                out->own++;
                out->bytes += name->size;
        }
}

int additions_next(struct additions *a, const struct snapshots *s, const char *path,
                   struct addition *out)
{
        const char *name = strrchr(path, '/');
        cleanup_free char *group = name ? strndup(path, (size_t)(name - path)) : NULL;
        struct gathering now = {0};
        int rc = group ? 0 : -ENOMEM;

        if (rc == 0 && (!a->group || strcmp(a->group, group) != 0)) {
                additions_fini(a);
                a->group = steal_ptr(&group);
                rc = find_before(a, s, a->group, name + 1);
        }
        if (rc == 0)
                rc = gather(s, path, &now);
        if (rc < 0)
                return rc;
        compare(a, &now, out);
        free(a->names);
        a->names = now.names.items;
        a->count = now.names.count;
        return 0;
}
