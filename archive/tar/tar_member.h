/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tar: OVA, and raw images in a plain or sparse tar. What its files share; nobody else includes
 * this.
 *
 *   tar.c               what becomes of members: files, disks, images whose disks are shown besides
 *   tar_image.c         images in members (tar_image.h)
 *   tar_sparse.c        reading a sparse member
 *   tar_header.c        from one member to the next: ustar, GNU and pax headers, sparse maps
 */
#ifndef VMAFS_TAR_H
#define VMAFS_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct archive_sink;
struct error;
struct source;

enum {
        TAR_BLOCK = 512,
        TAR_RUNS_MAX = 1 << 20, /* of all members' sparse maps together */
};

/* A part of a sparse member that is stored. */
struct tar_run {
        uint64_t start, len; /* of the member */
        uint64_t offset;     /* byte of the stream */
};

struct tar_member {
        char *name;
        uint64_t header; /* byte of the stream */
        uint64_t data;   /* likewise */
        uint64_t stored; /* bytes from data on */
        uint64_t size;   /* of the file that it is: more than stored, if it is sparse */
        int64_t mtime;
        bool sparse;
        bool broken;          /* its sparse map is not to be believed */
        struct tar_run *runs; /* sparse: in order, not overlapping */
        size_t run_count;
};

struct tar_reader {
        struct source *source;
        uint64_t pos; /* of the next header */
        uint64_t end; /* how far the stream can be read */
        size_t runs;  /* of all members so far */

        /* Why the walk ended early; 0: it did not. */
        uint64_t fault_at;
        char fault[200];
};

/* Does a tar begin with these LEN bytes? */
bool tar_is_header(const void *block, size_t len);

/*
 * The next member that is a regular file, freed by tar_member_fini. 1; 0 at the end, or where the
 * archive is damaged or cut off (r->fault); -errno.
 */
int tar_next(struct tar_reader *r, struct tar_member *out, struct error *err);
void tar_member_fini(struct tar_member *m);

/* The number of the first run of M that ends behind byte POS of it. */
size_t tar_find_run(const struct tar_member *m, uint64_t pos);

/* LEN bytes of M, which is sparse, from byte POS of it; zeros between its runs. 0 or -errno. */
int tar_read_runs(struct source *source, const struct tar_member *m, uint64_t pos, char *buf,
                  size_t len);

/*
 * Emit the extents of M, which is sparse, as those of DISK, in addresses from BASE on. Not *WHOLE:
 * the stream ends in front of the end of its data; then what no extent covers is lost.
 */
int tar_emit_runs(const struct tar_member *m, uint32_t disk, uint64_t base, uint64_t stream_end,
                  const struct archive_sink *sink, bool *whole);

/* Have the stream readable up to OFFSET, or as far as r->end says. 0 or -errno. */
int tar_reach(struct tar_reader *r, uint64_t offset, struct error *err);

#endif
