/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What index.c, intake.c, observe.c, persist.c and inside/ share; nobody else includes this.
 *
 *   intake.c    takes in what the archive emits, and seals
 *   file.c      the content of a file
 *   observe.c   tells the observer of it
 *   persist.c   takes over a sidecar, and keeps one
 *   inside/     what is inside of its disks
 *   members/    its tree, if its scan finds members
 *   streams.c   its compressed members
 *   index.c     the rest
 */
#ifndef VMAFS_INDEX_INTERNAL_H
#define VMAFS_INDEX_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "archive/array.h"
#include "archive/error.h"
#include "archive/format.h"
#include "index/backlog.h"
#include "index/index.h"
#include "index/sidecar/location.h"

struct ahead;
struct archive_stream;
struct archive_tables;
struct builder;
struct groups;
struct journal;
struct members;
struct restart_stats;
struct sidecar;
struct site;
struct stored_stream;
struct stream_resume;

enum { FILES_PER_BLOCK = 1024 };

struct index {
        struct index_options options;
        struct shared *own; /* what options.shared is where that was NULL */
        struct source *source;
        struct source *file; /* source, or what it decompresses: it belongs to source */
        struct archive *archive;
        uint64_t archive_size; /* bytes of the file */

        /* Fixed once index_open has returned. */
        struct tree *tree;
        struct builder *builder; /* NULL once the tree is complete */
        ARRAY(struct index_folder *) folders;
        ARRAY(struct disk *) disks;
        ARRAY(struct parted *) parted;          /* one for each disk, or none */
        struct groups *groups;                  /* of volumes, or NULL */
        ARRAY(struct index_file *) file_blocks; /* of FILES_PER_BLOCK each: they do not move */
        size_t file_count;
        struct members
            *members; /* if the archive is a tree: the scan's alone until sealed. NULL then: lost */

        struct site *site;          /* closed with the index, or NULL */
        struct location *location;  /* of the sidecar, or NULL */
        uint64_t sidecar_size;      /* bytes; 0: none loaded or saved */
        bool from_sidecar;          /* no scan is needed */
        bool streams_from_sidecar;  /* none of its compressed members; the rest is scanned */
        bool stored_view;           /* members came from there, and so the archive is a tree */
        bool entered;               /* the scan decompresses with the sidecar's restart points */
        struct error sidecar_err;   /* why one was not used or not kept */
        struct source *stored_file; /* the sidecar that the disks' maps are filled from, or NULL */
        enum location_where stored_where; /* which of the place's it is */
        const char *stored_path;          /* its path, the place's */
        atomic_int stored_error; /* why one of them could not be, the last time; -errno or 0 */
        atomic_int quarantined; /* 1: the file is, by us; -errno: it cannot be; 0: it need not be */

        struct journal *journal; /* what is kept while the pass runs: its thread alone; or NULL */
        uint64_t resumed_at;     /* byte of the file where the pass went on; 0: at its beginning */

        const struct index_observer *observer; /* of the running scan */
        atomic_bool stopping;
        bool incomplete;    /* the scan did not come to its end; settled before sealed */
        atomic_bool sealed; /* stored with release, after the last change of any map */
        _Atomic uint64_t scanned;

        pthread_mutex_t lock;
        pthread_cond_t changed; /* with lock: generation moved or sealed */
        uint64_t generation;    /* lock */
        unsigned waiters;       /* lock */

        /* Every map and the damages: lock, until sealed. */
        ARRAY(struct index_damage) damages;
        size_t damage_count; /* with those that were not kept */
        size_t doubt_count;  /* those of them that are doubts alone */
        size_t twice_count;  /* places that were stored twice */

        struct backlog backlog; /* the scan alone: of OBSERVER */
        struct ahead *ahead;    /* of the disks' readers */
};

/* A volume of its own for LEN bytes of DATA, which it copies. NULL: out of memory. */
struct volume *file_volume_new(const void *data, size_t len);

/* An empty tree for INDEX. 0 or -ENOMEM. */
int intake_begin(struct index *index);

/* The archive's header is parsed: the tree is complete. 0 or -ENOMEM. */
int intake_settle(struct index *index);

/* N, a folder, has come into the tree: it gets a number and a name. 0 or -ENOMEM. */
int intake_place_folder(struct index *index, struct node *n);

/* A sink that fills INDEX. */
struct archive_sink intake_sink(struct index *index);

/* The scan has emitted N extents of D, and there is an observer. 0, or -errno to end the scan. */
int observe_extents(struct index *index, struct disk *d, const struct extent *extents, size_t n);

/*
 * The scan is over, or there is none: the observer, if there is one, is given what it still has to
 * get, and volumes are counted. As observe_extents.
 */
int observe_finish(struct index *index);

/* The index is sealed: count what of D, whose volume is none of the scan's, is stored and lost. */
void observe_count(struct index *index, struct disk *d);

/* What of E, which was emitted, is lost first, by what the archive's source has lost. */
bool observe_first_gone(const struct index *index, const struct extent *e, struct extent *lost);

/* INDEX is told of damage of its source. */
void intake_observe(struct index *index);

/* Nothing will be added any more. */
void intake_seal(struct index *index);

/* The tree and all that its nodes are. */
void intake_free(struct index *index);

/*
 * The sidecar of INDEX's place, from FROM on. Returns where it was, or LOCATIONS, with *OUT as it
 * is and the reason kept where there is one.
 */
enum location_where persist_load(struct index *index, enum location_where from,
                                 struct sidecar **out);

/*
 * Before the archive is opened: take the tree of SIDECAR, if it has one that fits what is wanted.
 * 0 or -errno.
 */
int persist_members(struct index *index, struct sidecar *sidecar);

/* The archive is open: take over what SIDECAR knows of it and seal. 0 or -errno. */
int persist_use(struct index *index, struct sidecar *sidecar);

/* The archive is open and decompressed with SIDECAR's restart points: is it the one? */
int persist_enter(struct index *index, const struct sidecar *sidecar);

/* The scan is over: keep what it found, if that is wanted. */
void persist_save(struct index *index);

/*
 * Before the archive is opened: where may its pass go on? Sets *RESUME, which stream_resume_fini
 * frees. False: it begins at its beginning, for which FRESH asks. In any case what the pass finds
 * is kept from time to time, if the index will be.
 */
bool persist_resume(struct index *index, bool fresh, struct stream_resume *resume);

/* What a stream calls with INDEX for that: stream_options.keep. */
void persist_progress(void *index, struct source *source);

/* The scan has returned RC: what was kept of it serves the next one, or is not needed any more. */
void persist_end_progress(struct index *index, int rc);

/*
 * The compressed members of an archive, whose restart points its index has as well as those of the
 * archive's own stream.
 *
 *   archive opened   sidecar ── streams_tables ──> the members' streams
 *   then             do they fit each other? The disks in them need no scan
 *   scan over        the members' streams ── streams_list ──> sidecar
 */

/* Member number I in *OUT. False: there are no more. */
bool streams_get(const struct index *index, size_t i, struct archive_stream *out);

/* Has the archive any? */
bool streams_exist(const struct index *index);

/*
 * What the archive is opened with: the tables of SIDECAR, NULL: none; STORED as archive_tables has
 * it. SIDECAR has to last until then.
 */
struct archive_tables streams_tables(struct sidecar *sidecar, bool stored);

/* Has each member got its table of SIDECAR, and each table its member? */
bool streams_fit(const struct index *index, const struct sidecar *sidecar);

/*
 * The archive is scanned each time, but for the members, which are known: take what SIDECAR knows of
 * the disks in them. 0 or -errno.
 */
int streams_fill(struct index *index, struct sidecar *sidecar);

/* A list for sidecar_save, which the caller frees. 0 or -ENOMEM. */
int streams_list(const struct index *index, struct stored_stream **list, size_t *count);

/* The damage that a reader of one last met. False: none has. Thread-safe. */
bool streams_damage(const struct index *index, struct error *err);

/* Add what is known of their restart points to STATS. */
void streams_measure(const struct index *index, struct restart_stats *stats);

#endif
