/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/process/descriptors.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/cleanup.h"

int descriptors_named(const char *path)
{
        static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};

        for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
                size_t len = strlen(folders[i]);
                char *end;
                long fd;

                if (strncmp(path, folders[i], len) != 0 || path[len] < '0' || path[len] > '9')
                        continue;
                fd = strtol(path + len, &end, 10);
                return *end || fd > INT_MAX ? -1 : (int)fd;
        }
        return -1;
}

void descriptors_release(const char *path)
{
        int fd = descriptors_named(path);

        if (fd > STDERR_FILENO)
                close(fd);
}

/* The lowest number in KEEP that is FROM or higher, or -1. */
static int next_kept(const int *keep, size_t n, int from)
{
        int lowest = -1;

        for (size_t i = 0; i < n; i++)
                if (keep[i] >= from && (lowest < 0 || keep[i] < lowest))
                        lowest = keep[i];
        return lowest;
}

static void close_between(int first, int end)
{
        if (first >= end || close_range((unsigned)first, (unsigned)end - 1, 0) == 0)
                return;
        /* Kernels before 5.9 have no close_range. 1024 is the default limit. */
        for (int fd = first; fd < end && fd < 65536; fd++)
                close(fd);
}

void descriptors_close_others(const int *keep, size_t n)
{
        int first = STDERR_FILENO + 1, kept;

        while ((kept = next_kept(keep, n, first)) >= 0) {
                close_between(first, kept);
                if (kept == INT_MAX)
                        return;
                first = kept + 1;
        }
        close_between(first, INT_MAX);
}

static void open_standard(void)
{
        int fd;

        do
                fd = open("/dev/null", O_RDWR);
        while (fd >= 0 && fd <= STDERR_FILENO);
        if (fd > STDERR_FILENO)
                close(fd);
}

void descriptors_claim(int argc, char **argv)
{
        cleanup_free int *named = calloc((size_t)argc + 1, sizeof *named);

        for (int i = 0; named && i < argc; i++)
                named[i] = descriptors_named(argv[i]);
        descriptors_close_others(named, named ? (size_t)argc : 0);
        open_standard();
}
