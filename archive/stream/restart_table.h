/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the builder writes to the table; nobody else includes this. See restart.h for the picture.
 *
 * The last record of a table under construction is the segment that is still growing: it has a
 * point but no hash, and readers do not see it until the next one is begun.
 */
#ifndef VMAFS_RESTART_TABLE_H
#define VMAFS_RESTART_TABLE_H

#include "archive/stream/restart.h"

enum restart_state {
        RESTART_CONTINUES, /* cannot be entered */
        RESTART_OPEN,      /* a candidate without a verdict */
        RESTART_DEFERRED,  /* holds for its own segment; the rest hangs on a later candidate */
        RESTART_POINT,
};

/* As a restart_point has them. */
struct restart_hash {
        uint64_t hash;
        bool by_sums;
};

/*
 * Finish the growing segment with HASH and begin one at OUT. Where the growing one is still
 * empty it is taken over instead.
 */
int restart_table_begin(struct restart_table *t, struct restart_hash hash,
                        const struct restart_point *point, enum restart_state state);

/* Finish the growing segment for good: the stream ends. */
int restart_table_finish(struct restart_table *t, struct restart_hash hash, uint64_t out,
                         uint64_t in_bytes);

/* Compress and attach a history. *STORED is what that costs in a sidecar. */
int restart_table_attach(struct restart_table *t, size_t index, const void *history, size_t len,
                         uint64_t *stored);

void restart_table_set_state(struct restart_table *t, size_t index, enum restart_state state);

/* Records, the growing one included. */
size_t restart_table_records(struct restart_table *t);

/* What one segment costs in a sidecar besides its history, bytes. */
#define RESTART_RECORD_SIZE 32

#endif
