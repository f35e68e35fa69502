/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code that a hostile archive runs in the process, which may be root's, makes no file and no
 * folder, gives none a name, another mode, owner or time, and removes none: with what is left it
 * could otherwise become root. Each call that could do that is tried, on what the process has open
 * and by name; by name Landlock refuses it as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
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
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fixtures/sandbox_fixture.h"

/* No libc in between, which would take another call where one is unknown. */
#define CALL(...) result(syscall(__VA_ARGS__))

/* Of a file that is not there yet. */
static const char *made(const struct fixture *f)
{
        static char path[96];

        snprintf(path, sizeof path, "%s/made", f->dir);
        return path;
}

static int try_fchmod_archive(const struct fixture *f)
{
        return CALL(SYS_fchmod, f->archive, 06755);
}

static int try_fchmod_written(const struct fixture *f)
{
        return CALL(SYS_fchmod, f->written, 04755);
}

static int try_fchmod_folder(const struct fixture *f)
{
        return CALL(SYS_fchmod, f->folder, 0777);
}

static int try_fchmod_sticky(const struct fixture *f)
{
        return CALL(SYS_fchmod, f->written, 01600);
}

static int try_fchmodat(const struct fixture *f)
{
        return CALL(SYS_fchmodat, AT_FDCWD, f->file, 04755);
}

static void changes_no_mode(void **state)
{
        refused(state, try_fchmod_archive, EPERM);
        refused(state, try_fchmod_written, EPERM);
        refused(state, try_fchmod_folder, EPERM);
        refused(state, try_fchmod_sticky, EPERM);
        refused(state, try_fchmodat, EPERM);
}

static int try_fchown(const struct fixture *f)
{
        return CALL(SYS_fchown, f->written, 1, 1);
}

static int try_fchownat(const struct fixture *f)
{
        return CALL(SYS_fchownat, f->written, "", 1, 1, AT_EMPTY_PATH);
}

static void changes_no_owner(void **state)
{
        refused(state, try_fchown, EPERM);
        refused(state, try_fchownat, EPERM);
}

static int try_create(const struct fixture *f)
{
        return CALL(SYS_openat, AT_FDCWD, made(f), O_WRONLY | O_CREAT, 0600);
}

static int try_create_setuid(const struct fixture *f)
{
        return CALL(SYS_openat, f->folder, "made", O_WRONLY | O_CREAT, 04755);
}

static int try_create_nameless(const struct fixture *f)
{
        return CALL(SYS_openat, f->folder, ".", O_RDWR | O_TMPFILE, 0600);
}

static int try_create_openat2(const struct fixture *f)
{
        struct open_how how = {.flags = O_WRONLY | O_CREAT, .mode = 04755};

        return CALL(SYS_openat2, f->folder, "made", &how, sizeof how);
}

static int try_mkdirat(const struct fixture *f)
{
        return CALL(SYS_mkdirat, f->folder, "made", 0700);
}

static int try_mknodat(const struct fixture *f)
{
        return CALL(SYS_mknodat, f->folder, "made", S_IFREG | 0600, 0);
}

static int try_symlinkat(const struct fixture *f)
{
        return CALL(SYS_symlinkat, f->file, f->folder, "made");
}

static int try_linkat(const struct fixture *f)
{
        return CALL(SYS_linkat, f->folder, "file", f->folder, "made", 0);
}

static int try_link_open(const struct fixture *f)
{
        char self[32];

        snprintf(self, sizeof self, "/proc/self/fd/%d", f->written);
        return CALL(SYS_linkat, AT_FDCWD, self, f->folder, "made", AT_SYMLINK_FOLLOW);
}

static void makes_nothing(void **state)
{
        refused(state, try_create, ENOSYS);
        refused(state, try_create_setuid, ENOSYS);
        refused(state, try_create_nameless, ENOSYS);
        refused(state, try_create_openat2, ENOSYS);
        refused(state, try_mkdirat, EPERM);
        refused(state, try_mknodat, EPERM);
        refused(state, try_symlinkat, EPERM);
        refused(state, try_linkat, EPERM);
        refused(state, try_link_open, EPERM);
}

static int try_renameat2(const struct fixture *f)
{
        return CALL(SYS_renameat2, f->folder, "file", f->folder, "made", 0);
}

static int try_unlinkat(const struct fixture *f)
{
        return CALL(SYS_unlinkat, f->folder, "file", 0);
}

static int try_rmdir(const struct fixture *f)
{
        return CALL(SYS_unlinkat, AT_FDCWD, f->dir, AT_REMOVEDIR);
}

static void renames_and_removes_nothing(void **state)
{
        refused(state, try_renameat2, EPERM);
        refused(state, try_unlinkat, EPERM);
        refused(state, try_rmdir, EPERM);
}

static int try_open_to_write(const struct fixture *f)
{
        return CALL(SYS_openat, f->folder, "file", O_WRONLY);
}

static int try_open_to_append(const struct fixture *f)
{
        return CALL(SYS_openat, f->folder, "file", O_WRONLY | O_APPEND);
}

static int try_open_to_cut(const struct fixture *f)
{
        return CALL(SYS_openat, f->folder, "file", O_RDONLY | O_TRUNC);
}

static int try_truncate(const struct fixture *f)
{
        return CALL(SYS_truncate, f->file, 0);
}

static void writes_to_nothing_that_is_not_open(void **state)
{
        refused(state, try_open_to_write, ENOSYS);
        refused(state, try_open_to_append, ENOSYS);
        refused(state, try_open_to_cut, ENOSYS);
        refused(state, try_truncate, EPERM);
}

static int try_utimensat(const struct fixture *f)
{
        return CALL(SYS_utimensat, f->written, NULL, NULL, 0);
}

static int try_fsetxattr(const struct fixture *f)
{
        return CALL(SYS_fsetxattr, f->written, "user.a", "b", 1, 0);
}

static int try_fremovexattr(const struct fixture *f)
{
        return CALL(SYS_fremovexattr, f->written, "user.a");
}

static void changes_no_time_and_no_attribute(void **state)
{
        refused(state, try_utimensat, EPERM);
        refused(state, try_fsetxattr, EPERM);
        refused(state, try_fremovexattr, EPERM);
}

static int try_open_to_read(const struct fixture *f)
{
        return CALL(SYS_openat, f->folder, "file", O_RDONLY);
}

static void opens_nothing_by_name(void **state)
{
        skip_without_landlock();
        refused(state, try_open_to_read, EACCES);
}

/* What it may do with files: with what was opened for it. */
static int write_and_cut(const struct fixture *f)
{
        if (pwrite(f->written, "x", 1, 0) != 1 || ftruncate(f->written, 100) < 0)
                return errno;
        return result(fallocate(f->written, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1));
}

static void writes_to_what_is_open(void **state)
{
        works(state, write_and_cut);
}

static int write_archive(const struct fixture *f)
{
        return result(pwrite(f->archive, "x", 1, 0));
}

static void does_not_write_to_the_archive(void **state)
{
        refused(state, write_archive, EBADF);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            SANDBOX_TEST(changes_no_mode),
            SANDBOX_TEST(changes_no_owner),
            SANDBOX_TEST(makes_nothing),
            SANDBOX_TEST(renames_and_removes_nothing),
            SANDBOX_TEST(writes_to_nothing_that_is_not_open),
            SANDBOX_TEST(changes_no_time_and_no_attribute),
            SANDBOX_TEST(opens_nothing_by_name),
            SANDBOX_TEST(writes_to_what_is_open),
            SANDBOX_TEST(does_not_write_to_the_archive),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
