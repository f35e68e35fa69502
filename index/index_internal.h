/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What index.c, intake.c and persist.c share; nobody else includes this.
 *
 *   intake.c    takes in what the archive emits, and seals
 *   persist.c   takes over a sidecar, and keeps one
 *   index.c     the rest
 */
#ifndef VMAFS_INDEX_INTERNAL_H
#define VMAFS_INDEX_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "archive/error.h"
#include "archive/format.h"
#include "index/index.h"
#include "index/sidecar/location.h"

struct sidecar;

/* Bytes of the archive's stream. */
struct gone {
        uint64_t start, end;
};

struct index {
        struct index_options options;
        struct source *source;
        struct source *file; /* source, or what it decompresses: it belongs to source */
        struct archive *archive;
        uint64_t archive_size; /* bytes of the file */

        /* Fixed once index_open has returned. */
        struct index_folder *folders;
        size_t folder_count;
        struct disk **disks;
        size_t disk_count;
        struct index_file *files;
        size_t file_count;

        struct place *place;      /* of the sidecar, or NULL */
        uint64_t sidecar_size;    /* bytes; 0: none loaded or saved */
        bool from_sidecar;        /* no scan is needed */
        bool entered;             /* the scan decompresses with the sidecar's restart points */
        struct error sidecar_err; /* why one was not used or not kept */
        struct source *kept_file; /* the sidecar that the disks' maps are filled from, or NULL */
        int kept_fd;              /* the same, for place_condemn; -1 */
        const char *kept_path;    /* its path, the place's */
        atomic_int kept_error;    /* why one of them could not be, the last time; -errno or 0 */
        atomic_int condemned; /* 1: the file is, by us; -errno: it cannot be; 0: it need not be */

        const struct index_tap *tap; /* of the running scan */
        atomic_bool stopping;
        bool incomplete;    /* the scan did not come to its end; settled before sealed */
        atomic_bool sealed; /* stored with release, after the last change of any map */
        _Atomic uint64_t scanned;

        pthread_mutex_t lock;
        pthread_cond_t changed; /* with lock: generation moved or sealed */
        uint64_t generation;    /* lock */
        unsigned waiters;       /* lock */

        /* Every map and the damages: lock, until sealed. */
        struct index_damage *damages;
        size_t damages_kept;
        size_t damage_count;
        size_t twice_count; /* places that were stored twice */

        /* The scan alone: what of the archive's stream is lost. */
        struct gone *gone;
        size_t gone_count;
};

/* A sink that fills INDEX. */
struct archive_sink intake_sink(struct index *index);

/* Nothing will be added any more. */
void intake_seal(struct index *index);

void disk_free(struct disk *d); /* NULL is allowed */

/*
 * The sidecar of INDEX's place, from FROM on. Returns where it was, or PLACES, with *OUT as it is
 * and the reason kept where there is one.
 */
enum place_where persist_load(struct index *index, enum place_where from, struct sidecar **out);

/* The archive is open: take over what SIDECAR knows of it and seal. 0 or -errno. */
int persist_use(struct index *index, struct sidecar *sidecar);

/* The archive is open and decompressed with SIDECAR's restart points: is it the one? */
int persist_enter(struct index *index, const struct sidecar *sidecar);

/* The scan is over: keep what it found, if that is wanted. */
void persist_save(struct index *index);

#endif
