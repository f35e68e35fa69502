/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fuse/refresh.h"

#include "fs/fuse/ops.h"
#include "index/index.h"
#include "index/inside/groups.h"
#include "index/inside/parts.h"

static void refresh_part(struct fuse_session *session, struct part *p, off_t from)
{
        const struct node *n = part_node(p);

        if (n)
                fuse_lowlevel_notify_inval_inode(session, ops_nodeid(n), from, 0);
}

static void refresh_parts(struct fuse_session *session, struct parted *p, off_t from)
{
        size_t count = p ? parted_count(p) : 0;

        for (size_t i = 0; i < count; i++)
                refresh_part(session, &p->parts[i], from);
}

static void refresh_groups(struct fuse_session *session, struct groups *g, off_t from)
{
        size_t count = g ? groups_count(g) : 0;

        for (size_t i = 0; i < count; i++)
                for (size_t k = 0; k < g->list[i].count; k++)
                        refresh_part(session, &g->list[i].volumes[k].part, from);
}

void refresh_disks(struct fuse_session *session, const struct index *index, off_t from)
{
        for (size_t i = 0; i < index_disk_count(index); i++) {
                fuse_lowlevel_notify_inval_inode(session, ops_nodeid(index_disk(index, i)->node),
                                                 from, 0);
                refresh_parts(session, index_parted(index, i), from);
        }
        refresh_groups(session, index_groups(index), from);
}
