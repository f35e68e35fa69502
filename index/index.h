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
#include "index/content.h"
#include "index/disk.h"
#include "index/options.h"
#include "index/owner.h"

struct archive_info;
struct error;
struct groups;
struct index;
struct members;
struct members_node;
struct members_volume;
struct node;
struct parted;
struct record;
struct shared;
struct site;
struct source;
struct tree;
struct volume;

#define FOLDER_ROOT 0 /* number of the tree's root */

/* Folder number N is element N - 1. */
struct index_folder {
        enum content_kind kind;
        struct node *node;
        char *name; /* as a disk's */
        uint32_t number;
        uint32_t parent;       /* number */
        const char *leaf;      /* as a disk's */
        struct parted *parted; /* whose partitions it has, when it is entered; or NULL */
};

/* There may be millions. */
struct index_file {
        enum content_kind kind;
        uint32_t folder;       /* number */
        char *name;            /* as a disk's; in the root it is the node's */
        struct volume *volume; /* its bytes */
};

struct index_damage {
        uint64_t offset; /* byte of the archive's stream */
        uint32_t disk;   /* number, or DISK_NONE */
        uint64_t start;  /* guest range, len 0 where unknown */
        uint64_t len;
        bool doubt, hides; /* as struct damage has them */
        char text[96];
};

enum { INDEX_DAMAGE_MAX = 1000 }; /* so many are kept; the rest are only counted */

/*
 * Sees each extent of the scan in the archive's order, after the index has taken it in, or a disk's
 * one after the other once the scan is over. For those who want the bytes in one pass: E, which
 * begins at POS of DISK, is not unknown, and disk_fetch reads it. An error ends the scan.
 */
struct index_observer {
        void *ctx;
        int (*extent)(void *ctx, struct disk *disk, uint64_t pos, const struct volume_extent *e);
};

/* The state of the sidecar. */
struct index_sidecar_state {
        bool loaded;         /* it came from the sidecar: no scan is needed */
        uint64_t size;       /* size of the sidecar that was loaded or stored; 0: none */
        const char *path;    /* where it is, or would be; NULL without one */
        const char *problem; /* why one was not used or not stored; NULL: no problem */
};

/*
 * Open the archive file PATH: source, format, header. Sets *OUT, closed by index_close. Fails
 * with -ENOENT and what else open says, -EMEDIUMTYPE (no archive), -EIO (damaged header), -ENOMEM.
 */
int index_open(const char *path, const struct index_options *options, struct index **out,
               struct error *err);

/* The same for an open site (site.h). The caller keeps SITE, which must outlive *OUT. */
int index_open_site(struct site *site, const struct index_options *options, struct index **out,
                    struct error *err);

/* A disk that needs no scan: one of a snapshot, which is no archive. */
struct index_given {
        const char *name, *device; /* as an entry has them */
        struct volume *volume;     /* stays the caller's, and outlives the index */
};

/*
 * An index of the COUNT disks LIST, sealed from the start, whose tree has what is inside of them.
 * SHARED outlives it. Sets *OUT, closed by index_close. 0, -ENOMEM, or -EFBIG.
 */
int index_of_volumes(const struct index_given *list, size_t count, struct shared *shared,
                     struct index **out);

/* NULL is allowed. No scan may be running. */
void index_close(struct index *index);

/* What it shares with other archives. */
struct shared *index_shared(const struct index *index);

/*
 * Go through the archive once, then seal the index. OBSERVER may be NULL. Damage of the archive is
 * not an error: see index_damage. Fails with -ECANCELED after index_stop, with what the observer
 * returned, as source_check if the file has changed, or with -ENOMEM; it seals the index even then,
 * so that nobody waits for ever. An index from a sidecar needs no scan. Decoding threads start here
 * at the earliest, so fork before.
 */
int index_scan(struct index *index, const struct index_observer *observer, struct error *err);

/*
 * Load what verify --record has stored about the archive, from the first sidecar that has it. Sets
 * *OUT, which record_free frees, or NULL if nothing was recorded. Where a sidecar may hold a record
 * that cannot be had: -EBADMSG if the record is damaged, -EPERM if the sidecar is not trusted,
 * -ESTALE if it was made of an archive with other ends, another -errno if it cannot be read; each
 * with the reason in ERR. -ENOMEM.
 */
int index_load_record(struct index *index, struct record **out, struct error *err);

/*
 * Store what the scan has found, as INDEX_SIDECAR_BUILD does, together with RECORD, or with the
 * existing record if that is NULL. index_sidecar_state has the result.
 */
void index_keep(struct index *index, const struct record *record);

/*
 * Before the scan: could its result be stored? 0 if it could, or need not be; -errno with the
 * reason in ERR if the file cannot be created.
 */
int index_try_keeping(struct index *index, struct error *err);

/* Make a running or future index_scan end soon, and index_wait return. Thread-safe. */
void index_stop(struct index *index);

/*
 * Wait until the index has changed since *SEEN (0 at first), is sealed or was stopped; *SEEN is
 * updated. Thread-safe.
 */
void index_wait(struct index *index, uint64_t *seen);

/* Make index_wait return once, as if the index had changed. Thread-safe. */
void index_wake(struct index *index);

/* How much of the archive has been scanned, 0 to 100; 100 only when sealed. Thread-safe. */
unsigned index_percent(const struct index *index);

/* Bytes of the archive file and how many of its stream were scanned. Thread-safe. */
uint64_t index_archive_size(const struct index *index);
uint64_t index_scanned(const struct index *index);

/* The byte of the archive file at which an earlier scan was interrupted, and this one goes on; or 0. */
uint64_t index_resumed(const struct index *index);

/* Why an index of this archive is never stored, or NULL. */
const char *index_unkept(const struct index *index);

/* Is the archive scanned each time, so that an index saves nothing, except for its record? */
bool index_scanned_always(const struct index *index);

/* Is the archive compressed, or are files in it of which disks are made? */
bool index_has_streams(const struct index *index);

/* Complete once sealed. */
struct index_sidecar_state index_sidecar_state(const struct index *index);

/*
 * The restart points of a compressed archive and of compressed members so far; all 0 if nothing is
 * compressed.
 */
struct restart_stats;
void index_restart_stats(const struct index *index, struct restart_stats *out);

/* As stream_work. */
uint64_t index_decoded(const struct index *index);

const struct archive_info *index_info(const struct index *index);
const char *index_config(const struct index *index); /* as struct archive's */
const char *index_format(const struct index *index);
const char *index_compression(const struct index *index); /* "none" where there is none */

/* The tree of the archive, complete once the index is open. */
struct tree *index_tree(const struct index *index);

/* What is named PATH in the tree, "snapshots/first/disk-a.raw"; NULL: nothing. */
const struct node *index_find(const struct index *index, const char *path);

/*
 * The same into *OUT. 0, -ENOENT, or as tree_lookup: a folder on the way may have to be filled, so
 * that -EAGAIN is what parts.h has.
 */
int index_look_up(const struct index *index, const char *path, struct node **out);

/* What the node N of that tree is, or NULL. */
struct disk *index_disk_of(const struct node *n);
const struct index_file *index_file_of(const struct node *n);

/* What the node N of that tree, a folder, has the partitions of; NULL: of nothing. */
struct parted *index_parted_of(const struct node *n);

/* The same of disk number I; NULL: options.partitions was not set. */
struct parted *index_parted(const struct index *index, size_t i);

/* The volume groups on its disks; NULL likewise. */
struct groups *index_groups(const struct index *index);

/* Is the archive a tree of files, whose members the scan finds? */
bool index_is_tree(const struct index *index);

/* All of them; NULL: it is no such archive, is not sealed yet, or could not be. */
const struct members *index_members(const struct index *index);

/* What N, a node of the tree, is a member of; NULL likewise. */
const struct members_node *index_member_of(const struct index *index, const struct node *n);

/* The content of M, a file. As members_open. */
struct volume *index_member_open(const struct index *index, const struct members_node *m,
                                 struct members_volume *out);

/* May FOLDER of the tree be entered without waiting? Reads no archive. */
bool index_folder_ready(const struct index *index, const struct node *folder);

size_t index_folder_count(const struct index *index);
const struct index_folder *index_folder(const struct index *index, size_t i);
size_t index_disk_count(const struct index *index);
struct disk *index_disk(const struct index *index, size_t i);
size_t index_file_count(const struct index *index);
const struct index_file *index_file(const struct index *index, size_t i);

/* The name of F without folders. */
const char *index_file_leaf(const struct index_file *f);

/*
 * Read LEN bytes at POS of F, all within it. 0; -EAGAIN if they are not decoded or not trusted yet;
 * -EIO if they cannot be read; -ESTALE, -ENOMEM. Thread-safe.
 */
int index_file_read(const struct index *index, const struct index_file *f, void *buf, size_t len,
                    uint64_t pos);

/* The same of V, which is the content of a file or a member of INDEX. */
int index_volume_read(const struct index *index, struct volume *v, void *buf, size_t len,
                      uint64_t pos);

/* The first LEN bytes of F as a new string, followed by a NUL; or NULL, with errno as above. */
char *index_file_load(const struct index *index, const struct index_file *f, size_t len);

/* What the scan found wrong; complete once sealed. The list is valid until index_close. */
size_t index_damage_count(const struct index *index); /* all, including those that were not kept */
size_t index_doubt_count(const struct index *index);  /* those of them that are doubts alone */
size_t index_damages(const struct index *index, const struct index_damage **list);

/*
 * Damage by which members may be missing of which nothing else tells; or with ANY such as is no
 * disk's. NULL: there is none.
 */
const struct index_damage *index_hiding_damage(const struct index *index, bool any);

/*
 * Why the last failed read failed, if the archive file was changed or is compressed, or its index
 * is at fault, which is reported only once. False: no such failure. Thread-safe.
 */
bool index_read_failure(struct index *index, struct error *err);

#endif
