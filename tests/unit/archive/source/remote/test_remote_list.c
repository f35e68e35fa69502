/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What another process says is in a folder on a server. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/error.h"
#include "archive/source/remote/protocol.h"
#include "archive/source/remote/remote_list.h"

struct taken {
        size_t count;
        struct remote_entry last;
        char name[REMOTE_NAME_MAX + 1];
        int rc;
};

static int take(void *ctx, const struct remote_entry *e)
{
        struct taken *t = ctx;

        t->count++;
        t->last = *e;
        snprintf(t->name, sizeof t->name, "%s", e->name);
        return t->rc;
}

static int fds[2];

static int setup(void **state)
{
        (void)state;
        return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds);
}

static void send_message(uint32_t what, int rc, const void *bytes, size_t len)
{
        char message[sizeof(struct remote_reply) + 4096];
        struct remote_reply head = {.what = what, .rc = rc, .len = (uint32_t)len};

        assert_true(len <= 4096);
        memcpy(message, &head, sizeof head);
        if (len)
                memcpy(message + sizeof head, bytes, len);
        assert_int_equal(send(fds[1], message, sizeof head + len, 0), sizeof head + len);
}

/* One name of LEN bytes, which says that it has SAYS. */
static void send_name(const char *name, size_t len, size_t says)
{
        char bytes[4096];
        struct remote_name is = {.size = 7, .version = 8, .mtime = 9, .len = (uint32_t)says};

        memcpy(bytes, &is, sizeof is);
        memcpy(bytes + sizeof is, name, len);
        send_message(REMOTE_LISTED, 0, bytes, sizeof is + len);
}

static int list(struct taken *t, struct error *err)
{
        *t = (struct taken){.rc = t->rc};
        close(fds[1]);
        return remote_list(fds[0], take, t, err);
}

static void test_names(void **state)
{
        struct taken t = {0};
        struct error err = {0};

        (void)state;
        send_name("a.vma", 5, 5);
        send_message(REMOTE_ALL_LISTED, 0, NULL, 0);
        assert_int_equal(list(&t, &err), 0);
        assert_int_equal(t.count, 1);
        assert_string_equal(t.name, "a.vma");
        assert_int_equal(t.last.size, 7);
        assert_int_equal(t.last.version, 8);
        assert_int_equal(t.last.mtime, 9);
        assert_false(t.last.folder);
}

static void test_a_list_that_is_not_whole(void **state)
{
        struct taken t = {0};
        struct error err = {0};

        (void)state;
        send_name("a", 1, 1);
        assert_int_equal(list(&t, &err), -EREMOTEIO);
        assert_non_null(strstr(err.text, "has ended"));
}

static void test_a_failure(void **state)
{
        struct taken t = {0};
        struct error err = {0};

        (void)state;
        send_message(REMOTE_FAILED, -EACCES, "not\nfor you", 11);
        assert_int_equal(list(&t, &err), -EACCES);
        assert_string_equal(err.text, "not?for you");
}

static void test_whoever_takes_them_may_stop(void **state)
{
        struct taken t = {.rc = -ENOMEM};
        struct error err = {0};

        (void)state;
        send_name("a", 1, 1);
        send_name("b", 1, 1);
        assert_int_equal(list(&t, &err), -ENOMEM);
        assert_int_equal(t.count, 1);
}

static void refused(const char *name, size_t len, size_t says)
{
        struct taken t = {0};
        struct error err = {0};

        assert_int_equal(setup(NULL), 0);
        send_name(name, len, says);
        send_message(REMOTE_ALL_LISTED, 0, NULL, 0);
        assert_int_equal(list(&t, &err), -EREMOTEIO);
        assert_non_null(strstr(err.text, "does not make sense"));
}

static void test_names_that_may_not_be(void **state)
{
        static const char longest[REMOTE_NAME_MAX + 1] = {[0 ... REMOTE_NAME_MAX] = 'x'};

        (void)state;
        close(fds[0]);
        close(fds[1]);
        refused("", 0, 0);
        refused(".", 1, 1);
        refused("..", 2, 2);
        refused("a/b", 3, 3);
        refused("a\0b", 3, 3);
        refused("abc", 3, 4);
        refused("abc", 3, UINT32_MAX);
        refused("abc", 3, 2);
        refused(longest, sizeof longest, sizeof longest);
}

static void test_messages_that_may_not_be(void **state)
{
        static const uint32_t kinds[] = {REMOTE_OPENED, REMOTE_DATA, 99};
        struct remote_reply head = {.what = REMOTE_ALL_LISTED, .len = 1};
        struct taken t = {0};
        struct error err = {0};

        (void)state;
        assert_int_equal(send(fds[1], &head, sizeof head, 0), sizeof head);
        assert_int_equal(list(&t, &err), -EREMOTEIO);
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
                assert_int_equal(setup(NULL), 0);
                send_message(kinds[i], 0, "abc", 3);
                assert_int_equal(list(&t, &err), -EREMOTEIO);
        }
}

/* More names than there may be, as fast as they are taken. */
static void *send_many(void *arg)
{
        static char message[sizeof(struct remote_reply) + REMOTE_MESSAGE];
        struct remote_name is = {.len = 1};
        struct remote_reply head = {.what = REMOTE_LISTED};
        size_t one = sizeof is + 1, fits = REMOTE_MESSAGE / one;

        (void)arg;
        head.len = (uint32_t)(fits * one);
        memcpy(message, &head, sizeof head);
        for (size_t i = 0; i < fits; i++) {
                memcpy(message + sizeof head + i * one, &is, sizeof is);
                message[sizeof head + i * one + sizeof is] = 'x';
        }
        while (send(fds[1], message, sizeof head + head.len, MSG_NOSIGNAL) > 0)
                ;
        close(fds[1]);
        return NULL;
}

static void test_a_list_without_an_end(void **state)
{
        struct taken t = {0};
        struct error err = {0};
        pthread_t thread;

        (void)state;
        assert_int_equal(pthread_create(&thread, NULL, send_many, NULL), 0);
        assert_int_equal(remote_list(fds[0], take, &t, &err), -E2BIG);
        pthread_join(thread, NULL);
        assert_int_equal(t.count, REMOTE_NAMES_MAX);
        assert_non_null(strstr(err.text, "more than 1048576 names"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup(test_names, setup),
            cmocka_unit_test_setup(test_a_list_that_is_not_whole, setup),
            cmocka_unit_test_setup(test_a_failure, setup),
            cmocka_unit_test_setup(test_whoever_takes_them_may_stop, setup),
            cmocka_unit_test_setup(test_names_that_may_not_be, setup),
            cmocka_unit_test_setup(test_messages_that_may_not_be, setup),
            cmocka_unit_test_setup(test_a_list_without_an_end, setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
