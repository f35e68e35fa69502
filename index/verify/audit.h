/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does what was kept of an archive agree with what a scan has just found? A compressed archive
 * whose stream has no checksum of its own may have changed without its decoder noticing, and any
 * archive may have been replaced by one with the same ends.
 */
#ifndef VMAFS_AUDIT_H
#define VMAFS_AUDIT_H

#include <stdbool.h>
#include <stddef.h>

#include "index/index.h"
#include "index/sidecar/location.h"

/* One sidecar of the archive. */
struct audit_sidecar {
        bool present;
        bool differs;      /* the archive is not what it was made of */
        const char *path;  /* valid as long as the index */
        char problem[400]; /* why it could not be compared; "" where it was */
};

struct audit {
        struct audit_sidecar sidecars[PLACES];
        struct index_damage *differences; /* in which they differ: the first INDEX_DAMAGE_MAX … */
        size_t kept;
        size_t count; /* … of so many */
};

/* INDEX has been scanned, and nothing was kept of that yet. 0 or -ENOMEM. */
int audit_run(struct index *index, struct audit *out);
void audit_fini(struct audit *a);

#endif
