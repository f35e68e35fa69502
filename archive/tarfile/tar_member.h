/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From one member of a tar to the next, for the formats that are tars.
 *
 *   tar_header.c        v7, ustar, GNU and pax headers
 *   tar_meta.c          owner, links, attributes … of a member in a tree (tar_meta.h)
 *   tar_map.c           the maps of sparse members
 *   tar_block.c         one block as a header (tar_block.h)
 *   tar_window.c        headers that lie close together (tar_window.h)
 *   tar_resync.c        the next header after damage (tar_resync.h)
 */
#ifndef VMAFS_TAR_MEMBER_H
#define VMAFS_TAR_MEMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/tarfile/tar_block.h"
#include "archive/tarfile/tar_meta.h"

struct error;
struct source;
struct tar_window;

enum {
        TAR_RUNS_MAX = 1 << 20, /* in the sparse maps of all members together */
};

#define TAR_FAR (UINT64_C(1) << 60) /* a few such numbers can be added without overflow */

/* A part of a sparse member that is stored. */
struct tar_run {
        uint64_t start, len; /* of the member */
        uint64_t offset;     /* byte of the stream */
};

struct tar_runs {
        struct tar_run *items;
        size_t count, room;
};

/* A member as its headers describe it. */
struct tar_member {
        char *name;
        uint64_t header; /* byte of the stream */
        uint64_t data;   /* likewise */
        uint64_t stored; /* bytes from data on */
        uint64_t size;   /* of the file: more than what is stored, if it is sparse */
        int64_t mtime;
        bool sparse;
        bool broken;          /* its sparse map is damaged */
        const char *lost;     /* why none of it can be trusted, or NULL */
        struct tar_runs runs; /* sparse: in order, not overlapping */
        struct tar_meta meta; /* if the reader reads all */
};

/* One thing that is wrong. */
struct tar_fault {
        uint64_t at; /* byte of the stream */
        char text[200];
};

struct tar_faults {
        struct tar_fault *items;
        size_t count, room;
};

/* More faults are dropped: those of a hostile archive must not fill the memory. */
enum { TAR_FAULTS_MAX = 1000 };

struct tar_reader {
        struct source *source;
        struct tar_window *window; /* of SOURCE, the caller's; NULL: each header is read alone */
        uint64_t pos;              /* of the next header */
        uint64_t end;              /* how far the stream can be read */
        size_t runs;               /* of all members so far */
        uint64_t data;             /* of the last member, which ends at POS */
        uint64_t resumed;          /* no search after damage goes back to before this byte */
        bool all;                  /* members of every kind, with what meta has */
        bool follows;              /* only follows headers: notes no faults and skips no damage */
        bool broken;               /* the last header cannot be used */
        const char *lost_before;   /* why none of the last member can be trusted, or NULL */
        struct tar_faults faults;
};

/* Note what is wrong at byte AT. 0 or -ENOMEM. */
int tar_add_fault(struct tar_faults *faults, uint64_t at, const char *text);

/*
 * The next member that is a regular file, or with r->all of any kind, freed by tar_member_fini. 1; 0 at the end; -errno. Notes
 * damage in r->faults and skips it.
 */
int tar_next(struct tar_reader *r, struct tar_member *out, struct error *err);
void tar_member_fini(struct tar_member *m);

/* Decode the stream up to OFFSET; r->end says how far that came. 0 or -errno. */
int tar_reach(struct tar_reader *r, uint64_t offset, struct error *err);

/* Read LEN bytes at OFFSET. 1; 0: not all of them are there, or r->broken; -errno. */
int tar_fetch(struct tar_reader *r, void *buf, size_t len, uint64_t offset, struct error *err);

#endif
