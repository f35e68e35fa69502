/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parts of objects, as another process gives them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/error.h"
#include "archive/source/remote/protocol.h"
#include "archive/source/remote/remote_part.h"

static int fds[2];
static struct error err;

static int setup(void **state)
{
        (void)state;
        err = (struct error){0};
        return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds);
}

static int teardown(void **state)
{
        (void)state;
        if (fds[0] >= 0)
                close(fds[0]);
        if (fds[1] >= 0)
                close(fds[1]);
        return 0;
}

/* With a head that says that LEN bytes follow. */
static void send_saying(uint32_t what, int rc, const void *bytes, size_t n, size_t len)
{
        char message[sizeof(struct remote_reply) + 4096];
        struct remote_reply head = {.what = what, .rc = rc, .len = (uint32_t)len};

        assert_true(n <= 4096);
        memcpy(message, &head, sizeof head);
        if (n)
                memcpy(message + sizeof head, bytes, n);
        assert_int_equal(send(fds[1], message, sizeof head + n, 0), sizeof head + n);
}

static void send_message(uint32_t what, const void *bytes, size_t n)
{
        send_saying(what, 0, bytes, n, n);
}

static void send_opened(uint64_t size)
{
        struct remote_opened is = {.size = size, .version = 7};

        send_message(REMOTE_OPENED, &is, sizeof is);
}

/* At most 10 bytes from 2 on, of an object of at most 100. */
static ssize_t read_part(struct remote_part *part, char **out)
{
        *part = (struct remote_part){.offset = 2, .len = 10, .max = 100};
        return remote_part_read(&fds[0], "a/b", part, (void **)out, &err);
}

static void test_a_part(void **state)
{
        struct remote_part_request q;
        struct remote_part part;
        char *out = NULL;

        (void)state;
        send_opened(8);
        send_message(REMOTE_DATA, "abcd", 4);
        send_message(REMOTE_DATA, "ef", 2);
        assert_int_equal(read_part(&part, &out), 6);
        assert_memory_equal(out, "abcdef", 6);
        assert_int_equal(part.size, 8);
        assert_int_equal(part.version, 7);
        assert_int_equal(recv(fds[1], &q, sizeof q, 0), sizeof q);
        assert_string_equal(q.path, "a/b");
        assert_int_equal(q.offset, 2);
        assert_int_equal(q.len, 10);
        assert_int_equal(q.max, 100);
        free(out);
}

static void test_there_is_nothing_after_the_end(void **state)
{
        struct remote_part part;
        char *out = NULL;

        (void)state;
        send_opened(2);
        assert_int_equal(read_part(&part, &out), 0);
        free(out);
}

/* The next one may be asked for. */
static void test_failures_that_are_answers(void **state)
{
        struct remote_part part;
        char *out = NULL;

        (void)state;
        send_saying(REMOTE_FAILED, -ENOENT, "is\nnot there", 12, 12);
        assert_int_equal(read_part(&part, &out), -ENOENT);
        assert_string_equal(err.text, "is?not there");
        send_opened(101);
        assert_int_equal(read_part(&part, &out), -EFBIG);
        send_opened(50);
        send_message(REMOTE_DATA, "abcd", 4);
        send_saying(REMOTE_FAILED, -EREMOTEIO, "breaks", 6, 6);
        assert_int_equal(read_part(&part, &out), -EREMOTEIO);
        assert_string_equal(err.text, "breaks");
        send_opened(3);
        send_message(REMOTE_DATA, "x", 1);
        assert_int_equal(read_part(&part, &out), 1);
        free(out);
}

static void is_given_up(const char *why)
{
        struct remote_part part;
        char *out = NULL;

        assert_int_equal(read_part(&part, &out), -EREMOTEIO);
        assert_non_null(strstr(err.text, why));
        assert_null(out);
        assert_int_equal(fds[0], -1);
        teardown(NULL);
        assert_int_equal(setup(NULL), 0);
}

static void test_answers_that_make_no_sense(void **state)
{
        static const char why[] = "does not make sense";

        (void)state;
        send_message(REMOTE_DATA, "abc", 3);
        is_given_up(why);
        send_message(REMOTE_OPENED, "abc", 3);
        is_given_up(why);
        send_opened(UINT64_MAX);
        is_given_up(why);
        send_opened(8);
        send_message(REMOTE_DATA, "abcdefg", 7);
        is_given_up(why);
        send_opened(8);
        send_message(REMOTE_DATA, NULL, 0);
        is_given_up(why);
        send_opened(8);
        send_opened(8);
        is_given_up(why);
        send_opened(8);
        send_saying(REMOTE_DATA, 0, "abc", 3, 6);
        is_given_up(why);
}

static void test_nobody_answers(void **state)
{
        (void)state;
        send_opened(8);
        close(fds[1]);
        fds[1] = -1;
        is_given_up("has ended");
}

static void test_a_path_that_is_too_long(void **state)
{
        char path[REMOTE_NAME_MAX + 2];
        struct remote_part part = {.len = 1, .max = 1};
        void *out;

        (void)state;
        memset(path, 'x', sizeof path - 1);
        path[sizeof path - 1] = '\0';
        assert_int_equal(remote_part_read(&fds[0], path, &part, &out, &err), -ENAMETOOLONG);
        assert_true(fds[0] >= 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(test_a_part),
            TEST(test_there_is_nothing_after_the_end),
            TEST(test_failures_that_are_answers),
            TEST(test_answers_that_make_no_sense),
            TEST(test_nobody_answers),
            TEST(test_a_path_that_is_too_long),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
