/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of a datastore that are read as a whole: chunks, manifests. */
#ifndef VMAFS_PBS_FILE_H
#define VMAFS_PBS_FILE_H

#include <stddef.h>
#include <sys/types.h>

struct error;

/* Open NAME in the folder DIR for reading, which is no link, without changing its access time. */
int pbs_file_open(int dir, const char *name);

/*
 * All bytes of the regular file NAME in DIR, at most MAX: *OUT, freed by the caller. How many; -EIO
 * where it is larger or none, what open and read say, -ENOMEM; with the reason in ERR.
 */
ssize_t pbs_file_read(int dir, const char *name, size_t max, void **out, struct error *err);

#endif
