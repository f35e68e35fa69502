/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/nbdkit/exports.h"

#define NBDKIT_API_VERSION 2
#include <errno.h>
#include <nbdkit-plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/error.h"
#include "archive/store/pbs/pbs_snapshot.h"
#include "archive/volume.h"
#include "fs/cli/selection.h"
#include "fs/nbdkit/content.h"
#include "fs/print/report.h"
#include "fs/verbs/guest.h"
#include "index/index.h"
#include "index/inside/groups.h"
#include "index/inside/parts.h"

enum { SHOWN_SIZE = 300 };

static struct export of_disk(struct disk *d)
{
        return (struct export){.name = d->name, .device = d->device, .disk = d};
}

static struct export of_item(const struct pbs_item *item)
{
        return (struct export){.name = item->name, .device = item->device, .volume = item->content};
}

/* ---- disks ---- */

/* The next disk from *AT on, which is 0 at first. False: there are no more. */
static bool next_disk(const struct content *c, size_t *at, struct export *out)
{
        const struct pbs_item *item = NULL;

        if (c->is_stored) {
                item = snapshot_next_disk(&c->snapshot, at);
                if (item)
                        *out = of_item(item);
                return item != NULL;
        }
        if (*at == index_disk_count(c->index))
                return false;
        *out = of_disk(index_disk(c->index, (*at)++));
        return true;
}

static bool find_disk(const struct content *c, const char *word, struct export *out)
{
        const struct pbs_item *item;
        struct disk *d;

        if (c->is_stored) {
                item = snapshot_find_disk(&c->snapshot, word);
                if (item)
                        *out = of_item(item);
                return item != NULL;
        }
        d = selection_find_disk(word, c->index);
        if (d)
                *out = of_disk(d);
        return d != NULL;
}

/* The names of the disks, as far as they have room. */
static const char *list_names(const struct content *c, char *out, size_t size)
{
        struct export e;
        size_t len = 0;

        out[0] = '\0';
        for (size_t at = 0; next_disk(c, &at, &e) && len < size;)
                len += (size_t)snprintf(out + len, size - len, "%s%s", len ? ", " : "", e.name);
        return out;
}

/* NAME, which a client may have sent, without what a log or a terminal would obey. */
static const char *printable(const char *name, char out[SHOWN_SIZE])
{
        snprintf(out, SHOWN_SIZE, "%s", name);
        error_make_printable(out);
        return out;
}

static int refuse(const struct content *c, const char *name)
{
        char names[1024], shown[SHOWN_SIZE];

        nbdkit_error("%s: holds no disk named %s; it holds %s", c->path, printable(name, shown),
                     list_names(c, names, sizeof names));
        return -ENOENT;
}

int exports_choose(struct content *c, const char *word)
{
        const char *inside = c->inside ? c->inside : "";
        struct export e;
        size_t at = 0;

        if (!next_disk(c, &at, &e)) {
                nbdkit_error("%s: holds no disk", c->path);
                return -ENOENT;
        }
        if (*inside && word) {
                nbdkit_error("%s: %s is named already; disk= is one too many", c->path, inside);
                return -EINVAL;
        }
        word = word ? word : inside;
        if (!*word)
                return 0;
        if (find_disk(c, word, &e))
                c->only = strdup(e.name);
        /* Whether there is such a partition is known only when the index has come to it. */
        else if (c->index && selection_is_inside(word))
                c->only = strdup(word);
        else
                return refuse(c, word);
        return c->only ? 0 : -ENOMEM;
}

/* ---- partitions and logical volumes ---- */

static int load_table(void *ctx)
{
        struct parted *p = ctx;

        return parted_ready(p) ? parted_load(p, NULL) : -EAGAIN;
}

static int load_groups(void *ctx)
{
        struct groups *g = ctx;

        return groups_ready(g) ? groups_load(g) : -EAGAIN;
}

/* The table of P, where it can be had. */
static int need_table(struct content *c, struct parted *p)
{
        char why[512];
        int rc = growth_until(&c->growth, load_table, p);

        if (rc < 0 && rc != -ESHUTDOWN)
                nbdkit_error("%s: %s: %s", c->path, p->disk->name,
                             parted_why(p, why, sizeof why) ? why : strerror(-rc));
        return rc;
}

static int need_groups(struct content *c, struct groups *g)
{
        int rc = growth_until(&c->growth, load_groups, g);

        if (rc < 0 && rc != -ESHUTDOWN)
                nbdkit_error("%s: its volume groups cannot be read: %s", c->path, strerror(-rc));
        return rc;
}

/* Is NAME in the folder FOLDER? */
static bool is_below(const struct index_folder *folder, const char *name)
{
        size_t len = strlen(folder->name);

        return strncmp(name, folder->name, len) == 0 && name[len] == '/';
}

static struct disk *find_partition(struct parted *p, const char *name)
{
        for (size_t i = 0; i < p->count; i++)
                if (strcmp(p->parts[i].disk.name, name) == 0)
                        return &p->parts[i].disk;
        return NULL;
}

static struct disk *find_logical(struct groups *g, const char *name)
{
        for (size_t i = 0; i < g->count; i++)
                for (size_t j = 0; j < g->list[i].count; j++)
                        if (strcmp(g->list[i].volumes[j].part.disk.name, name) == 0)
                                return &g->list[i].volumes[j].part.disk;
        return NULL;
}

/* Sets *OUT, to NULL where there is none of that name. 0 or -errno. */
static int find_inside(struct content *c, const char *name, struct disk **out)
{
        struct groups *g = index_groups(c->index);
        int rc = 0;

        *out = NULL;
        if (g && is_below(g->folder, name)) {
                rc = need_groups(c, g);
                *out = rc == 0 ? find_logical(g, name) : NULL;
        }
        for (size_t i = 0; i < index_disk_count(c->index) && rc == 0 && !*out; i++) {
                struct parted *p = index_parted(c->index, i);

                if (!p || !is_below(p->folder, name))
                        continue;
                rc = need_table(c, p);
                *out = rc == 0 ? find_partition(p, name) : NULL;
        }
        return rc;
}

/* ---- finding and listing ---- */

/* Does NAME mean the only export? */
static bool is_only(const struct content *c, const char *name)
{
        struct export e;

        return strcmp(name, c->only) == 0 ||
               (find_disk(c, name, &e) && strcmp(e.name, c->only) == 0);
}

/* OUT is a disk of a snapshot: can it be read? */
static int check_content(const struct content *c, const struct export *out)
{
        const struct pbs_item *item =
            c->is_stored ? snapshot_find_disk(&c->snapshot, out->name) : NULL;

        if (!item || item->content)
                return 0;
        nbdkit_error("%s: %s: %s", c->path, item->name, item->why ? item->why : "cannot be read");
        return -EIO;
}

int exports_find(struct content *c, const char *name, struct export *out)
{
        char shown[SHOWN_SIZE];
        struct disk *d = NULL;
        int rc;

        if (c->only && !is_only(c, name)) {
                nbdkit_error("%s: %s is not exported, only %s", c->path, printable(name, shown),
                             c->only);
                return -ENOENT;
        }
        if (find_disk(c, name, out))
                return check_content(c, out);
        rc = c->index ? find_inside(c, name, &d) : 0;
        if (rc < 0)
                return rc;
        if (!d)
                return refuse(c, name);
        *out = of_disk(d);
        out->device = NULL;
        return 0;
}

static int each_partition(struct content *c, int (*each)(void *ctx, const struct export *e),
                          void *ctx)
{
        for (size_t i = 0; i < index_disk_count(c->index); i++) {
                struct parted *p = index_parted(c->index, i);
                int rc = p ? need_table(c, p) : -ENOENT;

                if (rc == -ESHUTDOWN)
                        return rc;
                for (size_t j = 0; rc == 0 && j < p->count; j++) {
                        struct export e = {.name = p->parts[j].disk.name,
                                           .disk = &p->parts[j].disk};

                        rc = each(ctx, &e);
                        if (rc != 0)
                                return rc;
                }
        }
        return 0;
}

static int each_logical(struct content *c, int (*each)(void *ctx, const struct export *e),
                        void *ctx)
{
        struct groups *g = index_groups(c->index);
        int rc = g ? need_groups(c, g) : -ENOENT;

        if (rc < 0)
                return rc == -ESHUTDOWN ? rc : 0;
        for (size_t i = 0; i < g->count; i++)
                for (size_t j = 0; j < g->list[i].count; j++) {
                        struct disk *d = &g->list[i].volumes[j].part.disk;
                        struct export e = {.name = d->name, .disk = d};

                        rc = each(ctx, &e);
                        if (rc != 0)
                                return rc;
                }
        return 0;
}

int exports_each(struct content *c, bool parts, int (*each)(void *ctx, const struct export *e),
                 void *ctx)
{
        struct export e;
        int rc = 0;

        if (c->only) {
                rc = exports_find(c, c->only, &e);
                return rc < 0 ? rc : each(ctx, &e);
        }
        for (size_t at = 0; rc == 0 && next_disk(c, &at, &e);)
                rc = each(ctx, &e);
        if (rc == 0 && parts && c->index)
                rc = each_partition(c, each, ctx);
        if (rc == 0 && parts && c->index)
                rc = each_logical(c, each, ctx);
        return rc;
}

/* ---- the default ---- */

/* The one disk in the root, or of those the one that is called "disk-": no state of a machine. */
static const char *find_single(const struct content *c, const char *prefix)
{
        const char *found = NULL;
        struct export e;

        for (size_t at = 0; next_disk(c, &at, &e);) {
                if (strchr(e.name, '/') || strncmp(e.name, prefix, strlen(prefix)) != 0)
                        continue;
                if (found)
                        return NULL;
                found = e.name;
        }
        return found;
}

const char *exports_default(struct content *c)
{
        const char *name = c->only ? c->only : find_single(c, "");
        char names[1024];

        if (!name)
                name = find_single(c, "disk-");
        if (!name)
                nbdkit_error("%s: holds several disks: %s; give one as the export's name, or as "
                             "disk=",
                             c->path, list_names(c, names, sizeof names));
        return name;
}

/* ---- describing ---- */

/* What an archive says may be anything, and a client may print it. */
static void make_printable(char *text)
{
        for (; *text; text++)
                if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
                        *text = '?';
}

static void describe_guest(const struct content *c, char *out, size_t size)
{
        struct guest guest;

        if (c->is_stored)
                snapshot_guest(&c->snapshot, &guest);
        else
                guest_find(c->index, &guest);
        if (guest.name[0] && guest.id)
                snprintf(out, size, "%s (%u), ", guest.name, guest.id);
        else if (guest.name[0])
                snprintf(out, size, "%s, ", guest.name);
        else if (guest.id)
                snprintf(out, size, "%u, ", guest.id);
}

/* The file system of the partition E, where it is known by now. */
static const char *describe_part(const struct export *e)
{
        struct part *p = e->disk ? part_of(e->disk) : NULL;
        const char *name = NULL;

        if (!p || !part_ready(p) || part_filesystem(p, &name) < 0)
                return NULL;
        return name;
}

void exports_describe(struct content *c, const struct export *e, char out[DESCRIPTION_SIZE])
{
        const char *what = e->device ? e->device : describe_part(e);
        bool known = e->volume || (e->disk && !e->disk->provisional_size);
        uint64_t size = e->volume ? e->volume->size : e->disk ? (uint64_t)e->disk->size : 0;
        char guest[300] = "", text[32];

        describe_guest(c, guest, sizeof guest);
        snprintf(out, DESCRIPTION_SIZE, "%s%s%s%s", guest, what ? what : "", what ? ", " : "",
                 known ? report_size(size, text) : "not indexed yet");
        make_printable(out);
}
