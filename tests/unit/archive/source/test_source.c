/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What becomes of a plain file while it is open. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/source/watch.h"

enum { SIZE = 20000 };

struct fixture {
        char dir[32], path[48], other[48];
        struct source *source;
};

static void fill(const char *path, const char *mode, char byte, size_t len)
{
        FILE *f = fopen(path, mode);

        assert_non_null(f);
        for (size_t i = 0; i < len; i++)
                fputc(byte, f);
        assert_int_equal(fclose(f), 0);
}

/* A clock tick must lie between two changes that are to be told apart. */
static void let_time_pass(void)
{
        static const struct timespec ticks = {.tv_nsec = 30000000};

        nanosleep(&ticks, NULL);
}

static struct source *open_source(const char *path)
{
        struct error err = {0};
        struct source *s;

        if (source_open_file(path, &s, &err) < 0)
                fail_msg("%s", err.text);
        return s;
}

static int set_up(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);

        assert_non_null(f);
        snprintf(f->dir, sizeof f->dir, "/tmp/vmafs-source-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        snprintf(f->path, sizeof f->path, "%s/a", f->dir);
        snprintf(f->other, sizeof f->other, "%s/b", f->dir);
        fill(f->path, "w", 'a', SIZE);
        let_time_pass();
        f->source = open_source(f->path);
        source_watch(f->source, NULL);
        *state = f;
        return 0;
}

static int tear_down(void **state)
{
        struct fixture *f = *state;

        source_close(f->source);
        unlink(f->path);
        unlink(f->other);
        rmdir(f->dir);
        free(f);
        return 0;
}

/* Open it again, and do not watch it. */
static void watch_no_more(struct fixture *f)
{
        source_close(f->source);
        f->source = open_source(f->path);
}

/* All of it is there, and as it was. */
static void check_sound_source(struct source *s)
{
        char buf[SIZE + 1];

        assert_int_equal(source_pread(s, buf, sizeof buf, 0), SIZE);
        for (size_t i = 0; i < SIZE; i++)
                assert_int_equal(buf[i], 'a');
        assert_int_equal(source_check(s, NULL), 0);
}

static void check_sound(struct fixture *f)
{
        check_sound_source(f->source);
}

/* No byte is given any more, from nowhere. */
static void check_fails(struct fixture *f, int rc)
{
        struct error err = {0};
        char byte;

        assert_int_equal(source_pread(f->source, &byte, 1, 0), rc);
        assert_int_equal(source_pread(f->source, &byte, 1, SIZE - 1), rc);
        assert_int_equal(source_check(f->source, &err), rc);
        assert_int_equal(err.code, -rc);
        assert_true(strlen(err.text) > 0);
}

static void test_an_untouched_file_is_sound(void **state)
{
        check_sound(*state);
        let_time_pass();
        check_sound(*state);
}

static void test_overwritten_in_place(void **state)
{
        struct fixture *f = *state;

        check_sound(f);
        fill(f->path, "r+", 'b', 1);
        check_fails(f, -ESTALE);
}

/* ---- under the old mtime ---- */

/* The times that it has had. */
struct times {
        struct timespec both[2];
};

static struct times times_of(const char *path)
{
        struct stat st;

        assert_int_equal(stat(path, &st), 0);
        return (struct times){{st.st_atim, st.st_mtim}};
}

static void restore_times(const char *path, struct times t)
{
        assert_int_equal(utimensat(AT_FDCWD, path, t.both, 0), 0);
}

static int open_to_write(const char *path, int flags)
{
        int fd = open(path, O_RDWR | O_CLOEXEC | flags);

        assert_true(fd >= 0);
        return fd;
}

/* As dd conv=notrunc does it, and touch -r after it. */
static void overwrite_middle(const char *path)
{
        struct times t = times_of(path);
        int fd = open_to_write(path, 0);

        assert_int_equal(pwrite(fd, "b", 1, SIZE / 2), 1);
        close(fd);
        restore_times(path, t);
}

static void test_a_byte_in_the_middle(void **state)
{
        struct fixture *f = *state;

        check_sound(f);
        overwrite_middle(f->path);
        check_fails(f, -ESTALE);
}

static void test_a_byte_in_the_middle_unwatched(void **state)
{
        struct fixture *f = *state;

        watch_no_more(f);
        overwrite_middle(f->path);
        check_fails(f, -ESTALE);
}

/* What changes the ctime innocently must not hide what does not. */
static void test_a_write_and_another_mode(void **state)
{
        struct fixture *f = *state;

        overwrite_middle(f->path);
        assert_int_equal(chmod(f->path, 0400), 0);
        check_fails(f, -ESTALE);
}

static void test_a_write_and_another_name(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(rename(f->path, f->other), 0);
        check_sound(f);
        overwrite_middle(f->other);
        assert_int_equal(rename(f->other, f->path), 0);
        check_fails(f, -ESTALE);
}

/* As cp -p does it with a file of the same size and mtime. */
static void test_copied_over(void **state)
{
        struct fixture *f = *state;
        struct times t = times_of(f->path);

        close(open_to_write(f->path, O_TRUNC));
        fill(f->path, "r+", 'a', SIZE / 2);
        fill(f->path, "a", 'b', SIZE - SIZE / 2);
        restore_times(f->path, t);
        assert_int_equal(chmod(f->path, 0600), 0);
        check_fails(f, -ESTALE);
}

/* Between the write and the close there is nothing to see it by. */
static void test_a_write_through_a_mapping(void **state)
{
        struct fixture *f = *state;
        struct times t = times_of(f->path);
        int fd = open_to_write(f->path, 0);
        char *bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        assert_ptr_not_equal(bytes, MAP_FAILED);
        bytes[SIZE / 2] = 'b';
        assert_int_equal(msync(bytes, SIZE, MS_SYNC), 0);
        restore_times(f->path, t);
        source_check(f->source, NULL);
        munmap(bytes, SIZE);
        close(fd);
        check_fails(f, -ESTALE);
}

static void test_once_changed_it_stays_so(void **state)
{
        struct fixture *f = *state;
        struct times t = times_of(f->path);

        fill(f->path, "r+", 'b', 1);
        check_fails(f, -ESTALE);
        fill(f->path, "r+", 'a', 1);
        restore_times(f->path, t);
        check_fails(f, -ESTALE);
}

/* As rsync --inplace --times leaves it. */
static void test_another_archive_under_the_old_mtime(void **state)
{
        struct fixture *f = *state;
        struct times t = times_of(f->path);

        fill(f->path, "r+", 'b', SIZE);
        restore_times(f->path, t);
        check_fails(f, -ESTALE);
}

static void test_grown(void **state)
{
        struct fixture *f = *state;

        fill(f->path, "a", 'a', 1);
        check_fails(f, -ESTALE);
}

static void test_cut(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(truncate(f->path, SIZE - 1), 0);
        check_fails(f, -EIO);
}

static void test_cut_to_nothing(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(truncate(f->path, 0), 0);
        check_fails(f, -EIO);
}

/* ---- what is no change ---- */

static void test_metadata_may_change(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(chmod(f->path, 0400), 0);
        check_sound(f);
        let_time_pass();
        assert_int_equal(chmod(f->path, 0400), 0);
        assert_int_equal(chown(f->path, geteuid(), getegid()), 0);
        check_sound(f);
        let_time_pass();
        assert_int_equal(link(f->path, f->other), 0);
        check_sound(f);
        assert_int_equal(unlink(f->other), 0);
        check_sound(f);
        let_time_pass();
        assert_int_equal(rename(f->path, f->other), 0);
        check_sound(f);
}

/* What tar --atime-preserve and backup software with marks of its own do. */
static void test_times_and_attributes_may_be_set(void **state)
{
        struct fixture *f = *state;
        struct times t = times_of(f->path);

        restore_times(f->path, t);
        check_sound(f);
        let_time_pass();
        if (setxattr(f->path, "user.test", "x", 1, 0) < 0)
                assert_int_equal(errno, ENOTSUP);
        check_sound(f);
}

static void test_a_replaced_file_stays_readable(void **state)
{
        struct fixture *f = *state;

        fill(f->other, "w", 'b', SIZE);
        assert_int_equal(rename(f->other, f->path), 0);
        check_sound(f);
}

static void test_a_removed_file_stays_readable(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(unlink(f->path), 0);
        check_sound(f);
}

/* ---- without a watch, and with one for all ---- */

static void test_a_new_name_unwatched(void **state)
{
        struct fixture *f = *state;
        struct error err = {0};

        watch_no_more(f);
        check_sound(f);
        assert_int_equal(rename(f->path, f->other), 0);
        check_fails(f, -ESTALE);
        source_check(f->source, &err);
        assert_non_null(strstr(err.text, "may have been written to"));
}

static void test_a_new_name_of_what_is_verified(void **state)
{
        struct fixture *f = *state;

        watch_no_more(f);
        source_set_verified(f->source);
        assert_int_equal(rename(f->path, f->other), 0);
        check_sound(f);
        fill(f->other, "r+", 'b', 1);
        check_fails(f, -ESTALE);
}

/* A watch has the last word. */
static void test_a_write_to_what_is_verified(void **state)
{
        struct fixture *f = *state;

        source_set_verified(f->source);
        overwrite_middle(f->path);
        check_fails(f, -ESTALE);
}

static void test_files_share_a_watch(void **state)
{
        struct fixture *f = *state;
        struct source *second;

        fill(f->other, "w", 'a', SIZE);
        let_time_pass();
        second = open_source(f->other);
        source_watch(second, f->source);
        assert_int_equal(chmod(f->path, 0400), 0);
        assert_int_equal(chmod(f->other, 0400), 0);
        check_sound(f);
        check_sound_source(second);
        /* The watch stays when the file that it was made for is closed. */
        source_close(f->source);
        overwrite_middle(f->other);
        f->source = second;
        check_fails(f, -ESTALE);
}

/* sysfs stands for all on which others than this kernel write. */
static void test_what_others_write_to_is_not_watched(void **state)
{
        int fd = open("/sys/kernel/uevent_seqnum", O_RDONLY | O_CLOEXEC);
        struct watch *w;
        (void)state;

        assert_true(fd >= 0);
        assert_int_equal(watch_new(&w), 0);
        assert_int_equal(watch_add(w, fd), -EOPNOTSUPP);
        watch_put(w);
        close(fd);
}

static void test_a_slice_has_changed_if_its_file_has(void **state)
{
        struct fixture *f = *state;
        struct error err = {0};
        struct source *slice;

        assert_int_equal(source_open_slice(f->source, 100, 100, &slice), 0);
        assert_int_equal(source_check(slice, NULL), 0);
        overwrite_middle(f->path);
        assert_int_equal(source_check(slice, &err), -ESTALE);
        assert_int_equal(err.code, ESTALE);
        source_close(slice);
}

static void test_a_slice_is_as_old_as_its_file(void **state)
{
        struct fixture *f = *state;
        struct source_stamp stamp;
        struct source *slice;

        assert_int_equal(source_open_slice(f->source, 100, 100, &slice), 0);
        assert_true(source_mtime(slice) != 0);
        assert_true(source_mtime(slice) == source_mtime(f->source));
        /* It is no file by itself: nothing tells it from others. */
        assert_true(source_stamp(f->source, &stamp));
        assert_false(source_stamp(slice, &stamp));
        assert_false(source_can_pin(slice));
        source_watch(slice, f->source);
        source_close(slice);
}

#define with_file(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
            with_file(test_an_untouched_file_is_sound),
            with_file(test_overwritten_in_place),
            with_file(test_a_byte_in_the_middle),
            with_file(test_a_byte_in_the_middle_unwatched),
            with_file(test_a_write_and_another_mode),
            with_file(test_a_write_and_another_name),
            with_file(test_copied_over),
            with_file(test_a_write_through_a_mapping),
            with_file(test_once_changed_it_stays_so),
            with_file(test_another_archive_under_the_old_mtime),
            with_file(test_grown),
            with_file(test_cut),
            with_file(test_cut_to_nothing),
            with_file(test_metadata_may_change),
            with_file(test_times_and_attributes_may_be_set),
            with_file(test_a_replaced_file_stays_readable),
            with_file(test_a_removed_file_stays_readable),
            with_file(test_a_new_name_unwatched),
            with_file(test_a_new_name_of_what_is_verified),
            with_file(test_a_write_to_what_is_verified),
            with_file(test_files_share_a_watch),
            with_file(test_what_others_write_to_is_not_watched),
            with_file(test_a_slice_has_changed_if_its_file_has),
            with_file(test_a_slice_is_as_old_as_its_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
