/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that read extent headers ahead of the scan: what it finds is what it finds without them,
 * it waits less, and they are gone when it ends. The disk is a slow one, with a page cache or none.
 * How slow is told by a clock of the test's own, and a read that waits for the disk lets the other
 * threads have their reads meanwhile, so that nothing depends on how busy the machine is.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>
#include <xxhash.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/format.h"
#include "archive/shared.h"
#include "archive/source/source.h"
#include "tests/fixtures/clock/clock.h"
#include "tests/fixtures/threads_fixture.h"
#include "tests/fixtures/vma_writer.h"

enum {
        PAGE = 4096,
        CLUSTERS = 24576, /* ragged, 0.7 GiB of archive */
        EXTENTS = (CLUSTERS + VMA_SLOTS_GENUINE - 1) / VMA_SLOTS_GENUINE,
        DISK_NS = 1000000,
        PREFETCH_THREADS = 16,
};

static const uint8_t uuid[16] = "of the threads'";

/* ---- a slow disk ---- */

/* Who reads: the scan's thread or another. */
struct reads {
        _Atomic unsigned all;
        _Atomic unsigned count; /* of headers */
        _Atomic unsigned waits; /* of anything that was not in memory */
};

struct disk_source {
        struct source base;
        int fd;
        uint64_t ns;                  /* that each read of what is not in memory takes */
        bool caches;                  /* what was read stays in memory */
        _Atomic unsigned char *pages; /* of each: it is in memory */
        bool holds;                   /* others wait in a read until the scan is cancelled */
        pid_t scanner;
        struct reads scan, others;
        _Atomic unsigned inside; /* others that are reading */
        _Atomic bool cancelled;
        _Atomic unsigned late; /* reads of others that began after that */
};

static bool is_in_memory(struct disk_source *d, uint64_t offset, size_t len)
{
        bool all = true;

        for (uint64_t page = offset / PAGE; page <= (offset + len - 1) / PAGE; page++) {
                all = all && d->pages[page];
                d->pages[page] = d->caches;
        }
        return all;
}

static void breathe(void)
{
        usleep(100);
}

/* The disk works for the scan: it serves the others' reads, too, if there are any. */
static void serve_others(const struct disk_source *d)
{
        unsigned served = d->others.all + PREFETCH_THREADS;

        while (d->others.all < served && !(d->holds && d->inside >= PREFETCH_THREADS / 2) &&
               (d->inside > 0 || !threads_sleep()))
                breathe();
}

/* Until the scan, which was cancelled, waits for this thread, having told it to stop. */
static void hold(const struct disk_source *d)
{
        while (!d->cancelled || !thread_sleeps(d->scanner))
                breathe();
}

static ssize_t disk_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        struct disk_source *d = (struct disk_source *)s;
        bool other = gettid() != d->scanner;
        struct reads *reads = other ? &d->others : &d->scan;
        ssize_t n;

        d->inside += other;
        d->late += other && d->cancelled;
        reads->count += len == VMA_EXTENT_HEADER;
        if (!is_in_memory(d, offset, len)) {
                reads->waits++;
                clock_spend(d->ns);
                if (!other)
                        serve_others(d);
        }
        if (other && d->holds)
                hold(d);
        reads->all++;
        n = pread(d->fd, buf, len, (off_t)offset);
        d->inside -= other;
        return n < 0 ? -errno : n;
}

static void disk_close(struct source *s)
{
        (void)s;
}

/* A file, and what is none, where the scan is alone. */
static const struct source_ops disk_ops = {
    .name = "file", .pread = disk_pread, .close = disk_close, .is_file = true};
static const struct source_ops alone_ops = {
    .name = "file", .pread = disk_pread, .close = disk_close};

static struct disk_source open_disk(int fd, bool with_prefetch)
{
        struct disk_source d = {.fd = fd, .ns = DISK_NS, .caches = true};

        d.base.ops = with_prefetch ? &disk_ops : &alone_ops;
        d.base.size = (uint64_t)lseek(fd, 0, SEEK_END);
        d.pages = calloc(d.base.size / PAGE + 2, 1);
        d.scanner = gettid();
        assert_non_null(d.pages);
        return d;
}

static void close_disk(struct disk_source *d)
{
        free((void *)d->pages);
}

/* ---- what a scan tells ---- */

struct story {
        XXH64_hash_t hash; /* of all that was told, in order */
        unsigned extents, damages;
        uint64_t busy_ns;           /* that each extent's clusters take */
        struct disk_source *cancel; /* end the scan when all threads read this one; NULL: go on */
};

static void tell(struct story *s, const void *what, size_t len)
{
        s->hash = XXH64(what, len, s->hash);
}

static int on_entry(void *ctx, const struct entry *entry)
{
        (void)ctx;
        (void)entry;
        return 0;
}

static int on_extents(void *ctx, uint32_t disk, const struct extent *extents, size_t n,
                      uint64_t origin)
{
        struct story *s = ctx;

        clock_spend(s->busy_ns);
        tell(s, &disk, sizeof disk);
        tell(s, extents, n * sizeof *extents);
        tell(s, &origin, sizeof origin);
        s->extents++;
        return 0;
}

static int on_size(void *ctx, uint32_t disk, uint64_t size)
{
        tell(ctx, (uint64_t[]){disk, size}, 2 * sizeof size);
        return 0;
}

static int on_damage(void *ctx, const struct damage *damage)
{
        struct story *s = ctx;

        tell(s, (uint64_t[]){damage->offset, damage->disk, damage->start, damage->len},
             4 * sizeof(uint64_t));
        tell(s, damage->text, strlen(damage->text));
        s->damages++;
        return 0;
}

static int on_progress(void *ctx, uint64_t done)
{
        struct story *s = ctx;

        tell(s, &done, sizeof done);
        if (!s->cancel || s->cancel->inside < PREFETCH_THREADS / 2)
                return 0;
        s->cancel->cancelled = true;
        return -ECANCELED;
}

/* Scan D. S says what was told; returns what the scan did. */
static int scan(struct disk_source *d, struct story *s)
{
        struct archive_sink sink = {.ctx = s,
                                    .entry = on_entry,
                                    .extents = on_extents,
                                    .size = on_size,
                                    .damage = on_damage,
                                    .progress = on_progress};
        struct archive_origin origin = {.name = "a.vma"};
        struct archive *a = NULL;
        struct error err = {0};
        int rc;

        assert_int_equal(shared_new(0, 1, &origin.shared, &err), 0);
        shared_release(origin.shared);
        if (archive_open(&d->base, &origin, &sink, &a, &err) < 0)
                fail_msg("%s", err.text);
        rc = a->ops->scan(a, &sink, &err);
        archive_close(a);
        shared_free(origin.shared);
        assert_int_equal(d->inside, 0);
        return rc;
}

/* ---- archives ---- */

static uint64_t next_random(uint64_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

/* How an archive is written. */
struct kind {
        const char *name;
        unsigned times;              /* CLUSTERS; 0: one */
        bool even;                   /* each cluster is stored as a whole; otherwise any mask */
        bool shuffled;               /* or in order */
        unsigned damage_every;       /* so many extents, in one of the ways; 0: none */
        unsigned junk_every;         /* so many clusters, as much as the next one; 0: never */
        const unsigned char *nested; /* a cluster that one in four of them holds; NULL: holes */
};

static struct vma_writer *start_archive(int fd)
{
        struct vma_writer *w;

        assert_int_equal(vma_writer_open(fd, uuid, 1700000000, &w), 0);
        assert_int_equal(vma_writer_device(w, 1, "a", UINT64_C(1) << 40), 0);
        assert_int_equal(vma_writer_header(w, NULL), 0);
        return w;
}

static void write_cluster(struct vma_writer *w, const struct kind *kind, uint32_t i,
                          uint64_t *random)
{
        static const unsigned char junk[5 * VMA_BLOCK + 77] = {1};
        uint64_t r = next_random(random);
        uint16_t mask = kind->even ? 0xffff : (uint16_t)(r >> 32);
        /* A permutation: 4099 is prime to the count. */
        uint32_t cluster = kind->shuffled ? (uint32_t)(((uint64_t)i * 4099 % CLUSTERS)) : i;

        if (kind->damage_every && vma_writer_extents(w) % kind->damage_every == 7)
                vma_writer_damage(w, 1u << vma_writer_extents(w) % 6);
        if (kind->junk_every && i % kind->junk_every == 100)
                assert_int_equal(vma_writer_raw(w, junk, sizeof junk), 0);
        assert_int_equal(vma_writer_cluster(w, 1, cluster, mask, r % 4 == 0 ? kind->nested : NULL),
                         0);
}

static int make_archive(const struct kind *kind)
{
        int fd = memfd_create("archive", MFD_CLOEXEC);
        struct vma_writer *w = start_archive(fd);
        uint32_t clusters = CLUSTERS * (kind->times ? kind->times : 1);
        uint64_t random = 42;

        for (uint32_t i = 0; i < clusters; i++)
                write_cluster(w, kind, i, &random);
        assert_int_equal(vma_writer_close(w), 0);
        return fd;
}

/* A piece of an archive of the same uuid: a small extent and then ones of any length, again and
 * again. */
static void make_nested(unsigned char out[VMA_CLUSTER])
{
        int fd = memfd_create("nested", MFD_CLOEXEC);
        struct vma_writer *w = start_archive(fd);
        uint64_t start = vma_writer_offset(w);

        for (uint32_t i = 0; i < 120; i++) {
                assert_int_equal(vma_writer_cluster(w, 1, i, (uint16_t)(i % 3), NULL), 0);
                if (i % 5 == 0)
                        assert_int_equal(vma_writer_flush(w), 0);
        }
        assert_int_equal(vma_writer_close(w), 0);
        memset(out, 0, VMA_CLUSTER);
        assert_true(pread(fd, out, VMA_CLUSTER, (off_t)start) > VMA_CLUSTER / 2);
        close(fd);
}

static void expect_same(const struct kind *kind)
{
        int fd = make_archive(kind);
        struct disk_source alone = open_disk(fd, false), helped = open_disk(fd, true);
        struct story want = {0}, got = {0};

        alone.ns = 0;
        assert_int_equal(scan(&alone, &want), 0);
        assert_int_equal(scan(&helped, &got), 0);
        print_message("%s: %u of %u waits, others %u\n", kind->name, helped.scan.waits,
                      alone.scan.waits, helped.others.waits);
        assert_int_equal(alone.others.count, 0);
        assert_true(helped.others.count > 0);
        assert_int_equal(got.extents, want.extents);
        assert_int_equal(got.damages, want.damages);
        assert_int_equal(got.hash, want.hash);
        close_disk(&alone);
        close_disk(&helped);
        close(fd);
}

/* ---- tests ---- */

static void test_what_is_found_is_the_same(void **state)
{
        static const struct kind kinds[] = {
            {.name = "even", .even = true},
            {.name = "ragged"},
            {.name = "shuffled", .shuffled = true},
            {.name = "damaged headers", .damage_every = 40},
            {.name = "junk", .shuffled = true, .junk_every = 2500},
            {.name = "all of it", .shuffled = true, .damage_every = 25, .junk_every = 5000},
        };

        (void)state;
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
                expect_same(&kinds[i]);
}

/* Prefetch threads take its headers for the archive's. */
static void test_nested_archive_of_the_same_uuid(void **state)
{
        static unsigned char nested[VMA_CLUSTER];
        const struct kind kind = {.name = "nested", .nested = nested};
        const struct kind damaged = {
            .name = "nested and damaged", .nested = nested, .damage_every = 50};

        (void)state;
        make_nested(nested);
        expect_same(&kind);
        expect_same(&damaged);
}

static void test_scan_waits_for_few_headers(void **state)
{
        const struct kind kind = {.name = "ragged"};
        int fd = make_archive(&kind);
        struct disk_source d = open_disk(fd, true);
        struct story s = {0};

        (void)state;
        assert_int_equal(scan(&d, &s), 0);
        assert_true(d.scan.count >= EXTENTS);
        print_message("%u waits for %u headers\n", d.scan.waits, EXTENTS);
        assert_true(d.scan.waits < EXTENTS / 2);
        close_disk(&d);
        close(fd);
}

static void test_no_prefetch_where_headers_are_in_memory(void **state)
{
        const struct kind kind = {.name = "ragged"};
        int fd = make_archive(&kind);
        struct disk_source d = open_disk(fd, true);
        struct story s = {0};

        (void)state;
        d.ns = 0;
        for (uint64_t page = 0; page <= d.base.size / PAGE; page++)
                d.pages[page] = 1;
        assert_int_equal(scan(&d, &s), 0);
        assert_int_equal(d.others.count, 0);
        close_disk(&d);
        close(fd);
}

/* As extract does, which wants the data in memory, and not headers that are far away. */
static void test_no_prefetch_for_who_does_more_than_wait(void **state)
{
        const struct kind kind = {.name = "ragged"};
        int fd = make_archive(&kind);
        struct disk_source d = open_disk(fd, true);
        struct story s = {.busy_ns = 5 * DISK_NS};

        (void)state;
        assert_int_equal(scan(&d, &s), 0);
        assert_int_equal(d.others.count, 0);
        close_disk(&d);
        close(fd);
}

/* Only the beginning is cold: prefetch threads begin, and leave the rest alone. */
static void test_prefetch_ends_where_headers_are_in_memory_after_all(void **state)
{
        const struct kind kind = {.name = "ragged", .times = 4};
        int fd = make_archive(&kind);
        struct disk_source d = open_disk(fd, true);
        struct story s = {0};
        uint64_t cold = (uint64_t)64 << 20;

        (void)state;
        for (uint64_t page = cold / PAGE; page <= d.base.size / PAGE; page++)
                d.pages[page] = 1;
        assert_int_equal(scan(&d, &s), 0);
        assert_true(d.others.count > 0);
        print_message("%u headers read by others\n", d.others.count);
        assert_true(d.others.count < EXTENTS * 3);
        close_disk(&d);
        close(fd);
}

/* No page cache: whatever prefetch threads read would be read again. */
static void test_prefetch_ends_where_nothing_is_kept(void **state)
{
        const struct kind kind = {.name = "ragged"};
        int fd = make_archive(&kind);
        struct disk_source d = open_disk(fd, true);
        struct story s = {0};

        (void)state;
        d.caches = false;
        assert_int_equal(scan(&d, &s), 0);
        assert_true(d.others.waits > 0);
        print_message("%u headers read by others\n", d.others.count);
        assert_true(d.others.count <= 4 * PREFETCH_THREADS);
        close_disk(&d);
        close(fd);
}

static void test_cancelled_while_prefetch_waits(void **state)
{
        const struct kind kind = {.name = "ragged"};
        int fd = make_archive(&kind);
        struct disk_source d = open_disk(fd, true);
        struct story s = {.cancel = &d};

        (void)state;
        d.holds = true;
        assert_int_equal(scan(&d, &s), -ECANCELED);
        assert_true(d.cancelled);
        /* One each may have been about to. */
        print_message("%u reads begun afterwards\n", d.late);
        assert_true(d.late <= PREFETCH_THREADS);
        close_disk(&d);
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_what_is_found_is_the_same),
            cmocka_unit_test(test_nested_archive_of_the_same_uuid),
            cmocka_unit_test(test_scan_waits_for_few_headers),
            cmocka_unit_test(test_no_prefetch_where_headers_are_in_memory),
            cmocka_unit_test(test_no_prefetch_for_who_does_more_than_wait),
            cmocka_unit_test(test_prefetch_ends_where_headers_are_in_memory_after_all),
            cmocka_unit_test(test_prefetch_ends_where_nothing_is_kept),
            cmocka_unit_test(test_cancelled_while_prefetch_waits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
