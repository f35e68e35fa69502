/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapread: a file's bytes to stdout, taken from a memory mapping of it and not with read. A byte
 * that the mapping cannot give ends it with status 1: write answers EFAULT where touching the
 * page would raise SIGBUS.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/cleanup.h"

static const char usage_text[] = "usage: mapread private|shared FILE\n"
                                 "Writes FILE to stdout through a mapping of that kind.\n"
                                 "Exit status: 0 done, 1 FILE cannot be read, 2 wrong usage.\n";

static int fail(const char *path, const char *what)
{
        fprintf(stderr, "mapread: %s: %s: %s\n", path, what, strerror(errno));
        return 1;
}

static int write_all(const char *bytes, size_t len)
{
        for (size_t done = 0; done < len;) {
                ssize_t n = write(STDOUT_FILENO, bytes + done, len - done);

                if (n < 0)
                        return -errno;
                done += (size_t)n;
        }
        return 0;
}

static int print_mapping(const char *path, int flags)
{
        cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat st;
        void *bytes;
        int rc;

        if (fd < 0 || fstat(fd, &st) < 0)
                return fail(path, "cannot be opened");
        bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, flags, fd, 0);
        if (bytes == MAP_FAILED)
                return fail(path, "cannot be mapped");
        rc = write_all(bytes, (size_t)st.st_size);
        munmap(bytes, (size_t)st.st_size);
        errno = -rc;
        return rc < 0 ? fail(path, "cannot be read") : 0;
}

int main(int argc, char **argv)
{
        if (argc == 3 && strcmp(argv[1], "private") == 0)
                return print_mapping(argv[2], MAP_PRIVATE);
        if (argc == 3 && strcmp(argv[1], "shared") == 0)
                return print_mapping(argv[2], MAP_SHARED);
        fputs(usage_text, argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
}
