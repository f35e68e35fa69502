/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Other files that an archive names: the parts of its disk, its backing file. An archive can name
 * any file, so they are opened relative to its own folder, which is opened before the archive is
 * read, and only as far as the user allowed. A process that has given up the right to open files
 * has another process open them.
 */
#ifndef VMAFS_NEIGHBOURS_H
#define VMAFS_NEIGHBOURS_H

#include <stdbool.h>

/* Where a named file may be. */
enum neighbour_reach {
        NEIGHBOUR_BESIDE, /* in the folder itself, and not a link */
        NEIGHBOUR_BELOW,  /* below the folder, also through links that stay below it */
        NEIGHBOUR_ANYWHERE,
};

struct error;
struct remote;
struct source;

struct neighbours {
        /*
         * Open NAME for reading. Returns a descriptor, which the caller owns, or fails as
         * neighbours_open.
         */
        int (*open)(const struct neighbours *n, const char *name, enum neighbour_reach reach);
        /*
         * Or, where the archive is on a server: set *OUT to a new source. 0, -EXDEV as above, or another
         * -errno with ERR. NULL: it is a file.
         */
        int (*fetch)(const struct neighbours *n, const char *name, enum neighbour_reach reach,
                     struct source **out, struct error *err);
        struct remote *remote; /* that server's */
        void *helper;          /* of the operations' owner */
        int folder; /* the archive's, or -errno: it could not be opened; -EOPNOTSUPP: on a server */
        enum neighbour_reach farthest;
};

/*
 * The open function, done by this process. -EXDEV if the name is not within REACH, or REACH exceeds
 * what N allows; -ELOOP for a link beside the archive; or -errno of open.
 */
int neighbours_open(const struct neighbours *n, const char *name, enum neighbour_reach reach);

/* The fetch function, by n->remote. Nothing outside the archive's folder is opened. */
int neighbours_fetch(const struct neighbours *n, const char *name, enum neighbour_reach reach,
                     struct source **out, struct error *err);

/* Does PATH, from a folder, lead nowhere but below it, in whatever way it is looked at? "" does. */
bool neighbours_is_below(const char *path);

/* An O_PATH descriptor of PATH's folder, or -errno. */
int neighbours_folder(const char *path);

#endif
