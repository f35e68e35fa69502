/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/source/watch.h"

#include <errno.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "archive/cleanup.h"

struct watch {
        int fd;
        _Atomic unsigned users;
};

/*
 * File systems that only this kernel writes to. NFS, CIFS, FUSE, Ceph and cluster file systems have
 * other writers, and unknown ones may.
 */
static const uint32_t local[] = {
    EXT4_SUPER_MAGIC, /* ext2 and ext3 have the same */
    XFS_SUPER_MAGIC,  BTRFS_SUPER_MAGIC,     TMPFS_MAGIC, RAMFS_MAGIC,
    F2FS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, 0x2fc12fc1, /* ZFS */
    0xca451a4e,                                          /* bcachefs */
};

static bool is_local(int fd)
{
        struct statfs fs;

        if (fstatfs(fd, &fs) < 0)
                return false;
        for (size_t i = 0; i < sizeof local / sizeof *local; i++)
                if ((uint32_t)fs.f_type == local[i])
                        return true;
        return false;
}

int watch_new(struct watch **out)
{
        cleanup_free struct watch *w = calloc(1, sizeof *w);

        if (!w)
                return -ENOMEM;
        w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (w->fd < 0)
                return -errno;
        w->users = 1;
        *out = steal_ptr(&w);
        return 0;
}

struct watch *watch_get(struct watch *w)
{
        w->users++;
        return w;
}

void watch_put(struct watch *w)
{
        if (!w || --w->users > 0)
                return;
        close(w->fd);
        free(w);
}

int watch_add(struct watch *w, int fd)
{
        char path[32];

        if (!is_local(fd))
                return -EOPNOTSUPP;
        /* This path leads to the open file itself, whatever has its name by now. */
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        return inotify_add_watch(w->fd, path, IN_MODIFY | IN_CLOSE_WRITE) < 0 ? -errno : 0;
}

/*
 * Events are left in the queue, since a single one is enough, for ever. When the queue is full,
 * that is an event, too.
 */
bool watch_saw_write(const struct watch *w)
{
        struct pollfd queue = {.fd = w->fd, .events = POLLIN};
        int n;

        /* A signal interrupts poll even without waiting. */
        do
                n = poll(&queue, 1, 0);
        while (n < 0 && errno == EINTR);
        return n != 0;
}
