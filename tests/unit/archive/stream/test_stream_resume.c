/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pass that is interrupted goes on in another process: at each place where it may be, it ends
 * with the table that a pass without interruption makes, and notices the same damage.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/notes.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/stream.h"
#include "tests/fixtures/decoded_fixture.h"
#include "tests/fixtures/stream_fixture.h"

enum { HISTORY_MAX = 128 << 20, STEP = 300000 };

struct setting {
        const struct codec_ops *codec;
        struct bytes plain, z;
        bool skip;
};

/* What another process would find. */
struct kept {
        struct stream_resume resume;
        uint64_t out; /* where it goes on */
};

static void keep_record(struct stream_resume *r, struct source *s, size_t i, bool growing)
{
        struct restart_record record;
        void *history;

        assert_int_equal(restart_copy(stream_table(s), i, &record, &history), 0);
        if (growing) {
                record.point.hash = 0;
                record.point.by_sums = false;
                record.parts = NULL;
                record.part_count = 0;
                record.enter = true;
        }
        if (!record.enter)
                record.point.history_len = 0;
        assert_int_equal(restart_load(r->take_table, &record, HISTORY_MAX), 0);
        free(history);
}

static void keep(struct kept *k, struct source *s, const struct stream_checkpoint *c)
{
        struct restart_segment here;

        stream_resume_fini(&k->resume);
        k->resume = (struct stream_resume){.frontier = c->frontier, .state = c->state};
        assert_int_equal(restart_table_new(&k->resume.take_table), 0);
        for (size_t i = 0; i <= c->segments; i++)
                keep_record(&k->resume, s, i, i == c->segments);
        assert_true(restart_growing(k->resume.take_table, &here));
        k->out = here.point.out;
}

/* This test asks for it. */
static void keep_nothing(void *ctx, struct source *s)
{
        (void)ctx;
        (void)s;
}

static struct source *open_it(const struct setting *t, struct stream_resume *resume)
{
        const struct stream_options o = {
            .threads = 2, .keep = keep_nothing, .skip = t->skip, .resume = resume};
        struct source *s = NULL;
        struct error err = {0};

        if (stream_open(t->codec, fixture_source(t->z.data, t->z.len), &o, &s, &err) < 0)
                fail_msg("%s", err.text);
        if (resume)
                stream_resume_fini(resume);
        return s;
}

/*
 * Pass S until something can be kept that goes on after FROM, into K. False: it has come to its
 * end.
 */
static bool pass_to_next(struct source *s, uint64_t from, struct kept *k)
{
        uint64_t end = 0;

        for (uint64_t want = from + STEP; s->size == SOURCE_SIZE_UNKNOWN; want += STEP) {
                struct stream_checkpoint c;

                assert_int_equal(source_look_ahead(s, want, &end, NULL), 0);
                stream_finish_proofs(s);
                if (s->size != SOURCE_SIZE_UNKNOWN || !stream_checkpoint(s, &c))
                        continue;
                keep(k, s, &c);
                if (k->out > from)
                        return true;
        }
        return false;
}

/* The whole pass, without interruption. */
static struct source *pass_at_once(const struct setting *t)
{
        struct source *s = open_it(t, NULL);
        uint64_t end;

        assert_int_equal(source_reach(s, UINT64_MAX, &end, NULL), 0);
        assert_int_equal(s->size, t->plain.len);
        return s;
}

/* Each pass is interrupted at the first place where it can be. Returns how often that was. */
static unsigned interrupt_always(const struct setting *t)
{
        struct source *whole = pass_at_once(t), *s = open_it(t, NULL);
        struct kept k = {0};
        unsigned times = 0;

        while (pass_to_next(s, k.out, &k)) {
                source_close(s);
                s = open_it(t, &k.resume);
                assert_true(source_decoded(s) == k.out);
                assert_true(source_frontier(s) <= k.out);
                times++;
        }
        assert_int_equal(s->size, t->plain.len);
        assert_int_equal(source_damage(s, &(struct error){0}), 0);
        assert_true(decoded_expect_same_table(whole, s) > 0);
        for (size_t at = 0; at < t->plain.len; at += MIB)
                decoded_expect(s, t->plain, at, min_u64(MIB, t->plain.len - at));
        source_close(s);
        source_close(whole);
        stream_resume_fini(&k.resume);
        return times;
}

/* Both passes end alike, one of them interrupted once, at each place in turn. */
static void interrupt_once_each(const struct setting *t, uint64_t apart)
{
        struct source *whole = open_it(t, NULL), *first = open_it(t, NULL);
        struct passage all = {0};
        struct kept k = {0};

        decoded_pass(whole, &all);
        for (uint64_t from = 0; pass_to_next(first, from, &k); from = k.out + apart) {
                struct source *s = open_it(t, &k.resume);
                struct passage p = {0};

                decoded_pass(s, &p);
                assert_int_equal(p.count, all.count);
                for (size_t i = 0; i < p.count; i++) {
                        assert_true(p.lost[i].start == all.lost[i].start);
                        assert_true(p.lost[i].end == all.lost[i].end);
                        assert_true(p.lost[i].exact == all.lost[i].exact);
                }
                assert_int_equal(p.damages, all.damages);
                for (size_t i = 0; i < p.damages; i++)
                        assert_string_equal(p.errors[i].text, all.errors[i].text);
                assert_true(p.end == all.end);
                decoded_expect_same_table(whole, s);
                source_close(s);
        }
        source_close(first);
        source_close(whole);
        stream_resume_fini(&k.resume);
}

static void release(struct setting *t)
{
        free(t->plain.data);
        free(t->z.data);
}

static void test_zstd_in_jobs(void **state)
{
        struct setting t = {.codec = &zstd_codec, .plain = fixture_mixture(30 * MIB, 1)};
        (void)state;

        t.z = fixture_compress(t.plain, 1, 19, 2, 1);
        assert_true(interrupt_always(&t) > 5);
        interrupt_once_each(&t, 10 * MIB);
        release(&t);
}

static void test_zstd_without_jobs(void **state)
{
        (void)state;
        for (int checksum = 0; checksum < 2; checksum++) {
                struct setting t = {.codec = &zstd_codec, .plain = fixture_mixture(40 * MIB, 2)};

                t.z = fixture_compress(t.plain, 1, 18, 0, checksum);
                interrupt_once_each(&t, 10 * MIB);
                assert_true(interrupt_always(&t) > 0);
                release(&t);
        }
}

static void test_zstd_jobs_without_checksum(void **state)
{
        struct setting t = {.codec = &zstd_codec, .plain = fixture_mixture(30 * MIB, 3)};
        (void)state;

        t.z = fixture_compress(t.plain, 1, 18, 2, 0);
        assert_true(interrupt_always(&t) > 2);
        release(&t);
}

/* The first frames are short, so each begins at a point. */
static void test_zstd_of_many_frames(void **state)
{
        struct setting t = {.codec = &zstd_codec, .plain = {malloc(1), 0}, .z = {malloc(1), 0}};
        (void)state;

        for (uint64_t i = 0; i < 12; i++) {
                struct bytes part = fixture_mixture(i < 8 ? 1500000 : 9 * MIB, i);

                t.z = fixture_join(t.z, fixture_compress(part, 1, 18, i % 2 ? 2 : 0, i % 3 != 0));
                t.plain = fixture_join(t.plain, part);
        }
        assert_true(interrupt_always(&t) > 5);
        interrupt_once_each(&t, 12 * MIB);
        release(&t);
}

static void test_gzip(void **state)
{
        struct setting t = {.codec = &gzip_codec, .plain = fixture_mixture(24 * MIB, 5)};
        (void)state;

        t.z = fixture_pipe(t.plain, "gzip -1 -nc");
        assert_true(interrupt_always(&t) > 3);
        interrupt_once_each(&t, 10 * MIB);
        release(&t);
}

static void test_gzip_of_many_members(void **state)
{
        struct setting t = {.codec = &gzip_codec, .plain = {malloc(1), 0}, .z = {malloc(1), 0}};
        (void)state;

        for (uint64_t i = 0; i < 10; i++) {
                struct bytes part = fixture_mixture(i % 2 ? 70000 : 5 * MIB, i);

                t.z = fixture_join(t.z, fixture_pipe(part, "gzip -1 -nc"));
                t.plain = fixture_join(t.plain, part);
        }
        assert_true(interrupt_always(&t) > 3);
        interrupt_once_each(&t, 10 * MIB);
        release(&t);
}

static void test_lzop(void **state)
{
        (void)state;
        for (int skip = 0; skip < 2; skip++) {
                struct setting t = {
                    .codec = &lzop_codec, .plain = fixture_mixture(16 * MIB, 6), .skip = skip};

                t.z = fixture_pipe(t.plain, "lzop -c");
                assert_true(interrupt_always(&t) > 5);
                interrupt_once_each(&t, 10 * MIB);
                release(&t);
        }
}

#ifdef VMAFS_XZ
static void test_xz(void **state)
{
        struct setting t = {.codec = &xz_codec, .plain = fixture_mixture(16 * MIB, 6)};
        (void)state;

        t.z = fixture_pipe(t.plain, "xz -0 -T2 --block-size=1MiB -c");
        assert_true(interrupt_always(&t) > 5);
        interrupt_once_each(&t, 10 * MIB);
        t.z.data[t.z.len - 30] ^= 1; /* in the index */
        interrupt_once_each(&t, 12 * MIB);
        release(&t);
}
#endif

#ifdef VMAFS_BZIP2
static void test_bzip2(void **state)
{
        struct setting t = {.codec = &bzip2_codec, .plain = fixture_mixture(8 * MIB, 6)};
        (void)state;

        t.z = fixture_pipe(t.plain, "bzip2 -9 -c");
        assert_true(interrupt_always(&t) > 3);
        interrupt_once_each(&t, 6 * MIB);
        t.z.data[t.z.len - 3] ^= 1; /* the stream's checksum */
        interrupt_once_each(&t, 6 * MIB);
        release(&t);
}
#endif

/* A changed byte after the place, or a wrong checksum at the end, is noticed all the same. */
static void test_damage_is_noticed(void **state)
{
        static const char *const commands[] = {"zstd -q -1 -T2 -c", "gzip -1 -nc", "lzop -c"};
        const struct codec_ops *const codecs[] = {&zstd_codec, &gzip_codec, &lzop_codec};
        (void)state;

        for (size_t i = 0; i < 3; i++) {
                struct setting t = {.codec = codecs[i], .plain = fixture_mixture(24 * MIB, 7)};

                t.z = fixture_pipe(t.plain, commands[i]);
                t.z.data[t.z.len - 3] ^= 1; /* of zstd and lzop a checksum or the end */
                interrupt_once_each(&t, 12 * MIB);
                t.z.data[t.z.len - 3] ^= 1;
                t.z.data[t.z.len - 6] ^= 1; /* of gzip the checksum */
                interrupt_once_each(&t, 12 * MIB);
                t.z.data[t.z.len - 6] ^= 1;
                t.z.data[t.z.len * 3 / 4] ^= 0x10;
                interrupt_once_each(&t, 12 * MIB);
                t.z.data[t.z.len * 3 / 4] ^= 0x10;
                t.z.len -= 100000;
                interrupt_once_each(&t, 12 * MIB);
                release(&t);
        }
}

/* Any other number in the state leads to a refusal, or to what is right. */
static void test_wrong_state(void **state)
{
        static const char *const commands[] = {"zstd -q -1 -T2 -c",
                                               "zstd -q -1 --single-thread --zstd=wlog=18 -c",
                                               "gzip -1 -nc", "lzop -c"};
        const struct codec_ops *const codecs[] = {&zstd_codec, &zstd_codec, &gzip_codec,
                                                  &lzop_codec};
        static const uint64_t values[] = {0, 12345, UINT64_MAX};
        (void)state;

        for (size_t i = 0; i < 4; i++) {
                struct setting t = {.codec = codecs[i], .plain = fixture_mixture(24 * MIB, 8)};
                struct stream_checkpoint c = {0};
                struct source *s;
                struct kept k = {0};

                t.z = fixture_pipe(t.plain, commands[i]);
                s = open_it(&t, NULL);
                assert_true(pass_to_next(s, 0, &k) && stream_checkpoint(s, &c));
                for (size_t at = 0; at + 8 <= c.state.len; at += 8) {
                        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
                                struct stream_options o = {.threads = 2, .resume = &k.resume};
                                struct source *wrong;
                                uint64_t end;

                                keep(&k, s, &c);
                                store_le64(k.resume.state.bytes + at, values[v]);
                                if (stream_open(t.codec, fixture_source(t.z.data, t.z.len), &o,
                                                &wrong, NULL) == 0) {
                                        source_reach(wrong, k.out + 3 * MIB, &end, NULL);
                                        source_close(wrong);
                                }
                                stream_resume_fini(&k.resume);
                        }
                }
                source_close(s);
                release(&t);
        }
}

static void test_notes(void **state)
{
        struct notes *n = notes_new(), *other = notes_new();
        char long_one[5000] = {0}, out[16];
        void *bytes;
        size_t len;
        (void)state;

        notes_add(n, "later", 5, 1000, 0, true);
        notes_add(n, "header", 6, 20, 0, true);
        notes_add(n, long_one, sizeof long_one, 500000, 0, true);
        notes_add(n, "head", 4, 20, 0, true);
        assert_false(notes_find(n, out, 5, 1000));
        notes_take(n, &bytes, &len);
        assert_int_equal(len, 3 * 12 + 15);
        assert_int_equal(notes_load(other, bytes, len), 0);
        assert_true(notes_find(other, out, 5, 1000));
        assert_memory_equal(out, "later", 5);
        assert_true(notes_find(other, out, 6, 20));
        assert_memory_equal(out, "header", 6);
        assert_true(notes_find(other, out, 2, 20));
        assert_false(notes_find(other, out, 7, 20));
        assert_false(notes_find(other, out, 5, 1001));
        assert_false(notes_find(other, out, 16, 500000));
        assert_int_equal(notes_load(other, bytes, len - 1), -EINVAL);
        free(bytes);
        notes_take(n, &bytes, &len);
        assert_int_equal(len, 0);
        free(bytes);
        notes_clear(other);
        assert_false(notes_find(other, out, 5, 1000));
        notes_free(n);
        notes_free(other);
}

/* What is noted has a bound, whatever is read. */
static void test_notes_are_few(void **state)
{
        struct notes *n = notes_new();
        char block[4096] = {0};
        void *bytes;
        size_t len;
        (void)state;

        for (uint64_t at = 0; at < 64 * MIB; at += sizeof block)
                notes_add(n, block, sizeof block, at, at, false);
        notes_take(n, &bytes, &len);
        assert_true(len > 1 * MIB && len < 2 * MIB);
        free(bytes);
        notes_free(n);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_zstd_in_jobs),
            cmocka_unit_test(test_zstd_without_jobs),
            cmocka_unit_test(test_zstd_jobs_without_checksum),
            cmocka_unit_test(test_zstd_of_many_frames),
            cmocka_unit_test(test_gzip),
            cmocka_unit_test(test_gzip_of_many_members),
            cmocka_unit_test(test_lzop),
#ifdef VMAFS_XZ
            cmocka_unit_test(test_xz),
#endif
#ifdef VMAFS_BZIP2
            cmocka_unit_test(test_bzip2),
#endif
            cmocka_unit_test(test_damage_is_noticed),
            cmocka_unit_test(test_wrong_state),
            cmocka_unit_test(test_notes),
            cmocka_unit_test(test_notes_are_few),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
