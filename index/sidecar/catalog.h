/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The indexes in a cache folder: which archives they are for, when they were last used, and which
 * can be removed.
 *
 *   HEX-SIZE….vmafs  an index, which is never touched: a mount that uses it would take that for a
 *                    change
 *   HEX-SIZE….vmafs.partial   what is to become one, of a pass that was interrupted
 *   HEX-SIZE….seen   where its archive was last, one path; its mtime is when that was
 *
 * A note may be missing or wrong. At worst that costs an index, which can be made again.
 */
#ifndef VMAFS_CATALOG_H
#define VMAFS_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an interrupted pass leaves has the index's name with this after it. */
#define PARTIAL_SUFFIX ".partial"

struct catalog_entry {
        char *name;    /* of the index file in the folder */
        char *archive; /* absolute path where its archive was last seen; NULL: not known */
        uint64_t size; /* bytes */
        int64_t used;  /* when it was last used, seconds since 1970 */
        bool partial;  /* of a pass that was interrupted (journal.h) */
        bool missing;  /* the archive is known, but is gone or has been replaced */
};

struct catalog {
        struct catalog_entry *items; /* most recently used first */
        size_t count, room;
};

struct catalog_limits {
        bool missing;      /* remove those whose archive is missing */
        int64_t older;     /* remove those last used before then, seconds since 1970; 0: none */
        uint64_t size_max; /* keep the most recently used of the rest, in bytes; UINT64_MAX: all */
};

/* The default limit of a cache folder's size. */
#define CATALOG_SIZE_MAX (UINT64_C(10) << 30)

/* The cache folder's path (see shelf.h) as a new string. NULL: there is none, or out of memory. */
char *catalog_dir(void);

/*
 * Note that the index NAME in folder DIR was used for the archive at the absolute PATH. It is only
 * a hint, so errors are ignored.
 */
void catalog_note(int dir, const char *name, const char *path);

/* Read the catalog into *OUT, which catalog_fini frees. 0, or -errno with nothing to free. */
int catalog_read(int dir, struct catalog *out);
void catalog_fini(struct catalog *c);

/* Do LIMITS remove entry NUMBER of C? */
bool catalog_drops(const struct catalog *c, size_t number, const struct catalog_limits *limits);

/* Remove an index and its note. A mount that uses the index can go on using it. 0 or -errno. */
int catalog_remove(int dir, const struct catalog_entry *e);

#endif
