/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A snapshot of a datastore, of which the plugin exports the disks. */
#ifndef VMAFS_SNAPSHOT_H
#define VMAFS_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

#include "fs/cli/stored.h"

struct error;
struct guest;
struct pbs_item;
struct pbs_key;
struct pbs_snapshot;
struct pbs_store;
struct settings;
struct shared;

struct snapshot {
        struct stored stored;
        struct pbs_key *key;
        struct pbs_store *store;
        struct pbs_snapshot *pbs;
};

#define SNAPSHOT_NONE ((struct snapshot){.stored = STORED_NONE})

/*
 * Open the snapshot that PLACE leads to, or into; *INSIDE becomes what comes after it, "" or a
 * disk's name, in PLACE. SHARED outlives *S. 0 or -errno, with the reason in ERR. snapshot_close
 * closes *S in any case.
 */
int snapshot_open(const struct stored_place *place, const struct settings *settings,
                  struct shared *shared, struct snapshot *s, const char **inside,
                  struct error *err);
void snapshot_close(struct snapshot *s);

/* Its disks: the next one from *AT on, which is 0 at first; NULL: there are no more. */
const struct pbs_item *snapshot_next_disk(const struct snapshot *s, size_t *at);

/* The disk called NAME, or with that device. NULL: there is none. */
const struct pbs_item *snapshot_find_disk(const struct snapshot *s, const char *name);

/* As guest_find. */
void snapshot_guest(const struct snapshot *s, struct guest *out);

#endif
