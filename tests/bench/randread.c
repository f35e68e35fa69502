/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *   randread [-d] [-j READERS] FILE READS [SEED]
 *
 * Reads 4 KiB at READS random places of FILE, one after another, and prints a line
 *
 *   IOPS median 99th
 *
 * with the times a read took in microseconds. -d: only where the file has data, by SEEK_DATA.
 * -j: so many readers at once, who have the READS among them. The same SEED gives the same places
 * in files of the same size and the same holes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, READS_MAX = 10000000, READERS_MAX = 64 };

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

/* Reads the places of one reader, and notes how long each took. */
struct reader {
        pthread_t thread;
        int fd;
        const off_t *places;
        double *times;
        size_t n;
};

static void *read_places(void *arg)
{
        const struct reader *r = arg;
        char buf[BLOCK];

        for (size_t i = 0; i < r->n; i++) {
                double start = now();

                if (pread(r->fd, buf, BLOCK, r->places[i]) != BLOCK)
                        fail("a read");
                r->times[i] = now() - start;
        }
        return NULL;
}

/* All N places by READERS at once. Returns the seconds that took. */
static double read_all(int fd, const off_t *places, double *times, size_t n, size_t readers)
{
        struct reader list[READERS_MAX];
        double begin = now();

        for (size_t i = 0; i < readers; i++) {
                size_t from = n * i / readers, end = n * (i + 1) / readers;

                list[i] = (struct reader){
                    .fd = fd, .places = places + from, .times = times + from, .n = end - from};
                if (pthread_create(&list[i].thread, NULL, read_places, &list[i]) != 0)
                        fail("a thread");
        }
        for (size_t i = 0; i < readers; i++)
                pthread_join(list[i].thread, NULL);
        return now() - begin;
}

static int usage(void)
{
        fputs("usage: randread [-d] [-j READERS] FILE READS [SEED]\n", stderr);
        return 2;
}

int main(int argc, char **argv)
{
        size_t n, readers = 1;
        bool data_only = false;
        double total, *times;
        off_t *places;
        int fd, c;

        while ((c = getopt(argc, argv, "dj:")) != -1) {
                if (c == 'd')
                        data_only = true;
                else if (c == 'j')
                        readers = strtoull(optarg, NULL, 10);
                else
                        return usage();
        }
        argc -= optind;
        argv += optind;
        n = argc >= 2 ? strtoull(argv[1], NULL, 10) : 0;
        if (argc < 2 || argc > 3 || n == 0 || n > READS_MAX || readers == 0 ||
            readers > READERS_MAX)
                return usage();
        fd = open(argv[0], O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                fail(argv[0]);
        posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
        places = choose_places(fd, n, data_only, argc == 3 ? strtoull(argv[2], NULL, 10) : 1);
        times = calloc(n, sizeof *times);
        if (!times)
                fail("memory");
        total = read_all(fd, places, times, n, readers);
        qsort(times, n, sizeof *times, compare_double);
        printf("%.0f %.1f %.1f\n", (double)n / total, times[n / 2] * 1e6,
               times[n * 99 / 100] * 1e6);
        free(times);
        free(places);
        close(fd);
        return 0;
}
