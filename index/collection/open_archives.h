/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which archives of a folder are open. Each is opened when it is first used, scanned when somebody
 * waits for that, and closed when nobody has used it for a while, or when others are to be opened:
 *
 *   CLOSED ── get ──> in use ── put ──> idle ── a minute, or OPEN_IDLE_MAX others ──> CLOSED
 *                        └──── get ─────┘
 *
 * One in use is never closed. It stays readable when its file is replaced or removed; once closed
 * it is not opened again unless its file is still the same one.
 */
#ifndef VMAFS_OPEN_ARCHIVES_H
#define VMAFS_OPEN_ARCHIVES_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/stat.h>

struct error;
struct index;
struct index_options;
struct open_archive;
struct open_archives;
struct site;

enum {
        OPEN_IDLE_MAX = 16,
        OPEN_IDLE_SECONDS = 60,
};

/* What tells a file from any other, and from itself before it was written to. */
struct file_identity {
        uint64_t dev, inode, size;
        int64_t mtime, ctime; /* nanoseconds since 1970 */
};

struct file_identity file_identity_of(const struct stat *st);
bool file_identity_equal(const struct file_identity *a, const struct file_identity *b);

/* An archive of the folder, open or not. All 0 at first; all of it is the set's. */
struct archive_slot {
        bool known; /* it was opened once, or could not be: IDENTITY is what it was */
        bool busy;  /* being opened or closed */
        struct file_identity identity;
        struct open_archive *open; /* NULL: it is closed */
};

/* One that is open. */
struct open_archive {
        struct index *index;
        struct site *site;
        void *attached; /* what opened has returned */

        /* The set's. */
        struct archive_slot *slot;
        char *path;
        struct open_archives *set;
        unsigned number;
        unsigned users;
        int64_t idle_since; /* seconds */
        bool scan_started, scanning, is_idle, is_closing;
        pthread_t scan;
        TAILQ_ENTRY(open_archive) all, idle;
};

/* What whoever has the set does for it. NUMBER is below numbers, and is given to one at a time. */
struct open_archives_ops {
        void *ctx;
        unsigned numbers;

        /* Open the file PATH below the folder. As site_open_at. */
        int (*site)(void *ctx, unsigned number, const char *path, struct site **out,
                    struct error *err);
        void (*leave)(void *ctx, unsigned number);

        /* A is open; what is returned is kept with it, NULL: out of memory. A is to be closed. */
        void *(*opened)(void *ctx, struct open_archive *a);
        void (*closing)(void *ctx, void *attached);

        /* The scan of A has ended with RC. */
        void (*scanned)(void *ctx, struct open_archive *a, int rc, const struct error *err);

        /* Seconds of a clock that only goes forward; NULL: CLOCK_MONOTONIC. */
        int64_t (*now)(void *ctx);
};

/* OPS and OPTIONS are copied. NULL: out of memory. */
struct open_archives *open_archives_new(const struct open_archives_ops *ops,
                                        const struct index_options *options);

/*
 * The end: close all, also those that are in use by what CLOSING fails. Nothing else may use the
 * set by now, but free its slots afterwards.
 */
void open_archives_close_all(struct open_archives *set);

/* The same, and free SET. NULL is allowed. */
void open_archives_free(struct open_archives *set);

/* Threads may be started: from now on one closes what is idle for long. 0 or -errno. */
int open_archives_start(struct open_archives *set);

/* Close what has been idle for OPEN_IDLE_SECONDS, which that thread does now and then. */
void open_archives_close_idle(struct open_archives *set);

/* Make all scans end, and no other begin. */
void open_archives_stop(struct open_archives *set);

/*
 * The archive of SLOT, which is the file PATH below the folder, open and in use by the caller until
 * open_archives_put. 0; -ESTALE if it was open once and is another file by now; -EMFILE if too many
 * are in use; or as index_open_site.
 */
int open_archives_get(struct open_archives *set, struct archive_slot *slot, const char *path,
                      struct open_archive **out, struct error *err);

/* The same if it is open; NULL otherwise. */
struct open_archive *open_archives_peek(struct open_archives *set, struct archive_slot *slot);

/* One more use of A, which is in use. */
void open_archives_hold(struct open_archive *a);
void open_archives_put(struct open_archive *a);

/* Scan A, which is in use, unless that was begun or is not needed. 0 or -errno. */
int open_archives_scan(struct open_archive *a);

/* Is the archive of SLOT open, or just being opened or closed? */
bool open_archives_is_open(struct open_archives *set, const struct archive_slot *slot);

/* SLOT will be freed: close its archive, which nobody uses. */
void open_archives_drop(struct open_archives *set, struct archive_slot *slot);

/* The file of SLOT could not be opened when it was IDENTITY. */
void open_archives_note(struct open_archives *set, struct archive_slot *slot,
                        struct file_identity identity);

/* Was SLOT's archive ever open, and if so, is its file other than IDENTITY? */
bool open_archives_differs(struct open_archives *set, const struct archive_slot *slot,
                           const struct file_identity *identity);

/* How many are open. */
size_t open_archives_count(struct open_archives *set);

#endif
