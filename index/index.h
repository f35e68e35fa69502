/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The disks and files of one archive, and the one scan that finds where the disks' bytes are.
 *
 *   index_open    header parsed: names, sizes and files are final, the maps are empty
 *   index_scan    maps grow; disks can be read as far as they are known
 *   (sealed)      maps never change again; no lock on the way of a read
 *
 * index_scan is called once, by any thread, while others read. With a sidecar the index is sealed
 * as soon as it is open.
 */
#ifndef VMAFS_INDEX_H
#define VMAFS_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/format.h"
#include "index/disk.h"

struct archive_info;
struct error;
struct index;
struct record;
struct source;

/* Folder number N is element N - 1; the root has none. */
struct index_folder {
        char *name;       /* as a disk's */
        uint32_t parent;  /* number */
        const char *leaf; /* as a disk's */
};

struct index_file {
        char *name;       /* as a disk's */
        uint32_t folder;  /* number */
        const char *leaf; /* as a disk's */
        void *data;
        size_t len;
};

/* What the persisted index (sidecar.h) is used for. */
enum index_sidecar {
        INDEX_SIDECAR_NONE,  /* nothing */
        INDEX_SIDECAR_USE,   /* spare the scan; keep the scan of a compressed archive */
        INDEX_SIDECAR_WRITE, /* scan in any case; keep the scan of a compressed archive */
        /* As WRITE, but decompress through its restart points, on all threads, where it is there.
         */
        INDEX_SIDECAR_ENTER,
        INDEX_SIDECAR_BUILD, /* scan in any case and keep it */
        INDEX_SIDECAR_LATER, /* scan in any case; index_keep keeps it */
};

struct index_options {
        bool recover_zero;  /* what is lost reads as zeros instead of -EIO */
        size_t cache_bytes; /* decoded data of a compressed archive; 0: the default */
        unsigned threads;   /* that decode it; 0: one a processor */
        enum index_sidecar sidecar;
        const char *sidecar_path;     /* NULL: where location.h says */
        enum archive_backing backing; /* which files an image may have behind it */
        uint64_t window; /* largest history a compressed archive may ask for; 0: the default */
};

struct index_damage {
        uint64_t offset; /* byte of the archive's stream */
        uint32_t disk;   /* number, or DISK_NONE */
        uint64_t start;  /* guest range, len 0 where unknown */
        uint64_t len;
        char text[96];
};

enum { INDEX_DAMAGE_MAX = 1000 }; /* as many are kept; the rest are counted */

/*
 * Sees each extent of the scan in the archive's order, after the index has taken it in. For
 * those who want the bytes in one pass. An error ends the scan.
 */
struct index_tap {
        void *ctx;
        int (*extents)(void *ctx, struct disk *disk, const struct extent *extents, size_t n);
};

/* How the index stands to its sidecar. */
struct index_sidecar_state {
        bool loaded;         /* it came from the sidecar: no scan is needed */
        uint64_t size;       /* bytes of the sidecar that was loaded or saved; 0: none was */
        const char *path;    /* where it would be; NULL without one */
        const char *problem; /* why one was not used or not kept; NULL where all is well */
};

/*
 * Open the archive file PATH: source, format, header. Sets *OUT, closed by index_close. Fails
 * with -ENOENT and what else open says, -EMEDIUMTYPE (no archive), -EIO (damaged header), -ENOMEM.
 */
int index_open(const char *path, const struct index_options *options, struct index **out,
               struct error *err);

/* NULL is allowed. No scan may be running. */
void index_close(struct index *index);

/*
 * Go through the archive once, then seal. TAP may be NULL. Damage of the archive is not an
 * error: see index_damage. Fails with -ECANCELED after index_stop, with what the tap returned, as
 * source_check where the file has changed, or -ENOMEM; it seals even then, so that nobody waits
 * for ever. Of an index that came from a sidecar nothing is scanned. Threads that decode start
 * here at the earliest: fork before.
 */
int index_scan(struct index *index, const struct index_tap *tap, struct error *err);

/*
 * What verify --record has kept of the archive, in the first sidecar that has it. Sets *OUT, freed
 * by record_free; NULL where nothing was recorded. -EBADMSG with the reason in ERR where the record
 * is damaged; -ENOMEM.
 */
int index_load_record(struct index *index, struct record **out, struct error *err);

/*
 * Keep what the scan has found, as INDEX_SIDECAR_BUILD does, and with it RECORD; NULL: the record
 * that is there already. How that went says index_sidecar_state.
 */
void index_keep(struct index *index, const struct record *record);

/* Make a running or future index_scan end soon, and index_wait return. Thread-safe. */
void index_stop(struct index *index);

/* No map will change any more. Thread-safe. */
bool index_sealed(const struct index *index);

/*
 * Wait until the index has changed since *SEEN (0 at first), is sealed or was stopped; *SEEN is
 * updated. Thread-safe.
 */
void index_wait(struct index *index, uint64_t *seen);

/* Make index_wait return once, as if the index had changed. Thread-safe. */
void index_nudge(struct index *index);

/* How much of the archive has been scanned, 0 to 100; 100 only when sealed. Thread-safe. */
unsigned index_percent(const struct index *index);

/* Bytes of the archive file and how many of its stream were scanned. Thread-safe. */
uint64_t index_archive_size(const struct index *index);
uint64_t index_scanned(const struct index *index);

/* Complete once sealed. */
struct index_sidecar_state index_sidecar_state(const struct index *index);

/* The open folder in which the sidecar is kept, by the scan or index_keep; -1: none is. */
int index_sidecar_folder(const struct index *index);

/* Restart points of a compressed archive, so far; all 0 where nothing is compressed. */
struct restart_stats;
void index_restart_stats(const struct index *index, struct restart_stats *out);

const struct archive_info *index_info(const struct index *index);
const char *index_format(const struct index *index);
const char *index_compression(const struct index *index); /* "none" where there is none */

size_t index_folder_count(const struct index *index);
const struct index_folder *index_folder(const struct index *index, size_t i);
size_t index_disk_count(const struct index *index);
struct disk *index_disk(const struct index *index, size_t i);
size_t index_file_count(const struct index *index);
const struct index_file *index_file(const struct index *index, size_t i);

/* What the scan found wrong; complete once sealed. The list is valid until index_close. */
size_t index_damage_count(const struct index *index); /* all, also those that were not kept */
size_t index_damages(const struct index *index, const struct index_damage **list);

/*
 * Why a read failed, the last time one did, if the archive file was changed or is compressed, or
 * its index is at fault, which is told once: false where none is so, or none did. Thread-safe.
 */
bool index_read_failure(struct index *index, struct error *err);

/* For disk.c: read part of an extent; hold the lock unless sealed. */
struct archive *index_archive(const struct index *index);
bool index_recover_zero(const struct index *index);
bool index_lock_unless_sealed(struct index *index);
void index_unlock(struct index *index);

/*
 * For disk.c: part of the kept index cannot be had; RC says why. With -EBADMSG the index, if its
 * file is still what it was, must not be used again: it is condemned. Thread-safe.
 */
void index_kept_failed(struct index *index, int rc);

#endif
