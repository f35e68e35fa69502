/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which names count as archives, which links stay in a folder, and what of it is opened. */
#include <errno.h>
#include <fcntl.h>
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

#include "archive/store/dir/dir.h"

static void test_names(void **state)
{
        static const char *const archives[] = {"vzdump-qemu-100-2026_01_01-00_00_00.vma.zst",
                                               "a.vma",
                                               "A.VMA.GZ",
                                               "a.vma.lzo",
                                               "a.vma.xz",
                                               "a.vma.bz2",
                                               "a.vma.lz4",
                                               "a.vmdk",
                                               "a.qcow2",
                                               "a.qed",
                                               "a.ova",
                                               "a.vdi",
                                               "a.vhdx",
                                               "a.qcow",
                                               "a.tar.zst",
                                               "a.hdd",
                                               "a.fvd",
                                               "sdcard.img",
                                               "sdcard.IMG.xz",
                                               "a.raw",
                                               "a.dd.gz",
                                               "a-s1.vmdk",
                                               "s001.vmdk"};
        static const char *const others[] = {
            "a.log",        ".vma",        ".vma.zst",      "vma",
            "a.vma.vmafs",  "a.zst",       "a.vma.notes",   "a-flat.vmdk",
            "a-s001.vmdk",  "a-F012.VMDK", "a.vma.zst.md5", "a.vma.dat",
            "a.img.md5",    "img",         ".dd",           "",
            "a-delta.vmdk", "a.vma.br"};

        (void)state;
        for (size_t i = 0; i < sizeof archives / sizeof *archives; i++)
                assert_true(dir_is_archive(archives[i]));
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
                assert_false(dir_is_archive(others[i]));
        assert_true(dir_is_compressed_tar("vzdump-lxc-1.tar.zst"));
        assert_true(dir_is_compressed_tar("a.OVA.gz"));
        assert_false(dir_is_compressed_tar("a.tar"));
        assert_false(dir_is_compressed_tar("a.vma.zst"));
}

static void test_links(void **state)
{
        (void)state;
        assert_true(dir_link_stays("a.vma", 0));
        assert_true(dir_link_stays("./sub//a.vma", 0));
        assert_true(dir_link_stays("../a.vma", 1));
        assert_true(dir_link_stays("../../a", 2));
        assert_true(dir_link_stays("...", 0));
        assert_false(dir_link_stays("", 0));
        assert_false(dir_link_stays("/etc/passwd", 5));
        assert_false(dir_link_stays("../a", 0));
        assert_false(dir_link_stays("..", 0));
        assert_false(dir_link_stays("../../a", 1));
        /* Where "link" leads elsewhere, ".." is another folder. */
        assert_false(dir_link_stays("link/../a", 3));
        assert_false(dir_link_stays("../x/..", 3));
}

/* A folder with one of each kind. Its path. */
static char *make_folder(void)
{
        const char *tmp = getenv("TMPDIR");
        char *path, name[4096];
        int fd;

        assert_true(asprintf(&path, "%s/vmafs-dir-XXXXXX", tmp ? tmp : "/tmp") > 0);
        assert_non_null(mkdtemp(path));
        snprintf(name, sizeof name, "%s/a.vma", path);
        fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
        snprintf(name, sizeof name, "%s/fifo.vma", path);
        assert_int_equal(mkfifo(name, 0600), 0);
        snprintf(name, sizeof name, "%s/link.vma", path);
        assert_int_equal(symlink("a.vma", name), 0);
        snprintf(name, sizeof name, "%s/sub", path);
        assert_int_equal(mkdir(name, 0700), 0);
        snprintf(name, sizeof name, "%s/sublink", path);
        assert_int_equal(symlink("sub", name), 0);
        return path;
}

static void remove_folder(char *path)
{
        static const char *const names[] = {"a.vma", "fifo.vma", "link.vma", "sublink"};
        char name[4096];

        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                snprintf(name, sizeof name, "%s/%s", path, names[i]);
                assert_int_equal(unlink(name), 0);
        }
        snprintf(name, sizeof name, "%s/sub", path);
        assert_int_equal(rmdir(name), 0);
        assert_int_equal(rmdir(path), 0);
        free(path);
}

static int count_kind(void *ctx, const struct dir_name *n)
{
        ((unsigned *)ctx)[n->kind]++;
        return 0;
}

static int stop(void *ctx, const struct dir_name *n)
{
        (void)ctx;
        (void)n;
        return -ENOMEM;
}

static void test_listing(void **state)
{
        char *path = make_folder();
        int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        (void)state;
        /* Twice, since the position of the open folder must not count. */
        for (int i = 0; i < 2; i++) {
                unsigned kinds[4] = {0};

                assert_int_equal(dir_list(dir, count_kind, kinds), 0);
                assert_int_equal(kinds[DIR_ARCHIVE], 1);
                assert_int_equal(kinds[DIR_FILE], 0);
                assert_int_equal(kinds[DIR_FOLDER], 1);
                assert_int_equal(kinds[DIR_LINK], 2);
        }
        assert_int_equal(dir_list(dir, stop, NULL), -ENOMEM);
        close(dir);
        remove_folder(path);
}

static void test_opening(void **state)
{
        char *path = make_folder();
        int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;

        (void)state;
        fd = dir_open_file(dir, "a.vma");
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(dir_open_file(dir, "link.vma"), -ELOOP);
        assert_int_equal(dir_open_file(dir, "fifo.vma"), -EINVAL);
        assert_int_equal(dir_open_file(dir, "sub"), -EINVAL);
        assert_int_equal(dir_open_file(dir, "sub/../a.vma"), -EINVAL);
        assert_int_equal(dir_open_file(dir, "absent"), -ENOENT);
        fd = dir_open_below(dir, "sub");
        assert_true(fd >= 0);
        close(fd);
        fd = dir_open_below(dir, "");
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(dir_open_below(dir, "sub/.."), -EINVAL);
        assert_int_equal(dir_open_below(dir, "../x"), -EINVAL);
        assert_int_equal(dir_open_below(dir, "/etc"), -EINVAL);
        assert_true(dir_open_below(dir, "sublink") < 0);
        assert_int_equal(dir_open_below(dir, "absent"), -ENOENT);
        close(dir);
        remove_folder(path);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_names),
            cmocka_unit_test(test_links),
            cmocka_unit_test(test_listing),
            cmocka_unit_test(test_opening),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
