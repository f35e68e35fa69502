/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An archive's file and its surroundings: the files beside it, and the folder of its index. All are
 * opened before the first byte of the archive is read, so that a process can give up the right to
 * open anything before that.
 *
 *   site_open        open descriptors         with all rights
 *   …                have others do the rest  (struct neighbours, struct shelf), give up rights
 *   index_open_site  read the archive
 */
#ifndef VMAFS_SITE_H
#define VMAFS_SITE_H

#include "archive/source/neighbours.h"
#include "index/sidecar/shelf.h"

struct error;
struct index_options;
struct remote;

struct site {
        char *path;            /* as given */
        int archive;           /* or -1 … */
        struct remote *remote; /* … and what is on a server */
        struct neighbours neighbours;
        struct shelf *shelf; /* NULL: no index is used */
};

/*
 * Open the archive file PATH and its surroundings, according to OPTIONS. Sets *OUT, which
 * site_close closes. Fails as open does, with -EEXIST if something that is not an index is at its
 * index's path, and with -ENOMEM.
 */
int site_open(const char *path, const struct index_options *options, struct site **out,
              struct error *err);

/*
 * The same for the regular file NAME in the open folder DIR, of which PATH is for messages. A link
 * is not followed: -ELOOP.
 */
int site_open_at(int dir, const char *name, const char *path, const struct index_options *options,
                 struct site **out, struct error *err);

/*
 * The site of an archive on a server, as which TAKE_REMOTE has been opened (NULL: another process
 * has that). PATH, its address, is for messages.
 */
int site_open_remote(struct remote *take_remote, const char *path,
                     const struct index_options *options, struct site **out, struct error *err);

/* Have S, which has no archive, read the one that TAKE_REMOTE is. */
void site_set_remote(struct site *s, struct remote *take_remote);

void site_close(struct site *s); /* NULL is allowed */

#endif
