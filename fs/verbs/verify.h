/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What verify has found, and printing it. */
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

/* A range of a disk. */
struct range {
        const struct disk *disk;
        uint64_t start, len; /* of the disk */
        uint64_t offset; /* where that is meant: the byte of the archive's stream, or UINT64_MAX */
        int error;       /* positive errno, likewise */
};

enum { RANGES_MAX = 1000 };

struct ranges {
        struct range *list; /* room for RANGES_MAX */
        size_t kept;
        uint64_t count; /* all, including those not in the list */
};

/* Is there something to compare with? */
enum record_state {
        RECORD_NONE, /* nothing was recorded */
        RECORD_USED,
        RECORD_DAMAGED,    /* something was, and it is damaged */
        RECORD_UNTRUSTED,  /* something may be, in an index that is not trusted … */
        RECORD_UNREADABLE, /* … or that cannot be used for another reason */
        RECORD_MISFIT,     /* something is, of another archive than this is now */
};

struct verify {
        struct index *index;
        const char *path;
        char *buffer;             /* READ_SIZE of verify.c */
        struct ranges unreadable; /* blocks that exist but cannot be read */
        struct ranges changed;    /* what differs from the record */
        struct ranges unknown;    /* what cannot be compared, since something is lost */
        struct audit audit;
        struct manifests *manifests; /* NULL: there are none */
        struct recorder *recorder;   /* NULL: nothing is hashed */
        struct record *before;       /* the earlier record; NULL unless RECORD_USED */
        enum record_state record;
        struct record *made; /* the new record, or NULL */
};

enum verdict {
        VERDICT_SOUND,
        VERDICT_DOUBT, /* nothing is known to be wrong, and it cannot be proven that nothing is */
        VERDICT_DAMAGED,
};

/* What the archive is, as far as vmafs can tell. */
enum verdict verify_verdict(const struct verify *v);

void verify_print(const struct verify *v);

/* Returns the exit status. */
int verify_print_json(const struct verify *v);

#endif
