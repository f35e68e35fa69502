/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where an index is kept and looked for when nobody has named a place. */
#include <errno.h>
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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/source/source.h"
#include "tests/fixtures/location_fixture.h"
#include "tests/fixtures/sidecar_fixture.h"

/* Keep, find it as PATH below the folder, mode 0600, its folder 0700. */
static void require_kept(struct folder *f, const char *below, int line)
{
        char path[400], hex[65] = "", *slash;
        struct stat st;

        folder_require(folder_place(f, NULL) == 0, line);
        for (int i = 0; i < 32; i++)
                snprintf(hex + 2 * (size_t)i, 3, "%02x", location_identity(f->p)[8 + i]);
        snprintf(path, sizeof path, "%s%s/%s-%d-%u.vmafs", f->dir, below, hex, FOLDER_ARCHIVE_SIZE,
                 (unsigned)source_owner(f->file));
        folder_require(strcmp(location_path(f->p, LOCATION_OWN), path) == 0, line);
        folder_require(folder_keep(f) == 0, line);
        folder_require(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600, line);
        slash = strrchr(path, '/');
        *slash = '\0';
        folder_require(stat(path, &st) == 0 && (st.st_mode & 07777) == 0700, line);
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
        folder_require(folder_place(f, NULL) == 0, __LINE__);
        folder_require(location_open(f->p, LOCATION_OWN, NULL) == -ENOENT, __LINE__);
        folder_require(folder_keep(f) == -ENOENT, __LINE__);
}

static void test_a_user_s_cache_folder(void **state)
{
        struct folder f;
        (void)state;

        folder_make(&f);
        assert_int_equal(folder_as_user(keep_in_user_caches, &f), 0);
        folder_remove(&f);
}

/* With a /var/cache of its own, on which nothing is that others use. */
static void keep_in_root_s_cache(struct folder *f)
{
        char path[400];

        folder_require(unshare(CLONE_NEWNS) == 0, __LINE__);
        folder_require(mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0, __LINE__);
        folder_require(mount("tmpfs", "/var/cache", "tmpfs", 0, "size=1M") == 0, __LINE__);
        setenv("XDG_CACHE_HOME", f->dir, 1);
        folder_require(folder_place(f, NULL) == 0, __LINE__);
        snprintf(path, sizeof path, "%s", location_path(f->p, LOCATION_OWN));
        folder_require(strncmp(path, "/var/cache/vmafs/", 17) == 0, __LINE__);
        folder_require(folder_keep(f) == 0, __LINE__);
        folder_require(access(path, R_OK) == 0, __LINE__);
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
        folder_make(&f);
        pid = fork();
        if (pid == 0)
                keep_in_root_s_cache(&f);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(fixture_count(f.dir), 1);
        folder_remove(&f);
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
        folder_require(folder_place(f, NULL) == 0, __LINE__);
        fd = location_open(f->p, LOCATION_BESIDE, NULL);
        folder_require(fd >= 0, __LINE__);
        folder_require(pread(fd, buf, 6, 0) == 6 && memcmp(buf, "beside", 6) == 0, __LINE__);
        folder_require(strstr(location_path(f->p, LOCATION_BESIDE), "/a.vma.vmafs") != NULL,
                       __LINE__);
        /* What is kept goes to the cache folder all the same. */
        folder_require(folder_keep(f) == 0, __LINE__);
        folder_require(location_open(f->p, LOCATION_OWN, NULL) >= 0, __LINE__);
        folder_require(strstr(location_path(f->p, LOCATION_OWN), "/vmafs/") != NULL, __LINE__);
        /* Who names a path gets no other. */
        folder_require(folder_place(f, f->index) == 0, __LINE__);
        folder_require(location_open(f->p, LOCATION_BESIDE, NULL) == -ENOENT, __LINE__);
}

static void test_beside_the_archive(void **state)
{
        struct folder f;
        (void)state;

        folder_make(&f);
        assert_int_equal(folder_as_user(find_beside, &f), 0);
        folder_remove(&f);
}

static void doubt_beside(struct folder *f)
{
        setenv("XDG_CACHE_HOME", f->dir, 1);
        folder_require(folder_place(f, NULL) == 0, __LINE__);
        folder_require(location_open(f->p, LOCATION_BESIDE, NULL) == -EPERM, __LINE__);
}

static void believe_beside(struct folder *f)
{
        setenv("XDG_CACHE_HOME", f->dir, 1);
        folder_require(folder_place(f, NULL) == 0, __LINE__);
        folder_require(location_open(f->p, LOCATION_BESIDE, NULL) >= 0, __LINE__);
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
        folder_make(&f);
        write_beside(&f);
        snprintf(path, sizeof path, "%s.vmafs", f.archive);
        assert_int_equal(chmod(path, 0644), 0);
        assert_int_equal(folder_as_user(believe_beside, &f), 0); /* root's */
        assert_int_equal(chown(path, 12345, 12345), 0);
        assert_int_equal(folder_as_user(doubt_beside, &f), 0);
        /* The archive's owner is no reason to believe it. */
        assert_int_equal(chown(f.archive, 12345, 12345), 0);
        assert_int_equal(folder_as_user(doubt_beside, &f), 0);
        assert_int_equal(chown(f.archive, 0, 0), 0);
        assert_int_equal(chown(path, NOBODY, NOBODY), 0);
        assert_int_equal(folder_as_user(believe_beside, &f), 0);
        folder_remove(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_user_s_cache_folder),
            cmocka_unit_test(test_root_s_cache_folder),
            cmocka_unit_test(test_beside_the_archive),
            cmocka_unit_test(test_beside_counts_by_its_owner),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
