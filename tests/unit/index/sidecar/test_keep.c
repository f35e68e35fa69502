/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two processes that keep an index of the same archive at once. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "index/index.h"
#include "index/verify/hashtree.h"
#include "index/verify/record.h"
#include "tests/fixtures/sidecar_fixture.h"

enum { ROUNDS = 30, DISK_LEN = 3 * 1024 * 1024 };

static struct index *scan(const struct sidecar_fixture *f)
{
        struct index_options options = {
            .sidecar = INDEX_SIDECAR_LATER, .sidecar_path = f->index, .threads = 1};
        struct error err = {0};
        struct index *index = NULL;

        assert_int_equal(index_open(f->archive, &options, &index, &err), 0);
        assert_int_equal(index_scan(index, NULL, &err), 0);
        return index;
}

static struct record *make_record(uint64_t len)
{
        struct hashtree *t;
        struct record *r;

        assert_int_equal(hashtree_new(len, HASHTREE_MEMORY, &t), 0);
        for (uint64_t i = 0; i * HASHTREE_LEAF < len; i++)
                assert_int_equal(hashtree_put_zero(t, i), 0);
        assert_int_equal(record_build(&t, 1, 1700000000, &r), 0);
        hashtree_free(t);
        return r;
}

static int load_record(const struct sidecar_fixture *f, struct record **out)
{
        struct index *index = sidecar_open(f);
        struct error err = {0};
        int rc = index_load_record(index, out, &err);

        index_close(index);
        return rc;
}

static bool has_record(const struct sidecar_fixture *f)
{
        struct record *r = NULL;
        bool has;

        assert_int_equal(load_record(f, &r), 0);
        has = r != NULL;
        record_free(r);
        return has;
}

static void nap(long ms)
{
        const struct timespec t = {.tv_nsec = ms * 1000000L};

        nanosleep(&t, NULL);
}

/* A process that keeps an index, without a record of its own, over and over. */
static pid_t start_index_helper(const struct sidecar_fixture *f)
{
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                struct index *index;

                prctl(PR_SET_PDEATHSIG, SIGKILL);
                index = scan(f);
                for (;;) {
                        index_keep(index, NULL);
                        /* Longer than who waits for the lock sleeps, or he might never get it. */
                        nap(25);
                }
        }
        return pid;
}

static void test_record_survives_a_process_that_has_none(void **state)
{
        struct record *r = make_record(DISK_LEN);
        struct sidecar_fixture f;
        struct index *index;
        pid_t keeper;
        (void)state;

        sidecar_fixture_make(&f, FIXTURE_GZIP, DISK_LEN);
        keeper = start_index_helper(&f);
        index = scan(&f);
        for (int i = 0; i < ROUNDS; i++) {
                unlink(f.index);
                nap(i % 30);
                index_keep(index, r);
                assert_null(index_sidecar_state(index).problem);
                nap(60);
                assert_true(has_record(&f));
        }
        kill(keeper, SIGKILL);
        waitpid(keeper, NULL, 0);
        index_close(index);
        record_free(r);
        sidecar_fixture_free(&f);
}

static int lock_folder(const struct sidecar_fixture *f)
{
        int fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(flock(fd, LOCK_EX), 0);
        return fd;
}

static void test_who_keeps_is_waited_for(void **state)
{
        struct sidecar_fixture f;
        int lock, status;
        pid_t keeper;
        (void)state;

        sidecar_fixture_make(&f, FIXTURE_GZIP, DISK_LEN);
        unlink(f.index);
        lock = lock_folder(&f);
        keeper = fork();
        assert_true(keeper >= 0);
        if (keeper == 0) {
                struct index *index = scan(&f);

                close(lock);
                index_keep(index, NULL);
                _exit(index_sidecar_state(index).problem ? 1 : 0);
        }
        nap(500);
        assert_int_equal(access(f.index, F_OK), -1);
        assert_int_equal(waitpid(keeper, &status, WNOHANG), 0);
        close(lock);
        assert_int_equal(waitpid(keeper, &status, 0), keeper);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_int_equal(access(f.index, F_OK), 0);
        sidecar_fixture_free(&f);
}

/* A killed process holds no lock. */
static void test_killed_keeper_leaves_no_lock(void **state)
{
        struct sidecar_fixture f;
        struct index *index;
        (void)state;

        sidecar_fixture_make(&f, FIXTURE_GZIP, DISK_LEN);
        index = scan(&f);
        for (int i = 0; i < 8; i++) {
                pid_t keeper = start_index_helper(&f);

                nap(30 + i * 9);
                kill(keeper, SIGKILL);
                waitpid(keeper, NULL, 0);
                index_keep(index, NULL);
                assert_null(index_sidecar_state(index).problem);
        }
        index_close(index);
        sidecar_fixture_free(&f);
}

/* Give the sidecar B, which goes into F's index, another version. */
static void write_version(const struct sidecar_fixture *f, struct bytes *b, uint32_t version)
{
        store_le32(b->data + SC_VERSION, version);
        sidecar_seal(b);
        fixture_write(f->index, b->data, b->len);
}

/* Versions 1 and 2 have the same header and record, and nothing else of them is of use. */
static void test_record_of_an_older_version_is_taken_over(void **state)
{
        struct sidecar_fixture f;
        struct error err = {0};
        struct index *index;
        struct record *r;
        struct bytes b;
        (void)state;

        sidecar_fixture_make(&f, FIXTURE_ZSTD, DISK_LEN);
        index = scan(&f);
        r = make_record(DISK_LEN);
        index_keep(index, r);
        record_free(r);
        index_close(index);
        b = fixture_file(f.index);
        for (uint32_t version = 1; version <= 3; version++) {
                write_version(&f, &b, version);
                assert_true(has_record(&f));
                index = sidecar_open(&f);
                assert_non_null(strstr(index_sidecar_state(index).problem, "another version"));
                assert_int_equal(index_scan(index, NULL, &err), 0);
                index_close(index);
                index = sidecar_open(&f);
                assert_true(index_sidecar_state(index).loaded);
                index_close(index);
                assert_true(has_record(&f));
        }
        /* One of a version to come may have anything there. */
        write_version(&f, &b, 5);
        r = NULL;
        assert_int_equal(load_record(&f, &r), -EINVAL);
        assert_null(r);
        free(b.data);
        sidecar_fixture_free(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_record_survives_a_process_that_has_none),
            cmocka_unit_test(test_who_keeps_is_waited_for),
            cmocka_unit_test(test_killed_keeper_leaves_no_lock),
            cmocka_unit_test(test_record_of_an_older_version_is_taken_over),
        };

        return cmocka_run_group_tests_name("keep", tests, NULL, NULL);
}
