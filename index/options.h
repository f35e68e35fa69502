/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How an archive is opened and indexed. */
#ifndef VMAFS_INDEX_OPTIONS_H
#define VMAFS_INDEX_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/format.h"
#include "archive/source/neighbours.h"
#include "archive/source/remote/remote.h"

struct shared;

/* What the persisted index (sidecar.h) is used for. */
enum index_sidecar {
        INDEX_SIDECAR_NONE,  /* nothing */
        INDEX_SIDECAR_USE,   /* instead of a scan; store the scan of a compressed archive */
        INDEX_SIDECAR_WRITE, /* scan in any case; store the scan of a compressed archive */
        /* As WRITE, but if there is an index, decompress by its restart points on all threads. */
        INDEX_SIDECAR_ENTER,
        INDEX_SIDECAR_BUILD, /* scan in any case and store it */
        INDEX_SIDECAR_LATER, /* scan in any case; index_keep stores it */
};

struct index_options {
        bool recover_zero;     /* lost data read as zeros instead of -EIO */
        struct shared *shared; /* outlives the index; NULL: its own, with the two below */
        size_t cache_bytes;    /* as shared_new */
        unsigned threads;
        bool unwatched;  /* for a look at a header: to end a watch (source_watch) takes 15 ms */
        bool thorough;   /* a scan without an observer, too, is as archive_sink has it */
        bool partitions; /* its tree has a folder for the partitions of each disk */
        bool piecemeal;  /* a stored tree of members is read where it is asked for, not at once */
        enum archive_view view; /* as what one that may be either is shown */
        enum index_sidecar sidecar;
        const char *sidecar_path;     /* NULL: see shelf.h */
        enum neighbour_reach backing; /* where backing files may be */
        struct remote_options server; /* of an archive that is on one */
        uint64_t window; /* largest history a compressed archive may ask for; 0: the default */
};

#endif
