/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pxar, the archive of files in backups of containers and hosts: from a folder to what is in it,
 * without reading anything else.
 *
 *   meta   | ENTRY / | FILENAME a | ENTRY | data | FILENAME d | ENTRY | … | GOODBYE | GOODBYE |
 *                      ^                           ^                        of d      of /    ^ end
 *                      └───────────────────────────┴──── distances ─────────────────────┘
 *
 * The table at a folder's end says where its children begin. In version 1 a file's data stand in
 * its place; in version 2 they are in a stream of their own, the payload, and a reference says
 * where. A child lies between its folder's beginning and its folder's table, so that nothing can
 * lead back; folders in one folder do not overlap, so that nothing is shown twice.
 *
 * All functions are thread-safe.
 */
#ifndef VMAFS_PXAR_H
#define VMAFS_PXAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct error;
struct pxar;
struct volume;

enum {
        PXAR_NAME_MAX = 4096,          /* bytes of a name, with its NUL */
        PXAR_ATTRIBUTES_MAX = 1 << 20, /* bytes of all attributes of one node */
};

/* A folder: its ENTRY, or in the root's case what comes before it, up to the end of its table. */
struct pxar_folder {
        uint64_t start, end; /* bytes of the metadata */
};

struct pxar_xattr {
        const char *name;
        const void *value;
        size_t len;
};

/* One node. What it points to is valid during the call. */
struct pxar_entry {
        const char *name;      /* no '/', not "." or ".." or "" */
        uint64_t id;           /* where its name begins; never 0, and the same each time */
        uint64_t same_as;      /* the file whose other name it is, with all that follows; 0: none */
        const char *same_name; /* of that file, in its folder; NULL: none */
        mode_t mode;           /* with the kind: S_IFMT is one of the seven */
        uid_t uid;
        gid_t gid;
        struct timespec mtime;
        dev_t rdev;         /* of a device */
        const char *target; /* of a symbolic link */
        const struct pxar_xattr *xattrs;
        size_t xattr_count;
        struct pxar_folder folder; /* of a folder */

        uint64_t size;   /* bytes, of a regular file … */
        uint64_t offset; /* … and where its data are: of the metadata, or the PAYLOAD item in … */
        bool in_payload; /* … the payload */
};

/*
 * The archive whose metadata are the volume META, and whose payload is PAYLOAD, or NULL in version
 * 1; both stay the caller's, and outlive *OUT. Sets *OUT, freed by pxar_free, and *ROOT. -EIO where
 * it is none, and what reading gave, with the reason in ERR.
 */
int pxar_open(struct volume *meta, struct volume *payload, struct pxar **out,
              struct pxar_folder *root, struct error *err);
void pxar_free(struct pxar *p); /* NULL is allowed */

/*
 * What the root itself is, or another folder: its mode, owner, times and attributes, for EACH, with
 * the name "".
 */
int pxar_root(struct pxar *p, const struct pxar_folder *root,
              int (*each)(void *ctx, const struct pxar_entry *entry), void *ctx, struct error *err);

/*
 * Call EACH for every node in FOLDER, in the archive's order, until it returns other than 0, which
 * is returned. -EIO where the folder's table cannot be believed; a single child that is damaged is
 * passed over and counted in *DAMAGED. Otherwise as above.
 */
int pxar_list(struct pxar *p, const struct pxar_folder *folder,
              int (*each)(void *ctx, const struct pxar_entry *entry), void *ctx, uint64_t *damaged,
              struct error *err);

/*
 * The content of the regular file ENTRY as a volume, whose close frees it, and which P outlives.
 * Where a reference leads to something else than the data it says, all of it is lost. -ENOMEM.
 */
int pxar_content(struct pxar *p, const struct pxar_entry *entry, struct volume **out);

#endif
