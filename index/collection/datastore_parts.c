/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is inside of a snapshot's disks, as nodes of the datastore's tree. The snapshot has the index
 * that knows it from the moment when one of these folders is first entered until it is closed.
 */
#include <errno.h>
#include <sys/stat.h>

#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/store/pbs/pbs_snapshot.h"
#include "index/collection/datastore_internal.h"
#include "index/collection/snapshot_inside.h"
#include "index/index.h"
#include "index/inside/groups.h"
#include "index/inside/inside.h"
#include "index/inside/parts.h"

static int add_folder(struct datastore *d, struct node *folder, const char *name, size_t number)
{
        struct place *snapshot = place_of(folder);
        struct place *p = datastore_add_place(d, snapshot, PLACE_PARTS);
        const struct entry e = {.name = name,
                                .mode = S_IFDIR,
                                .later = true,
                                .has_mtime = true,
                                .mtime.tv_sec = folder->mtime};

        if (!p)
                return -ENOMEM;
        p->snapshot = snapshot;
        p->number = number;
        return datastore_add_node(d, folder, &e, p, NULL);
}

int datastore_add_parts(struct datastore *d, struct node *folder)
{
        const struct pbs_snapshot *s = place_of(folder)->opened;
        size_t disks = 0;
        int rc = 0;

        for (size_t i = 0; i < pbs_snapshot_count(s) && rc == 0; i++) {
                const struct pbs_item *item = pbs_snapshot_item(s, i);
                cleanup_free char *name = NULL;

                if (item->kind != PBS_ITEM_DISK || !item->content)
                        continue;
                name = inside_folder_name(item->name);
                rc = name ? add_folder(d, folder, name, disks++) : -ENOMEM;
        }
        return rc == 0 && disks ? add_folder(d, folder, INSIDE_GROUPS_NAME, PARTS_GROUPS) : rc;
}

/* The index of what is inside of SNAPSHOT, made now if there is none. 0 or -ENOMEM. */
static int get_inside(struct datastore *d, struct place *snapshot, struct index **out)
{
        scoped_lock(&d->lock);
        int rc = 0;

        if (!snapshot->inside)
                rc = snapshot_inside(snapshot->opened, d->shared, &snapshot->inside);
        *out = snapshot->inside;
        return rc;
}

/* Who makes the nodes of one folder. */
struct copying {
        struct datastore *d;
        struct place *snapshot, *owner; /* OWNER has all the places */
};

static int copy_folder(const struct copying *c, struct node *within, struct node *folder);

static int copy_node(const struct copying *c, struct node *within, struct node *folder)
{
        const struct disk *disk = index_disk_of(within);
        struct place *p = datastore_add_place(c->d, c->owner, disk ? PLACE_FILE : PLACE_PARTS);
        const struct entry e = {.name = within->name,
                                .mode = within->mode,
                                .size = disk ? disk->size : 0,
                                .has_mtime = true,
                                .mtime.tv_sec = folder->mtime};
        struct node *made;
        int rc;

        if (!p)
                return -ENOMEM;
        p->snapshot = c->snapshot;
        p->within = within;
        p->volume = disk ? disk->volume : NULL;
        rc = datastore_add_node(c->d, folder, &e, p, &made);
        return rc == 0 && !disk ? copy_folder(c, within, made) : rc;
}

static int copy_folder(const struct copying *c, struct node *within, struct node *folder)
{
        struct tree_cursor cursor = {0};
        int rc = tree_open(within);
        struct node *n;

        if (rc < 0)
                return rc;
        while (rc == 0 && (n = tree_next(within, &cursor))) {
                rc = copy_node(c, n, folder);
                tree_release(n, 1);
        }
        tree_close(within);
        return rc;
}

int datastore_fill_parts(struct datastore *d, struct node *folder)
{
        struct place *p = place_of(folder);
        const struct copying c = {d, p->snapshot, p};
        struct index *inside;
        const struct index_folder *f;
        int rc = get_inside(d, p->snapshot, &inside);

        if (rc < 0)
                return rc;
        f = p->number == PARTS_GROUPS ? index_groups(inside)->folder
                                      : index_parted(inside, p->number)->folder;
        p->within = f->node;
        return copy_folder(&c, f->node, folder);
}

bool datastore_parts_why(const struct place *p, char *out, size_t size)
{
        const struct node *within = p->within;

        return within && snapshot_inside_why(p->snapshot->inside, within, out, size);
}

const struct node *datastore_within(const struct node *n, struct index **index)
{
        const struct place *p = place_of(n);
        const struct node *within = p->snapshot ? p->within : NULL;

        if (within)
                *index = p->snapshot->inside;
        return within;
}
