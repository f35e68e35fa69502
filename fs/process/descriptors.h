/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which file descriptors a process has. Those that our caller left open are closed: a mount would
 * hold them for months, and an exploit in a hostile archive could use them.
 */
#ifndef VMAFS_DESCRIPTORS_H
#define VMAFS_DESCRIPTORS_H

#include <stddef.h>

/*
 * Call this first. Opens /dev/null as each of descriptors 0 to 2 that is closed, so that nothing
 * else gets these numbers, and closes all others except those that an argument names (see
 * descriptors_named).
 */
void descriptors_claim(int argc, char **argv);

/* The N of "/dev/fd/N" or "/proc/self/fd/N"; -1: PATH is something else. */
int descriptors_named(const char *path);

/* PATH has been opened. If it names a descriptor, close that one. */
void descriptors_release(const char *path);

/* Close all descriptors above 2 except the N in KEEP. Entries of -1 are ignored. */
void descriptors_close_others(const int *keep, size_t n);

#endif
