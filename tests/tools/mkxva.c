/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mkxva [--sha1] [--empty=N] OUT DISK...: an XVA of raw images, whose references are Ref:4, Ref:7
 * and so on; with an empty chunk before every N chunks of zeros.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fixtures/xva_writer.h"

static void fail(const char *path)
{
        perror(path);
        exit(1);
}

static struct bytes load(const char *path)
{
        struct bytes b = {0};
        struct stat st;
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0 || fstat(fd, &st) < 0)
                fail(path);
        b.len = (size_t)st.st_size;
        b.data = malloc(b.len + 1);
        if (!b.data || read(fd, b.data, b.len) != (ssize_t)b.len)
                fail(path);
        close(fd);
        return b;
}

static void save(const char *path, struct bytes b)
{
        FILE *f = fopen(path, "we");

        if (!f || fwrite(b.data, 1, b.len, f) != b.len || fclose(f) != 0)
                fail(path);
}

static void make_ref(char ref[16], int i)
{
        snprintf(ref, 16, "Ref:%d", 4 + 3 * i);
}

int main(int argc, char **argv)
{
        struct xva_out x = xva_start();
        int first = 1;
        char ref[16];

        for (; first < argc && strncmp(argv[first], "--", 2) == 0; first++) {
                x.sha1 |= strcmp(argv[first], "--sha1") == 0;
                if (strncmp(argv[first], "--empty=", 8) == 0)
                        x.empty = (unsigned)strtoul(argv[first] + 8, NULL, 10);
        }
        if (argc - first < 2) {
                fprintf(stderr, "usage: mkxva [--sha1] [--empty=N] OUT DISK...\n");
                return 2;
        }
        for (int i = first + 1; i < argc; i++) {
                struct stat st;

                if (stat(argv[i], &st) < 0)
                        fail(argv[i]);
                make_ref(ref, i - first - 1);
                xva_describe(&x, ref, argv[i], (uint64_t)st.st_size);
        }
        xva_begin(&x);
        for (int i = first + 1; i < argc; i++) {
                struct bytes disk = load(argv[i]);

                make_ref(ref, i - first - 1);
                xva_disk(&x, ref, disk.data, disk.len);
                free(disk.data);
        }
        xva_finish(&x);
        save(argv[first], x.file);
        xva_free(&x);
        return 0;
}
