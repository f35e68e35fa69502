/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keeping an index and taking it up again. What is wrong with a sidecar: test_sidecar_hostile.c. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/stream/restart_table.h"
#include "index/index.h"
#include "tests/fixtures/sidecar_fixture.h"
#include "tests/fixtures/vma_writer.h"

enum { PROCESSES = 6 };

#define DISK_LEN (7 * MIB + 1536)

static struct index *open_with(const struct sidecar_fixture *f, enum index_sidecar use)
{
        struct index_options options = {.sidecar = use, .sidecar_path = f->index, .threads = 2};
        struct error err = {0};
        struct index *index;

        if (index_open(f->archive, &options, &index, &err) < 0)
                fail_msg("%s", err.text);
        return index;
}

static void scan(struct index *index)
{
        struct error err = {0};

        if (index_scan(index, NULL, &err) < 0)
                fail_msg("%s", err.text);
}

/* Its holes and its data are where they are in the other one. */
static void expect_same_maps(struct index *a, struct index *b)
{
        struct disk *da = index_disk(a, 0), *db = index_disk(b, 0);

        assert_true(da->size == db->size);
        assert_true(da->totals.stored == db->totals.stored);
        assert_true(da->totals.lost == 0 && db->totals.lost == 0);
        for (uint64_t pos = 0; pos < da->size; pos += 4096) {
                uint64_t at_a = 0, at_b = 0;

                assert_int_equal(disk_next_data(da, pos, &at_a), disk_next_data(db, pos, &at_b));
                assert_true(at_a == at_b);
                assert_int_equal(disk_next_hole(da, pos, &at_a), disk_next_hole(db, pos, &at_b));
                assert_true(at_a == at_b);
        }
}

static void round_trip(enum fixture_kind kind, const char *compression, size_t points)
{
        struct index *scanned, *loaded;
        struct restart_stats stats;
        struct sidecar_fixture f;

        sidecar_fixture_make(&f, kind, DISK_LEN);
        scanned = open_with(&f, INDEX_SIDECAR_NONE);
        scan(scanned);
        loaded = open_with(&f, INDEX_SIDECAR_USE);
        assert_true(index_sidecar_state(loaded).loaded);
        assert_null(index_sidecar_state(loaded).problem);
        assert_int_equal(index_sidecar_state(loaded).size, f.sidecar.len);
        assert_true(index_sealed(loaded));
        assert_int_equal(index_percent(loaded), 100);
        assert_string_equal(index_compression(loaded), compression);
        index_restart_stats(loaded, &stats);
        assert_true(stats.points >= points);
        expect_same_maps(scanned, loaded);
        assert_int_equal(sidecar_read(loaded, f.disk), OUTCOME_RIGHT);
        index_close(loaded);
        index_close(scanned);
        sidecar_fixture_free(&f);
}

static void test_plain_round_trip(void **state)
{
        (void)state;
        round_trip(FIXTURE_PLAIN, "none", 0);
}

static void test_zstd_round_trip(void **state)
{
        (void)state;
        round_trip(FIXTURE_ZSTD, "zstd", 2);
}

static void test_gzip_round_trip(void **state)
{
        (void)state;
        round_trip(FIXTURE_GZIP, "gzip", 2);
}

static void test_lzop_round_trip(void **state)
{
        (void)state;
        round_trip(FIXTURE_LZOP, "lzop", 5);
}

static void test_histories_are_read_from_the_file_after_saving(void **state)
{
        struct sidecar_fixture f;
        struct index *index;
        (void)state;

        sidecar_fixture_archive(&f, FIXTURE_ZSTD, 20 * MIB);
        index = open_with(&f, INDEX_SIDECAR_WRITE);
        scan(index);
        assert_null(index_sidecar_state(index).problem);
        assert_true(index_sidecar_state(index).size > SC_HEADER);
        assert_int_equal(sidecar_read(index, f.disk), OUTCOME_RIGHT);
        index_close(index);
        sidecar_fixture_free(&f);
}

/* What is decompressed through a sidecar's points is scanned all the same, and kept as it was. */
static void entered(enum fixture_kind kind)
{
        struct index *scanned, *entered;
        struct sidecar_fixture f;
        struct bytes again;

        sidecar_fixture_make(&f, kind, DISK_LEN);
        scanned = open_with(&f, INDEX_SIDECAR_NONE);
        scan(scanned);
        entered = open_with(&f, INDEX_SIDECAR_ENTER);
        assert_false(index_sidecar_state(entered).loaded);
        assert_int_equal(index_sidecar_state(entered).size, f.sidecar.len);
        assert_false(index_sealed(entered));
        assert_in_range(index_percent(entered), 0, 99);
        scan(entered);
        assert_null(index_sidecar_state(entered).problem);
        expect_same_maps(scanned, entered);
        assert_int_equal(sidecar_read(entered, f.disk), OUTCOME_RIGHT);
        index_close(entered);
        index_close(scanned);
        again = fixture_file(f.index);
        assert_int_equal(again.len, f.sidecar.len);
        assert_memory_equal(again.data, f.sidecar.data, again.len);
        free(again.data);
        sidecar_fixture_free(&f);
}

static void test_entered_zstd(void **state)
{
        (void)state;
        entered(FIXTURE_ZSTD);
}

static void test_entered_gzip(void **state)
{
        (void)state;
        entered(FIXTURE_GZIP);
}

static void test_entered_lzop(void **state)
{
        (void)state;
        entered(FIXTURE_LZOP);
}

static void test_entered_plain(void **state)
{
        (void)state;
        entered(FIXTURE_PLAIN);
}

static void test_entering_without_a_sidecar_makes_one(void **state)
{
        struct sidecar_fixture f;
        struct index *index;
        (void)state;

        sidecar_fixture_archive(&f, FIXTURE_ZSTD, DISK_LEN);
        index = open_with(&f, INDEX_SIDECAR_ENTER);
        assert_int_equal(index_sidecar_state(index).size, 0);
        scan(index);
        assert_true(index_sidecar_state(index).size > SC_HEADER);
        assert_int_equal(sidecar_read(index, f.disk), OUTCOME_RIGHT);
        index_close(index);
        assert_int_equal(fixture_count(f.dir), 2);
        sidecar_fixture_free(&f);
}

static void test_same_archive_gives_the_same_bytes(void **state)
{
        char problem[400] = "";
        struct sidecar_fixture f;
        struct bytes again;
        (void)state;

        sidecar_fixture_make(&f, FIXTURE_ZSTD, DISK_LEN);
        assert_int_equal(sidecar_build(&f, problem, sizeof problem), 0);
        assert_string_equal(problem, "");
        again = fixture_file(f.index);
        assert_int_equal(again.len, f.sidecar.len);
        assert_memory_equal(again.data, f.sidecar.data, again.len);
        free(again.data);
        sidecar_fixture_free(&f);
}

static void test_renamed_archive_keeps_its_sidecar(void **state)
{
        struct sidecar_fixture f;
        struct index *index;
        char moved[96];
        (void)state;

        sidecar_fixture_make(&f, FIXTURE_LZOP, DISK_LEN);
        snprintf(moved, sizeof moved, "%s/moved", f.dir);
        assert_int_equal(rename(f.archive, moved), 0);
        memcpy(f.archive, moved, sizeof moved);
        index = open_with(&f, INDEX_SIDECAR_USE);
        assert_true(index_sidecar_state(index).loaded);
        index_close(index);
        sidecar_fixture_free(&f);
}

static void test_plain_archive_is_kept_only_when_asked(void **state)
{
        struct sidecar_fixture f;
        struct index *index;
        (void)state;

        sidecar_fixture_archive(&f, FIXTURE_PLAIN, DISK_LEN);
        for (int use = INDEX_SIDECAR_NONE; use <= INDEX_SIDECAR_WRITE; use++) {
                index = open_with(&f, (enum index_sidecar)use);
                scan(index);
                assert_null(index_sidecar_state(index).problem);
                assert_int_equal(index_sidecar_state(index).size, 0);
                index_close(index);
        }
        assert_int_equal(fixture_count(f.dir), 1);
        sidecar_fixture_free(&f);
}

static void test_compressed_archive_is_kept_unless_forbidden(void **state)
{
        struct sidecar_fixture f;
        struct index *index;
        (void)state;

        sidecar_fixture_archive(&f, FIXTURE_ZSTD, DISK_LEN);
        index = open_with(&f, INDEX_SIDECAR_NONE);
        scan(index);
        index_close(index);
        assert_int_equal(fixture_count(f.dir), 1);
        index = open_with(&f, INDEX_SIDECAR_USE);
        assert_false(index_sidecar_state(index).loaded);
        scan(index);
        index_close(index);
        assert_int_equal(fixture_count(f.dir), 2);
        index = open_with(&f, INDEX_SIDECAR_USE);
        assert_true(index_sidecar_state(index).loaded);
        index_close(index);
        sidecar_fixture_free(&f);
}

/* The RAM state's length is known at the end of the scan, or from the sidecar. */
static void test_provisional_size_is_kept(void **state)
{
        static const uint8_t uuid[16] = {9};
        static uint8_t data[VMA_CLUSTER];
        char path[] = "/tmp/vmafs-late-XXXXXX", sidecar[64];
        struct index_options options = {.sidecar = INDEX_SIDECAR_BUILD, .sidecar_path = sidecar};
        int fd = mkstemp(path);
        struct vma_writer *w;
        struct error err = {0};
        struct index *index;
        uint64_t size;
        (void)state;

        snprintf(sidecar, sizeof sidecar, "%s.index", path);
        assert_int_equal(vma_writer_open(fd, uuid, 1, &w), 0);
        assert_int_equal(vma_writer_device(w, 1, "vmstate", 512), 0);
        assert_int_equal(vma_writer_header(w, NULL), 0);
        for (uint32_t i = 0; i < 3; i++) {
                vma_pattern(1, i, data);
                assert_int_equal(vma_writer_cluster(w, 1, i, 0xffff, data), 0);
        }
        assert_int_equal(vma_writer_close(w), 0);
        assert_int_equal(index_open(path, &options, &index, &err), 0);
        scan(index);
        size = index_disk(index, 0)->size;
        assert_true(size > 2 * VMA_CLUSTER);
        index_close(index);
        options.sidecar = INDEX_SIDECAR_USE;
        assert_int_equal(index_open(path, &options, &index, &err), 0);
        assert_true(index_sidecar_state(index).loaded);
        assert_true(index_disk(index, 0)->size == size);
        assert_int_equal(disk_read(index_disk(index, 0), data, 4096, size - 4096), 4096);
        index_close(index);
        unlink(path);
        unlink(sidecar);
        close(fd);
}

static void test_damaged_archive_is_not_kept(void **state)
{
        struct sidecar_fixture f;
        char problem[400] = "";
        struct stat st;
        (void)state;

        sidecar_fixture_archive(&f, FIXTURE_ZSTD, DISK_LEN);
        assert_int_equal(stat(f.archive, &st), 0);
        assert_int_equal(truncate(f.archive, st.st_size / 2), 0);
        sidecar_build(&f, problem, sizeof problem);
        assert_non_null(strstr(problem, "damaged"));
        assert_int_equal(fixture_count(f.dir), 1);
        sidecar_fixture_free(&f);
}

/* ---- saving that fails ---- */

/* No file may grow beyond a few bytes: as on a full disk, but for anybody. */
static void build_without_room(const struct sidecar_fixture *f)
{
        struct rlimit limit = {500, 500};
        struct index *index;

        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        index = open_with(f, INDEX_SIDECAR_USE);
        scan(index);
        if (!index_sidecar_state(index).problem)
                _exit(10);
        if (!strstr(index_sidecar_state(index).problem, f->index))
                _exit(11);
        if (sidecar_read(index, f->disk) != OUTCOME_RIGHT)
                _exit(12);
        index_close(index);
        _exit(0);
}

static int wait_for(pid_t pid)
{
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What was scanned before the change and after it is of two archives. */
static void test_archive_that_changes_is_not_kept(void **state)
{
        for (int kind = 0; kind < FIXTURE_KINDS; kind++) {
                static const struct timespec tick = {.tv_nsec = 30000000};
                struct sidecar_fixture f;
                struct index_options options = {
                    .sidecar = INDEX_SIDECAR_BUILD, .sidecar_path = f.index, .recover_zero = true};
                struct error err = {0};
                struct index *index;
                char byte;
                int fd;

                sidecar_fixture_archive(&f, (enum fixture_kind)kind, MIB);
                nanosleep(&tick, NULL);
                assert_int_equal(index_open(f.archive, &options, &index, &err), 0);
                fd = open(f.archive, O_RDWR | O_CLOEXEC);
                assert_true(fd >= 0 && pread(fd, &byte, 1, 0) == 1 && pwrite(fd, &byte, 1, 0) == 1);
                close(fd);
                assert_int_equal(index_scan(index, NULL, &err), -ESTALE);
                assert_non_null(strstr(err.text, "while it is in use"));
                assert_true(index_sealed(index));
                /* What was not read in time is an error, and not even with recover=zero zeros. */
                assert_int_not_equal(sidecar_read(index, f.disk), OUTCOME_WRONG);
                index_close(index);
                assert_int_not_equal(access(f.index, F_OK), 0);
                sidecar_fixture_free(&f);
        }
        (void)state;
}

static void test_no_room_costs_a_word_only(void **state)
{
        struct sidecar_fixture f;
        pid_t pid;
        (void)state;

        sidecar_fixture_archive(&f, FIXTURE_ZSTD, DISK_LEN);
        pid = fork();
        if (pid == 0)
                build_without_room(&f);
        assert_int_equal(wait_for(pid), 0);
        assert_int_equal(fixture_count(f.dir), 1);
        sidecar_fixture_free(&f);
}

static void test_no_room_keeps_the_old_one(void **state)
{
        static const char older[] = "VMAFSIDX, of an older version";
        struct sidecar_fixture f;
        struct bytes left;
        pid_t pid;
        (void)state;

        sidecar_fixture_archive(&f, FIXTURE_ZSTD, DISK_LEN);
        fixture_write(f.index, older, sizeof older);
        pid = fork();
        if (pid == 0)
                build_without_room(&f);
        assert_int_equal(wait_for(pid), 0);
        left = fixture_file(f.index);
        assert_int_equal(left.len, sizeof older);
        assert_memory_equal(left.data, older, sizeof older);
        assert_int_equal(fixture_count(f.dir), 2);
        free(left.data);
        sidecar_fixture_free(&f);
}

static void test_missing_folder_costs_a_word_only(void **state)
{
        struct sidecar_fixture f;
        struct index *index;
        (void)state;

        sidecar_fixture_archive(&f, FIXTURE_ZSTD, DISK_LEN);
        snprintf(f.index, sizeof f.index, "%s/absent/index", f.dir);
        index = open_with(&f, INDEX_SIDECAR_USE);
        assert_null(index_sidecar_state(index).problem);
        scan(index);
        assert_non_null(strstr(index_sidecar_state(index).problem, "does not exist"));
        assert_int_equal(sidecar_read(index, f.disk), OUTCOME_RIGHT);
        index_close(index);
        sidecar_fixture_free(&f);
}

static void test_processes_that_save_at_once_all_end_well(void **state)
{
        pid_t pids[PROCESSES];
        struct sidecar_fixture f;
        struct index *index;
        (void)state;

        sidecar_fixture_archive(&f, FIXTURE_ZSTD, DISK_LEN);
        for (int i = 0; i < PROCESSES; i++) {
                pids[i] = fork();
                if (pids[i] == 0) {
                        char problem[400] = "";
                        int rc = sidecar_build(&f, problem, sizeof problem);

                        if (problem[0])
                                fprintf(stderr, "%s\n", problem);
                        _exit(rc < 0 ? 1 : problem[0] ? 2 : 0);
                }
        }
        for (int i = 0; i < PROCESSES; i++)
                assert_int_equal(wait_for(pids[i]), 0);
        assert_int_equal(fixture_count(f.dir), 2);
        index = open_with(&f, INDEX_SIDECAR_USE);
        assert_true(index_sidecar_state(index).loaded);
        assert_int_equal(sidecar_read(index, f.disk), OUTCOME_RIGHT);
        index_close(index);
        sidecar_fixture_free(&f);
}

static void test_one_in_use_can_be_replaced_and_removed(void **state)
{
        struct sidecar_fixture f;
        char problem[400] = "";
        struct index *index;
        (void)state;

        sidecar_fixture_make(&f, FIXTURE_ZSTD, 20 * MIB);
        index = open_with(&f, INDEX_SIDECAR_USE);
        assert_true(index_sidecar_state(index).loaded);
        assert_int_equal(sidecar_build(&f, problem, sizeof problem), 0);
        assert_int_equal(unlink(f.index), 0);
        assert_int_equal(sidecar_read(index, f.disk), OUTCOME_RIGHT);
        index_close(index);
        sidecar_fixture_free(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_plain_round_trip),
            cmocka_unit_test(test_zstd_round_trip),
            cmocka_unit_test(test_gzip_round_trip),
            cmocka_unit_test(test_lzop_round_trip),
            cmocka_unit_test(test_histories_are_read_from_the_file_after_saving),
            cmocka_unit_test(test_entered_zstd),
            cmocka_unit_test(test_entered_gzip),
            cmocka_unit_test(test_entered_lzop),
            cmocka_unit_test(test_entered_plain),
            cmocka_unit_test(test_entering_without_a_sidecar_makes_one),
            cmocka_unit_test(test_same_archive_gives_the_same_bytes),
            cmocka_unit_test(test_renamed_archive_keeps_its_sidecar),
            cmocka_unit_test(test_plain_archive_is_kept_only_when_asked),
            cmocka_unit_test(test_compressed_archive_is_kept_unless_forbidden),
            cmocka_unit_test(test_provisional_size_is_kept),
            cmocka_unit_test(test_damaged_archive_is_not_kept),
            cmocka_unit_test(test_archive_that_changes_is_not_kept),
            cmocka_unit_test(test_no_room_costs_a_word_only),
            cmocka_unit_test(test_no_room_keeps_the_old_one),
            cmocka_unit_test(test_missing_folder_costs_a_word_only),
            cmocka_unit_test(test_processes_that_save_at_once_all_end_well),
            cmocka_unit_test(test_one_in_use_can_be_replaced_and_removed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
