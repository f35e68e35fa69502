/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/collection/snapshot_inside.h"

#include <errno.h>
#include <stdio.h>

#include "archive/array.h"
#include "archive/error.h"
#include "archive/store/pbs/pbs_snapshot.h"
#include "archive/store/pbs/pbs_volume.h"
#include "index/index.h"
#include "index/inside/groups.h"
#include "index/inside/parts.h"
#include "index/tree/node.h"

int snapshot_inside(const struct pbs_snapshot *s, struct shared *shared, struct index **out)
{
        ARRAY(struct index_given) disks = {0};
        int rc = 0;

        for (size_t i = 0; i < pbs_snapshot_count(s) && rc == 0; i++) {
                const struct pbs_item *item = pbs_snapshot_item(s, i);
                const struct index_given disk = {item->name, item->device, item->content};

                if (item->kind == PBS_ITEM_DISK && item->content)
                        rc = array_add(&disks, disk);
        }
        if (rc == 0)
                rc = index_of_volumes(disks.items, disks.count, shared, out);
        array_free(&disks);
        return rc;
}

/* Of a logical volume nobody knows on which of them it lies. */
static bool read_failure(const struct index *inside, struct error *err)
{
        for (size_t i = 0; i < index_disk_count(inside); i++)
                if (pbs_volume_failure(index_disk(inside, i)->volume, err))
                        return true;
        return false;
}

bool snapshot_inside_why(const struct index *inside, const struct node *n, char *out, size_t size)
{
        struct parted *p = index_parted_of(n);
        struct error err;

        if (p)
                return parted_why(p, out, size);
        if (node_is_folder(n))
                return groups_why(inside, n, out, size);
        if (!read_failure(inside, &err))
                return false;
        snprintf(out, size, "%s", err.text);
        return true;
}
