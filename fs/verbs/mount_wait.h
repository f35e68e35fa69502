/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mount -o wait: the mount serves, and its parent waits for the index and shows how far it is. */
#ifndef VMAFS_MOUNT_WAIT_H
#define VMAFS_MOUNT_WAIT_H

#include <pthread.h>
#include <stdbool.h>

struct daemon;
struct index;

struct mount_wait {
        struct index *index;
        struct daemon *daemon;
        pthread_t thread;
        bool started;
};

/*
 * Everything is ready: release the parent of DAEMON, or if WAIT, once INDEX (NULL: there is none)
 * is complete or was stopped. Called by the main thread.
 */
void mount_wait_release(struct mount_wait *w, bool wait, struct index *index,
                        struct daemon *daemon);

/* The index is sealed: end the thread, if there is one. */
void mount_wait_join(struct mount_wait *w);

/*
 * Wait for the end of the thread SCAN of INDEX, which was told to stop. False: it hangs in a read of
 * the archive. One that is sealed reads nothing any more: it keeps the index, which takes as long as
 * the disk needs.
 */
bool mount_wait_scan(pthread_t scan, const struct index *index);

#endif
