/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What verify has found, and how it says so. */
#ifndef VMAFS_VERIFY_H
#define VMAFS_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/verify/audit.h"

struct disk;
struct index;
struct manifests;
struct record;
struct recorder;

/* A part of a disk. */
struct range {
        const struct disk *disk;
        uint64_t start, len; /* of the disk */
        uint64_t addr;       /* where that is meant: as its reader gave it … */
        uint64_t offset;     /* … and the byte of the archive's stream, or UINT64_MAX */
        int error;           /* positive errno, likewise */
};

enum { RANGES_MAX = 1000 };

struct ranges {
        struct range *list; /* room for RANGES_MAX */
        size_t kept;
        uint64_t count; /* all, also those that were not kept */
};

struct verify {
        struct index *index;
        const char *path;
        char *buffer;             /* READ_SIZE of verify.c */
        struct ranges unreadable; /* blocks that are there but cannot be read */
        struct ranges changed;    /* what is not what was recorded */
        struct ranges unknown;    /* what cannot be compared with that, since something is lost */
        struct audit audit;
        struct manifests *manifests; /* NULL: there are none */
        struct recorder *recorder;   /* NULL: nothing is hashed */
        struct record *before;       /* what was recorded; NULL: nothing was */
        struct record *made;         /* what is recorded now, or NULL */
};

/* Is the archive what it should be, as far as that can be said? */
bool verify_is_sound(const struct verify *v);

void verify_print(const struct verify *v);

/* Returns the exit status. */
int verify_print_json(const struct verify *v);

#endif
