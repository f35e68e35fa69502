/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which clusters of an image file its tables name, and how often.
 *
 *   not named ──> named by compressed clusters ──> named as a whole, too: bad
 *        \─────> named once ──> named twice: right only if its reference count says so
 *
 * The bits take at most 48 MiB, and the tables 24 bytes each and as much at most.
 */
#ifndef VMAFS_QCOW2_CLAIMS_H
#define VMAFS_QCOW2_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/qcow2/qcow2_planes.h"

/* An L2 table that was gone through. */
struct qcow2_seen {
        uint32_t cluster;
        uint16_t disk;   /* number of the last disk that has it, from 1 on; 0: there is no table */
        bool again;      /* it was read a second time; the caller's */
        uint32_t mapped; /* clusters of a disk that it maps to whole clusters; the caller's */
};

struct qcow2_claims {
        struct qcow2_planes planes;
        struct qcow2_seen *seen; /* hashed by cluster; its size is a power of two, or 0 */
        size_t seen_size, seen_count;
        bool full;     /* there was no room for a cluster: some are unknown */
        uint64_t bad;  /* clusters … */
        bool bad_lost; /* … and there was no room to note one of them */
        uint64_t past; /* times that clusters past the file's end were named */
};

/* For a file of CLUSTERS. False: out of memory, or too many. qcow2_claims_fini in either case. */
bool qcow2_claims_init(struct qcow2_claims *c, uint64_t clusters);
void qcow2_claims_fini(struct qcow2_claims *c);

/* Each of the COUNT clusters from FIRST on is named as a whole. */
void qcow2_claim(struct qcow2_claims *c, uint64_t first, uint64_t count);

/* A compressed cluster lies in them. */
void qcow2_claim_coded(struct qcow2_claims *c, uint64_t first, uint64_t count);

/*
 * What no disk needs lies in them. False: one of them was named before, by that or anything else,
 * and nothing more was done.
 */
bool qcow2_claim_beside(struct qcow2_claims *c, uint64_t first, uint64_t count);

static inline bool qcow2_is_claimed(const struct qcow2_claims *c, uint64_t cluster)
{
        return qcow2_planes_get(&c->planes, PLANE_NAMED, cluster);
}

/* Mark as bad those of the 64 clusters from CLUSTER, a multiple of 64, whose bit is set. */
void qcow2_mark_bad_word(struct qcow2_claims *c, uint64_t cluster, uint64_t bits);
void qcow2_mark_bad(struct qcow2_claims *c, uint64_t cluster);

enum qcow2_sight {
        QCOW2_FIRST_SEEN,
        QCOW2_SEEN_IN_OTHER, /* disks, not in this one */
        QCOW2_SEEN_HERE,
        QCOW2_NOT_NOTED, /* there was no room */
};

/*
 * Disk number DISK, from 1 to 65535, has the L2 table in CLUSTER, which the file has. *SEEN is that
 * until the next one is seen.
 */
enum qcow2_sight qcow2_see_table(struct qcow2_claims *c, uint64_t cluster, uint32_t disk,
                                 struct qcow2_seen **seen);

#endif
