/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/rejoin_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/stream/stream.h"

struct rejoined rejoin(struct bytes z)
{
        const struct stream_options o = {.threads = 2, .cache_bytes = 8 * MIB};
        struct rejoined r = {0};
        struct error err = {0};

        assert_int_equal(stream_probe(fixture_source(z.data, z.len), &o, &r.s, &err), 0);
        stream_release(r.s);
        decoded_pass(r.s, &r.met);
        return r;
}

/* LEN bytes from AT of the stream are those of PLAIN, wherever the cache begins. */
static void check_same(struct source *s, uint64_t at, size_t len, const uint8_t *plain)
{
        uint8_t *got = malloc(MIB);

        for (size_t done = 0; done < len; done += MIB) {
                size_t n = (size_t)min_u64(MIB, len - done);

                assert_int_equal(source_pread(s, got, n, at + done), (ssize_t)n);
                assert_memory_equal(got, plain + done, n);
        }
        free(got);
}

/* What lies between two gaps is a piece of PLAIN, wherever that was. */
static void check_between(const struct rejoined *r, struct bytes plain)
{
        for (size_t i = 1; i < r->met.count; i++) {
                uint64_t from = r->met.gaps[i - 1].end;
                size_t len = (size_t)(r->met.gaps[i].start - min_u64(from, r->met.gaps[i].start));
                uint8_t *got = malloc(len + 1);

                if (len > 0)
                        assert_int_equal(source_pread(r->s, got, len, from), (ssize_t)len);
                assert_non_null(memmem(plain.data, plain.len, got, len));
                free(got);
        }
}

void rejoined_expect(const struct rejoined *r, struct bytes plain, size_t least)
{
        size_t front = (size_t)r->met.gaps[0].start, behind;
        const struct source_gap *last;

        assert_true(r->met.count > 0);
        last = &r->met.gaps[r->met.count - 1];
        behind = (size_t)(r->met.end - last->end);
        assert_true(behind <= plain.len);
        assert_true(front + behind >= least);
        check_same(r->s, 0, front, plain.data);
        check_same(r->s, last->end, behind, plain.data + plain.len - behind);
        check_between(r, plain);
        /* Once more from restart points, with what the pass has left in the cache gone. */
        check_same(r->s, last->end, behind, plain.data + plain.len - behind);
        check_same(r->s, 0, front, plain.data);
}

void rejoin_expect(struct bytes plain, struct bytes z, size_t least)
{
        struct rejoined r = rejoin(z);

        rejoined_expect(&r, plain, least);
        source_close(r.s);
}

size_t rejoin_random_damage(struct bytes plain, struct bytes z, int rounds, size_t longest)
{
        struct bytes damaged = {malloc(z.len), z.len};
        uint64_t seed = 7;
        size_t rejoined = 0;

        for (int round = 0; round < rounds; round++) {
                size_t at = z.len / 8 + fixture_random(&seed) % (z.len / 2);
                size_t n = 1 + fixture_random(&seed) % longest;
                struct rejoined r;

                memcpy(damaged.data, z.data, z.len);
                for (size_t i = 0; i < n; i++)
                        damaged.data[at + i] = (uint8_t)fixture_random(&seed);
                r = rejoin(damaged);
                if (r.met.count == 1) {
                        rejoined_expect(&r, plain, 0);
                        rejoined += r.met.end > r.met.gaps[0].end;
                }
                source_close(r.s);
        }
        free(damaged.data);
        return rejoined;
}
