/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/evp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/source.h"
#include "index/place.h"
#include "tests/fixture_sidecar.h"

enum { NOBODY = 65534 };

static const char content[] = PLACE_MAGIC " and so on";

static bool without_tmpfile; /* as on a file system that has no O_TMPFILE */

/* In front of libc's. */
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

/* ---- a folder with an archive ---- */

struct folder {
        char dir[64];
        char archive[80];
        char index[80];
        struct source *file;
        struct place *p;
        struct error err;
};

static void setup(struct folder *f)
{
        struct bytes data = fixture_noise(200000, 1);

        *f = (struct folder){0};
        snprintf(f->dir, sizeof f->dir, "%s", "/tmp/vmafs-place-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        snprintf(f->archive, sizeof f->archive, "%s/a.vma", f->dir);
        snprintf(f->index, sizeof f->index, "%s/i", f->dir);
        fixture_write(f->archive, data.data, data.len);
        assert_int_equal(source_open_file(f->archive, &f->file, &f->err), 0);
        free(data.data);
}

static void teardown(struct folder *f)
{
        char command[100];

        place_free(f->p);
        source_close(f->file);
        snprintf(command, sizeof command, "rm -rf --one-file-system %s", f->dir);
        assert_int_equal(system(command), 0);
}

static int place(struct folder *f, const char *choice)
{
        place_free(f->p);
        f->p = NULL;
        f->err = (struct error){0};
        return place_new(f->archive, f->file, choice, &f->p, &f->err);
}

/* Make the sidecar that CONTENT stands for. 0 or -errno. */
static int keep(struct folder *f)
{
        int fd = place_create(f->p, &f->err);

        if (fd < 0)
                return fd;
        assert_int_equal(pwrite(fd, content, sizeof content, 0), sizeof content);
        return place_commit(f->p, fd, &f->err);
}

static void expect_content(const char *path, const char *want, size_t len)
{
        struct bytes b = fixture_file(path);

        assert_non_null(b.data);
        assert_int_equal(b.len, len);
        assert_memory_equal(b.data, want, len);
        free(b.data);
}

/* What FN does, in a process of its own, as a user that is not root. FN ends it. */
static int as_user(void (*fn)(struct folder *f), struct folder *f)
{
        pid_t pid;
        int status;

        if (geteuid() == 0)
                assert_int_equal(chown(f->dir, NOBODY, NOBODY), 0);
        pid = fork();
        if (pid == 0) {
                if (geteuid() == 0 &&
                    (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
                        _exit(99);
                fn(f);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* In such a process, where cmocka's assertions would go on with the other tests. */
static void require(bool ok, int line)
{
        if (ok)
                return;
        fprintf(stderr, "line %d: %s\n", line, strerror(errno));
        _exit(1);
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
                struct place *p;

                store_le64(want, b.len);
                EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
                sample(ctx, b, 0);
                sample(ctx, b, b.len > 65536 ? b.len - 65536 : 0);
                EVP_DigestFinal_ex(ctx, want + 8, NULL);
                assert_int_equal(place_new("/a", s, "/tmp/absent/i", &p, NULL), 0);
                assert_memory_equal(place_identity(p), want, IDENTITY_LEN);
                place_free(p);
                source_close(s);
                EVP_MD_CTX_free(ctx);
                free(b.data);
        }
}

static bool same_identity(struct bytes a, struct bytes b)
{
        struct source *sa = fixture_source(a.data, a.len), *sb = fixture_source(b.data, b.len);
        struct place *pa, *pb;
        bool same;

        assert_int_equal(place_new("/a", sa, "/tmp/absent/i", &pa, NULL), 0);
        assert_int_equal(place_new("/b", sb, "/tmp/absent/i", &pb, NULL), 0);
        same = memcmp(place_identity(pa), place_identity(pb), IDENTITY_LEN) == 0;
        place_free(pa);
        place_free(pb);
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

        setup(&f);
        assert_int_equal(place(&f, f.index), 0);
        assert_string_equal(place_path(f.p, PLACE_OWN), f.index);
        assert_int_equal(place_open(f.p, PLACE_OWN), -ENOENT);
        assert_int_equal(place_open(f.p, PLACE_BESIDE), -ENOENT);
        assert_int_equal(keep(&f), 0);
        expect_content(f.index, content, sizeof content);
        assert_int_equal(stat(f.index, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(fixture_count(f.dir), 2);
        teardown(&f);
}

static void test_nothing_is_there_before_the_commit(void **state)
{
        struct folder f;
        int fd;
        (void)state;

        setup(&f);
        assert_int_equal(place(&f, f.index), 0);
        fd = place_create(f.p, &f.err);
        assert_true(fd >= 0);
        assert_int_equal(fixture_count(f.dir), 1);
        place_abandon(f.p, fd);
        assert_int_equal(fixture_count(f.dir), 1);
        teardown(&f);
}

static void test_without_nameless_files_nothing_is_left_either(void **state)
{
        struct folder f;
        int fd;
        (void)state;

        setup(&f);
        without_tmpfile = true;
        assert_int_equal(place(&f, f.index), 0);
        fd = place_create(f.p, &f.err);
        assert_true(fd >= 0);
        assert_int_equal(fixture_count(f.dir), 2);
        place_abandon(f.p, fd);
        assert_int_equal(fixture_count(f.dir), 1);
        assert_int_equal(keep(&f), 0);
        assert_int_equal(fixture_count(f.dir), 2);
        expect_content(f.index, content, sizeof content);
        without_tmpfile = false;
        teardown(&f);
}

/* As a process leaves it that is killed in front of the rename. */
static void test_what_a_killed_process_left_is_removed(void **state)
{
        static const char *const names[] = {".vmafs-0123456789abcdef", ".vmafs-0123456789abcdeF",
                                            ".vmafs-0123456789abcde", "vmafs-0123456789abcdef",
                                            ".vmafs-0123456789abcdef0"};
        struct folder f;
        char path[200];
        (void)state;

        setup(&f);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                snprintf(path, sizeof path, "%s/%s", f.dir, names[i]);
                fixture_write(path, content, sizeof content);
        }
        assert_int_equal(place(&f, f.index), 0);
        assert_int_equal(keep(&f), 0);
        /* The archive, its index, and all names but the first, which are not ours. */
        assert_int_equal(fixture_count(f.dir), 2 + 4);
        snprintf(path, sizeof path, "%s/%s", f.dir, names[0]);
        assert_int_not_equal(access(path, F_OK), 0);
        teardown(&f);
}

/* Another process is about to rename it. */
static void test_what_is_in_use_is_not_swept(void **state)
{
        struct folder f, other;
        int fd;
        (void)state;

        setup(&f);
        without_tmpfile = true;
        assert_int_equal(place(&f, f.index), 0);
        fd = place_create(f.p, &f.err);
        assert_true(fd >= 0);
        other = f;
        other.p = NULL;
        assert_int_equal(place(&other, f.index), 0);
        assert_int_equal(keep(&other), 0);
        assert_int_equal(fixture_count(f.dir), 3);
        place_free(other.p);
        assert_int_equal(write(fd, content, sizeof content), sizeof content);
        assert_int_equal(place_commit(f.p, fd, &f.err), 0);
        assert_int_equal(fixture_count(f.dir), 2);
        without_tmpfile = false;
        teardown(&f);
}

static void test_an_index_is_replaced(void **state)
{
        static const char older[] = PLACE_MAGIC "older";
        struct folder f;
        (void)state;

        setup(&f);
        fixture_write(f.index, older, sizeof older);
        assert_int_equal(place(&f, f.index), 0);
        assert_int_equal(keep(&f), 0);
        expect_content(f.index, content, sizeof content);
        assert_int_equal(fixture_count(f.dir), 2);
        teardown(&f);
}

static void test_what_is_no_index_is_refused_at_once(void **state)
{
        static const char *const others[] = {"", "VMAFSID", "VMAFSIDY and so on",
                                             "\x28\xb5\x2f\xfd"};
        struct folder f;
        (void)state;

        setup(&f);
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
                fixture_write(f.index, others[i], strlen(others[i]));
                assert_int_equal(place(&f, f.index), -EEXIST);
                assert_non_null(strstr(f.err.text, f.index));
                expect_content(f.index, others[i], strlen(others[i]));
        }
        assert_int_equal(place(&f, f.archive), -EEXIST);
        assert_int_equal(place(&f, f.dir), -EEXIST);
        teardown(&f);
}

static void test_links_pipes_and_folders_are_no_index(void **state)
{
        char target[90], with_slash[90];
        struct folder f;
        (void)state;

        setup(&f);
        snprintf(target, sizeof target, "%s/target", f.dir);
        fixture_write(target, content, sizeof content);
        assert_int_equal(symlink(target, f.index), 0);
        assert_int_equal(place(&f, f.index), -EEXIST);
        assert_int_equal(unlink(f.index), 0);
        assert_int_equal(mkfifo(f.index, 0600), 0);
        assert_int_equal(place(&f, f.index), -EEXIST);
        assert_int_equal(unlink(f.index), 0);
        snprintf(with_slash, sizeof with_slash, "%s/", f.dir);
        assert_int_equal(place(&f, with_slash), -EEXIST);
        assert_int_equal(place(&f, ""), -EEXIST);
        teardown(&f);
}

static void test_what_takes_the_name_meanwhile_is_not_replaced(void **state)
{
        static const char precious[] = "precious";
        struct folder f;
        (void)state;

        setup(&f);
        for (int i = 0; i < 2; i++) {
                without_tmpfile = i == 1;
                unlink(f.index);
                assert_int_equal(place(&f, f.index), 0);
                fixture_write(f.index, precious, sizeof precious);
                assert_int_equal(keep(&f), -EEXIST);
                assert_non_null(strstr(f.err.text, "something else has that name"));
                expect_content(f.index, precious, sizeof precious);
                assert_int_equal(fixture_count(f.dir), 2);
        }
        without_tmpfile = false;
        teardown(&f);
}

static void test_a_missing_folder_fails_when_it_is_needed(void **state)
{
        char path[100];
        struct folder f;
        (void)state;

        setup(&f);
        snprintf(path, sizeof path, "%s/absent/i", f.dir);
        assert_int_equal(place(&f, path), 0);
        assert_int_equal(place_open(f.p, PLACE_OWN), -ENOENT);
        assert_int_equal(keep(&f), -ENOENT);
        assert_non_null(strstr(f.err.text, path));
        snprintf(path, sizeof path, "%s/i", f.archive);
        assert_int_equal(place(&f, path), 0);
        assert_int_equal(keep(&f), -ENOTDIR);
        teardown(&f);
}

static void keep_in_read_only_folder(struct folder *f)
{
        require(chmod(f->dir, 0500) == 0, __LINE__);
        require(place(f, f->index) == 0, __LINE__);
        require(keep(f) == -EACCES, __LINE__);
        require(strstr(f->err.text, "Permission denied") != NULL, __LINE__);
        require(chmod(f->dir, 0700) == 0, __LINE__);
        require(fixture_count(f->dir) == 1, __LINE__);
}

static void test_a_read_only_folder_is_a_reported_failure(void **state)
{
        struct folder f;
        (void)state;

        setup(&f);
        assert_int_equal(as_user(keep_in_read_only_folder, &f), 0);
        teardown(&f);
}

static void test_the_folder_is_opened_before_chdir(void **state)
{
        char here[1000];
        struct folder f;
        (void)state;

        setup(&f);
        assert_non_null(getcwd(here, sizeof here));
        assert_int_equal(chdir(f.dir), 0);
        assert_int_equal(place(&f, "i"), 0);
        assert_int_equal(chdir("/"), 0);
        assert_int_equal(keep(&f), 0);
        expect_content(f.index, content, sizeof content);
        assert_int_equal(chdir(here), 0);
        teardown(&f);
}

/* ---- the default places ---- */

/* Keep, find it as PATH below the folder, mode 0600, its folder 0700. */
static void require_kept(struct folder *f, const char *below, int line)
{
        char path[400], hex[65] = "", *slash;
        struct stat st;

        require(place(f, NULL) == 0, line);
        for (int i = 0; i < 32; i++)
                snprintf(hex + 2 * (size_t)i, 3, "%02x", place_identity(f->p)[8 + i]);
        snprintf(path, sizeof path, "%s%s/%s-200000.vmafs", f->dir, below, hex);
        require(strcmp(place_path(f->p, PLACE_OWN), path) == 0, line);
        require(keep(f) == 0, line);
        require(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600, line);
        slash = strrchr(path, '/');
        *slash = '\0';
        require(stat(path, &st) == 0 && (st.st_mode & 07777) == 0700, line);
}

static void keep_in_user_caches(struct folder *f)
{
        char xdg[100];

        snprintf(xdg, sizeof xdg, "%s/xdg", f->dir);
        umask(0);
        setenv("HOME", f->dir, 1);
        setenv("XDG_CACHE_HOME", xdg, 1);
        require_kept(f, "/xdg/vmafs", __LINE__);
        setenv("XDG_CACHE_HOME", "relative", 1);
        require_kept(f, "/.cache/vmafs", __LINE__);
        unsetenv("XDG_CACHE_HOME");
        require_kept(f, "/.cache/vmafs", __LINE__);
        setenv("HOME", "", 1);
        require(place(f, NULL) == 0, __LINE__);
        require(place_open(f->p, PLACE_OWN) == -ENOENT, __LINE__);
        require(keep(f) == -ENOENT, __LINE__);
}

static void test_a_user_s_cache_folder(void **state)
{
        struct folder f;
        (void)state;

        setup(&f);
        assert_int_equal(as_user(keep_in_user_caches, &f), 0);
        teardown(&f);
}

/* With a /var/cache of its own, on which nothing is that others use. */
static void keep_in_root_s_cache(struct folder *f)
{
        char path[400];

        require(unshare(CLONE_NEWNS) == 0, __LINE__);
        require(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, __LINE__);
        require(mount("tmpfs", "/var/cache", "tmpfs", 0, "size=1M") == 0, __LINE__);
        setenv("XDG_CACHE_HOME", f->dir, 1);
        require(place(f, NULL) == 0, __LINE__);
        snprintf(path, sizeof path, "%s", place_path(f->p, PLACE_OWN));
        require(strncmp(path, "/var/cache/vmafs/", 17) == 0, __LINE__);
        require(keep(f) == 0, __LINE__);
        require(access(path, R_OK) == 0, __LINE__);
        _exit(0);
}

static void test_root_s_cache_folder(void **state)
{
        struct folder f;
        int status;
        pid_t pid;
        (void)state;

        if (geteuid() != 0) {
                fprintf(stderr, "needs root\n");
                skip();
        }
        setup(&f);
        pid = fork();
        if (pid == 0)
                keep_in_root_s_cache(&f);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(fixture_count(f.dir), 1);
        teardown(&f);
}

static void write_beside(struct folder *f)
{
        char path[100];

        snprintf(path, sizeof path, "%s.vmafs", f->archive);
        fixture_write(path, "beside", 6);
}

static void find_beside(struct folder *f)
{
        char buf[6];
        int fd;

        setenv("XDG_CACHE_HOME", f->dir, 1);
        write_beside(f);
        require(place(f, NULL) == 0, __LINE__);
        fd = place_open(f->p, PLACE_BESIDE);
        require(fd >= 0, __LINE__);
        require(pread(fd, buf, 6, 0) == 6 && memcmp(buf, "beside", 6) == 0, __LINE__);
        require(strstr(place_path(f->p, PLACE_BESIDE), "/a.vma.vmafs") != NULL, __LINE__);
        /* What is kept goes to the cache folder all the same. */
        require(keep(f) == 0, __LINE__);
        require(place_open(f->p, PLACE_OWN) >= 0, __LINE__);
        require(strstr(place_path(f->p, PLACE_OWN), "/vmafs/") != NULL, __LINE__);
        /* Who names a path gets no other. */
        require(place(f, f->index) == 0, __LINE__);
        require(place_open(f->p, PLACE_BESIDE) == -ENOENT, __LINE__);
}

static void test_beside_the_archive(void **state)
{
        struct folder f;
        (void)state;

        setup(&f);
        assert_int_equal(as_user(find_beside, &f), 0);
        teardown(&f);
}

static void doubt_beside(struct folder *f)
{
        setenv("XDG_CACHE_HOME", f->dir, 1);
        require(place(f, NULL) == 0, __LINE__);
        require(place_open(f->p, PLACE_BESIDE) == -ENOENT, __LINE__);
}

static void believe_beside(struct folder *f)
{
        setenv("XDG_CACHE_HOME", f->dir, 1);
        require(place(f, NULL) == 0, __LINE__);
        require(place_open(f->p, PLACE_BESIDE) >= 0, __LINE__);
}

static void test_beside_counts_by_its_owner(void **state)
{
        char path[100];
        struct folder f;
        (void)state;

        if (geteuid() != 0) {
                fprintf(stderr, "needs root\n");
                skip();
        }
        setup(&f);
        write_beside(&f);
        snprintf(path, sizeof path, "%s.vmafs", f.archive);
        assert_int_equal(chmod(path, 0644), 0);
        assert_int_equal(as_user(believe_beside, &f), 0); /* root's */
        assert_int_equal(chown(path, 12345, 12345), 0);
        assert_int_equal(as_user(doubt_beside, &f), 0);
        assert_int_equal(chown(f.archive, 12345, 12345), 0);
        assert_int_equal(as_user(believe_beside, &f), 0);
        assert_int_equal(chown(f.archive, 0, 0), 0);
        assert_int_equal(chown(path, NOBODY, NOBODY), 0);
        assert_int_equal(as_user(believe_beside, &f), 0);
        teardown(&f);
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
            cmocka_unit_test(test_a_user_s_cache_folder),
            cmocka_unit_test(test_root_s_cache_folder),
            cmocka_unit_test(test_beside_the_archive),
            cmocka_unit_test(test_beside_counts_by_its_owner),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
