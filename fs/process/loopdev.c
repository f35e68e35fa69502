/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/process/loopdev.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "archive/cleanup.h"

/* Copy the path of the file that loop device NAME shows, as the kernel prints it, to PATH. */
static bool backing_file(const char *name, char path[PATH_MAX])
{
        char sysfs[300];
        cleanup_fclose FILE *f = NULL;

        snprintf(sysfs, sizeof sysfs, "/sys/block/%s/loop/backing_file", name);
        f = fopen(sysfs, "re");
        return f && fgets(path, PATH_MAX, f);
}

bool loopdev_uses(const char *mountpoint, char *name, size_t size)
{
        DIR *dir = opendir("/sys/block");
        size_t len = strlen(mountpoint);
        bool found = false;
        struct dirent *d;
        char path[PATH_MAX];

        while (dir && !found && (d = readdir(dir))) {
                if (strncmp(d->d_name, "loop", 4) != 0 || !backing_file(d->d_name, path))
                        continue;
                found = strncmp(path, mountpoint, len) == 0 && path[len] == '/';
                if (found)
                        snprintf(name, size, "/dev/%s", d->d_name);
        }
        if (dir)
                closedir(dir);
        return found;
}
