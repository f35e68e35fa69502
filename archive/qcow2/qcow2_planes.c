/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/qcow2/qcow2_planes.h"

#include <stdlib.h>

/* 48 MiB: a file of 6 TiB that is all in use, in clusters of 64 KiB. */
enum { CHUNKS_MAX = 12 << 10 };

#define CLUSTERS_MAX (UINT64_C(1) << 31)

static size_t chunk_count(const struct qcow2_planes *p)
{
        return (size_t)(p->clusters >> QCOW2_CHUNK_BITS) + 1;
}

bool qcow2_planes_init(struct qcow2_planes *p, uint64_t clusters)
{
        bool there = clusters <= CLUSTERS_MAX;

        *p = (struct qcow2_planes){.clusters = clusters};
        for (int i = 0; i < PLANES && there; i++) {
                p->chunk[i] = calloc(chunk_count(p), sizeof *p->chunk[i]);
                there = p->chunk[i] != NULL;
        }
        return there;
}

void qcow2_planes_clear(struct qcow2_planes *p, enum qcow2_plane plane)
{
        for (size_t i = 0; p->chunk[plane] && i < chunk_count(p); i++) {
                p->chunks -= p->chunk[plane][i] != NULL;
                free(p->chunk[plane][i]);
                p->chunk[plane][i] = NULL;
        }
}

void qcow2_planes_fini(struct qcow2_planes *p)
{
        for (int i = 0; i < PLANES; i++) {
                qcow2_planes_clear(p, (enum qcow2_plane)i);
                free(p->chunk[i]);
                p->chunk[i] = NULL;
        }
}

bool qcow2_planes_add(struct qcow2_planes *p, enum qcow2_plane plane, uint64_t cluster)
{
        uint64_t **chunk = &p->chunk[plane][cluster >> QCOW2_CHUNK_BITS];

        if (p->chunks >= CHUNKS_MAX)
                return false;
        *chunk = calloc(QCOW2_CHUNK_WORDS, sizeof **chunk);
        p->chunks += *chunk != NULL;
        return *chunk != NULL;
}
