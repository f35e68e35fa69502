/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Members that an image in a tar names: the base of an overlay, the parts of a disk. A member is
 * no file of the host, so these are opened without being asked for; nothing else is.
 */
#ifndef VMAFS_TAR_SIBLINGS_H
#define VMAFS_TAR_SIBLINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/array.h"
#include "archive/format.h"

struct tar_file;

/* A member by its name. */
struct tar_name {
        const char *name;
        size_t number;
};

struct tar_siblings {
        struct siblings base;
        struct source *stream;
        struct tar_file *files;
        size_t count;
        const char *names;             /* of the files, in order, each with its NUL; the caller's */
        uint64_t end;                  /* bytes of the stream */
        const char *asking;            /* the name of the member that is opened as an image */
        ARRAY(struct tar_name) sorted; /* all members; empty until one is looked for */
        ARRAY(const struct tar_file *) opened; /* those that images were given */
};

/* The COUNT members FILES, which have NAMES, of STREAM, which has END bytes. All outlive S. */
void tar_siblings_init(struct tar_siblings *s, struct source *stream, struct tar_file *files,
                       size_t count, const char *names, uint64_t end);
void tar_siblings_fini(struct tar_siblings *s);

/* The member NAME, as struct siblings' open has it. 0, -EXDEV, -ENOENT, -ENOMEM. */
int tar_siblings_find(struct tar_siblings *s, const char *name, enum neighbour_reach reach,
                      struct tar_file **out);

/*
 * The first name after NAME in the order of bytes, as seen from the folder of the one that is asking
 * if it is in it. NULL: there is none. tar_siblings_find has found something, or not.
 */
const char *tar_siblings_after(const struct tar_siblings *s, const char *name);

/* Was F given to an image? */
bool tar_siblings_has_opened(const struct tar_siblings *s, const struct tar_file *f);

#endif
