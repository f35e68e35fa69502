/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random access into compressed streams, measured.
 *
 *   bench_stream generate MIB [SEED] > stream     what a disk of a VM looks like, in 64 KiB
 * clusters bench_stream measure ARCHIVE                  one line a figure: name, value, unit
 *   bench_stream compare ARCHIVE STREAM           as measure, and every byte against STREAM
 *
 * Times are for the machine as it is: compare them with "zstd -t" and "zstd -dc" in the same run.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/stream.h"

#define CLUSTER (64 << 10)

static uint64_t next_random(uint64_t *state)
{
        uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

        z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
        return z ^ z >> 31;
}

static void fill_random(uint8_t *to, uint64_t *state)
{
        for (size_t i = 0; i < CLUSTER; i += 8) {
                uint64_t r = next_random(state);

                memcpy(to + i, &r, 8);
        }
}

/* Fixed-size rows, as in a database's file or a table of inodes. */
static void fill_records(uint8_t *to, uint64_t *state)
{
        uint64_t base = next_random(state);

        memset(to, 0, CLUSTER);
        for (size_t i = 0; i + 128 <= CLUSTER; i += 128) {
                uint64_t r = next_random(state);
                uint64_t id = base + i;

                memcpy(to + i, "\x81\xa4rec", 5);
                memcpy(to + i + 8, &id, 8);
                memcpy(to + i + 24, &r, 1 + r % 8);
                to[i + 64] = (uint8_t)(r >> 32 & 3);
        }
}

static void fill_text(uint8_t *to, uint64_t *state)
{
        static const char *const words[] = {
            "the ",     "error ",   "connection ", "from ",  "daemon[",    "]: ",       "status=",
            "200 ",     "GET /",    "index",       ".html ", "HTTP/1.1\n", "kernel: ",  "systemd ",
            "started ", "session ", "of user ",    "root\n", "usr/lib/",   "warning: ", "return ",
            "static ",  "int ",     "if (",        ")\n\t",  "0x",         "failed ",   "device ",
            "timeout ", "package ", "install ",    "\n",
        };
        size_t at = 0;

        while (at < CLUSTER) {
                uint64_t r = next_random(state);
                char word[32];
                int n;

                if (r % 5 == 0)
                        n = snprintf(word, sizeof word, "%" PRIu64, r >> 40);
                else
                        n = snprintf(word, sizeof word, "%s", words[r >> 8 & 31]);
                n = (int)min_u64((uint64_t)n, CLUSTER - at);
                memcpy(to + at, word, (size_t)n);
                at += (size_t)n;
        }
}

/* Files are longer than a cluster: the kind changes now and then. */
static int generate(uint64_t mib, uint64_t seed)
{
        uint8_t cluster[CLUSTER];
        uint64_t state = seed, kind = 0, left = 0;

        for (uint64_t i = 0; i < mib * 16; i++) {
                if (left-- == 0) {
                        kind = next_random(&state) % 10;
                        left = next_random(&state) % 64;
                }
                if (kind < 3)
                        fill_random(cluster, &state);
                else if (kind < 6)
                        fill_records(cluster, &state);
                else
                        fill_text(cluster, &state);
                if (fwrite(cluster, sizeof cluster, 1, stdout) != 1)
                        return 1;
        }
        return fflush(stdout) == 0 ? 0 : 1;
}

static double now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Processor time of the process, or of this thread: on a busy machine the only fair figures. */
static double cpu_time(int who)
{
        struct rusage u;

        getrusage(who, &u);
        return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
               (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int complain(const char *what, const struct error *err)
{
        char text[512];

        error_format(err, text, sizeof text);
        fprintf(stderr, "bench_stream: %s: %s\n", what, text);
        return 1;
}

static int open_stream(const char *path, struct restart_table *table, struct source **out)
{
        struct stream_options options = {.take_table = table};
        struct error err = {0};
        struct source *file;

        if (source_open_file(path, &file, &err) < 0 || stream_probe(file, &options, out, &err) < 0)
                return complain(path, &err);
        stream_release(*out);
        return 0;
}

static void print(const char *name, double value, const char *unit)
{
        printf("%-28s %12.3f %s\n", name, value, unit);
}

/* A second table with the same records, so that a stream can be opened with a cold cache. */
static struct restart_table *copy_table(struct restart_table *from, uint64_t in_bytes)
{
        struct restart_table *to;
        struct restart_record record;

        if (restart_table_new(&to) < 0)
                return NULL;
        for (size_t i = 0; restart_save(from, i, &record); i++) {
                if (restart_load(to, &record, UINT64_C(1) << 31) < 0)
                        return NULL;
        }
        if (restart_load_end(to, restart_end(from), in_bytes) < 0)
                return NULL;
        return to;
}

static void report_table(struct restart_table *table, uint64_t in_bytes)
{
        struct restart_stats stats;

        restart_measure(table, &stats);
        print("segments", (double)stats.segments, "");
        print("points", (double)stats.points, "");
        print("sidecar", 1000.0 * (double)stats.stored_bytes / (double)in_bytes, "per mille");
        print("widest", (double)stats.widest / 1048576, "MiB");
        print("mean", (double)restart_end(table) / (double)stats.points / 1048576, "MiB");
}

/* Everything in order, against the bytes of PLAIN if it is a file. */
static int read_all(struct source *s, int plain)
{
        static char buf[1 << 20], expected[1 << 20];
        uint64_t at = 0;

        while (at < s->size) {
                ssize_t n = source_pread(s, buf, sizeof buf, at);

                if (n <= 0) {
                        struct error err = {.text = "read"};

                        source_damage(s, &err);
                        return complain("pread", &err);
                }
                if (plain >= 0 && (pread(plain, expected, (size_t)n, (off_t)at) != n ||
                                   memcmp(buf, expected, (size_t)n) != 0)) {
                        fprintf(stderr, "bench_stream: wrong bytes at %" PRIu64 "\n", at);
                        return 1;
                }
                at += (uint64_t)n;
        }
        return 0;
}

static int compare_double(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

/* Each read with a cache too small to help. */
static int read_cold(const char *path, struct restart_table *table, uint64_t in_bytes)
{
        enum { READS = 400 };
        double times[READS];
        struct stream_options options = {.cache_bytes = 1, .threads = 1};
        struct error err = {0};
        struct source *file, *s;
        uint64_t state = 1;
        char buf[4096];

        options.take_table = copy_table(table, in_bytes);
        if (source_open_file(path, &file, &err) < 0 || stream_probe(file, &options, &s, &err) < 0)
                return complain(path, &err);
        stream_release(s);
        for (int i = 0; i < READS; i++) {
                uint64_t at = next_random(&state) % (s->size - sizeof buf) & ~UINT64_C(4095);
                double begin = now();

                if (source_pread(s, buf, sizeof buf, at) != sizeof buf)
                        return 1;
                times[i] = now() - begin;
        }
        source_close(s);
        qsort(times, READS, sizeof times[0], compare_double);
        print("cold 4 KiB, median", times[READS / 2] * 1e3, "ms");
        print("cold 4 KiB, 99th", times[READS * 99 / 100] * 1e3, "ms");
        return 0;
}

static int measure(const char *path, const char *plain_path)
{
        cleanup_close int plain = -1;
        struct error err = {0};
        struct source *s, *warm;
        struct restart_table *table, *copy;
        uint64_t end, in_bytes;
        double begin, begin_cpu, begin_thread, pass_thread = 0;
        struct source *file;

        if (plain_path && (plain = open(plain_path, O_RDONLY | O_CLOEXEC)) < 0)
                return 1;
        if (source_open_file(path, &file, &err) < 0)
                return complain(path, &err);
        in_bytes = file->size;
        source_close(file);
        if (open_stream(path, NULL, &s))
                return 1;
        begin = now();
        begin_cpu = cpu_time(RUSAGE_SELF);
        begin_thread = cpu_time(RUSAGE_THREAD);
        /* In steps, as a scan asks. */
        for (uint64_t want = 1 << 20;; want += 1 << 20) {
                pass_thread = cpu_time(RUSAGE_THREAD) - begin_thread;
                if (source_reach(s, want, &end, &err) < 0)
                        return complain("pass", &err);
                if (end < want)
                        break;
        }
        print("pass", now() - begin, "s");
        print("pass, its thread alone", pass_thread, "s of processor");
        print("pass, with second proofs", cpu_time(RUSAGE_SELF) - begin_cpu, "s of processor");
        table = stream_table(s);
        if (!table)
                return 1;
        report_table(table, in_bytes);

        copy = copy_table(table, in_bytes);
        if (!copy || open_stream(path, copy, &warm))
                return 1;
        begin = now();
        begin_cpu = cpu_time(RUSAGE_SELF);
        if (read_all(warm, plain))
                return 1;
        print("sequential read", now() - begin, "s");
        print("sequential read", cpu_time(RUSAGE_SELF) - begin_cpu, "s of processor");
        source_close(warm);
        if (read_cold(path, table, in_bytes))
                return 1;
        source_close(s);
        return 0;
}

int main(int argc, char **argv)
{
        if (argc >= 3 && strcmp(argv[1], "generate") == 0)
                return generate(strtoull(argv[2], NULL, 10),
                                argc > 3 ? strtoull(argv[3], NULL, 10) : 1);
        if (argc == 3 && strcmp(argv[1], "measure") == 0)
                return measure(argv[2], NULL);
        if (argc == 4 && strcmp(argv[1], "compare") == 0)
                return measure(argv[2], argv[3]);
        fputs(
            "usage: bench_stream generate MIB [SEED] | measure ARCHIVE | compare ARCHIVE STREAM\n",
            stderr);
        return 2;
}
