/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where an archive's sidecar is, and which archive it belongs to.
 *
 * An archive is known by its size and the SHA-256 of its first and last 64 KiB, so that it keeps
 * its sidecar when it is moved or renamed. The place is the one that was asked for; or the cache
 * folder: /var/cache/vmafs for root, $XDG_CACHE_HOME/vmafs or ~/.cache/vmafs for others, and then
 * ARCHIVE.vmafs is read first, where it exists.
 *
 * Who can write a sidecar decides what is read from the disks. So ARCHIVE.vmafs counts only if it
 * belongs to root, to us, or to the archive's owner: in /tmp anybody can put one beside an archive.
 *
 * Folders are opened at once: later the process may have another root, or a mount on top of it.
 */
#ifndef VMAFS_PLACE_H
#define VMAFS_PLACE_H

#include <stdbool.h>
#include <stdint.h>

struct error;
struct place;
struct source;

enum { IDENTITY_LEN = 40 };

/*
 * For the archive file FILE at PATH. CHOICE is a path, or NULL for the default. Sets *OUT, freed
 * by place_free. Fails with -ENOMEM, with what reading the archive gave, and with -EEXIST where
 * CHOICE is there already and is no index; a folder that cannot be made or opened is no failure
 * yet.
 */
int place_new(const char *path, struct source *file, const char *choice, struct place **out,
              struct error *err);
void place_free(struct place *p); /* NULL is allowed */

/* Size (little-endian) and SHA-256. */
const uint8_t *place_identity(const struct place *p);

/* Where a sidecar may be read, in the order in which that is tried. */
enum place_where {
        PLACE_BESIDE, /* ARCHIVE.vmafs */
        PLACE_OWN,    /* where it is written, too */
        PLACES,
};

/* The sidecar's path, for messages. */
const char *place_path(const struct place *p, enum place_where where);

/* The open folder in which it is written; -1: there is none. */
int place_folder(const struct place *p);

#define PLACE_MAGIC "VMAFSIDX" /* the first 8 bytes of every sidecar */

/* Open the sidecar for reading. The file descriptor, or -ENOENT and what else open says. */
int place_open(const struct place *p, enum place_where where);

/*
 * Mark the sidecar that is open as FD: what it says cannot be true, and it is not to be used again.
 * The mark is the file's sticky bit, which means nothing on Linux unless it is a directory's. It
 * needs neither the right to write to the file, nor to its folder, nor a path; it can hit no other
 * file that has the name by now; and it leaves the content as it is, with the record in it, and
 * with what other mounts read of it. 0; -EPERM where the file is another user's and what else
 * fchmod says, -ENOTSUP where the file system keeps no such bit. Thread-safe.
 */
int place_condemn(int fd);
bool place_is_condemned(int fd);

/*
 * Keep other processes from replacing sidecars in this folder, so that what is read of the one that
 * is there holds until it is replaced. A process that does the same is waited for, a minute at
 * most. The lock, which place_unlock ends; -ETIMEDOUT; what else flock says, where that does not
 * work.
 */
int place_lock(const struct place *p);
void place_unlock(int lock); /* an error of place_lock is allowed */

/*
 * A new file for writing, under a name of its own. The file descriptor, or -errno with the reason
 * in ERR. End it with place_commit or place_abandon, which close it.
 */
int place_create(struct place *p, struct error *err);

/*
 * Make the new file, complete and on disk, the sidecar. Only an index is ever replaced: -EEXIST
 * where something else has the name. 0 or -errno with the reason in ERR.
 */
int place_commit(struct place *p, int take_fd, struct error *err);
void place_abandon(struct place *p, int take_fd);

#endif
