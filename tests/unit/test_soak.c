/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Many readers at once, of shuffled ranges, while the archive is scanned and afterwards: every byte
 * is compared. SOAK_SECONDS (4) are shared out among the compressions; make soak takes minutes,
 * under ThreadSanitizer.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "tests/fixtures/sidecar_fixture.h"

enum { READERS = 64, DISK = 24 << 20, LONGEST = 300000 };

static const char *const kinds[FIXTURE_KINDS] = {"plain", "zstd", "gzip", "lzop"};

struct soak {
        struct index *index;
        struct bytes disk;
        atomic_bool stop;
        _Atomic uint64_t reads, bytes, early, wrong, failed;
        _Atomic unsigned next; /* reader's number */
};

static time_t now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec;
}

static time_t seconds(void)
{
        const char *s = getenv("SOAK_SECONDS");
        long n = s ? strtol(s, NULL, 10) : 0;

        return n > FIXTURE_KINDS ? n : FIXTURE_KINDS;
}

/* Read somewhere, LONGEST bytes at most. Nothing is asserted in a thread: it is counted. */
static void read_one(struct soak *s, uint8_t *buf, uint64_t *state)
{
        static const struct timespec moment = {.tv_nsec = 1000000};
        uint64_t at = fixture_random(state) % s->disk.len;
        size_t len = 1 + fixture_random(state) % (fixture_random(state) % 4 ? 5000 : LONGEST);
        size_t want = (size_t)min_u64(len, s->disk.len - at);
        bool sealed = index_sealed(s->index);
        ssize_t n = disk_read(index_disk(s->index, 0), buf, len, at);

        s->reads++;
        if (n == -EAGAIN && !sealed) {
                s->early++;
                nanosleep(&moment, NULL);
                return;
        }
        /* What is not seen yet ends a read, too. */
        if (n < 0 || (size_t)n > want || ((size_t)n < want && sealed))
                s->failed++;
        else if (memcmp(buf, s->disk.data + at, (size_t)n) != 0)
                s->wrong++;
        else
                s->bytes += (uint64_t)n;
}

static void *reader(void *arg)
{
        struct soak *s = arg;
        uint64_t state = ++s->next;
        uint8_t *buf = malloc(LONGEST);

        while (buf && !s->stop)
                read_one(s, buf, &state);
        free(buf);
        return NULL;
}

/*
 * Scan with the readers at work, and let them go on for so many SECONDS, or until one of them had
 * its turn on a busy machine.
 */
static void run(struct soak *s, time_t duration)
{
        static const struct timespec breath = {.tv_nsec = 50000000};
        const time_t patience = 300;
        pthread_t threads[READERS];
        struct error err = {0};
        time_t end;
        int rc;

        for (size_t i = 0; i < READERS; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, reader, s), 0);
        rc = index_scan(s->index, NULL, &err);
        end = now() + duration;
        while (now() < end || (s->bytes == 0 && now() < end + patience))
                nanosleep(&breath, NULL);
        s->stop = true;
        for (size_t i = 0; i < READERS; i++)
                pthread_join(threads[i], NULL);
        if (rc < 0)
                fail_msg("%s", err.text);
}

static void tell(enum fixture_kind kind, const struct soak *s)
{
        const char *path = getenv("FAULT_LOG");
        FILE *log = path ? fopen(path, "a") : NULL;
        unsigned long long reads = s->reads, mib = s->bytes >> 20, wrong = s->wrong;

        print_message("%s: %llu reads, %llu MiB compared, %llu failed, %llu wrong\n", kinds[kind],
                      reads, mib, (unsigned long long)s->failed, wrong);
        if (!log)
                return;
        fprintf(log, "64 readers at once, %s|%llu|%llu MiB compared, %llu wrong\n", kinds[kind],
                reads, mib, wrong);
        fclose(log);
}

static void test_readers(void **state)
{
        enum fixture_kind kind = *(const enum fixture_kind *)*state;
        struct sidecar_fixture f;
        /* A cache that never holds all of it. */
        struct index_options options = {.cache_bytes = 8 << 20, .threads = 2};
        struct soak s = {0};
        struct error err = {0};

        sidecar_fixture_archive(&f, kind, DISK);
        s.disk = f.disk;
        if (index_open(f.archive, &options, &s.index, &err) < 0)
                fail_msg("%s", err.text);
        run(&s, seconds() / FIXTURE_KINDS);
        tell(kind, &s);
        assert_true(s.bytes > 0);
        assert_int_equal(s.wrong, 0);
        assert_int_equal(s.failed, 0);
        index_close(s.index);
        sidecar_fixture_free(&f);
}

int main(void)
{
        static enum fixture_kind kind[] = {FIXTURE_PLAIN, FIXTURE_ZSTD, FIXTURE_GZIP, FIXTURE_LZOP};
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_prestate(test_readers, &kind[0]),
            cmocka_unit_test_prestate(test_readers, &kind[1]),
            cmocka_unit_test_prestate(test_readers, &kind[2]),
            cmocka_unit_test_prestate(test_readers, &kind[3]),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
