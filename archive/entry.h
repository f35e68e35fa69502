/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One node of a tree: its name, its attributes and its content. Formats and collections describe
 * what they show as entries, in any order:
 *
 *   id 1  folder  "snapshots"  parent 0
 *   id 2  folder  "first"      parent 1
 *         file    "disk.raw"   parent 2      id 0: nobody refers to it
 *
 * An entry may come before its parent. Wrong ids are no reason to refuse a tree: an entry whose
 * parent never comes, or is below itself, is shown in the folder ENTRY_LOST_NAME of the root.
 */
#ifndef VMAFS_ENTRY_H
#define VMAFS_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

struct volume;

#define ENTRY_ROOT UINT64_C(0) /* as a parent: the root, which is no entry */

#define ENTRY_LOST_NAME "lost+found"

struct entry_xattr {
        const char *name;
        const void *value;
        size_t len;
};

/*
 * What only disks have. A disk is read through its volume, or by its extents, which a scan finds.
 */
struct entry_disk {
        const char *device;    /* the archive's own name for it */
        bool provisional_size; /* its size is a guess until the scan's end */
        bool sparse;           /* what no extent covers reads as zeros; otherwise it is lost */
        /*
         * What answers for its content; the size is final then. It is the archive's, and stays
         * until archive_close. NULL: the scan emits its extents.
         */
        struct volume *volume;
};

/* Nothing that it points to need outlive the call that it is passed to. */
struct entry {
        uint64_t id;     /* for others to refer to; 0: none. Of two with one id, the first counts */
        uint64_t parent; /* id of its folder */
        const char *name; /* not yet made safe */

        /*
         * Its type, by S_IFMT: a regular file where that is 0. With RECORDED, its permissions too.
         */
        mode_t mode;
        bool recorded; /* permissions and owner are the recorded ones, not those of who mounts */
        uid_t uid;
        gid_t gid;

        bool has_mtime; /* false: it has the time of the backup */
        struct timespec mtime;

        uint64_t size;      /* bytes; of a file */
        uint32_t links;     /* how many names the file has; 0: as many as are emitted */
        uint64_t same_as;   /* a hard link to the file with this id, which has all but the name */
        const char *target; /* of a symbolic link, as it is */
        dev_t rdev;         /* of a device */

        bool later; /* a folder whose entries are emitted when it is entered (tree.h) */

        /*
         * What a file holds: a disk, SIZE bytes of DATA, or those of VOLUME, which outlives the
         * tree; or nothing, and nobody can read it.
         */
        const struct entry_disk *disk;
        const void *data;
        struct volume *volume;

        const struct entry_xattr *xattrs;
        size_t xattr_count;
};

#endif
