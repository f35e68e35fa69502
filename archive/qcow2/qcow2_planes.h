/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Some bits for each cluster of a file: chunks with a set bit take memory, up to a limit. */
#ifndef VMAFS_QCOW2_PLANES_H
#define VMAFS_QCOW2_PLANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        QCOW2_CHUNK_BITS = 15, /* clusters in a chunk of 4 KiB */
        QCOW2_CHUNK_WORDS = (1 << QCOW2_CHUNK_BITS) / 64,
};

enum qcow2_plane {
        PLANE_NAMED,  /* a table of the image names it */
        PLANE_CODED,  /* only compressed clusters name it, which may share it */
        PLANE_TWICE,  /* it is named as a whole more than once */
        PLANE_BESIDE, /* it holds something that no disk needs: a bitmap, the names of snapshots */
        PLANE_BAD,    /* the tables contradict each other about it */
        PLANES,
};

struct qcow2_planes {
        uint64_t clusters;
        size_t chunks; /* in memory */
        uint64_t **chunk[PLANES];
};

/* For a file of CLUSTERS. False: out of memory, or too many. qcow2_planes_fini in either case. */
bool qcow2_planes_init(struct qcow2_planes *p, uint64_t clusters);
void qcow2_planes_fini(struct qcow2_planes *p);

/* Get memory for the chunk of CLUSTER, which has none. False: there is no room. */
bool qcow2_planes_add(struct qcow2_planes *p, enum qcow2_plane plane, uint64_t cluster);

/* The bits of the 64 clusters around CLUSTER, which is below the count. */
static inline uint64_t qcow2_planes_word(const struct qcow2_planes *p, enum qcow2_plane plane,
                                         uint64_t cluster)
{
        const uint64_t *chunk = p->chunk[plane][cluster >> QCOW2_CHUNK_BITS];

        return chunk ? chunk[cluster / 64 % QCOW2_CHUNK_WORDS] : 0;
}

/* The same, to change them. NULL: there is no room. */
static inline uint64_t *qcow2_planes_at(struct qcow2_planes *p, enum qcow2_plane plane,
                                        uint64_t cluster)
{
        uint64_t **chunk = &p->chunk[plane][cluster >> QCOW2_CHUNK_BITS];

        if (!*chunk && !qcow2_planes_add(p, plane, cluster))
                return NULL;
        return &(*chunk)[cluster / 64 % QCOW2_CHUNK_WORDS];
}

static inline bool qcow2_planes_get(const struct qcow2_planes *p, enum qcow2_plane plane,
                                    uint64_t cluster)
{
        return cluster < p->clusters && p->chunk[plane] &&
               qcow2_planes_word(p, plane, cluster) >> cluster % 64 & 1;
}

/* Are all bits of the chunk of CLUSTER, which is below the count, 0? */
static inline bool qcow2_planes_empty(const struct qcow2_planes *p, enum qcow2_plane plane,
                                      uint64_t cluster)
{
        return !p->chunk[plane][cluster >> QCOW2_CHUNK_BITS];
}

void qcow2_planes_clear(struct qcow2_planes *p, enum qcow2_plane plane);

#endif
