/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checking a datastore by the rules of the server's own verify: each file of a snapshot against its
 * manifest, each chunk against its name. A chunk that many snapshots share is read once; what is
 * wrong with it is told for each of them.
 */
#ifndef VMAFS_PBS_CHECK_H
#define VMAFS_PBS_CHECK_H

#include <stdbool.h>
#include <stdint.h>

struct error;
struct pbs_check;
struct pbs_store;
struct worker_pool;

/* One thing that is wrong with a snapshot. What it points to is valid during the call. */
struct pbs_fault {
        const char *file;    /* "drive-scsi0.img.fidx"; NULL: it is the snapshot itself */
        uint64_t start, len; /* bytes of the stream that are lost; len 0: all, or not known */
        const char *text;    /* a sentence without a full stop */
};

struct pbs_check_totals {
        uint64_t chunks;   /* that were read */
        uint64_t bytes;    /* of plain data in them */
        uint64_t unproven; /* those that are encrypted, of which only the checksum was compared */
};

/*
 * For the snapshots of STORE; chunks are checked by the threads of POOL, too. Both outlive *OUT.
 * Sets *OUT, freed by pbs_check_free. -ENOMEM.
 */
int pbs_check_new(struct pbs_store *store, struct worker_pool *pool, struct pbs_check **out);
void pbs_check_free(struct pbs_check *c); /* NULL is allowed */

/*
 * Check the snapshot PATH, and tell FAULT of what is wrong; it returns 0, or another value to end
 * the call with that. 0; -ENOENT where it has no manifest, and so is not finished; -EREMOTEIO where
 * the server does not give it now, which is no fault; -ENOMEM; with ERR, which is not NULL.
 */
int pbs_check_snapshot(struct pbs_check *c, const char *path,
                       int (*fault)(void *ctx, const struct pbs_fault *fault), void *ctx,
                       struct error *err);

/* So far, of all snapshots. Thread-safe. */
struct pbs_check_totals pbs_check_totals(const struct pbs_check *c);

#endif
