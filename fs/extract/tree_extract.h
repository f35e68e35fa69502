/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Extracting a tree of files, or one node of it, from whatever can list one. */
#ifndef VMAFS_TREE_EXTRACT_H
#define VMAFS_TREE_EXTRACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct entry_xattr;
struct error;
struct tree_helper;
struct tree_source;
struct volume;

/* By which the source knows a folder. */
struct tree_range {
        uint64_t start, end;
};

/* One node. What it points to is valid during the call. */
struct tree_entry {
        const char *name; /* one component, safe to make */
        mode_t mode;      /* with the kind */
        uid_t uid;
        gid_t gid;
        struct timespec mtime;
        dev_t rdev;         /* of a device */
        const char *target; /* of a symbolic link */
        const struct entry_xattr *xattrs;
        size_t xattr_count;
        struct tree_range folder; /* of a folder */

        /*
         * It is another name of a file: of the one that has been made at the path SAME_PATH, below
         * what is extracted; or of SAME_NAME in the folder whose range has byte SAME_AS, which is
         * made before the folder of this one is left. NULL, 0: neither.
         */
        const char *same_path;
        uint64_t same_as;
        const char *same_name;

        const void *own; /* the source's */
};

/* Where nodes come from. Each returns 0 or -errno, with the reason in ERR; or what EACH returned. */
struct tree_source {
        /* Call EACH for all that is in FOLDER; what cannot be read is counted in *DAMAGED. */
        int (*list)(const struct tree_source *s, const struct tree_range *folder,
                    int (*each)(void *ctx, const struct tree_entry *e), void *ctx,
                    uint64_t *damaged, struct error *err);

        /* The same for FOLDER itself. */
        int (*folder)(const struct tree_source *s, const struct tree_range *folder,
                      int (*each)(void *ctx, const struct tree_entry *e), void *ctx,
                      struct error *err);

        /* The content of E, a file, which is closed before the next call. */
        int (*content)(const struct tree_source *s, const struct tree_entry *e,
                       struct volume **out);
};

/*
 * Make ENTRY, with all that is below it, as NAME in the directory of HELPER; PATH is what it is
 * called in messages. Until all of it is there it is called NAME.partial; if something is lost, it
 * keeps that name. Returns the exit status; reports what is wrong.
 */
int tree_extract(struct tree_helper *helper, const struct tree_source *source,
                 const struct tree_entry *entry, const char *name, const char *path);

/* One line for all of LEFT_OUT, of enum tree_left_out, that was not made in the directory DIR. */
void tree_report_left_out(const char *dir, unsigned left_out);

#endif
