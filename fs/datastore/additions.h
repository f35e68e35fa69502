/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a snapshot adds to its group: the chunks that the snapshot before it does not have. The
 * indexes tell; no chunk is read.
 */
#ifndef VMAFS_ADDITIONS_H
#define VMAFS_ADDITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct snapshots;

struct addition {
        uint64_t chunks; /* that the snapshot has, each counted once */
        uint64_t own;    /* of them: those that the one before it does not have … */
        uint64_t bytes;  /* … and what plain data are in them */
};

/* The chunks of the snapshot that was looked at last. All zeros: none was. */
struct additions {
        char *group;
        struct chunk_name *names; /* in order, no two alike */
        size_t count;
};

void additions_fini(struct additions *a);

/*
 * Look at the snapshot PATH of S, and compare it with the one before it in its group, which A has,
 * or which is looked for. 0 with *OUT; what pbs_snapshot_open says; -EIO where an index cannot be
 * believed; -ENOMEM.
 */
int additions_next(struct additions *a, const struct snapshots *s, const char *path,
                   struct addition *out);

#endif
