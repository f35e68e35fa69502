/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An archive's identity, and how its index takes a place that was named. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/source/source.h"
#include "tests/fixtures/location_fixture.h"
#include "tests/fixtures/sidecar_fixture.h"

static const char content[] = FOLDER_INDEX;

static bool without_tmpfile; /* as on a file system that has no O_TMPFILE */

/* Before libc's. */
int openat(int dir, const char *path, int flags, ...)
{
        mode_t mode = 0;
        va_list ap;

        va_start(ap, flags);
        if (flags & (O_CREAT | O_TMPFILE))
                mode = va_arg(ap, mode_t);
        va_end(ap);
        if (without_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
                errno = EOPNOTSUPP;
                return -1;
        }
        return (int)syscall(SYS_openat, dir, path, flags, mode);
}

static void expect_content(const char *path, const char *want, size_t len)
{
        struct bytes b = fixture_file(path);

        assert_non_null(b.data);
        assert_int_equal(b.len, len);
        assert_memory_equal(b.data, want, len);
        free(b.data);
}

/* ---- identity ---- */

static void sample(EVP_MD_CTX *ctx, struct bytes b, size_t from)
{
        EVP_DigestUpdate(ctx, b.data + from, min_u64(65536, b.len - from));
}

static void test_identity_is_size_and_digest_of_both_ends(void **state)
{
        const size_t sizes[] = {0, 1, 100, 65535, 65536, 65537, 100000, 131072, 300001};
        (void)state;

        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                struct bytes b = fixture_noise(sizes[i], i);
                EVP_MD_CTX *ctx = EVP_MD_CTX_new();
                struct source *s = fixture_source(b.data, b.len);
                uint8_t want[IDENTITY_LEN];
                struct shelf *shelf;
                struct location *p;

                store_le64(want, b.len);
                EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
                sample(ctx, b, 0);
                sample(ctx, b, b.len > 65536 ? b.len - 65536 : 0);
                EVP_DigestFinal_ex(ctx, want + 8, NULL);
                assert_int_equal(shelf_open("/a", "/tmp/absent/i", &shelf, NULL), 0);
                assert_int_equal(location_new(shelf, s, &p, NULL), 0);
                assert_memory_equal(location_identity(p), want, IDENTITY_LEN);
                location_free(p);
                shelf_free(shelf);
                source_close(s);
                EVP_MD_CTX_free(ctx);
                free(b.data);
        }
}

static bool same_identity(struct bytes a, struct bytes b)
{
        struct source *sa = fixture_source(a.data, a.len), *sb = fixture_source(b.data, b.len);
        struct shelf *shelf;
        struct location *pa, *pb;
        bool same;

        assert_int_equal(shelf_open("/a", "/tmp/absent/i", &shelf, NULL), 0);
        assert_int_equal(location_new(shelf, sa, &pa, NULL), 0);
        assert_int_equal(location_new(shelf, sb, &pb, NULL), 0);
        same = memcmp(location_identity(pa), location_identity(pb), IDENTITY_LEN) == 0;
        location_free(pa);
        location_free(pb);
        shelf_free(shelf);
        source_close(sa);
        source_close(sb);
        return same;
}

static void test_identity_tells_archives_apart(void **state)
{
        const size_t at[] = {0, 65535, 300000 - 65536, 299999};
        struct bytes a = fixture_noise(300000, 1), b = fixture_copy(a);
        (void)state;

        assert_true(same_identity(a, b));
        for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
                b.data[at[i]] ^= 1;
                assert_false(same_identity(a, b));
                b.data[at[i]] ^= 1;
        }
        b.len--;
        assert_false(same_identity(a, b));
        free(a.data);
        free(b.data);
}

/* ---- an explicit path ---- */

static void test_committed_file_has_the_name(void **state)
{
        struct folder f;
        struct stat st;
        (void)state;

        folder_make(&f);
        assert_int_equal(folder_place(&f, f.index), 0);
        assert_string_equal(location_path(f.p, LOCATION_OWN), f.index);
        assert_int_equal(location_open(f.p, LOCATION_OWN, NULL), -ENOENT);
        assert_int_equal(location_open(f.p, LOCATION_BESIDE, NULL), -ENOENT);
        assert_int_equal(folder_keep(&f), 0);
        expect_content(f.index, content, sizeof content);
        assert_int_equal(stat(f.index, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(fixture_count(f.dir), 2);
        folder_remove(&f);
}

static void test_nothing_is_there_before_the_commit(void **state)
{
        struct folder f;
        int fd;
        (void)state;

        folder_make(&f);
        assert_int_equal(folder_place(&f, f.index), 0);
        fd = location_create(f.p, &f.err);
        assert_true(fd >= 0);
        assert_int_equal(fixture_count(f.dir), 1);
        location_abandon(f.p, fd);
        assert_int_equal(fixture_count(f.dir), 1);
        folder_remove(&f);
}

static void test_without_nameless_files_nothing_is_left_either(void **state)
{
        struct folder f;
        int fd;
        (void)state;

        folder_make(&f);
        without_tmpfile = true;
        assert_int_equal(folder_place(&f, f.index), 0);
        fd = location_create(f.p, &f.err);
        assert_true(fd >= 0);
        assert_int_equal(fixture_count(f.dir), 2);
        location_abandon(f.p, fd);
        assert_int_equal(fixture_count(f.dir), 1);
        assert_int_equal(folder_keep(&f), 0);
        assert_int_equal(fixture_count(f.dir), 2);
        expect_content(f.index, content, sizeof content);
        without_tmpfile = false;
        folder_remove(&f);
}

/* As a process leaves it that is killed before the rename. */
static void test_what_a_killed_process_left_is_removed(void **state)
{
        static const char *const names[] = {".vmafs-0123456789abcdef", ".vmafs-0123456789abcdeF",
                                            ".vmafs-0123456789abcde", "vmafs-0123456789abcdef",
                                            ".vmafs-0123456789abcdef0"};
        struct folder f;
        char path[200];
        (void)state;

        folder_make(&f);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                snprintf(path, sizeof path, "%s/%s", f.dir, names[i]);
                fixture_write(path, content, sizeof content);
        }
        assert_int_equal(folder_place(&f, f.index), 0);
        assert_int_equal(folder_keep(&f), 0);
        /* The archive, its index, and all names but the first, which are not ours. */
        assert_int_equal(fixture_count(f.dir), 2 + 4);
        snprintf(path, sizeof path, "%s/%s", f.dir, names[0]);
        assert_int_not_equal(access(path, F_OK), 0);
        folder_remove(&f);
}

/* Another process is about to rename it. */
static void test_what_is_in_use_is_not_swept(void **state)
{
        struct folder f, other;
        int fd;
        (void)state;

        folder_make(&f);
        without_tmpfile = true;
        assert_int_equal(folder_place(&f, f.index), 0);
        fd = location_create(f.p, &f.err);
        assert_true(fd >= 0);
        other = f;
        other.p = NULL;
        other.shelf = NULL;
        assert_int_equal(folder_place(&other, f.index), 0);
        assert_int_equal(folder_keep(&other), 0);
        assert_int_equal(fixture_count(f.dir), 3);
        location_free(other.p);
        shelf_free(other.shelf);
        assert_int_equal(write(fd, content, sizeof content), sizeof content);
        assert_int_equal(location_commit(f.p, fd, &f.err), 0);
        assert_int_equal(fixture_count(f.dir), 2);
        without_tmpfile = false;
        folder_remove(&f);
}

static void test_an_index_is_replaced(void **state)
{
        static const char older[] = LOCATION_MAGIC "older";
        struct folder f;
        (void)state;

        folder_make(&f);
        fixture_write(f.index, older, sizeof older);
        assert_int_equal(folder_place(&f, f.index), 0);
        assert_int_equal(folder_keep(&f), 0);
        expect_content(f.index, content, sizeof content);
        assert_int_equal(fixture_count(f.dir), 2);
        folder_remove(&f);
}

static void test_what_is_no_index_is_refused_at_once(void **state)
{
        static const char *const others[] = {"", "VMAFSID", "VMAFSIDY and so on",
                                             "\x28\xb5\x2f\xfd"};
        struct folder f;
        (void)state;

        folder_make(&f);
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
                fixture_write(f.index, others[i], strlen(others[i]));
                assert_int_equal(folder_place(&f, f.index), -EEXIST);
                assert_non_null(strstr(f.err.text, f.index));
                expect_content(f.index, others[i], strlen(others[i]));
        }
        assert_int_equal(folder_place(&f, f.archive), -EEXIST);
        assert_int_equal(folder_place(&f, f.dir), -EEXIST);
        folder_remove(&f);
}

static void test_links_pipes_and_folders_are_no_index(void **state)
{
        char target[90], with_slash[90];
        struct folder f;
        (void)state;

        folder_make(&f);
        snprintf(target, sizeof target, "%s/target", f.dir);
        fixture_write(target, content, sizeof content);
        assert_int_equal(symlink(target, f.index), 0);
        assert_int_equal(folder_place(&f, f.index), -EEXIST);
        assert_int_equal(unlink(f.index), 0);
        assert_int_equal(mkfifo(f.index, 0600), 0);
        assert_int_equal(folder_place(&f, f.index), -EEXIST);
        assert_int_equal(unlink(f.index), 0);
        snprintf(with_slash, sizeof with_slash, "%s/", f.dir);
        assert_int_equal(folder_place(&f, with_slash), -EEXIST);
        assert_int_equal(folder_place(&f, ""), -EEXIST);
        folder_remove(&f);
}

static void test_what_takes_the_name_meanwhile_is_not_replaced(void **state)
{
        static const char precious[] = "precious";
        struct folder f;
        (void)state;

        folder_make(&f);
        for (int i = 0; i < 2; i++) {
                without_tmpfile = i == 1;
                unlink(f.index);
                assert_int_equal(folder_place(&f, f.index), 0);
                fixture_write(f.index, precious, sizeof precious);
                assert_int_equal(folder_keep(&f), -EEXIST);
                assert_non_null(strstr(f.err.text, "something else has that name"));
                expect_content(f.index, precious, sizeof precious);
                assert_int_equal(fixture_count(f.dir), 2);
        }
        without_tmpfile = false;
        folder_remove(&f);
}

static void test_a_missing_folder_fails_when_it_is_needed(void **state)
{
        char path[100];
        struct folder f;
        (void)state;

        folder_make(&f);
        snprintf(path, sizeof path, "%s/absent/i", f.dir);
        assert_int_equal(folder_place(&f, path), 0);
        assert_int_equal(location_open(f.p, LOCATION_OWN, NULL), -ENOENT);
        assert_int_equal(folder_keep(&f), -ENOENT);
        assert_non_null(strstr(f.err.text, path));
        snprintf(path, sizeof path, "%s/i", f.archive);
        assert_int_equal(folder_place(&f, path), 0);
        assert_int_equal(folder_keep(&f), -ENOTDIR);
        folder_remove(&f);
}

static void keep_in_read_only_folder(struct folder *f)
{
        folder_require(chmod(f->dir, 0500) == 0, __LINE__);
        folder_require(folder_place(f, f->index) == 0, __LINE__);
        folder_require(folder_keep(f) == -EACCES, __LINE__);
        folder_require(strstr(f->err.text, "Permission denied") != NULL, __LINE__);
        folder_require(chmod(f->dir, 0700) == 0, __LINE__);
        folder_require(fixture_count(f->dir) == 1, __LINE__);
}

static void test_a_read_only_folder_is_a_reported_failure(void **state)
{
        struct folder f;
        (void)state;

        folder_make(&f);
        assert_int_equal(folder_as_user(keep_in_read_only_folder, &f), 0);
        folder_remove(&f);
}

static void test_the_folder_is_opened_before_chdir(void **state)
{
        char here[1000];
        struct folder f;
        (void)state;

        folder_make(&f);
        assert_non_null(getcwd(here, sizeof here));
        assert_int_equal(chdir(f.dir), 0);
        assert_int_equal(folder_place(&f, "i"), 0);
        assert_int_equal(chdir("/"), 0);
        assert_int_equal(folder_keep(&f), 0);
        expect_content(f.index, content, sizeof content);
        assert_int_equal(chdir(here), 0);
        folder_remove(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_identity_is_size_and_digest_of_both_ends),
            cmocka_unit_test(test_identity_tells_archives_apart),
            cmocka_unit_test(test_committed_file_has_the_name),
            cmocka_unit_test(test_nothing_is_there_before_the_commit),
            cmocka_unit_test(test_without_nameless_files_nothing_is_left_either),
            cmocka_unit_test(test_what_a_killed_process_left_is_removed),
            cmocka_unit_test(test_what_is_in_use_is_not_swept),
            cmocka_unit_test(test_an_index_is_replaced),
            cmocka_unit_test(test_what_is_no_index_is_refused_at_once),
            cmocka_unit_test(test_links_pipes_and_folders_are_no_index),
            cmocka_unit_test(test_what_takes_the_name_meanwhile_is_not_replaced),
            cmocka_unit_test(test_a_missing_folder_fails_when_it_is_needed),
            cmocka_unit_test(test_a_read_only_folder_is_a_reported_failure),
            cmocka_unit_test(test_the_folder_is_opened_before_chdir),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
