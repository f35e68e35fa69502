/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Streams made of chunks: what is whole, and what a missing or wrong chunk costs. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <fcntl.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/error.h"
#include "archive/shared.h"
#include "archive/source/source.h"
#include "archive/store/pbs/pbs_content.h"
#include "archive/store/pbs/pbs_files.h"
#include "archive/store/pbs/pbs_index.h"
#include "archive/store/pbs/pbs_manifest.h"
#include "archive/store/pbs/pbs_volume.h"
#include "archive/store/pbs/pxar_internal.h"
#include "archive/volume.h"
#include "tests/fixtures/pbs_writer.h"

enum { CHUNK = 65536, CHUNKS = 5 };

#define SNAPSHOT "vm/100/2026-02-01T00:00:00Z"

struct fixture {
        struct pbs_writer w;
        struct bytes disk; /* the third chunk is zeros, the last one is short */
        struct pbs_key *key;
        struct shared *shared;
        struct pbs_chunks *chunks;
        struct pbs_manifest *manifest;
        struct volume *v;
};

static void start(struct fixture *f, bool encrypted)
{
        memset(f, 0, sizeof *f);
        pbsw_start(&f->w, 9);
        f->w.encrypted = encrypted;
        f->w.compressed = true;
        f->disk = fixture_mixture(CHUNKS * CHUNK - 1000, 3);
        memset(f->disk.data + 2 * CHUNK, 0, CHUNK);
        pbsw_snapshot(&f->w, SNAPSHOT);
}

static void open_chunks(struct fixture *f)
{
        char path[256], *text = pbsw_key_file(&f->w);

        if (f->w.encrypted)
                assert_int_equal(pbs_key_parse(text, strlen(text), NULL, &f->key, NULL), 0);
        free(text);
        snprintf(path, sizeof path, "%s/.chunks", f->w.root);
        if (!f->shared)
                assert_int_equal(shared_new(1 << 20, 2, &f->shared, NULL), 0);
        assert_int_equal(pbs_chunks_new(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), f->key,
                                        f->shared, &f->chunks),
                         0);
}

/* The index NAME of the snapshot, by its manifest. What pbs_volume_open says. */
static int open_volume(struct fixture *f, const char *name, struct error *err)
{
        struct bytes blob;
        const struct pbs_manifest_file *file;
        struct source *source;

        if (!f->chunks)
                open_chunks(f);
        blob = fixture_file(pbsw_path(&f->w, PBS_MANIFEST_NAME));
        assert_int_equal(pbs_manifest_parse(blob.data, blob.len, f->key, &f->manifest, NULL), 0);
        free(blob.data);
        file = pbs_manifest_find(f->manifest, name);
        assert_non_null(file);
        assert_int_equal(source_open_file(pbsw_path(&f->w, name), &source, NULL), 0);
        return pbs_volume_open(source, f->chunks,
                               file->crypt == PBS_FILE_ENCRYPTED ? PBS_CRYPT_ENCRYPTED
                                                                 : PBS_CRYPT_PLAIN,
                               file->digest, &f->v, err);
}

static void finish(struct fixture *f)
{
        if (f->v)
                f->v->ops->close(f->v);
        pbs_manifest_free(f->manifest);
        pbs_chunks_free(f->chunks);
        shared_free(f->shared);
        pbs_key_free(f->key);
        free(f->disk.data);
        pbsw_finish(&f->w);
}

static void write_fixed(struct fixture *f)
{
        pbsw_fixed(&f->w, "disk.img.fidx", f->disk.data, f->disk.len, CHUNK);
        pbsw_manifest(&f->w);
}

static void expect_bytes(struct fixture *f, uint64_t pos, size_t len)
{
        char *got = malloc(len);

        assert_int_equal(pxar_read(f->v, got, len, pos, NULL), 0);
        assert_memory_equal(got, f->disk.data + pos, len);
        free(got);
}

static void expect_lost(struct fixture *f, uint64_t pos, const char *word)
{
        struct error err;
        char byte;

        assert_int_equal(pxar_read(f->v, &byte, 1, pos, NULL), -EIO);
        assert_true(pbs_volume_failure(f->v, &err));
        assert_non_null(strstr(err.text, word));
}

/* ---- what is whole ---- */

static void test_a_disk_of_chunks_of_one_size_is_read(void **state)
{
        (void)state;
        for (int encrypted = 0; encrypted <= 1; encrypted++) {
                struct fixture f;

                start(&f, encrypted);
                write_fixed(&f);
                assert_int_equal(open_volume(&f, "disk.img.fidx", NULL), 0);
                assert_int_equal(f.v->size, f.disk.len);
                assert_int_equal(pbs_volume_ctime(f.v), 1769904000);
                assert_int_equal(f.manifest->signature,
                                 encrypted ? PBS_SIGNATURE_RIGHT : PBS_SIGNATURE_UNCHECKED);
                assert_string_equal(f.manifest->notes, "a note");
                expect_bytes(&f, 0, f.disk.len);
                expect_bytes(&f, CHUNK - 1, 2);
                expect_bytes(&f, f.disk.len - 1, 1);
                finish(&f);
        }
}

/* What is larger than what stays in memory is decoded by each read. */
static void test_files_are_read_small_and_large(void **state)
{
        static const size_t sizes[] = {0, 1, 4096, 4097, 300000};

        (void)state;
        for (size_t i = 0; i < 2 * sizeof sizes / sizeof sizes[0]; i++) {
                size_t size = sizes[i / 2];
                struct pbs_files *files;
                struct volume *v;
                struct fixture f;
                char got[4097];
                int root;

                start(&f, i % 2);
                pbsw_file(&f.w, "a.conf.blob", f.disk.data, size);
                pbsw_manifest(&f.w);
                open_chunks(&f);
                root = open(f.w.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                assert_int_equal(pbs_files_new(root, 4, &files), 0);
                assert_int_equal(
                    pbs_content_open(files, SNAPSHOT, "a.conf.blob", NULL, f.key, &v, NULL), 0);
                assert_int_equal(v->size, size);
                assert_int_equal(pbs_files_count(files), size > 4096);
                if (size > 4096) {
                        assert_int_equal(volume_read(v, got, sizeof got, size - sizeof got), 0);
                        assert_memory_equal(got, f.disk.data + size - sizeof got, sizeof got);
                        assert_int_equal(unlink(pbsw_path(&f.w, "a.conf.blob")), 0);
                        /* It is open, and was not changed. */
                        assert_int_equal(volume_read(v, got, sizeof got, 0), 0);
                }
                v->ops->close(v);
                pbs_files_free(files);
                close(root);
                finish(&f);
        }
}

/* It would have to be decoded as a whole for each read. */
static void test_a_file_over_sixteen_mib_is_refused(void **state)
{
        static const size_t limit = 16 << 20;
        char *zeros = calloc(1, limit + 1);

        (void)state;
        assert_non_null(zeros);
        for (size_t more = 0; more < 2; more++) {
                struct error err = {0};
                struct pbs_files *files;
                struct volume *v;
                struct fixture f;
                int root;

                start(&f, false);
                pbsw_file(&f.w, "a.log.blob", zeros, limit + more);
                pbsw_manifest(&f.w);
                root = open(f.w.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                assert_int_equal(pbs_files_new(root, 4, &files), 0);
                if (more) {
                        assert_int_equal(
                            pbs_content_open(files, SNAPSHOT, "a.log.blob", NULL, f.key, &v, &err),
                            -EIO);
                        assert_non_null(strstr(err.text, "more than 16777216 bytes"));
                } else {
                        assert_int_equal(
                            pbs_content_open(files, SNAPSHOT, "a.log.blob", NULL, f.key, &v, &err),
                            0);
                        assert_int_equal(v->size, limit);
                        v->ops->close(v);
                }
                pbs_files_free(files);
                close(root);
                finish(&f);
        }
        free(zeros);
}

static void test_a_stream_of_chunks_of_any_size_is_read(void **state)
{
        static const uint64_t ends[] = {1, 5000, 5001, 200000};
        struct fixture f;

        (void)state;
        start(&f, false);
        pbsw_dynamic(&f.w, "root.pxar.didx", f.disk.data, ends, 4);
        pbsw_manifest(&f.w);
        assert_int_equal(open_volume(&f, "root.pxar.didx", NULL), 0);
        assert_int_equal(f.v->size, 200000);
        expect_bytes(&f, 0, 200000);
        for (size_t i = 0; i < 3; i++)
                expect_bytes(&f, ends[i] - 1, 2);
        finish(&f);
}

static int take_third(void *ctx, const struct pbs_chunk_ref *ref)
{
        *(struct pbs_chunk_ref *)ctx = *ref;
        return ref->number == 3;
}

/* Wait until BYTES of decoded data are in the cache. */
static void wait_for_cache(const struct fixture *f, size_t bytes)
{
        for (int i = 0; i < 60000 && blockcache_bytes(f->shared->cache) < bytes; i++)
                usleep(1000);
        assert_true(blockcache_bytes(f->shared->cache) >= bytes);
}

static void test_a_sequential_reader_has_chunks_prefetched_past_a_hole(void **state)
{
        struct fixture f;

        (void)state;
        start(&f, false);
        write_fixed(&f);
        assert_int_equal(open_volume(&f, "disk.img.fidx", NULL), 0);
        assert_int_equal(pbs_chunks_depth(f.chunks, CHUNK), 0);
        shared_release(f.shared);
        /* A quarter of the cache has room for three. */
        assert_int_equal(pbs_chunks_depth(f.chunks, CHUNK), 3);
        expect_bytes(&f, 0, 100);
        expect_bytes(&f, CHUNK, 100);
        /* 0 and 1; not 2, which is a hole; 3 and 4. */
        wait_for_cache(&f, (size_t)4 * CHUNK - 1000);
        expect_bytes(&f, 0, f.disk.len);
        finish(&f);
}

/* Two chunks, a hole of twelve, which are four times the depth, and three more chunks. */
static void test_a_hole_does_not_use_up_the_depth(void **state)
{
        enum { HOLE = 12, DATA = 5 };
        struct fixture f;

        (void)state;
        start(&f, false);
        free(f.disk.data);
        f.disk = fixture_mixture((size_t)(DATA + HOLE) * CHUNK, 5);
        memset(f.disk.data + 2 * CHUNK, 0, (size_t)HOLE * CHUNK);
        write_fixed(&f);
        assert_int_equal(open_volume(&f, "disk.img.fidx", NULL), 0);
        shared_release(f.shared);
        expect_bytes(&f, 0, 100);
        expect_bytes(&f, CHUNK, 100);
        wait_for_cache(&f, (size_t)DATA * CHUNK);
        expect_bytes(&f, 0, f.disk.len);
        finish(&f);
}

static void test_a_chunk_is_pinned_where_it_is_decoded(void **state)
{
        struct source_pin pin;
        struct fixture f;

        (void)state;
        start(&f, false);
        write_fixed(&f);
        assert_int_equal(open_volume(&f, "disk.img.fidx", NULL), 0);
        assert_int_equal(f.v->ops->pin(f.v, CHUNK + 7, 1, false, &pin), -EAGAIN);
        assert_int_equal(f.v->ops->pin(f.v, CHUNK + 7, 1, true, &pin), 1);
        assert_int_equal(pin.start, CHUNK);
        assert_int_equal(pin.end, 2 * CHUNK);
        assert_memory_equal(pin.data, f.disk.data + CHUNK, CHUNK);
        f.v->ops->unpin(f.v, &pin);
        assert_int_equal(f.v->ops->pin(f.v, CHUNK, 1, false, &pin), 1);
        f.v->ops->unpin(f.v, &pin);
        finish(&f);
}

static void test_a_failed_prefetch_is_reported_to_the_reader(void **state)
{
        struct pbs_chunk_ref ref;
        struct fixture f;

        (void)state;
        start(&f, false);
        write_fixed(&f);
        assert_int_equal(open_volume(&f, "disk.img.fidx", NULL), 0);
        shared_release(f.shared);
        assert_int_equal(pbs_volume_each(f.v, take_third, &ref), 1);
        assert_int_equal(unlink(pbsw_chunk_path(&f.w, ref.digest)), 0);
        expect_bytes(&f, 0, 100);
        expect_bytes(&f, CHUNK, 100);
        expect_lost(&f, 3 * CHUNK, "is missing");
        expect_bytes(&f, 4 * CHUNK, 100);
        finish(&f);
}

static void test_a_chunk_of_zeros_is_a_hole_and_is_not_read(void **state)
{
        (void)state;
        for (int encrypted = 0; encrypted <= 1; encrypted++) {
                struct volume_extent e;
                uint8_t digest[PBS_DIGEST_LEN];
                struct fixture f;

                start(&f, encrypted);
                write_fixed(&f);
                assert_int_equal(open_volume(&f, "disk.img.fidx", NULL), 0);
                assert_int_equal(pbs_chunk_digest(f.key, f.disk.data + 2 * CHUNK, CHUNK, digest),
                                 0);
                assert_int_equal(unlink(pbsw_chunk_path(&f.w, digest)), 0);
                assert_int_equal(f.v->ops->extent(f.v, 2 * CHUNK + 5, CHUNK, &e), 0);
                assert_int_equal(e.kind, VOLUME_ZERO);
                assert_int_equal(e.len, CHUNK - 5);
                assert_int_equal(f.v->ops->extent(f.v, 0, f.disk.len, &e), 0);
                assert_int_equal(e.kind, VOLUME_CODED);
                expect_bytes(&f, 0, f.disk.len);
                finish(&f);
        }
}

/* ---- what is not ---- */

/* The chunk at POS of the disk. */
static const char *chunk_at(struct fixture *f, uint64_t pos)
{
        uint8_t digest[PBS_DIGEST_LEN];

        assert_int_equal(
            pbs_chunk_digest(f->w.encrypted ? f->key : NULL, f->disk.data + pos, CHUNK, digest), 0);
        return pbsw_chunk_path(&f->w, digest);
}

static void expect_not_pinned(struct fixture *f, uint64_t pos)
{
        struct source_pin pin;

        assert_int_equal(f->v->ops->pin(f->v, pos, 1, true, &pin), -EIO);
}

static void test_a_missing_chunk_costs_its_range_alone(void **state)
{
        struct fixture f;

        (void)state;
        start(&f, false);
        write_fixed(&f);
        assert_int_equal(open_volume(&f, "disk.img.fidx", NULL), 0);
        assert_int_equal(unlink(chunk_at(&f, CHUNK)), 0);
        expect_not_pinned(&f, CHUNK);
        expect_lost(&f, CHUNK, "is missing");
        expect_lost(&f, 2 * CHUNK - 1, "is missing");
        expect_bytes(&f, 0, CHUNK);
        expect_bytes(&f, 2 * CHUNK, f.disk.len - 2 * CHUNK);
        finish(&f);
}

/* Sound, but another's. */
static void test_a_chunk_under_a_wrong_name_is_lost(void **state)
{
        struct fixture f;
        char other[256];

        (void)state;
        start(&f, false);
        write_fixed(&f);
        assert_int_equal(open_volume(&f, "disk.img.fidx", NULL), 0);
        snprintf(other, sizeof other, "%s", chunk_at(&f, 0));
        assert_int_equal(rename(other, chunk_at(&f, CHUNK)), 0);
        expect_lost(&f, CHUNK, "does not hold what its name says");
        finish(&f);
}

static void replace(const char *path, const void *data, size_t len)
{
        int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, len), (ssize_t)len);
        close(fd);
}

static void test_chunks_that_cannot_be_are_lost(void **state)
{
        struct fixture f;
        struct bytes shorter;

        (void)state;
        start(&f, false);
        write_fixed(&f);
        assert_int_equal(open_volume(&f, "disk.img.fidx", NULL), 0);
        replace(chunk_at(&f, 0), "", 0);
        expect_lost(&f, 0, "is empty");
        shorter = pbsw_plain_blob(f.disk.data, CHUNK - 1, true);
        replace(chunk_at(&f, 0), shorter.data, shorter.len);
        expect_lost(&f, 0, "should have 65536");
        free(shorter.data);
        unlink(chunk_at(&f, 0));
        assert_int_equal(symlink("elsewhere", chunk_at(&f, 0)), 0);
        expect_lost(&f, 0, "is a link");
        unlink(chunk_at(&f, 0));
        assert_int_equal(mkfifo(chunk_at(&f, 0), 0600), 0);
        expect_lost(&f, 0, "is not a regular file");
        assert_int_equal(truncate(chunk_at(&f, CHUNK), 200 << 20), 0);
        expect_lost(&f, CHUNK, "has more than");
        finish(&f);
}

static void test_a_plain_chunk_of_an_encrypted_disk_is_lost(void **state)
{
        struct fixture f;
        struct bytes plain;

        (void)state;
        start(&f, true);
        write_fixed(&f);
        assert_int_equal(open_volume(&f, "disk.img.fidx", NULL), 0);
        plain = pbsw_plain_blob(f.disk.data, CHUNK, true);
        replace(chunk_at(&f, 0), plain.data, plain.len);
        expect_lost(&f, 0, "is not encrypted, and should be");
        free(plain.data);
        finish(&f);
}

static void test_an_encrypted_disk_without_its_key_is_lost(void **state)
{
        struct fixture f;

        (void)state;
        start(&f, true);
        write_fixed(&f);
        f.w.encrypted = false;
        assert_int_equal(open_volume(&f, "disk.img.fidx", NULL), 0);
        expect_lost(&f, 0, "keyfile=");
        finish(&f);
}

/* A byte of a digest in the table: the manifest knows the sum of it. */
static void test_an_index_that_is_not_the_manifest_s_is_lost(void **state)
{
        struct fixture f;
        struct bytes index;

        (void)state;
        start(&f, false);
        write_fixed(&f);
        index = fixture_file(pbsw_path(&f.w, "disk.img.fidx"));
        index.data[index.len - 1] ^= 1;
        replace(pbsw_path(&f.w, "disk.img.fidx"), index.data, index.len);
        free(index.data);
        assert_int_equal(open_volume(&f, "disk.img.fidx", NULL), 0);
        expect_lost(&f, 0, "manifest");
        finish(&f);
}

/* As the manifest says, so that nothing but the table itself shows it. */
static void test_ends_that_fall_are_lost(void **state)
{
        static const uint64_t ends[] = {1000, 2000, 3000, 4000};
        struct fixture f;
        struct source *source;
        struct bytes index;
        char byte;

        (void)state;
        start(&f, false);
        pbsw_dynamic(&f.w, "x.didx", f.disk.data, ends, 4);
        open_chunks(&f);
        index = fixture_file(pbsw_path(&f.w, "x.didx"));
        store_le64(index.data + 4096 + 40, 500);
        replace(pbsw_path(&f.w, "x.didx"), index.data, index.len);
        free(index.data);
        assert_int_equal(source_open_file(pbsw_path(&f.w, "x.didx"), &source, NULL), 0);
        assert_int_equal(pbs_volume_open(source, f.chunks, PBS_CRYPT_PLAIN, NULL, &f.v, NULL), 0);
        assert_int_equal(pxar_read(f.v, &byte, 1, 1500, NULL), -EIO);
        assert_int_equal(pxar_read(f.v, &byte, 1, 3500, NULL), 0);
        finish(&f);
}

/* Each header says what cannot be: refused, whatever the manifest says. */
/* A file of holes takes no room, and hours to be hashed. */
static void test_an_index_of_many_gigabytes_is_refused(void **state)
{
        const uint64_t table = UINT64_C(9) << 30;
        struct error err = {0};
        struct source *source;
        struct fixture f;
        uint8_t size[8];
        char path[200];
        int fd;

        (void)state;
        start(&f, false);
        write_fixed(&f);
        snprintf(path, sizeof path, "%s", pbsw_path(&f.w, "disk.img.fidx"));
        fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        store_le64(size, table / 32 * CHUNK);
        assert_int_equal(pwrite(fd, size, sizeof size, 64), sizeof size);
        assert_int_equal(ftruncate(fd, (off_t)(4096 + table)), 0);
        close(fd);
        open_chunks(&f);
        assert_int_equal(source_open_file(path, &source, NULL), 0);
        assert_int_equal(pbs_volume_open(source, f.chunks, PBS_CRYPT_PLAIN, NULL, &f.v, &err),
                         -EIO);
        assert_non_null(strstr(err.text, "8 GiB"));
        f.v = NULL;
        finish(&f);
}

static void test_headers_that_cannot_be_are_refused(void **state)
{
        static const struct {
                size_t at;
                uint64_t value;
        } wrong[] = {{0, 0},  {64, 0}, {64, UINT64_MAX},        {64, 1},      {72, 0},
                     {72, 3}, {72, 1}, {72, UINT64_C(1) << 63}, {72, 1 << 28}};
        struct fixture f;
        struct bytes index;

        (void)state;
        start(&f, false);
        write_fixed(&f);
        index = fixture_file(pbsw_path(&f.w, "disk.img.fidx"));
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
                struct source *s;
                struct bytes copy = {.data = malloc(index.len), .len = index.len};

                memcpy(copy.data, index.data, index.len);
                store_le64(copy.data + wrong[i].at, wrong[i].value);
                s = fixture_source(copy.data, copy.len);
                open_chunks(&f);
                assert_int_equal(pbs_volume_open(s, f.chunks, PBS_CRYPT_PLAIN, NULL, &f.v, NULL),
                                 -EIO);
                pbs_chunks_free(f.chunks);
                free(copy.data);
        }
        f.chunks = NULL;
        f.v = NULL;
        free(index.data);
        finish(&f);
}

/* ---- manifests ---- */

static void expect_no_manifest(const char *json, const char *word)
{
        struct bytes blob = pbsw_plain_blob(json, strlen(json), true);
        struct pbs_manifest *m;
        struct error err;

        assert_int_equal(pbs_manifest_parse(blob.data, blob.len, NULL, &m, &err), -EIO);
        assert_non_null(strstr(err.text, word));
        free(blob.data);
}

#define CSUM "\"csum\":\"0000000000000000000000000000000000000000000000000000000000000000\""
#define HEAD "{\"backup-type\":\"vm\",\"backup-id\":\"1\",\"backup-time\":1,\"files\":["

static void test_manifests_that_cannot_be_are_refused(void **state)
{
        (void)state;
        expect_no_manifest("", "not JSON");
        expect_no_manifest("[]", "not JSON");
        expect_no_manifest("{}", "what it is a backup of");
        expect_no_manifest(HEAD "{\"filename\":\"../../etc/passwd\",\"size\":1," CSUM "}]}",
                           "a file that cannot be");
        expect_no_manifest(HEAD "{\"filename\":\"a\\u0000b\",\"size\":1," CSUM "}]}", "not JSON");
        expect_no_manifest(HEAD "{\"filename\":\"a\",\"size\":-1," CSUM "}]}",
                           "a file that cannot be");
        expect_no_manifest(HEAD "{\"filename\":\"a\",\"size\":1}]}", "a file that cannot be");
        expect_no_manifest(HEAD "{\"filename\":\"a\",\"size\":1," CSUM "},"
                                "{\"filename\":\"a\",\"size\":1," CSUM "}]}",
                           "twice");
}

static void test_a_signature_of_another_key_is_wrong(void **state)
{
        struct fixture f;
        struct bytes blob;
        char *text;

        (void)state;
        start(&f, true);
        write_fixed(&f);
        memset(f.w.key, 1, sizeof f.w.key);
        text = pbsw_key_file(&f.w);
        assert_int_equal(pbs_key_parse(text, strlen(text), NULL, &f.key, NULL), 0);
        blob = fixture_file(pbsw_path(&f.w, PBS_MANIFEST_NAME));
        assert_int_equal(pbs_manifest_parse(blob.data, blob.len, f.key, &f.manifest, NULL), 0);
        assert_int_equal(f.manifest->signature, PBS_SIGNATURE_WRONG);
        free(blob.data);
        free(text);
        finish(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_disk_of_chunks_of_one_size_is_read),
            cmocka_unit_test(test_files_are_read_small_and_large),
            cmocka_unit_test(test_a_file_over_sixteen_mib_is_refused),
            cmocka_unit_test(test_a_stream_of_chunks_of_any_size_is_read),
            cmocka_unit_test(test_a_sequential_reader_has_chunks_prefetched_past_a_hole),
            cmocka_unit_test(test_a_hole_does_not_use_up_the_depth),
            cmocka_unit_test(test_a_chunk_is_pinned_where_it_is_decoded),
            cmocka_unit_test(test_a_failed_prefetch_is_reported_to_the_reader),
            cmocka_unit_test(test_a_chunk_of_zeros_is_a_hole_and_is_not_read),
            cmocka_unit_test(test_a_missing_chunk_costs_its_range_alone),
            cmocka_unit_test(test_a_chunk_under_a_wrong_name_is_lost),
            cmocka_unit_test(test_chunks_that_cannot_be_are_lost),
            cmocka_unit_test(test_a_plain_chunk_of_an_encrypted_disk_is_lost),
            cmocka_unit_test(test_an_encrypted_disk_without_its_key_is_lost),
            cmocka_unit_test(test_an_index_that_is_not_the_manifest_s_is_lost),
            cmocka_unit_test(test_ends_that_fall_are_lost),
            cmocka_unit_test(test_an_index_of_many_gigabytes_is_refused),
            cmocka_unit_test(test_headers_that_cannot_be_are_refused),
            cmocka_unit_test(test_manifests_that_cannot_be_are_refused),
            cmocka_unit_test(test_a_signature_of_another_key_is_wrong),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
