/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/process/mountpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "fs/print/report.h"
#include "fs/process/mountinfo.h"

static int refuse(const char *path, int error)
{
        switch (error) {
        case ENOENT:
                report("%s: the mount point does not exist; make it with mkdir", path);
                break;
        case ENOTCONN:
                report("%s: is a stale mount; end it with fusermount3 -u, then try again", path);
                break;
        default:
                report("%s: cannot be mounted on: %s", path, strerror(error));
        }
        return STATUS_USAGE;
}

/*
 * The kernel may still have the attributes of a stale mount cached, so stat works; opening it
 * fails.
 */
static bool is_stale(int fd)
{
        cleanup_close int dir = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return dir < 0 && errno == ENOTCONN;
}

static bool is_empty(int fd)
{
        int listed = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = listed < 0 ? NULL : fdopendir(listed);
        const struct dirent *d;
        bool empty = true;

        if (!dir && listed >= 0)
                close(listed);
        while (dir && empty && (d = readdir(dir)))
                empty = strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0;
        if (dir)
                closedir(dir);
        return empty;
}

/* 0 or an errno. */
static int look_at(int fd)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return errno;
        if (!S_ISDIR(st.st_mode))
                return ENOTDIR;
        return is_stale(fd) ? ENOTCONN : 0;
}

/* The current path of FD as a new string, or NULL with errno. */
static char *path_of(int fd)
{
        char self[32];

        snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
        return realpath(self, NULL);
}

static bool is_same(int a, int b)
{
        struct stat x, y;

        return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
               x.st_ino == y.st_ino;
}

/* Open M's parent directory, and check that M is still in it. Returns 0 or an errno. */
static int hold_folder(struct mountpoint *m)
{
        char *slash = strrchr(m->path, '/');
        cleanup_close int seen = -1;

        if (!slash || strlen(slash + 1) > NAME_MAX)
                return ENAMETOOLONG;
        /* The parent of "/" is "/" itself. */
        snprintf(m->name, sizeof m->name, "%s", slash[1] ? slash + 1 : ".");
        if (slash == m->path) {
                m->folder = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        } else {
                *slash = '\0';
                m->folder = open(m->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
                *slash = '/';
        }
        seen = mountpoint_look(m);
        if (seen < 0)
                return errno;
        return is_same(seen, m->fd) ? 0 : ENOENT;
}

static bool has_mount(const struct mountpoint *m)
{
        return mountinfo_id(m->fd) != mountinfo_id(m->folder);
}

int mountpoint_open(const char *path, bool nonempty, struct mountpoint *out)
{
        int error;

        *out = MOUNTPOINT_NONE;
        out->fd = open(path, O_PATH | O_CLOEXEC);
        error = out->fd < 0 ? errno : look_at(out->fd);
        if (error == 0) {
                out->path = path_of(out->fd);
                error = out->path ? hold_folder(out) : errno;
        }
        if (error)
                return refuse(path, error);
        if (nonempty)
                return STATUS_OK;
        if (has_mount(out)) {
                report("%s: something is mounted there already; unmount it or take another "
                       "directory",
                       out->path);
                return STATUS_USAGE;
        }
        if (!is_empty(out->fd)) {
                report("%s: is not empty; take an empty directory, or -o nonempty", out->path);
                return STATUS_USAGE;
        }
        return STATUS_OK;
}

void mountpoint_close(struct mountpoint *m)
{
        if (m->folder >= 0)
                close(steal_fd(&m->folder));
        if (m->fd >= 0)
                close(steal_fd(&m->fd));
        free(steal_ptr(&m->path));
}

int mountpoint_look(const struct mountpoint *m)
{
        return openat(m->folder, m->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}
