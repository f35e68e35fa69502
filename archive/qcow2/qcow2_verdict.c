/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/qcow2/qcow2_verdict.h"

#include <stdlib.h>

void qcow2_verdict_free(struct qcow2_verdict *v)
{
        if (v)
                qcow2_planes_fini(&v->planes);
        free(v);
}

const char *qcow2_verdict_problem(const struct qcow2_verdict *v, uint64_t offset)
{
        if (!v)
                return NULL;
        if (v->all)
                return v->all;
        if (qcow2_planes_get(&v->planes, PLANE_BAD, offset >> v->cluster_bits))
                return "a cluster is named for two things, or not counted as in use";
        return NULL;
}
