/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Was a file written to, although its mtime says that it was not?
 *
 * A tool that overwrites a file and then restores its mtime (cp -p, rsync --inplace --times, dd and
 * touch -r) leaves only a new ctime. So do chmod, chown, link, unlink, rename and setxattr, which
 * backup software uses all the time, and which do not change the contents. stat cannot distinguish
 * the two. inotify can: it reports each write, and each close of a writable descriptor, whatever is
 * done to the times.
 *
 *   write(2), truncate, fallocate, copy_file_range   IN_MODIFY, queued when the call returns
 *   shared mapping, asynchronous I/O                 IN_CLOSE_WRITE, queued at the close
 *   chmod, chown, link, unlink, rename, setxattr     nothing
 *
 * It sees only writes through this kernel, so only file systems without other writers are watched.
 * The files of one archive share a watch, since inotify instances are scarce (128 a user), and
 * entries in them are not.
 */
#ifndef VMAFS_WATCH_H
#define VMAFS_WATCH_H

#include <stdbool.h>

struct watch;

/*
 * Create a watch without files, which watch_put frees. 0, -ENOMEM, or -errno of inotify_init1:
 * -EMFILE if the user has too many.
 */
int watch_new(struct watch **out);

/* Add a user of W, who must also call watch_put. Thread-safe. */
struct watch *watch_get(struct watch *w);
void watch_put(struct watch *w); /* NULL is allowed */

/*
 * Watch the open file FD as long as W lives. 0; -EOPNOTSUPP if others than this kernel can write to
 * its file system; or -errno of inotify_add_watch.
 */
int watch_add(struct watch *w, int fd);

/*
 * Was any of the files written to, or a writable descriptor of it closed, since it was added?
 * Thread-safe. Does not need to open anything.
 */
bool watch_saw_write(const struct watch *w);

#endif
