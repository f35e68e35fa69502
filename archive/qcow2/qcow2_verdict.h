/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which clusters of an image file cannot be trusted. qcow2_usage makes it once, when it has read
 * all tables of the file; it never changes after that.
 */
#ifndef VMAFS_QCOW2_VERDICT_H
#define VMAFS_QCOW2_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/qcow2/qcow2_planes.h"

struct qcow2_verdict {
        unsigned cluster_bits;
        const char *all;     /* why none of the file can be trusted, or NULL */
        uint64_t zeros_from; /* byte of the file from which on zeros are read that it does not
                                have; UINT64_MAX: none are */
        struct qcow2_planes planes; /* PLANE_BAD alone */
};

void qcow2_verdict_free(struct qcow2_verdict *v); /* NULL is allowed */

/* Why the cluster at byte OFFSET of the file cannot be trusted, or NULL. V may be NULL. */
const char *qcow2_verdict_problem(const struct qcow2_verdict *v, uint64_t offset);

/* Does the file read as zeros past its END? V may be NULL. */
static inline bool qcow2_verdict_ends_with_zeros(const struct qcow2_verdict *v, uint64_t end)
{
        return v && v->zeros_from == end;
}

#endif
