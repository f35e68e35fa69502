/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was fetched, on disk: what is stored is found again, and nothing else ever is. */
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "fs/fetch/answer.h"
#include "fs/fetch/spool.h"

#define URL "https://example.com/a.vma"
#define NOW INT64_C(1700000000)

enum { PIECES = 40, SIZE = (PIECES - 1) * SPOOL_PIECE + 1234 };

/* How often a folder was listed: in place of the C library's. */
static atomic_uint lists;

DIR *fdopendir(int fd)
{
        DIR *(*real)(int) = NULL;

        *(void **)&real = dlsym(RTLD_NEXT, "fdopendir");
        lists++;
        return real(fd);
}

struct folder {
        char path[64];
        struct spool *spool;
        struct spool_object object;
};

static struct spool *open_spool(const char *path, uint64_t max)
{
        int fd = spool_open_folder(path, strlen(path), NULL);
        struct spool *s = fd < 0 ? NULL : spool_new(fd, max);

        assert_non_null(s);
        return s;
}

static struct spool_object object_of(const char *url, const char *etag, uint64_t size)
{
        struct validator is = {.modified = "Tue, 14 Nov 2023 00:00:00 GMT"};
        struct spool_object o;

        snprintf(is.etag, sizeof is.etag, "%s", etag);
        spool_object_init(&o, url, &is, size, NOW);
        return o;
}

static int setup(void **state)
{
        struct folder *f = calloc(1, sizeof *f);

        snprintf(f->path, sizeof f->path, "/tmp/vmafs-spool.XXXXXX");
        if (!mkdtemp(f->path))
                return -1;
        f->spool = open_spool(f->path, SPOOL_MIN);
        f->object = object_of(URL, "\"1\"", SIZE);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct folder *f = *state;
        cleanup_free char *command = NULL;
        int rc;

        spool_free(f->spool);
        if (asprintf(&command, "rm -rf %s", f->path) < 0)
                return -1;
        rc = system(command);
        free(f);
        return rc;
}

static void fill(char *out, uint64_t number)
{
        for (size_t i = 0; i < SPOOL_PIECE; i++)
                out[i] = (char)(number * 31 + i + i / 251);
}

static void put(struct folder *f, const struct spool_object *o, uint64_t number)
{
        static char bytes[SPOOL_PIECE];

        fill(bytes, number);
        spool_put(f->spool, o, number, bytes);
}

/* Is the piece there? If it is, it is right. */
static bool has_right(struct spool *s, const struct spool_object *o, uint64_t number)
{
        static __thread char wanted[SPOOL_PIECE], got[SPOOL_PIECE];

        fill(wanted, number);
        memset(got, 'x', sizeof got);
        if (!spool_get(s, o, number, got))
                return false;
        assert_memory_equal(got, wanted, spool_piece_len(o, number));
        return true;
}

static int is_shown(const struct dirent *e)
{
        return e->d_name[0] != '.';
}

/* The path of the only file in the folder, or of the one that comes first by name. */
static void first_file(const struct folder *f, char out[400])
{
        struct dirent **list;
        int n = scandir(f->path, &list, is_shown, alphasort);

        assert_true(n > 0);
        snprintf(out, 400, "%s/%s", f->path, list[0]->d_name);
        for (int i = 0; i < n; i++)
                free(list[i]);
        free(list);
}

static size_t count_files(const struct folder *f)
{
        DIR *d = opendir(f->path);
        size_t n = 0;

        assert_non_null(d);
        for (const struct dirent *e; (e = readdir(d));)
                n += (size_t)is_shown(e);
        closedir(d);
        return n;
}

static void flip(const char *path, off_t at)
{
        cleanup_close int fd = open(path, O_RDWR);
        char byte;

        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte = (char)~byte;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

/* ---- what is stored ---- */

static void test_what_is_stored_is_there_after_a_restart(void **state)
{
        struct folder *f = *state;

        for (uint64_t i = 0; i < PIECES; i += 3)
                put(f, &f->object, i);
        spool_free(f->spool);
        f->spool = open_spool(f->path, SPOOL_MIN);
        for (uint64_t i = 0; i < PIECES; i++) {
                assert_int_equal(has_right(f->spool, &f->object, i), i % 3 == 0);
                assert_int_equal(spool_has(f->spool, &f->object, i), i % 3 == 0);
        }
}

static void test_an_object_has_no_pieces_past_its_end(void **state)
{
        struct folder *f = *state;
        struct spool_object whole = object_of(URL, "\"1\"", SPOOL_PIECE);

        put(f, &f->object, PIECES);
        put(f, &f->object, UINT64_MAX);
        put(f, &whole, 1);
        assert_int_equal(count_files(f), 0);
        put(f, &f->object, PIECES - 1);
        assert_int_equal(spool_piece_len(&f->object, PIECES - 1), 1234);
        assert_true(has_right(f->spool, &f->object, PIECES - 1));
        assert_false(has_right(f->spool, &f->object, PIECES));
}

static void test_a_replaced_object_has_nothing_of_the_one_before(void **state)
{
        struct folder *f = *state;
        const struct spool_object others[] = {object_of(URL, "\"2\"", SIZE),
                                              object_of(URL, "\"1\"", SIZE + 1),
                                              object_of(URL "x", "\"1\"", SIZE)};

        put(f, &f->object, 0);
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
                assert_false(has_right(f->spool, &others[i], 0));
        put(f, &others[0], 0);
        assert_true(has_right(f->spool, &others[0], 0));
        assert_true(has_right(f->spool, &f->object, 0));
}

static void test_a_time_alone_has_to_be_a_minute_ago(void **state)
{
        struct validator is = {.modified = "Tue, 14 Nov 2023 22:13:00 GMT"}; /* NOW - 20 */
        struct spool_object o;

        (void)state;
        spool_object_init(&o, URL, &is, SIZE, NOW);
        assert_int_equal(spool_piece_len(&o, 0), 0);
        spool_object_init(&o, URL, &is, SIZE, NOW + 60);
        assert_int_equal(spool_piece_len(&o, 0), SPOOL_PIECE);
        snprintf(is.modified, sizeof is.modified, "yesterday");
        spool_object_init(&o, URL, &is, SIZE, NOW);
        assert_int_equal(spool_piece_len(&o, 0), 0);
        snprintf(is.etag, sizeof is.etag, "\"1\"");
        spool_object_init(&o, URL, &is, SIZE, NOW);
        assert_int_equal(spool_piece_len(&o, 0), SPOOL_PIECE);
}

static void test_files_are_for_their_owner_alone(void **state)
{
        struct folder *f = *state;
        char path[400];
        struct stat st;
        mode_t before = umask(0);

        put(f, &f->object, 0);
        umask(before);
        first_file(f, path);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
}

/* ---- damage, and who means ill ---- */

static void test_no_damaged_byte_is_given(void **state)
{
        struct folder *f = *state;
        /* magic, version, key, number, the piece's checksum, its first and its last byte */
        const off_t places[] = {
            0, 8, 16, 48, 64 + 16, SPOOL_HEAD + SPOOL_PIECE, SPOOL_HEAD + 2 * SPOOL_PIECE - 1};
        char path[400];

        put(f, &f->object, 1);
        first_file(f, path);
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
                flip(path, places[i]);
                assert_false(has_right(f->spool, &f->object, 1));
                put(f, &f->object, 1);
                assert_true(has_right(f->spool, &f->object, 1));
        }
}

static void test_damage_of_a_piece_is_not_that_of_others(void **state)
{
        struct folder *f = *state;
        char path[400];

        put(f, &f->object, 1);
        put(f, &f->object, 2);
        first_file(f, path);
        flip(path, SPOOL_HEAD + SPOOL_PIECE);
        assert_false(has_right(f->spool, &f->object, 1));
        assert_true(has_right(f->spool, &f->object, 2));
}

static void test_a_file_that_was_cut_is_written_anew(void **state)
{
        struct folder *f = *state;
        const off_t sizes[] = {0, 10, 64, 70, 100, SPOOL_HEAD, SPOOL_HEAD + SPOOL_PIECE + 5};
        char path[400];

        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                put(f, &f->object, 1);
                first_file(f, path);
                assert_int_equal(truncate(path, sizes[i]), 0);
                assert_false(has_right(f->spool, &f->object, 1));
                put(f, &f->object, 1);
                assert_true(has_right(f->spool, &f->object, 1));
        }
        assert_int_equal(count_files(f), 1);
}

/* The files of pieces 0 and 16 change places, and then piece 1 and its checksum those of piece 2. */
static void test_what_belongs_elsewhere_is_not_given(void **state)
{
        struct folder *f = *state;
        static char bytes[SPOOL_PIECE];
        char path[400], other[400], sum[16];
        cleanup_close int fd = -1;

        put(f, &f->object, 1);
        first_file(f, path);
        memcpy(other, path, sizeof other);
        other[strlen(other) - 1] = '1';
        assert_int_equal(rename(path, other), 0);
        assert_false(has_right(f->spool, &f->object, 17));
        assert_int_equal(rename(other, path), 0);
        assert_true(has_right(f->spool, &f->object, 1));
        fd = open(path, O_RDWR);
        assert_int_equal(pread(fd, bytes, SPOOL_PIECE, SPOOL_HEAD + SPOOL_PIECE), SPOOL_PIECE);
        assert_int_equal(pread(fd, sum, sizeof sum, 64 + 16), sizeof sum);
        assert_int_equal(pwrite(fd, bytes, SPOOL_PIECE, SPOOL_HEAD + 2 * SPOOL_PIECE), SPOOL_PIECE);
        assert_int_equal(pwrite(fd, sum, sizeof sum, 64 + 32), sizeof sum);
        assert_false(has_right(f->spool, &f->object, 2));
}

static void test_links_are_not_followed(void **state)
{
        struct folder *f = *state;
        char path[400], elsewhere[500];
        struct stat st;

        put(f, &f->object, 0);
        first_file(f, path);
        snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", f->path);
        assert_int_equal(rename(path, elsewhere), 0);
        assert_int_equal(symlink(elsewhere, path), 0);
        assert_false(has_right(f->spool, &f->object, 0));
        flip(elsewhere, SPOOL_HEAD);
        put(f, &f->object, 0);
        assert_true(has_right(f->spool, &f->object, 0));
        assert_int_equal(lstat(path, &st), 0);
        assert_true(S_ISREG(st.st_mode));
}

static void test_a_pipe_does_not_block(void **state)
{
        struct folder *f = *state;
        char path[400];

        put(f, &f->object, 0);
        first_file(f, path);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_false(has_right(f->spool, &f->object, 0));
        put(f, &f->object, 0);
        assert_true(has_right(f->spool, &f->object, 0));
}

static void test_what_others_may_write_to_is_not_used(void **state)
{
        struct folder *f = *state;
        char path[400];
        struct error err = {0};

        put(f, &f->object, 0);
        first_file(f, path);
        assert_int_equal(chmod(path, 0620), 0);
        assert_false(has_right(f->spool, &f->object, 0));
        assert_int_equal(chmod(path, 0600), 0);
        assert_true(has_right(f->spool, &f->object, 0));
        assert_int_equal(chmod(f->path, 0777), 0);
        assert_true(spool_open_folder(f->path, strlen(f->path), &err) < 0);
        assert_non_null(strstr(err.text, "nobody else may write"));
        assert_int_equal(chmod(f->path, 0700), 0);
}

/* ---- its size ---- */

enum { FILES = (16 << 20) / SPOOL_FILE };

static void test_the_folder_never_exceeds_its_size(void **state)
{
        struct folder *f = *state;
        struct spool_object big = object_of(URL, "\"big\"", UINT64_C(1) << 40);

        for (uint64_t i = 0; i < 3 * FILES; i++) {
                put(f, &big, i * SPOOL_PIECES);
                assert_true(count_files(f) <= FILES);
                assert_true(has_right(f->spool, &big, i * SPOOL_PIECES));
        }
        assert_int_equal(count_files(f), FILES);
}

static void test_nor_do_two_that_share_it_exceed_it(void **state)
{
        struct folder *f = *state;
        struct spool *one = f->spool, *other = open_spool(f->path, SPOOL_MIN);
        struct spool_object big = object_of(URL, "\"big\"", UINT64_C(1) << 40);

        for (uint64_t i = 0; i < 3 * FILES; i++) {
                f->spool = i % 3 ? one : other;
                put(f, &big, i * SPOOL_PIECES);
                assert_true(count_files(f) <= FILES);
        }
        assert_int_equal(count_files(f), FILES);
        f->spool = one;
        spool_free(other);
}

static void test_a_folder_that_has_room_is_listed_once(void **state)
{
        struct folder *f = *state;
        struct spool *one = f->spool, *other = open_spool(f->path, SPOOL_MIN);
        struct spool_object big = object_of(URL, "\"big\"", UINT64_C(1) << 40);
        char path[400];

        lists = 0;
        for (uint64_t i = 0; i < FILES; i++) {
                f->spool = i % 2 ? one : other;
                put(f, &big, i * SPOOL_PIECES);
        }
        assert_int_equal(count_files(f), FILES);
        assert_int_equal(lists, 2);
        f->spool = one;
        spool_free(other);
        /* It is not believed for what it is not. */
        snprintf(path, sizeof path, "%s/.count", f->path);
        assert_int_equal(truncate(path, 3), 0);
        put(f, &big, FILES * SPOOL_PIECES);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("elsewhere", path), 0);
        put(f, &big, (FILES + 1) * SPOOL_PIECES);
        assert_int_equal(lists, 4);
        assert_int_equal(count_files(f), FILES);
        assert_true(has_right(f->spool, &big, (FILES + 1) * SPOOL_PIECES));
}

static double seconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void test_who_keeps_the_folder_locked_holds_nobody_up(void **state)
{
        struct folder *f = *state;
        const struct timespec tick = {.tv_nsec = 100000000};
        cleanup_close int fd = open(f->path, O_RDONLY | O_DIRECTORY);
        double from = seconds();

        assert_int_equal(flock(fd, LOCK_EX), 0);
        /* Each of them would wait for a tenth of a second. */
        for (uint64_t i = 0; i < 10 * PIECES; i++)
                put(f, &f->object, i % PIECES);
        assert_true(seconds() - from < PIECES / 2.0);
        assert_int_equal(count_files(f), 0);
        assert_int_equal(flock(fd, LOCK_UN), 0);
        for (from = seconds(); count_files(f) == 0 && seconds() - from < 60;) {
                nanosleep(&tick, NULL);
                put(f, &f->object, 0);
        }
        assert_true(has_right(f->spool, &f->object, 0));
}

static void test_what_was_used_longest_ago_goes(void **state)
{
        struct folder *f = *state;
        struct spool_object big = object_of(URL, "\"big\"", UINT64_C(1) << 40);
        const struct timespec pause = {.tv_nsec = 20000000};

        for (uint64_t i = 0; i < FILES; i++)
                put(f, &big, i * SPOOL_PIECES);
        /* Past the clock's tick, by which files are dated. */
        nanosleep(&pause, NULL);
        assert_true(has_right(f->spool, &big, 0));
        nanosleep(&pause, NULL);
        for (uint64_t i = FILES; i < 2 * FILES - 1; i++)
                put(f, &big, i * SPOOL_PIECES);
        assert_true(has_right(f->spool, &big, 0));
        for (uint64_t i = 1; i < FILES; i++)
                assert_false(has_right(f->spool, &big, i * SPOOL_PIECES));
}

static void test_other_files_in_the_folder_stay(void **state)
{
        struct folder *f = *state;
        struct spool_object big = object_of(URL, "\"big\"", UINT64_C(1) << 40);
        char path[400];
        cleanup_close int fd = -1;

        snprintf(path, sizeof path, "%s/0-thesis.tex", f->path);
        fd = open(path, O_CREAT | O_WRONLY, 0600);
        assert_true(fd >= 0);
        for (uint64_t i = 0; i < 2 * FILES; i++)
                put(f, &big, i * SPOOL_PIECES);
        assert_int_equal(access(path, F_OK), 0);
        assert_int_equal(count_files(f), FILES + 1);
}

/* ---- several at a time ---- */

struct writer {
        struct folder *f;
        struct spool *spool;
        uint64_t step;
        pthread_t thread;
};

/* All of them write all pieces, in another order each. */
static void *write_all(void *arg)
{
        struct writer *w = arg;
        cleanup_free char *bytes = malloc(SPOOL_PIECE);

        for (uint64_t i = 0, at = 0; bytes && i < PIECES; i++, at = (at + w->step) % PIECES) {
                fill(bytes, at);
                spool_put(w->spool, &w->f->object, at, bytes);
                if (!has_right(w->spool, &w->f->object, at))
                        return NULL;
        }
        return bytes ? w : NULL;
}

static void test_two_writers_of_the_same_pieces_agree(void **state)
{
        struct folder *f = *state;
        struct writer writers[2] = {{.f = f, .spool = f->spool, .step = 3},
                                    {.f = f, .spool = open_spool(f->path, SPOOL_MIN), .step = 7}};

        for (size_t i = 0; i < 2; i++)
                assert_int_equal(pthread_create(&writers[i].thread, NULL, write_all, &writers[i]),
                                 0);
        for (size_t i = 0; i < 2; i++) {
                void *result;

                pthread_join(writers[i].thread, &result);
                assert_non_null(result);
        }
        for (uint64_t i = 0; i < PIECES; i++)
                assert_true(has_right(f->spool, &f->object, i));
        spool_free(writers[1].spool);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
            TEST(test_what_is_stored_is_there_after_a_restart),
            TEST(test_an_object_has_no_pieces_past_its_end),
            TEST(test_a_replaced_object_has_nothing_of_the_one_before),
            TEST(test_a_time_alone_has_to_be_a_minute_ago),
            TEST(test_files_are_for_their_owner_alone),
            TEST(test_no_damaged_byte_is_given),
            TEST(test_damage_of_a_piece_is_not_that_of_others),
            TEST(test_a_file_that_was_cut_is_written_anew),
            TEST(test_what_belongs_elsewhere_is_not_given),
            TEST(test_links_are_not_followed),
            TEST(test_a_pipe_does_not_block),
            TEST(test_what_others_may_write_to_is_not_used),
            TEST(test_the_folder_never_exceeds_its_size),
            TEST(test_nor_do_two_that_share_it_exceed_it),
            TEST(test_a_folder_that_has_room_is_listed_once),
            TEST(test_who_keeps_the_folder_locked_holds_nobody_up),
            TEST(test_what_was_used_longest_ago_goes),
            TEST(test_other_files_in_the_folder_stay),
            TEST(test_two_writers_of_the_same_pieces_agree),
        };
#undef TEST

        return cmocka_run_group_tests(tests, NULL, NULL);
}
