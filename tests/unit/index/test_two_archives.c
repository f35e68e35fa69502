/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several archives in one process, which share a cache and threads: each is scanned and read as if
 * it were alone, while others are, and while others are closed.
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
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/shared.h"
#include "archive/volume.h"
#include "index/index.h"
#include "tests/fixtures/qcow2_fixture.h"
#include "tests/fixtures/stream_fixture.h"
#include "tests/fixtures/vma_writer.h"

enum { DISK = 12 << 20, READERS = 3, READS = 60, LONGEST = 300000 };

/* One archive and its reader. */
struct party {
        int fd; /* of the archive, a file in memory */
        char path[64];
        struct bytes disk; /* what its one disk holds */
        struct index *index;
        int scanned;              /* what the scan returned */
        _Atomic uint64_t extents; /* bytes that its own observer was told of */
        _Atomic unsigned next;    /* reader's number */
        _Atomic unsigned right, wrong;
        atomic_bool stop; /* for readers who do not count */
        bool endless;
};

/* ---- archives ---- */

static void put(struct party *p, struct bytes content)
{
        assert_int_equal(pwrite(p->fd, content.data, content.len, 0), (ssize_t)content.len);
        assert_int_equal(ftruncate(p->fd, (off_t)content.len), 0);
        free(content.data);
}

static struct party new_party(void)
{
        struct party p = {.fd = memfd_create("archive", MFD_CLOEXEC)};

        assert_true(p.fd >= 0);
        snprintf(p.path, sizeof p.path, "/proc/self/fd/%d", p.fd);
        return p;
}

/* A VMA of a disk that SEED tells from others, through COMMAND; NULL: through zstd. */
static struct party new_vma(uint64_t seed, const char *command)
{
        const uint8_t uuid[16] = {(uint8_t)seed};
        struct party p = new_party();
        struct vma_writer *w;
        struct bytes vma;

        p.disk = fixture_mixture(DISK, seed);
        assert_int_equal(vma_writer_open(p.fd, uuid, 1700000000, &w), 0);
        assert_int_equal(vma_writer_device(w, 1, "drive-scsi0", DISK), 0);
        assert_int_equal(vma_writer_header(w, NULL), 0);
        for (uint32_t i = 0; i < DISK / VMA_CLUSTER; i++)
                assert_int_equal(
                    vma_writer_cluster(w, 1, i, 0xffff, p.disk.data + (size_t)i * VMA_CLUSTER), 0);
        assert_int_equal(vma_writer_close(w), 0);
        vma = fixture_file(p.path);
        put(&p, command ? fixture_pipe(vma, command) : fixture_compress(vma, 1, 18, 1, 1));
        free(vma.data);
        return p;
}

static void end_party(struct party *p)
{
        index_close(p->index);
        close(p->fd);
        free(p->disk.data);
}

static struct shared *new_shared(size_t cache, unsigned threads)
{
        struct error err = {0};
        struct shared *s;

        assert_int_equal(shared_new(cache, threads, &s, &err), 0);
        return s;
}

static void open_party(struct party *p, struct shared *shared)
{
        struct index_options options = {.shared = shared};
        struct error err = {0};

        if (index_open(p->path, &options, &p->index, &err) < 0)
                fail_msg("%s", err.text);
}

/* ---- who is at work on them: nothing is asserted in a thread ---- */

static int on_extent(void *ctx, struct disk *disk, uint64_t pos, const struct volume_extent *e)
{
        struct party *p = ctx;

        if (disk != index_disk(p->index, 0) || !range_within(pos, e->len, DISK))
                return -EINVAL;
        p->extents += e->len;
        return 0;
}

static void *scan(void *arg)
{
        struct party *p = arg;
        const struct index_observer observer = {p, on_extent};

        p->scanned = index_scan(p->index, &observer, NULL);
        return NULL;
}

static void read_one(struct party *p, uint8_t *buf, uint64_t *random)
{
        uint64_t at = fixture_random(random) % DISK, seen = 0;
        size_t len = (size_t)min_u64(1 + fixture_random(random) % LONGEST, DISK - at), done = 0;

        while (done < len) {
                bool sealed = index_sealed(p->index);
                ssize_t n = disk_read(index_disk(p->index, 0), buf, len - done, at + done);

                if (n == -EAGAIN && !sealed) {
                        index_wait(p->index, &seen);
                        continue;
                }
                if (n <= 0 || memcmp(buf, p->disk.data + at + done, (size_t)n) != 0) {
                        p->wrong++;
                        return;
                }
                done += (size_t)n;
        }
        p->right++;
}

static void *reader(void *arg)
{
        struct party *p = arg;
        uint64_t random = ++p->next;
        uint8_t *buf = malloc(LONGEST);

        for (int i = 0; buf && (p->endless ? !p->stop : i < READS); i++)
                read_one(p, buf, &random);
        free(buf);
        return NULL;
}

struct crowd {
        pthread_t scan, readers[READERS];
};

static void begin(struct party *p, struct crowd *c)
{
        assert_int_equal(pthread_create(&c->scan, NULL, scan, p), 0);
        for (int i = 0; i < READERS; i++)
                assert_int_equal(pthread_create(&c->readers[i], NULL, reader, p), 0);
}

static void end(struct party *p, struct crowd *c)
{
        p->stop = true;
        pthread_join(c->scan, NULL);
        for (int i = 0; i < READERS; i++)
                pthread_join(c->readers[i], NULL);
        assert_int_equal(p->scanned, 0);
        assert_int_equal(p->wrong, 0);
        assert_true(p->endless ? p->right > 0 : p->right == READERS * READS);
        assert_int_equal(p->extents, DISK);
        assert_int_equal(index_damage_count(p->index), 0);
}

/* ---- tests ---- */

/* Both are scanned and read at the same time, whatever room there is. */
static void read_both(struct party a, struct party b, size_t cache, unsigned threads)
{
        struct shared *shared = new_shared(cache, threads);
        struct crowd of_a, of_b;

        open_party(&a, shared);
        open_party(&b, shared);
        begin(&a, &of_a);
        begin(&b, &of_b);
        end(&a, &of_a);
        end(&b, &of_b);
        end_party(&a);
        assert_true(blockcache_bytes(shared->cache) <= cache);
        end_party(&b);
        assert_int_equal(blockcache_bytes(shared->cache), 0);
        shared_free(shared);
}

static void test_both_are_read_at_once(void **state)
{
        (void)state;
        read_both(new_vma(1, NULL), new_vma(2, "lzop -1"), (size_t)64 << 20, 2);
}

static void test_both_through_a_small_cache(void **state)
{
        (void)state;
        read_both(new_vma(3, NULL), new_vma(4, "gzip -1"), (size_t)6 << 20, 2);
}

static void test_both_by_one_thread(void **state)
{
        (void)state;
        read_both(new_vma(5, "gzip -1"), new_vma(6, NULL), (size_t)16 << 20, 1);
}

/*
 * One is opened, scanned, read and closed again and again; the other's readers see nothing of it.
 */
static void test_one_is_closed_while_the_other_is_read(void **state)
{
        struct shared *shared = new_shared((size_t)16 << 20, 2);
        struct party stays = new_vma(7, NULL), goes = new_vma(8, "lzop -1");
        struct crowd of_stays, of_goes;
        (void)state;

        stays.endless = true;
        open_party(&stays, shared);
        begin(&stays, &of_stays);
        for (int i = 0; i < 4; i++) {
                open_party(&goes, shared);
                goes.extents = 0;
                goes.right = 0;
                begin(&goes, &of_goes);
                end(&goes, &of_goes);
                index_close(goes.index);
        }
        /* In the middle of its scan, too. */
        open_party(&goes, shared);
        index_stop(goes.index);
        scan(&goes);
        end(&stays, &of_stays);
        end_party(&goes);
        end_party(&stays);
        assert_int_equal(blockcache_bytes(shared->cache), 0);
        shared_free(shared);
}

/* A qcow2 image through zstd, with a compressed cluster, all of whose bytes are zeros. */
static struct party new_qcow2(void)
{
        struct cluster_image *f = qcow2_start();
        struct party p = new_party();

        f->len = DATA + qcow2_deflate(f->bytes + DATA, 512, CLUSTER);
        qcow2_map(f, 0, qcow2_compressed(DATA, 1));
        put(&p, fixture_compress((struct bytes){f->bytes, f->len}, 1, 18, 1, 1));
        cluster_image_free(f);
        return p;
}

/*
 * To decode a cluster, the segment that it lies in is decoded; to find it, those of its tables. All
 * of that goes through one cache, also if that has room for nothing.
 */
static void test_images_that_are_compressed_as_a_whole(void **state)
{
        static const size_t caches[] = {1, 5000, 1 << 20};
        struct party a = new_qcow2(), b = new_qcow2();
        (void)state;

        for (size_t i = 0; i < sizeof caches / sizeof *caches; i++) {
                struct shared *shared = new_shared(caches[i], 1);
                struct error err = {0};

                open_party(&a, shared);
                open_party(&b, shared);
                assert_int_equal(index_scan(a.index, NULL, &err), 0);
                assert_int_equal(index_scan(b.index, NULL, &err), 0);
                for (size_t at = 0; at < CLUSTER; at += 512) {
                        char buf[512] = {1}, zeros[512] = {0};

                        assert_int_equal(disk_read(index_disk(a.index, 0), buf, 512, at), 512);
                        assert_memory_equal(buf, zeros, sizeof buf);
                        buf[0] = 1;
                        assert_int_equal(disk_read(index_disk(b.index, 0), buf, 512, at), 512);
                        assert_memory_equal(buf, zeros, sizeof buf);
                }
                index_close(steal_ptr(&a.index));
                index_close(steal_ptr(&b.index));
                shared_free(shared);
        }
        end_party(&a);
        end_party(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_both_are_read_at_once),
            cmocka_unit_test(test_both_through_a_small_cache),
            cmocka_unit_test(test_both_by_one_thread),
            cmocka_unit_test(test_one_is_closed_while_the_other_is_read),
            cmocka_unit_test(test_images_that_are_compressed_as_a_whole),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
