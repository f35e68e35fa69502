/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A folder of archives as a tree: every archive is a folder of the file's own name, filled when it
 * is entered; folders are folders, and other files are files, as they are now.
 *
 *   dump/                                       listed again when it has changed
 *   ├── vzdump-qemu-101-….vma.zst/              opened when it is entered
 *   │   ├── qemu-server.conf
 *   │   ├── disk-drive-scsi0.raw                indexed when it is first read
 *   │   └── disk-drive-scsi0.parts/             looked at when it is entered, with options.partitions
 *   └── vzdump-qemu-101-….log                   the file itself
 *
 * The nodes below an archive do not keep it open: open_archives.h does that for who uses it. An
 * archive that cannot be opened is an empty folder, of which archives_why says why. Links are shown
 * where they cannot lead out of the folder; FIFOs, sockets and devices are not. Of a folder on a
 * server, which nobody can watch, the list is good for some seconds. Thread-safe, but for open and
 * close.
 */
#ifndef VMAFS_ARCHIVES_H
#define VMAFS_ARCHIVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct archives;
struct error;
struct index_options;
struct node;
struct open_archive;
struct open_archives_ops;
struct store;
struct store_file;
struct tree;

enum archives_kind {
        ARCHIVES_FOLDER,  /* of the folder, or below an archive */
        ARCHIVES_ARCHIVE, /* an archive's folder */
        ARCHIVES_PLAIN,   /* a file that is no archive */
        ARCHIVES_LINK,
        ARCHIVES_DISK, /* of an archive … */
        ARCHIVES_FILE, /* … and what is no disk */
};

/* A folder that is not shown, though it is there: what is mounted on it would be the mount itself. */
struct archives_hidden {
        bool some;
        uint64_t dev, inode;
};

/*
 * The folder TAKE_STORE, which is closed with it, and on failure. Archives are opened by OPS according
 * to OPTIONS, which are copied. Sets *OUT. 0 or -ENOMEM.
 */
int archives_open(struct store *take_store, const struct archives_hidden *hidden,
                  const struct open_archives_ops *ops, const struct index_options *options,
                  struct archives **out, struct error *err);

/*
 * From now on UNOPENED is told of an archive or a folder that cannot be opened, by any thread; of a
 * folder that still cannot be listed, once.
 */
void archives_observe(struct archives *a,
                      void (*unopened)(void *ctx, const struct node *n, const struct error *why),
                      void *ctx);

/* As open_archives_start. */
int archives_start(struct archives *a);

/* As open_archives_stop. */
void archives_stop(struct archives *a);

/* Nobody uses the tree any more. NULL is allowed. */
void archives_close(struct archives *a);

struct tree *archives_tree(const struct archives *a);

/*
 * Before NAME is looked up in FOLDER, or it is listed (NULL): take in what has come, gone or been
 * replaced. 0, or -errno where it cannot be listed.
 */
int archives_refresh(struct archives *a, struct node *folder, const char *name);

/* Can what is in N, a folder, change? */
bool archives_changes(const struct node *n);

enum archives_kind archives_kind(const struct node *n);

/* The file that N is: an archive, a plain file, or a folder of the folder. As fstatat. */
int archives_stat(const struct archives *a, const struct node *n, struct stat *st);

/* Open the plain file N for reading, as store_ops.open. */
int archives_open_file(const struct archives *a, const struct node *n, struct store_file **out);

/* Is it on a server? */
bool archives_is_far(const struct archives *a);

/*
 * The archive that N is or is below, open and in use until open_archives_put. As open_archives_get,
 * but -ESTALE also for one that has gone.
 */
int archives_get(struct archives *a, const struct node *n, struct open_archive **out,
                 struct error *err);

/*
 * The node in the tree of the archive A that N, a disk or a file below it, or what is inside of a
 * disk, stands for, into *OUT. 0, -ENOENT; of what is inside of a disk as index_look_up.
 */
int archives_inner(const struct open_archive *a, const struct node *n, struct node **out);

/* Is N inside of a disk: a partition or a logical volume, or a folder of these? */
bool archives_is_inside(const struct node *n);

/*
 * May N be filled, resolved by archives_inner and its file system told, without -EAGAIN? The archive
 * that it is below is open as A. Reads no archive.
 */
bool archives_inside_ready(const struct open_archive *a, const struct node *n);

/*
 * Size and st_blocks of the disk N, and whether they are FINAL. False: they are not known before
 * the archive is scanned.
 */
bool archives_disk(struct archives *a, const struct node *n, struct stat *st, bool *final);

/* Of a disk, the archive's own name for it; NULL: it is none. */
const char *archives_device(const struct node *n);

/* Why the archive N cannot be opened, into OUT of SIZE bytes. False: nobody has found that. */
bool archives_why(struct archives *a, const struct node *n, char *out, size_t size);

/*
 * Is N, an archive that is open (tree_open), a tree of files? Such a one has no nodes below it: its
 * members are in its index (index_members).
 */
bool archives_is_tree(const struct node *n);

/* Which of the trees N is, as long as it is in use, and the other way round; NULL: none is that. */
uint32_t archives_tree_id(const struct node *n);
struct node *archives_tree_node(struct archives *a, uint32_t id);

/*
 * BY more lookups, or fewer, of members of the tree ID are known to the kernel: as long as there are
 * any, the tree is in use.
 */
void archives_count_lookups(struct archives *a, uint32_t id, int64_t by);

/*
 * The addresses of the first MAX disks' nodes below the archive that is open as OPEN, into OUT: for
 * what a kernel has of them. They may be gone, so they are not to be looked at. Returns how many.
 */
size_t archives_disk_nodes(struct archives *a, const struct open_archive *open, const void **out,
                           size_t max);

#endif
