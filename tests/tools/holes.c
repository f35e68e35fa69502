/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * holes: the data ranges of a file, "start length" in bytes, one a line.
 *
 * Without an option they are what SEEK_DATA and SEEK_HOLE say. With --nonzero they are the 4 KiB
 * blocks that hold anything but zeros, neighbours joined: what a sparse view of the same bytes
 * should answer, so that the two outputs can be compared.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/cleanup.h"

#define BLOCK 4096
#define CHUNK (256 * BLOCK)

static const char usage_text[] = "usage: holes [--nonzero] FILE\n"
                                 "Prints 'start length' of every data range of FILE, in bytes.\n"
                                 "  --nonzero  the 4 KiB blocks that are not all zero, joined\n"
                                 "Exit status: 0 done, 1 FILE cannot be read, 2 wrong usage.\n";

/* A range that may still grow; empty while end is 0. */
struct range {
        off_t start, end;
};

static void print_range(const struct range *r)
{
        if (r->end > 0)
                printf("%jd %jd\n", (intmax_t)r->start, (intmax_t)(r->end - r->start));
}

/* Join [START, END) to R, or print R and begin anew. */
static void extend(struct range *r, off_t start, off_t end)
{
        if (r->end == start && r->end > 0) {
                r->end = end;
                return;
        }
        print_range(r);
        *r = (struct range){.start = start, .end = end};
}

/* The next data range at or after FROM: 1 and OUT is set, 0 there is none, or -errno. */
static int next_data(int fd, off_t from, struct range *out)
{
        out->start = lseek(fd, from, SEEK_DATA);
        if (out->start < 0)
                return errno == ENXIO ? 0 : -errno;
        out->end = lseek(fd, out->start, SEEK_HOLE);
        return out->end < 0 ? -errno : 1;
}

static int print_data(int fd)
{
        struct range r = {0};
        int rc;

        while ((rc = next_data(fd, r.end, &r)) > 0)
                print_range(&r);
        return rc;
}

/* Add what is not zero in the LEN bytes at OFFSET, which is a multiple of BLOCK. */
static void scan_chunk(const char *buf, size_t len, off_t offset, struct range *found)
{
        static const char zero[BLOCK];

        for (size_t at = 0; at < len; at += BLOCK) {
                size_t n = len - at < BLOCK ? len - at : BLOCK;
                off_t start = offset + (off_t)at;

                if (memcmp(buf + at, zero, n) != 0)
                        extend(found, start, start + (off_t)n);
        }
}

/*
 * Add what is not zero in DATA. Looks at whole blocks, so also at some bytes around it; *DONE is
 * how far.
 */
static int scan_range(int fd, const struct range *data, off_t size, struct range *found,
                      off_t *done)
{
        static char buf[CHUNK];
        off_t at = data->start - data->start % BLOCK;

        while (at < data->end) {
                off_t want = size - at < CHUNK ? size - at : CHUNK;
                ssize_t n = pread(fd, buf, (size_t)want, at);

                if (n != want)
                        return n < 0 ? -errno : -EIO;
                scan_chunk(buf, (size_t)n, at, found);
                at += n;
        }
        *done = at;
        return 0;
}

static int print_nonzero(int fd, off_t size)
{
        struct range data = {0};
        struct range found = {0};
        off_t done = 0;
        int rc;

        while ((rc = next_data(fd, done, &data)) > 0) {
                rc = scan_range(fd, &data, size, &found, &done);
                if (rc < 0)
                        return rc;
        }
        print_range(&found);
        return rc;
}

int main(int argc, char **argv)
{
        bool nonzero = argc > 1 && strcmp(argv[1], "--nonzero") == 0;
        cleanup_close int fd = -1;
        struct stat st;
        const char *path;
        int rc;

        if (argc != (nonzero ? 3 : 2) || strcmp(argv[1], "--help") == 0) {
                fputs(usage_text, stderr);
                return 2;
        }
        path = argv[argc - 1];
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0) {
                fprintf(stderr, "holes: %s: %s\n", path, strerror(errno));
                return 1;
        }
        rc = nonzero ? print_nonzero(fd, st.st_size) : print_data(fd);
        if (rc < 0) {
                fprintf(stderr, "holes: %s: %s\n", path, strerror(-rc));
                return 1;
        }
        return 0;
}
