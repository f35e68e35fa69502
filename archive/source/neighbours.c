/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/source/neighbours.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "archive/source/remote/remote.h"

/* O_NONBLOCK: opening a FIFO or a tape must not hang before it can be refused. */
enum { FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

static int open_beside(int folder, const char *name)
{
        int fd;

        if (strchr(name, '/') || strcmp(name, "..") == 0)
                return -EXDEV;
        fd = openat(folder, name, FLAGS | O_NOFOLLOW);
        return fd < 0 ? -errno : fd;
}

/* The kernel's path of FD. False: there is none, or it is too long. */
static bool real_path(int fd, char path[PATH_MAX])
{
        char link[32];
        ssize_t n;

        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        n = readlink(link, path, PATH_MAX);
        if (n <= 0 || n == PATH_MAX)
                return false;
        path[n] = '\0';
        return true;
}

/*
 * The part of the absolute PATH below the folder DIRFD, as a new string. NULL: PATH, with its links
 * resolved, is not below it.
 */
static char *path_below(int dirfd, const char *path)
{
        cleanup_close int fd = open(path, O_PATH | O_CLOEXEC);
        char dir[PATH_MAX], file[PATH_MAX];
        size_t len;

        if (fd < 0 || !real_path(dirfd, dir) || !real_path(fd, file))
                return NULL;
        len = strcmp(dir, "/") == 0 ? 0 : strlen(dir);
        if (strncmp(file, dir, len) != 0 || file[len] != '/')
                return NULL;
        return strdup(file + len + 1);
}

static int open_below(int folder, const char *name)
{
        struct open_how how = {.flags = FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
        cleanup_free char *below = name[0] == '/' ? path_below(folder, name) : NULL;
        int fd;

        /* Even if the path has changed meanwhile, the kernel confines it to the folder. */
        fd = (int)syscall(SYS_openat2, folder, below ? below : name, &how, sizeof how);
        return fd < 0 ? -errno : fd;
}

static int open_anywhere(int folder, const char *name)
{
        int fd = openat(folder, name, FLAGS);

        return fd < 0 ? -errno : fd;
}

int neighbours_open(const struct neighbours *n, const char *name, enum neighbour_reach reach)
{
        if (n->folder < 0)
                return n->folder;
        if (reach > n->farthest)
                return -EXDEV;
        switch (reach) {
        case NEIGHBOUR_BESIDE:
                return open_beside(n->folder, name);
        case NEIGHBOUR_BELOW:
                return open_below(n->folder, name);
        case NEIGHBOUR_ANYWHERE:
                return open_anywhere(n->folder, name);
        }
        return -EINVAL;
}

bool neighbours_is_below(const char *path)
{
        while (*path) {
                size_t len = strcspn(path, "/");

                if (len == 0 || (len == 1 && path[0] == '.') ||
                    (len == 2 && path[0] == '.' && path[1] == '.'))
                        return false;
                path += len;
                if (*path && !*++path)
                        return false;
        }
        return true;
}

int neighbours_fetch(const struct neighbours *n, const char *name, enum neighbour_reach reach,
                     struct source **out, struct error *err)
{
        while (name[0] == '.' && name[1] == '/')
                name += 2 + strspn(name + 2, "/");
        if (reach > n->farthest || !*name || !neighbours_is_below(name) ||
            (reach == NEIGHBOUR_BESIDE && strchr(name, '/')))
                return -EXDEV;
        return remote_named(n->remote, name, out, err);
}

int neighbours_folder(const char *path)
{
        const char *slash = strrchr(path, '/');
        cleanup_free char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
        int fd = dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

        return fd < 0 ? -errno : fd;
}
