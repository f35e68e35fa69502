/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *   randread [-d] FILE READS [SEED]
 *
 * Reads 4 KiB at READS random places of FILE, one after another, and prints a line
 *
 *   IOPS median 99th
 *
 * with the times a read took in microseconds. -d: only where the file has data, by SEEK_DATA.
 * The same SEED gives the same places in files of the same size and the same holes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, READS_MAX = 10000000 };

static uint64_t next_random(uint64_t *state)
{
        uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

        z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
        return z ^ z >> 31;
}

static double now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

__attribute__((noreturn)) static void fail(const char *what)
{
        fprintf(stderr, "randread: %s: %s\n", what, strerror(errno));
        exit(1);
}

static bool has_data(int fd, off_t at)
{
        return lseek(fd, at, SEEK_DATA) == at;
}

static int compare_double(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

/* The places are chosen beforehand: finding data is not what is measured. */
static off_t *choose_places(int fd, size_t n, bool data_only, uint64_t seed)
{
        off_t *places = calloc(n, sizeof *places);
        off_t size = lseek(fd, 0, SEEK_END);
        uint64_t blocks = size < BLOCK ? 0 : (uint64_t)size / BLOCK;

        if (!places || blocks == 0)
                fail("the file has no block");
        if (data_only && lseek(fd, 0, SEEK_DATA) < 0)
                fail("the file has no data");
        for (size_t i = 0; i < n; i++) {
                do
                        places[i] = (off_t)(next_random(&seed) % blocks * BLOCK);
                while (data_only && !has_data(fd, places[i]));
        }
        return places;
}

int main(int argc, char **argv)
{
        bool data_only = argc > 1 && strcmp(argv[1], "-d") == 0;
        char **words = argv + 1 + data_only;
        int count = argc - 1 - data_only;
        static char buf[BLOCK];
        double begin, total, *times;
        off_t *places;
        size_t n;
        int fd;

        n = count >= 2 ? strtoull(words[1], NULL, 10) : 0;
        if (count < 2 || count > 3 || n == 0 || n > READS_MAX) {
                fputs("usage: randread [-d] FILE READS [SEED]\n", stderr);
                return 2;
        }
        fd = open(words[0], O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                fail(words[0]);
        posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
        places = choose_places(fd, n, data_only, count == 3 ? strtoull(words[2], NULL, 10) : 1);
        times = calloc(n, sizeof *times);
        if (!times)
                fail("memory");
        begin = now();
        for (size_t i = 0; i < n; i++) {
                double start = now();

                if (pread(fd, buf, BLOCK, places[i]) != BLOCK)
                        fail("a read");
                times[i] = now() - start;
        }
        total = now() - begin;
        qsort(times, n, sizeof *times, compare_double);
        printf("%.0f %.1f %.1f\n", (double)n / total, times[n / 2] * 1e6,
               times[n * 99 / 100] * 1e6);
        free(times);
        free(places);
        close(fd);
        return 0;
}
