/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/decoded_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "archive/stream/codec.h"
#include "archive/stream/restart.h"
#include "archive/stream/stream.h"

struct source *decoded_open(const struct codec_ops *codec, struct source *in,
                            const struct stream_options *o)
{
        struct error err = {0};
        struct source *s;

        if (stream_open(codec, in, o, &s, &err) < 0)
                fail_msg("%s", err.text);
        stream_release(s);
        return s;
}

void decoded_pass(struct source *s, struct passage *p)
{
        *p = (struct passage){0};
        while (!p->lost_the_end) {
                struct error *err = &p->errors[p->count];
                int rc;

                if (source_reach(s, UINT64_MAX, &p->end, err) == 0)
                        return;
                assert_int_equal(err->code, EIO);
                rc = source_resume(s, &p->gaps[p->count++], NULL);
                assert_true(rc >= 0);
                assert_true(p->count < DECODED_GAPS);
                p->lost_the_end = rc == 0;
        }
}

void decoded_expect(struct source *s, struct bytes plain, uint64_t offset, size_t len)
{
        uint8_t *buf = malloc(len);

        assert_int_equal(source_pread(s, buf, len, offset), (ssize_t)len);
        assert_memory_equal(buf, plain.data + offset, len);
        free(buf);
}

size_t decoded_expect_same_table(struct source *a, struct source *b)
{
        size_t count = restart_count(stream_table(a)), saved = 0;

        assert_int_equal(restart_count(stream_table(b)), count);
        for (size_t i = 0; i < count; i++) {
                struct restart_record p, q;
                bool there = restart_save(stream_table(a), i, &p);

                assert_int_equal(restart_save(stream_table(b), i, &q), there);
                if (!there)
                        continue;
                assert_int_equal(p.point.in_bit, q.point.in_bit);
                assert_int_equal(p.point.out, q.point.out);
                assert_int_equal(p.point.aux, q.point.aux);
                assert_int_equal(p.point.hash, q.point.hash);
                assert_int_equal(p.point.by_sums, q.point.by_sums);
                assert_int_equal(p.enter, q.enter);
                saved++;
        }
        return saved;
}
