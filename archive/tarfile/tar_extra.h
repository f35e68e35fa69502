/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the headers before a member say about it: shared by tar_header.c and tar_map.c. */
#ifndef VMAFS_TAR_EXTRA_H
#define VMAFS_TAR_EXTRA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/tarfile/tar_member.h"

struct error;

struct tar_extra {
        char *path;        /* pax, or GNU's long name */
        char *sparse_name; /* pax: path is then made up */
        bool has_size, has_real_size, has_major;
        uint64_t size, real_size, major;
        uint64_t start; /* of a run whose length follows */
        int64_t mtime;
        bool has_mtime;
        bool sparse, broken;
        bool malformed; /* a pax header could not be parsed to its end */
        bool doubted;   /* a damaged header may have said more */
        struct tar_runs runs;
        struct tar_meta meta; /* if r->all */
};

/* Parse the decimal number at the start of S, which ends at a comma, a point or the end. */
bool tar_parse_decimal(const char *s, uint64_t *out);

/* Add a run of the file. 0 or -ENOMEM; too many runs set x->broken. */
int tar_add_run(struct tar_reader *r, struct tar_extra *x, uint64_t start, uint64_t len);

/* GNU's map, in the header and in the blocks after it; *DATA moves past those. 1, 0, -errno. */
int tar_read_gnu_map(struct tar_reader *r, struct tar_extra *x, const unsigned char *header,
                     uint64_t *data, struct error *err);

/* pax 1.0: the map comes before the data. 1, 0, -errno. */
int tar_read_pax_map(struct tar_reader *r, struct tar_extra *x, uint64_t *data, uint64_t *stored,
                     struct error *err);

/* pax 0.1: "start,length,start,length". 0 or -ENOMEM. */
int tar_take_list(struct tar_reader *r, struct tar_extra *x, const char *s);

/*
 * Work out where each run is stored. False: the runs are not in order, not within the file, or not
 * as long together as what is stored, without its padding.
 */
bool tar_place_runs(struct tar_member *m);

#endif
