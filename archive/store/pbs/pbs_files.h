/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of snapshots as sources, of which only some are open at a time: a mount may show tens of
 * thousands of snapshots, each with indexes of its own.
 *
 *   pread ── open? ── yes ──────────────────────────────────> read
 *              └ no ── open it again ── is it the same file? ─^     too many open: close the one
 *                                              └ no: -ESTALE        that was read longest ago
 *
 * Thread-safe, but for new, free and the close of a source.
 */
#ifndef VMAFS_PBS_FILES_H
#define VMAFS_PBS_FILES_H

#include <stddef.h>

struct error;
struct pbs_far;
struct pbs_files;
struct source;

/* Below the folder ROOT, which is the caller's; at most MAX open. Outlives all its sources. */
int pbs_files_new(int root, size_t max, struct pbs_files **out);
/* Those of a datastore in a bucket, which outlives *OUT; none of them is open. */
int pbs_files_new_far(struct pbs_far *far, struct pbs_files **out);
void pbs_files_free(struct pbs_files *f); /* NULL is allowed */

/*
 * Open the regular file NAME in the folder PATH below the root; no component is a link. Sets *OUT,
 * which source_close closes. Later reads fail with -ESTALE where the file was written to, or is
 * another one; with what open says where it is gone. -EIO where it is no regular file, what open
 * says, -ENOMEM; with the reason in ERR.
 */
int pbs_files_open(struct pbs_files *f, const char *path, const char *name, struct source **out,
                   struct error *err);

/* How many are open now. */
size_t pbs_files_count(struct pbs_files *f);

/*
 * Open the folder PATH below ROOT, "" for itself, for reading: a descriptor that is the caller's,
 * or -errno. No component is a link.
 */
int pbs_files_folder(int root, const char *path);

#endif
