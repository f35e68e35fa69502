/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What readers ahead of a damaged stream's frontier get while the pass may yet go on. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/stream.h"
#include "tests/fixtures/decoded_fixture.h"
#include "tests/fixtures/stream_fixture.h"

enum { FRAME = 1 << 20, LEN = 16 };

/* Two frames, of which the first is damaged. */
struct damaged {
        struct bytes plain, z;
        struct source *stream;
};

static struct damaged open_damaged(void)
{
        struct damaged d = {.plain = fixture_mixture(FRAME, 1)};
        struct bytes second = fixture_mixture(FRAME, 2);
        struct bytes z = fixture_compress(d.plain, 1, 0, 0, 1);

        memset(z.data + z.len / 2, 0xff, 64);
        d.z = fixture_join(z, fixture_compress(second, 1, 0, 0, 1));
        d.plain = fixture_join(d.plain, second);
        d.stream = decoded_open(&zstd_codec, fixture_source(d.z.data, d.z.len),
                                &(struct stream_options){0});
        return d;
}

static void close_damaged(struct damaged *d)
{
        source_close(d->stream);
        free(d->plain.data);
        free(d->z.data);
}

struct reading {
        struct source *stream;
        uint64_t offset;
        uint8_t bytes[LEN];
        ssize_t rc;
};

static void *read_bytes(void *ctx)
{
        struct reading *r = ctx;

        r->rc = source_pread(r->stream, r->bytes, LEN, r->offset);
        return NULL;
}

/* Some bytes from OFFSET, as another thread gets them than the one that reaches. */
static struct reading read_aside(struct source *stream, uint64_t offset)
{
        struct reading r = {.stream = stream, .offset = offset};
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, read_bytes, &r), 0);
        pthread_join(thread, NULL);
        return r;
}

static void fail_to_reach(struct source *stream)
{
        struct error err = {0};
        uint64_t end;

        assert_int_equal(source_reach(stream, 2 * FRAME, &end, &err), -EIO);
}

static void test_others_wait_for_who_resumes(void **state)
{
        struct damaged d = open_damaged();
        struct source_gap gap;
        struct reading r;
        uint64_t end;
        (void)state;

        d.stream->resumes = true;
        fail_to_reach(d.stream);
        assert_int_equal(read_aside(d.stream, FRAME).rc, -EAGAIN);
        assert_int_equal(source_resume(d.stream, &gap, NULL), 1);
        assert_int_equal(source_reach(d.stream, SOURCE_SIZE_UNKNOWN / 2, &end, NULL), 0);
        d.stream->resumes = false;
        r = read_aside(d.stream, d.stream->size - LEN);
        assert_int_equal(r.rc, LEN);
        assert_memory_equal(r.bytes, d.plain.data + 2 * FRAME - LEN, LEN);
        close_damaged(&d);
}

static void test_what_nobody_resumes_is_lost_at_once(void **state)
{
        struct damaged d = open_damaged();
        (void)state;

        fail_to_reach(d.stream);
        assert_int_equal(read_aside(d.stream, FRAME).rc, -EIO);
        close_damaged(&d);
}

static void test_who_reaches_is_told_at_once(void **state)
{
        struct damaged d = open_damaged();
        uint8_t bytes[LEN];
        (void)state;

        d.stream->resumes = true;
        fail_to_reach(d.stream);
        assert_int_equal(source_pread(d.stream, bytes, LEN, FRAME), -EIO);
        close_damaged(&d);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_others_wait_for_who_resumes),
            cmocka_unit_test(test_what_nobody_resumes_is_lost_at_once),
            cmocka_unit_test(test_who_reaches_is_told_at_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
