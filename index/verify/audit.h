/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compares an archive's stored indexes with what a scan has just found. A compressed archive
 * without a checksum in its stream may have changed without its decoder noticing, and any archive
 * may have been replaced by one with the same ends.
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
        bool differs;      /* the archive differs from the one it was made of */
        const char *path;  /* valid as long as the index */
        char problem[400]; /* why it could not be compared; "": it was */
};

struct audit {
        struct audit_sidecar sidecars[LOCATIONS];
        struct index_damage *differences; /* the first INDEX_DAMAGE_MAX differences … */
        size_t kept;
        size_t count; /* … of so many in all */
};

/* Call it after INDEX was scanned, and before the result is stored. 0 or -ENOMEM. */
int audit_run(struct index *index, struct audit *out);
void audit_fini(struct audit *a);

#endif
