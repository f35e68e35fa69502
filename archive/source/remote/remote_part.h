/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A part of an object on a server, or all of it, at once: for objects that are many and small, each
 * of which would not be worth a process and a thread (remote.h). Another process fetches it
 * (protocol.h), and what it says is checked.
 */
#ifndef VMAFS_REMOTE_PART_H
#define VMAFS_REMOTE_PART_H

#include <stdint.h>
#include <sys/types.h>

struct error;

struct remote_part {
        /* What is asked for: at most LEN bytes, not 0, from OFFSET on; none of an object of more than MAX. */
        uint64_t offset, len, max;

        /* What the object is, once there is an answer. */
        uint64_t size;
        uint64_t version; /* differs between two versions of it */
};

/*
 * Ask by the socket *FD for PART of the object PATH, and wait. Sets *OUT, freed by the caller. How many
 * bytes, fewer than LEN only where the object ends; -EFBIG where it has more than MAX; -ENOENT,
 * -EACCES; -ESTALE where it was replaced meanwhile; -EREMOTEIO where it cannot be read now; -ENOMEM;
 * with ERR. After an answer that makes no sense, or none, *FD is closed, and -1.
 */
ssize_t remote_part_read(int *fd, const char *path, struct remote_part *part, void **out,
                         struct error *err);

#endif
