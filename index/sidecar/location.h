/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which archive an index belongs to, and which of the files on a shelf is an archive's index.
 *
 * An archive is identified by its size and the SHA-256 of its first and last 64 KiB, so it keeps
 * its index when it is moved or renamed. In the cache, its owner is part of the index's name: an
 * archive of another owner has another index, even if size and ends are the same.
 *
 * Whoever can write to an index decides what is read from the disks. So one rule holds in every
 * folder: an index is trusted if it is a regular file, not a link, owned by root or by us, and
 * nobody else can write to it. This is checked on the open file, so the folder does not matter:
 * somebody who can rename files in it can take an index away, or replace it with another one of
 * root's or ours, which must then be for an archive of the same owner, size and ends (persist.c).
 */
#ifndef VMAFS_LOCATION_H
#define VMAFS_LOCATION_H

#include <stdbool.h>
#include <stdint.h>

#include "index/sidecar/shelf.h"

struct error;
struct location;
struct source;

enum { IDENTITY_LEN = 40 };

/*
 * Create the location of the index of the archive FILE on SHELF, which the caller owns and keeps
 * alive. Sets *OUT, which location_free frees. Returns 0, -ENOMEM, or -errno of reading the
 * archive.
 */
int location_new(struct shelf *shelf, struct source *file, struct location **out,
                 struct error *err);
void location_free(struct location *p); /* NULL is allowed */

/* Size (little-endian) and SHA-256. */
const uint8_t *location_identity(const struct location *p);

/* The sidecar's path, for messages. */
const char *location_path(const struct location *p, enum location_where where);

#define LOCATION_MAGIC SHELF_MAGIC

/*
 * Open the sidecar for reading. Returns the file descriptor; -EPERM with the reason in ERR if it
 * must not be trusted; -ENOENT or another -errno of open.
 */
int location_open(const struct location *p, enum location_where where, struct error *err);

/*
 * The same with a source of it in *OUT. Where it lies on a server, there is no descriptor, and *FD
 * is -1: whoever may write beside the archive is trusted as far as what they say of it can be
 * checked.
 */
int location_source(const struct location *p, enum location_where where, int *fd,
                    struct source **out, struct error *err);

/* One more source of what location_source has opened as FD. */
int location_source_again(const struct location *p, int fd, struct source **out, struct error *err);

/*
 * Quarantine the sidecar that was last opened as WHERE: it contradicts itself and must not be used
 * again. The mark is the file's sticky bit, which Linux ignores on regular files. Setting it needs
 * no path and no write access to the file or its folder. It cannot hit another file that has taken
 * the name. And it leaves the contents alone, with the record in them, which other mounts may be
 * reading. Returns 0; -EPERM if the file belongs to another user, or another -errno of fchmod;
 * -ENOTSUP if the file system does not store the bit. Thread-safe.
 */
int location_quarantine(const struct location *p, enum location_where where);
bool location_is_quarantined(int fd); /* -1: it is on a server, and is not */

/*
 * Keep other processes from replacing sidecars in this folder, so that what was read from the
 * current one stays true until we replace it. Waits up to a minute for a process that does the
 * same. Returns 0 (location_unlock releases the lock); -ETIMEDOUT; or -errno of flock where locks
 * do not work.
 */
int location_lock(const struct location *p);
void location_unlock(const struct location *p); /* may be called when it is not locked */

/*
 * Create a new file for writing, under a temporary name. Returns the file descriptor, or -errno
 * with the reason in ERR. location_commit or location_abandon closes it.
 */
int location_create(struct location *p, struct error *err);

/*
 * Sync the complete new file and make it the sidecar. Only an index is ever replaced: -EEXIST if
 * something else has the name. 0 or -errno with the reason in ERR.
 */
int location_commit(struct location *p, int take_fd, struct error *err);
void location_abandon(struct location *p, int take_fd);

/*
 * What an interrupted pass has left: open it, or MAKE it where there is nothing, for reading and
 * writing. The descriptor, or -errno as shelf_partial; -EPERM with the reason in ERR if it must not
 * be trusted. No other process gets it until all descriptors of it are closed.
 */
int location_partial(const struct location *p, bool make, struct error *err);
void location_drop_partial(const struct location *p);

#endif
