/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One member of an archive that is a tree of files, as its scan finds it. Members are found in the
 * archive's order and named by their paths; the same path again stands for another file of that
 * name, which replaces the first, as it does when the archive is unpacked.
 */
#ifndef VMAFS_MEMBER_H
#define VMAFS_MEMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* A part of a sparse file that is stored. */
struct member_run {
        uint64_t start, len; /* of the file */
        uint64_t offset;     /* byte of the archive's stream */
};

/* Nothing that it points to need outlive the call that it is passed to. */
struct member {
        const char *path; /* not yet made safe; ends in NUL */
        mode_t mode;      /* with the kind */
        uid_t uid;
        gid_t gid;
        struct timespec mtime;
        dev_t rdev;         /* of a device */
        const char *target; /* of a symbolic link */
        const char *same; /* the path of an earlier member that this is another name of; or NULL */

        uint64_t size; /* bytes; of a file */
        uint64_t data; /* byte of the stream where they begin, unless it is sparse */
        bool sparse;   /* what is in no run reads as zeros */
        bool lost;     /* none of its content can be read */
        const struct member_run *runs; /* in order, not overlapping */
        size_t run_count;

        const char *xattrs; /* NAME NUL, 4 bytes of length, VALUE, and so on */
        size_t xattrs_len;
        size_t dropped; /* attributes that it has, too, and that are not among these */
};

#endif
