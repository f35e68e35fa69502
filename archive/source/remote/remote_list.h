/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A list of a folder on a server, as another process sends it (protocol.h). */
#ifndef VMAFS_REMOTE_LIST_H
#define VMAFS_REMOTE_LIST_H

#include <stdbool.h>
#include <stdint.h>

struct error;

struct remote_entry {
        const char *name; /* not empty, "." or "..", and without '/'; valid during the call */
        bool folder;
        uint64_t size;    /* bytes, of an object … */
        uint64_t version; /* … which differs between two versions of it */
        int64_t mtime;    /* seconds since 1970; 0: not known */
};

/*
 * Call EACH for every name of the list that comes by the socket TAKE_FD, which is closed, until it
 * returns less than 0, which is returned. A name may come twice. -E2BIG: there are more than
 * REMOTE_NAMES_MAX; -EREMOTEIO: it ends before all was listed; what the fetcher says; with ERR.
 */
int remote_list(int take_fd, int (*each)(void *ctx, const struct remote_entry *e), void *ctx,
                struct error *err);

#endif
