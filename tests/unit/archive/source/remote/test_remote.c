/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A source on a server, with a thread of the test in the fetcher's place, which may lie. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/source/remote/remote.h"
#include "archive/source/source.h"

enum { SIZE = (20 << 20) + 12345 };

/* What the fetcher does with a request. */
enum way { SERVE, FAIL, STALE, LIE_NUMBER, LIE_LENGTH, LIE_MORE, LEAVE };

struct fake {
        int socket;
        _Atomic int way; /* enum way */
        _Atomic unsigned requests, names;
        _Atomic uint64_t bytes;
        pthread_t thread;
        struct remote *remote;
        struct source *source;
};

static unsigned char byte_at(uint64_t at)
{
        return (unsigned char)(at * 7 + at / 4096);
}

struct message {
        struct remote_reply head;
        unsigned char bytes[REMOTE_MESSAGE + sizeof(struct remote_opened)];
};

static void say(int socket, struct message *m, uint32_t what, uint32_t number, uint32_t len)
{
        m->head.what = what;
        m->head.number = number;
        m->head.len = len;
        send(socket, m, sizeof m->head + len, MSG_NOSIGNAL);
}

static void fill(unsigned char *out, uint64_t at, size_t len)
{
        for (size_t i = 0; i < len; i++)
                out[i] = byte_at(at + i);
}

static void say_opened(int socket, bool with_first)
{
        struct message m = {0};
        struct remote_opened is = {.size = SIZE, .version = 1, .mtime = 5};

        memcpy(m.bytes, &is, sizeof is);
        fill(m.bytes + sizeof is, 0, 65536);
        say(socket, &m, REMOTE_OPENED, 0, sizeof is + (with_first ? 65536 : 0));
}

static void serve(const struct fake *f, struct message *m, const struct remote_request *q)
{
        for (uint32_t done = 0; done < q->len;) {
                /* Not all messages are as long as they could be. */
                uint32_t n = (uint32_t)min_u64(q->len - done, 50000);

                fill(m->bytes, q->offset + done, n);
                say(f->socket, m, REMOTE_DATA, q->number, n);
                done += n;
        }
}

static void say_failure(const struct fake *f, struct message *m, uint32_t number, int rc)
{
        m->head.rc = rc;
        memcpy(m->bytes, "no\x01 luck", 8);
        say(f->socket, m, REMOTE_FAILED, number, 8);
}

static void name_object(struct fake *f, struct message *m, const struct remote_named *q)
{
        struct remote_opened is = {.size = SIZE, .version = 1};

        f->names++;
        *m = (struct message){.head.object = q->object};
        memcpy(m->bytes, &is, sizeof is);
        if (f->way == LEAVE)
                shutdown(f->socket, SHUT_RDWR);
        else if (strcmp(q->name, "there") == 0)
                say(f->socket, m, REMOTE_OPENED, 0, sizeof is);
        else
                say_failure(f, m, 0, -ENOENT);
}

static void *play(void *arg)
{
        struct fake *f = arg;
        struct message *m = calloc(1, sizeof *m);
        union {
                struct remote_request range;
                struct remote_named named;
        } in;
        ssize_t n;

        while (m && (n = recv(f->socket, &in, sizeof in, 0)) > 0) {
                struct remote_request q = in.range;

                if (n == sizeof in.named) {
                        name_object(f, m, &in.named);
                        continue;
                }
                assert(n == sizeof q);
                f->requests++;
                f->bytes += q.len;
                *m = (struct message){.head.object = q.object};
                switch ((enum way)f->way) {
                case SERVE:
                        serve(f, m, &q);
                        break;
                case FAIL:
                        say_failure(f, m, q.number, -EREMOTEIO);
                        break;
                case STALE:
                        say_failure(f, m, q.number, -ESTALE);
                        break;
                case LIE_NUMBER:
                        say(f->socket, m, REMOTE_DATA, q.number + 1, 10);
                        break;
                case LIE_LENGTH:
                        say(f->socket, m, REMOTE_DATA, REMOTE_REQUESTS + 5, 10);
                        break;
                case LIE_MORE:
                        serve(f, m, &q);
                        say(f->socket, m, REMOTE_DATA, q.number, 10);
                        break;
                case LEAVE:
                        shutdown(f->socket, SHUT_RDWR);
                        break;
                }
        }
        shutdown(f->socket, SHUT_RDWR);
        free(m);
        return NULL;
}

static void begin(struct fake *f, bool with_first)
{
        struct error err = {0};
        int fds[2];

        *f = (struct fake){0};
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
        f->socket = fds[1];
        say_opened(f->socket, with_first);
        assert_int_equal(remote_open(fds[0], 1 << 30, false, &f->remote, &err), 0);
        assert_int_equal(pthread_create(&f->thread, NULL, play, f), 0);
        assert_int_equal(remote_source(f->remote, REMOTE_ARCHIVE, &f->source, &err), 0);
        assert_int_equal(f->source->size, SIZE);
}

static void end(struct fake *f)
{
        source_close(f->source);
        remote_close(f->remote);
        pthread_join(f->thread, NULL);
        close(f->socket);
}

static void check_read(struct fake *f, uint64_t at, size_t len)
{
        unsigned char *got = malloc(len), *wanted = malloc(len);

        assert_int_equal(source_pread(f->source, got, len, at), len);
        fill(wanted, at, len);
        assert_memory_equal(got, wanted, len);
        free(got);
        free(wanted);
}

static void test_any_range_is_right(void **state)
{
        struct fake f;
        char byte;

        (void)state;
        begin(&f, true);
        check_read(&f, 0, 100);
        assert_int_equal(f.requests, 0); /* it came with the answer */
        check_read(&f, 65530, 12);
        check_read(&f, 1, 65536 * 3);
        check_read(&f, SIZE - 10, 10);
        check_read(&f, 3, SIZE - 3); /* more than is held at a time */
        assert_int_equal(source_pread(f.source, &byte, 1, SIZE), 0);
        assert_true(f.bytes <= SIZE);
        assert_int_equal(source_mtime(f.source), 5);
        end(&f);
}

static void test_what_is_there_is_not_asked_for_again(void **state)
{
        struct fake f;
        uint64_t bytes;

        (void)state;
        begin(&f, false);
        check_read(&f, 5 << 20, 4096);
        assert_int_equal(f.requests, 1);
        assert_int_equal(f.bytes, 65536);
        bytes = f.bytes;
        check_read(&f, (5 << 20) + 60000, 5536);
        assert_int_equal(f.bytes, bytes);
        end(&f);
}

static void test_a_long_read_is_several_requests(void **state)
{
        struct fake f;

        (void)state;
        begin(&f, false);
        check_read(&f, 1 << 20, 3 << 20);
        assert_int_equal(f.requests, 4);
        assert_int_equal(f.bytes, 3 << 20);
        end(&f);
}

/* Only the last byte of a request says that all is well, which a read of its first does not wait for. */
static void wait_until_sound(struct source *s)
{
        for (int i = 0; i < 60000 && source_damage(s, NULL) < 0; i++)
                usleep(1000);
        assert_int_equal(source_damage(s, NULL), 0);
}

static void test_a_failure_is_no_damage_and_passes(void **state)
{
        struct error err = {0};
        struct fake f;
        char byte;

        (void)state;
        begin(&f, false);
        f.way = FAIL;
        assert_int_equal(source_pread(f.source, &byte, 1, 0), -EREMOTEIO);
        assert_true(source_damage(f.source, &err) < 0);
        assert_string_equal(err.text, "no? luck");
        assert_int_equal(source_check(f.source, NULL), 0);
        f.way = SERVE;
        /* For a while nobody is asked. */
        assert_int_equal(source_pread(f.source, &byte, 1, 0), -EREMOTEIO);
        assert_int_equal(f.requests, 1);
        sleep(REMOTE_PAUSE);
        check_read(&f, 0, 10);
        wait_until_sound(f.source);
        end(&f);
}

static void test_once_replaced_nothing_is_read(void **state)
{
        struct fake f;
        char byte;

        (void)state;
        begin(&f, false);
        check_read(&f, 0, 10);
        f.way = STALE;
        assert_int_equal(source_pread(f.source, &byte, 1, 1 << 20), -ESTALE);
        f.way = SERVE;
        assert_int_equal(source_pread(f.source, &byte, 1, 0), -ESTALE);
        assert_int_equal(source_check(f.source, NULL), -ESTALE);
        end(&f);
}

static void test_what_an_archive_names_is_opened_once(void **state)
{
        struct source *one, *two;
        struct error err = {0};
        struct fake f;
        unsigned char byte;

        (void)state;
        begin(&f, true);
        assert_int_equal(remote_named(f.remote, "there", &one, &err), 0);
        assert_int_equal(remote_named(f.remote, "there", &two, &err), 0);
        assert_int_equal(f.names, 1);
        assert_int_equal(one->size, SIZE);
        assert_int_equal(source_pread(two, &byte, 1, 70000), 1);
        assert_int_equal(byte, byte_at(70000));
        check_read(&f, 65536, 100);
        /* What is not there may be, another time. */
        for (unsigned i = 0; i < 2; i++) {
                struct source *none;

                assert_int_equal(remote_named(f.remote, "none", &none, &err), -ENOENT);
                assert_string_equal(err.text, "no? luck");
        }
        assert_int_equal(f.names, 3);
        /* One part that was replaced makes all of it another archive. */
        f.way = STALE;
        assert_int_equal(source_pread(one, &byte, 1, 1 << 20), -ESTALE);
        f.way = SERVE;
        assert_int_equal(source_pread(f.source, &byte, 1, 0), -ESTALE);
        source_close(one);
        source_close(two);
        end(&f);
}

static void test_what_a_part_fails_with_is_known_of_the_archive(void **state)
{
        struct source *part;
        struct error err = {0};
        struct fake f;
        char byte;

        (void)state;
        begin(&f, true);
        assert_int_equal(remote_named(f.remote, "there", &part, &err), 0);
        f.way = FAIL;
        assert_int_equal(source_pread(part, &byte, 1, 1 << 20), -EREMOTEIO);
        assert_true(remote_failure(f.remote, &err));
        assert_string_equal(err.text, "there: no? luck");
        f.way = LEAVE;
        source_close(part);
        assert_int_equal(remote_named(f.remote, "other", &part, &err), -EREMOTEIO);
        end(&f);
}

static void check_way(enum way way)
{
        struct fake f;
        char byte;
        ssize_t n;

        begin(&f, false);
        f.way = way;
        n = source_pread(f.source, &byte, 1, 1 << 20);
        if (way != LIE_MORE)
                assert_int_equal(n, -EREMOTEIO);
        assert_int_equal(source_pread(f.source, &byte, 1, 2 << 20), -EREMOTEIO);
        end(&f);
}

static void test_a_fetcher_that_lies_or_leaves_is_not_heard_any_more(void **state)
{
        (void)state;
        check_way(LIE_NUMBER);
        check_way(LIE_LENGTH);
        check_way(LIE_MORE);
        check_way(LEAVE);
}

static void test_an_opening_that_is_none_is_refused(void **state)
{
        struct remote *r;
        struct message m = {0};
        struct remote_opened is = {.size = UINT64_MAX};
        int fds[2];

        (void)state;
        for (uint32_t what = 0; what < 4; what++) {
                assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
                memcpy(m.bytes, &is, sizeof is);
                m.head.rc = 17;
                say(fds[1], &m, what, 0, what == 3 ? 5 : sizeof is);
                close(fds[1]);
                assert_int_equal(remote_open(fds[0], 1 << 30, false, &r, NULL), -EREMOTEIO);
        }
}

struct reader {
        struct fake *f;
        pthread_t thread;
        unsigned number;
};

static void *read_much(void *arg)
{
        const struct reader *r = arg;
        unsigned char buf[9000];
        uint64_t at = r->number * 104729;

        for (int i = 0; i < 400; i++) {
                at = (at * 31 + 7919 * r->number + 17) % (SIZE - sizeof buf);
                if (source_pread(r->f->source, buf, sizeof buf, at) != sizeof buf)
                        return arg;
                for (size_t j = 0; j < sizeof buf; j += 997)
                        if (buf[j] != byte_at(at + j))
                                return arg;
        }
        return NULL;
}

static void test_many_readers(void **state)
{
        struct reader readers[16];
        struct fake f;

        (void)state;
        begin(&f, true);
        for (unsigned i = 0; i < 16; i++) {
                readers[i] = (struct reader){.f = &f, .number = i};
                assert_int_equal(pthread_create(&readers[i].thread, NULL, read_much, &readers[i]),
                                 0);
        }
        for (unsigned i = 0; i < 16; i++) {
                void *failed;

                pthread_join(readers[i].thread, &failed);
                assert_null(failed);
        }
        end(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_any_range_is_right),
            cmocka_unit_test(test_what_is_there_is_not_asked_for_again),
            cmocka_unit_test(test_a_long_read_is_several_requests),
            cmocka_unit_test(test_a_failure_is_no_damage_and_passes),
            cmocka_unit_test(test_once_replaced_nothing_is_read),
            cmocka_unit_test(test_what_an_archive_names_is_opened_once),
            cmocka_unit_test(test_what_a_part_fails_with_is_known_of_the_archive),
            cmocka_unit_test(test_a_fetcher_that_lies_or_leaves_is_not_heard_any_more),
            cmocka_unit_test(test_an_opening_that_is_none_is_refused),
            cmocka_unit_test(test_many_readers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
