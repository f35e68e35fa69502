/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A helper that creates and renames the folders and files below extract's directory. The process
 * that reads the archive has only descriptors of the files that it writes, and cannot reach any
 * other file there.
 *
 * Folders and files are numbered in the order in which they are created. The directory itself is
 * folder 0. A name is a single component, without '/'.
 */
#ifndef VMAFS_EXTRACT_HELPER_H
#define VMAFS_EXTRACT_HELPER_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/process/helper.h"

struct extract_helper {
        struct helper helper;
};

#define EXTRACT_HELPER_NONE ((struct extract_helper){.helper = HELPER_NONE})

/* A file that is written under a name of its own (partial.h). */
struct made {
        uint32_t number;
        int fd; /* for writing; -1: not open */
};

/*
 * Start a helper for the open directory DIRFD. With FORCE, it replaces existing files. 0 or -errno.
 */
int extract_helper_start(struct extract_helper *m, int dirfd, bool force);
void extract_helper_end(struct extract_helper *m);

/* Create folder NAME in folder PARENT, or use an existing one, but not a link. 0 or -errno. */
int extract_helper_folder(struct extract_helper *m, uint32_t parent, const char *name,
                          uint32_t *number);

/* Does NAME exist in FOLDER? Returns 0 if not, -EEXIST if so, or another -errno. */
int extract_helper_look(struct extract_helper *m, uint32_t folder, const char *name);

/* Create the file PARTIAL in FOLDER, which will become LEAF. Returns as partial_open. */
int extract_helper_make(struct extract_helper *m, uint32_t folder, const char *partial,
                        const char *leaf, struct made *out);

/* As the functions of partial.h. All close F, except for the second, which opens it. */
int extract_helper_close(struct extract_helper *m, struct made *f);
int extract_helper_reopen(struct extract_helper *m, struct made *f);
int extract_helper_leave(struct extract_helper *m, struct made *f);
int extract_helper_finish(struct extract_helper *m, struct made *f);

#endif
