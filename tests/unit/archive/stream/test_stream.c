/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/error.h"
#include "archive/shared.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/restart_builder.h"
#include "archive/stream/stream.h"
#include "archive/stream/zstd/zstd_parse.h"
#include "tests/fixtures/clock/clock.h"
#include "tests/fixtures/decoded_fixture.h"
#include "tests/fixtures/stream_fixture.h"

static struct source *open_with(const struct codec_ops *codec, struct bytes z,
                                const struct stream_options *o)
{
        return decoded_open(codec, fixture_source(z.data, z.len), o);
}

static struct source *open_zstd(struct bytes z, size_t cache_bytes)
{
        const struct stream_options o = {.threads = 2, .cache_bytes = cache_bytes};

        return open_with(&zstd_codec, z, &o);
}

static uint64_t reach(struct source *s, uint64_t offset)
{
        struct error err = {0};
        uint64_t end;

        if (source_reach(s, offset, &end, &err) < 0)
                fail_msg("%s", err.text);
        return end;
}

static void check_all(struct source *s, struct bytes plain, size_t step)
{
        assert_true(s->size == plain.len);
        for (size_t at = 0; at < plain.len; at += step)
                decoded_expect(s, plain, at, min_u64(step, plain.len - at));
}

static void test_ahead_of_the_frontier_is_eagain(void **state)
{
        struct bytes plain = fixture_mixture(20 * MIB, 1);
        struct bytes z = fixture_compress(plain, 1, 0, 0, 1);
        struct source *s = open_zstd(z, 0);
        uint8_t buf[16];
        uint64_t end;
        (void)state;

        assert_int_equal(source_pread(s, buf, sizeof buf, 0), -EAGAIN);
        end = reach(s, MIB);
        assert_true(end >= MIB && end < 2 * MIB);
        assert_true(s->size == SOURCE_SIZE_UNKNOWN);
        assert_int_equal(source_pread(s, buf, sizeof buf, end - 8), -EAGAIN);
        decoded_expect(s, plain, end - 16, 16);
        source_close(s);
        free(plain.data);
        free(z.data);
}

static void test_growing_part_is_readable(void **state)
{
        struct bytes plain = fixture_mixture(22 * MIB, 1);
        struct bytes z = fixture_compress(plain, 1, 18, 1, 1);
        struct source *s = open_zstd(z, 0);
        (void)state;

        for (uint64_t want = 100000; want < plain.len; want += 100000) {
                uint64_t end = reach(s, want);

                decoded_expect(s, plain, end - 100000, 100000);
                decoded_expect(s, plain, end / 2, 1000);
        }
        assert_int_equal(reach(s, UINT64_MAX), plain.len);
        check_all(s, plain, 300000);
        source_close(s);
        free(plain.data);
        free(z.data);
}

static void test_end_is_short_then_nothing(void **state)
{
        struct bytes plain = fixture_mixture(100000, 1);
        struct bytes z = fixture_compress(plain, 1, 0, 0, 1);
        struct source *s = open_zstd(z, 0);
        uint8_t buf[64];
        (void)state;

        assert_int_equal(reach(s, UINT64_MAX), plain.len);
        assert_int_equal(source_pread(s, buf, sizeof buf, plain.len - 10), 10);
        assert_int_equal(source_pread(s, buf, sizeof buf, plain.len), 0);
        assert_int_equal(source_pread(s, buf, sizeof buf, plain.len + 99), 0);
        source_close(s);
        free(plain.data);
        free(z.data);
}

static void test_cache_smaller_than_a_segment(void **state)
{
        struct bytes plain = fixture_mixture(10 * MIB, 1);
        struct bytes z = fixture_compress(plain, 1, 18, 1, 1);
        struct source *s = open_zstd(z, 1);
        (void)state;

        reach(s, UINT64_MAX);
        check_all(s, plain, 2 * MIB + 17);
        source_close(s);
        free(plain.data);
        free(z.data);
}

struct scan_and_read {
        struct source *s;
        struct bytes plain;
        _Atomic uint64_t frontier;
        _Atomic bool done;
        _Atomic int wrong;
        uint64_t seed;
};

static void *read_at_random(void *arg)
{
        struct scan_and_read *r = arg;
        uint64_t seed = atomic_fetch_add(&r->frontier, 0) + (uintptr_t)&seed;
        uint8_t buf[8192];

        for (int i = 0; i < 3000 || !r->done; i++) {
                uint64_t frontier = r->frontier, at;

                if (frontier < sizeof buf)
                        continue;
                /* Half of the reads are close after the pass. */
                at = fixture_random(&seed) % (frontier - sizeof buf + 1);
                if (i % 2 && frontier > MIB)
                        at = frontier - sizeof buf - at % (MIB - sizeof buf);
                if (source_pread(r->s, buf, sizeof buf, at) != sizeof buf ||
                    memcmp(buf, r->plain.data + at, sizeof buf) != 0)
                        r->wrong++;
        }
        return NULL;
}

/* Without proofs on the side everything is right, and what was read is proven by that. */
static void test_late_proofs(void **state)
{
        const struct stream_options o = {.threads = 2, .cache_bytes = 1, .late_proofs = true};
        struct bytes plain = fixture_join(fixture_mixture(24 * MIB, 1), fixture_noise(40 * MIB, 2));
        struct bytes z = fixture_compress(plain, 1, 18, 1, 1);
        struct source *s = open_with(&zstd_codec, z, &o);
        struct restart_segment segment, entry;
        size_t last;
        (void)state;

        reach(s, UINT64_MAX);
        last = restart_count(stream_table(s)) - 1;
        for (size_t i = last + 1; i-- > 0;) {
                assert_true(restart_get(stream_table(s), i, &segment));
                decoded_expect(s, plain, segment.point.out,
                               (size_t)(segment.end - segment.point.out));
        }
        restart_entry(stream_table(s), last, &entry);
        assert_true(entry.index > 0);
        source_close(s);
        free(plain.data);
        free(z.data);
}

static _Atomic unsigned segments_decoded;

static int count_segment(const struct restart_point *point, const void *history, uint8_t *input,
                         size_t size, void *out, size_t len, struct error *err)
{
        segments_decoded++;
        return zstd_codec.decode(point, history, input, size, out, len, err);
}

struct lagging {
        struct source *s;
        struct bytes plain;
        size_t len;
};

static void *read_start(void *arg)
{
        struct lagging *r = arg;

        for (size_t at = 0; at < r->len; at += MIB)
                decoded_expect(r->s, r->plain, at, min_u64(MIB, r->len - at));
        return NULL;
}

static void read_on_another_thread(struct lagging *r)
{
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, read_start, r), 0);
        pthread_join(thread, NULL);
}

/* Who reads after the pass, by less than the cache holds, has nothing decoded a second time. */
static void test_lagging_reader_is_fed(void **state)
{
        const struct stream_options o = {
            .threads = 2, .cache_bytes = 64 * MIB, .late_proofs = true};
        struct codec_ops counting = zstd_codec;
        struct bytes plain = fixture_mixture(40 * MIB, 1);
        struct bytes z = fixture_compress(plain, 1, 18, 1, 1);
        struct lagging reader = {.plain = plain, .len = MIB};
        (void)state;

        counting.decode = count_segment;
        reader.s = open_with(&counting, z, &o);
        reach(reader.s, MIB);
        read_on_another_thread(&reader);
        reach(reader.s, UINT64_MAX);
        segments_decoded = 0;
        reader.len = plain.len;
        read_on_another_thread(&reader);
        assert_int_equal(segments_decoded, 0);
        source_close(reader.s);
        free(plain.data);
        free(z.data);
}

static void test_readers_while_the_pass_runs(void **state)
{
        struct bytes plain = fixture_mixture(12 * MIB, 1);
        struct bytes z = fixture_compress(plain, 1, 18, 1, 1);
        struct scan_and_read r = {.s = open_zstd(z, 6 * MIB), .plain = plain};
        pthread_t threads[3];
        (void)state;

        for (int i = 0; i < 3; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, read_at_random, &r), 0);
        for (uint64_t want = 65536; want < plain.len; want += 65536)
                r.frontier = reach(r.s, want);
        r.frontier = reach(r.s, UINT64_MAX);
        r.done = true;
        for (int i = 0; i < 3; i++)
                pthread_join(threads[i], NULL);
        assert_int_equal(r.wrong, 0);
        source_close(r.s);
        free(plain.data);
        free(z.data);
}

static void test_loaded_table_needs_no_pass(void **state)
{
        struct bytes plain = fixture_mixture(10 * MIB, 1);
        struct bytes z = fixture_compress(plain, 1, 18, 1, 1);
        struct source *first = open_zstd(z, 0), *second;
        struct stream_options o = {.threads = 2};
        struct restart_record record;
        (void)state;

        reach(first, UINT64_MAX);
        assert_true(restart_count(stream_table(first)) > 2);
        assert_int_equal(restart_table_new(&o.take_table), 0);
        for (size_t i = 0; restart_save(stream_table(first), i, &record); i++)
                assert_int_equal(restart_load(o.take_table, &record, 1 << 20), 0);
        assert_int_equal(restart_load_end(o.take_table, plain.len, z.len), 0);
        second = open_with(&zstd_codec, z, &o);
        assert_int_equal(reach(second, 1000), plain.len);
        check_all(second, plain, 777777);
        assert_true(stream_work(second) >= plain.len);
        source_close(second);
        source_close(first);
        free(plain.data);
        free(z.data);
}

/* What cannot be entered for long is read all the same, in order and back again. */
static void test_frame_without_points(void **state)
{
        struct bytes records = fixture_records(4 * MIB, 1);
        struct bytes z = fixture_interrupt(fixture_compress(records, 3, 19, 0, 0), 400);
        struct bytes plain = fixture_decompress(z);
        struct source *s = open_zstd(z, MIB);
        struct restart_stats stats;
        (void)state;

        reach(s, UINT64_MAX);
        restart_measure(stream_table(s), &stats);
        assert_true(stats.widest > RESTART_SEGMENT_MAX);
        check_all(s, plain, 7 * MIB);
        decoded_expect(s, plain, 20 * MIB, 1000);
        decoded_expect(s, plain, 2 * MIB, 1000);
        source_close(s);
        free(records.data);
        free(plain.data);
        free(z.data);
}

/* It reads a header here and there, as a format does, and comes back for nothing. */
static void test_what_only_the_scan_has_read_is_dropped(void **state)
{
        struct bytes plain = fixture_mixture(160 * MIB, 12);
        struct bytes z = fixture_compress(plain, 1, 0, 2, 1);
        struct stream_options o = {0};
        struct source *s;
        uint64_t end = 0;
        size_t most = 0;
        (void)state;

        assert_int_equal(shared_new(256 * MIB, 1, &o.shared, NULL), 0);
        s = open_with(&zstd_codec, z, &o);
        for (uint64_t at = 0; at < plain.len; at += 64 << 10) {
                if (end < at + 512)
                        end = reach(s, at + 512);
                decoded_expect(s, plain, at, 512);
                most = max_u64(most, blockcache_bytes(o.shared->cache));
        }
        assert_in_range(most, 16 * MIB, 100 * MIB);
        assert_int_equal(stream_work(s), 0);
        source_close(s);
        shared_free(o.shared);
        free(plain.data);
        free(z.data);
}

static size_t memory_in_use(void)
{
        char line[128] = "", *resident;
        FILE *f = fopen("/proc/self/statm", "r");

        assert_non_null(f);
        assert_non_null(fgets(line, sizeof line, f));
        fclose(f);
        resident = strchr(line, ' ');
        assert_non_null(resident);
        return strtoul(resident, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

/* 1 GiB of zeros in 130 KiB, with no place to enter: RLE blocks of 128 KiB. */
static void test_bomb_stays_bounded(void **state)
{
        const size_t blocks = 8192;
        struct bytes z = {.data = malloc(6 + blocks * 4), .len = 6 + blocks * 4};
        struct source *s;
        size_t before;
        uint8_t buf[4096];
        (void)state;

        memcpy(z.data, "\x28\xB5\x2F\xFD\x00\x38", 6);
        for (size_t i = 0; i < blocks; i++) {
                uint32_t h = 0x20000u << 3 | (uint32_t)ZSTD_BLOCK_RLE << 1 | (i + 1 == blocks);
                const uint8_t block[] = {h & 0xFF, h >> 8 & 0xFF, h >> 16 & 0xFF, 0};

                memcpy(z.data + 6 + i * 4, block, sizeof block);
        }
        before = memory_in_use();
        s = open_zstd(z, 16 * MIB);
        assert_int_equal(reach(s, UINT64_MAX), blocks << 17);
        assert_int_equal(source_pread(s, buf, sizeof buf, 900 * MIB), sizeof buf);
        assert_int_equal(buf[4095], 0);
        /* The cache, the tail, a proof or two, and what sanitizers keep. */
        assert_true(memory_in_use() - before < 320 * MIB);
        source_close(s);
        free(z.data);
}

static void test_a_cut_ends_the_stream(void **state)
{
        struct bytes plain = fixture_mixture(4 * MIB, 1);
        struct bytes z = fixture_compress(plain, 1, 18, 1, 1);
        struct passage p;
        struct source *s;
        uint8_t buf[16];
        (void)state;

        s = open_zstd((struct bytes){z.data, z.len / 2}, 0);
        decoded_pass(s, &p);
        assert_int_equal(p.damages, 1);
        assert_true(p.end > MIB && p.end == s->size);
        decoded_expect(s, plain, 0, (size_t)p.end);
        assert_int_equal(source_pread(s, buf, sizeof buf, p.end - 8), 8);
        assert_int_equal(reach(s, p.end + 1), p.end);
        source_close(s);
        free(plain.data);
        free(z.data);
}

static void expect_pin(struct source *slice, struct bytes plain, uint64_t base, uint64_t at)
{
        struct source_pin pin;

        assert_int_equal(source_pin(slice, at, 1, true, &pin), 1);
        assert_true(pin.start <= at && pin.end > at && pin.end <= slice->size);
        assert_memory_equal(pin.data, plain.data + base + pin.start, pin.end - pin.start);
        source_unpin(slice, &pin);
}

/* A slice has what its stream has, as far as that has come, where it lies in memory. */
static void test_a_slice(void **state)
{
        const uint64_t base = 2 * MIB + 77, len = 3 * MIB;
        struct bytes plain = fixture_mixture(9 * MIB, 1);
        struct bytes z = fixture_compress(plain, 1, 18, 1, 1);
        struct source *s = open_zstd(z, 64 * MIB), *slice;
        struct error err = {0};
        struct source_pin pin;
        char buf[100];
        uint64_t end;
        (void)state;

        assert_int_equal(source_open_slice(s, base, len, &slice), 0);
        assert_true(source_can_pin(slice) && !source_is_file(slice));
        assert_true(source_frontier(slice) == 0 && source_decoded(slice) == 0);
        assert_int_equal(source_pin(slice, 10, 1, true, &pin), -EAGAIN);
        assert_int_equal(source_look_ahead(slice, 200, &end, &err), 0);
        assert_true(end >= 200 && end == source_decoded(slice));
        assert_int_equal(source_peek(slice, buf, sizeof buf, 50), sizeof buf);
        assert_memory_equal(buf, plain.data + base + 50, sizeof buf);
        assert_int_equal(source_reach(slice, len + MIB, &end, &err), 0);
        assert_true(end == len && source_frontier(slice) == len);
        assert_int_equal(source_peek(slice, buf, sizeof buf, len - 7), 7);
        for (uint64_t at = 0; at < len; at += 100000)
                expect_pin(slice, plain, base, at);
        expect_pin(slice, plain, base, len - 1);
        assert_int_equal(source_pin(slice, len, 1, true, &pin), 0);
        source_close(slice);
        source_close(s);
        free(plain.data);
        free(z.data);
}

/* What is lent stays where it is, whatever else the cache has to take in meanwhile. */
static void test_pins_in_memory(void **state)
{
        struct bytes plain = fixture_mixture(9 * MIB, 1);
        struct bytes z = fixture_compress(plain, 1, 18, 1, 1);
        struct source *s = open_zstd(z, MIB);
        const uint64_t at = MIB + 5;
        struct source_pin pin;
        (void)state;

        assert_int_equal(source_pin(s, at, 1, true, &pin), -EAGAIN);
        assert_int_equal(reach(s, UINT64_MAX), plain.len);
        assert_true(source_can_pin(s));
        assert_int_equal(source_pin(s, plain.len, 1, true, &pin), 0);
        check_all(s, plain, MIB);
        assert_int_equal(source_pin(s, at, 1, false, &pin), -EAGAIN);
        assert_int_equal(source_pin(s, at, 1, true, &pin), 1);
        check_all(s, plain, MIB);
        assert_true(pin.start <= at && pin.end > at && pin.end <= plain.len);
        assert_memory_equal(pin.data, plain.data + pin.start, pin.end - pin.start);
        source_unpin(s, &pin);
        source_close(s);
        free(plain.data);
        free(z.data);
}

/* One answer for all who ask for a segment that has just failed, but not for ever. */
static void test_damage_is_remembered_for_a_while(void **state)
{
        struct bytes plain = fixture_mixture(9 * MIB, 1);
        struct bytes z = fixture_compress(plain, 1, 18, 1, 1);
        struct restart_segment segment;
        struct source *s = open_zstd(z, MIB);
        uint8_t buf[16];
        (void)state;

        assert_int_equal(reach(s, UINT64_MAX), plain.len);
        assert_true(restart_get(stream_table(s), 1, &segment));
        decoded_expect(s, plain, plain.len - 16, 16);
        z.data[(segment.point.in_bit + segment.in_end) / 16] ^= 0x10;
        assert_int_equal(source_pread(s, buf, sizeof buf, segment.end - 16), -EIO);
        z.data[(segment.point.in_bit + segment.in_end) / 16] ^= 0x10;
        assert_int_equal(source_pread(s, buf, sizeof buf, segment.end - 16), -EIO);
        clock_pass(UINT64_C(4000000000));
        decoded_expect(s, plain, segment.end - 16, 16);
        source_close(s);
        free(plain.data);
        free(z.data);
}

static void test_plain_bytes_stay_a_plain_source(void **state)
{
        const struct stream_options o = {0};
        struct error err = {0};
        struct source *in = fixture_source("VMA and more", 12), *out;
        (void)state;

        assert_int_equal(stream_probe(in, &o, &out, &err), 0);
        assert_ptr_equal(out, in);
        assert_null(stream_table(out));
        source_close(out);
}

/*
 * A codec whose output is its input, and which names points that it may not be able to enter: AUX
 * is what segment() adds to every byte.
 */
struct copying {
        struct source *in;
        uint64_t at;
};

static uint8_t copy_mistake;

static int copy_open(struct source *in, const struct codec_limits *limits, void **pass,
                     struct error *err)
{
        struct copying *c = calloc(1, sizeof *c);
        (void)limits;
        (void)err;

        c->in = in;
        *pass = c;
        return 0;
}

static ssize_t copy_pass(void *pass, void *buf, size_t len, struct restart_builder *b,
                         struct error *err)
{
        struct copying *c = pass;
        ssize_t n;
        (void)err;

        if (b && restart_wanted(b))
                restart_here(b, c->at * 8, copy_mistake, "h", 1);
        n = source_pread(c->in, buf, len, c->at);
        c->at += (uint64_t)(n > 0 ? n : 0);
        return n;
}

static struct codec_trust copy_trust(const void *pass)
{
        return (struct codec_trust){.settled = ((const struct copying *)pass)->at};
}

static int copy_segment(const struct restart_point *point, const void *history, uint8_t *input,
                        size_t size, void *out, size_t len, struct error *err)
{
        (void)history;
        (void)err;

        if (size != len)
                return -EIO;
        for (size_t i = 0; i < len; i++)
                ((uint8_t *)out)[i] = (uint8_t)(input[i] + point->aux);
        return 0;
}

static const struct codec_ops copy_codec = {
    .name = "copy",
    .pass_open = copy_open,
    .pass_close = free,
    .pass = copy_pass,
    .trust = copy_trust,
    .decode = copy_segment,
};

/* Returns how many points were left. */
static size_t pass_over_copy(uint8_t mistake)
{
        const struct stream_options o = {.threads = 2, .cache_bytes = 3 * MIB};
        struct bytes plain = fixture_noise(20 * MIB, 5);
        struct restart_stats stats;
        struct source *s;

        copy_mistake = mistake;
        s = open_with(&copy_codec, plain, &o);
        reach(s, UINT64_MAX);
        check_all(s, plain, MIB + 1);
        restart_measure(stream_table(s), &stats);
        source_close(s);
        free(plain.data);
        return stats.points;
}

static void test_point_that_proves_is_kept(void **state)
{
        (void)state;
        assert_true(pass_over_copy(0) > 4);
}

static void test_point_that_fails_its_proof_is_dropped(void **state)
{
        (void)state;
        assert_int_equal(pass_over_copy(1), 1);
}

static void check_reference(const char *name)
{
        char path[256];
        struct bytes z, plain;
        struct source *s;

        snprintf(path, sizeof path, "../shared/reference/%s.zst", name);
        z = fixture_file(path);
        path[strlen(path) - 4] = '\0';
        plain = fixture_file(path);
        if (!z.data || !plain.data) {
                print_message("SKIPPED: %s is not here\n", path);
                skip();
        }
        s = open_zstd(z, 0);
        reach(s, UINT64_MAX);
        check_all(s, plain, 1234567);
        source_close(s);
        free(z.data);
        free(plain.data);
}

static void test_reference_in_order(void **state)
{
        (void)state;
        check_reference("small.vma");
}

static void test_reference_out_of_order(void **state)
{
        (void)state;
        check_reference("small.ooo.vma");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_ahead_of_the_frontier_is_eagain),
            cmocka_unit_test(test_growing_part_is_readable),
            cmocka_unit_test(test_end_is_short_then_nothing),
            cmocka_unit_test(test_cache_smaller_than_a_segment),
            cmocka_unit_test(test_late_proofs),
            cmocka_unit_test(test_lagging_reader_is_fed),
            cmocka_unit_test(test_readers_while_the_pass_runs),
            cmocka_unit_test(test_loaded_table_needs_no_pass),
            cmocka_unit_test(test_frame_without_points),
            cmocka_unit_test(test_what_only_the_scan_has_read_is_dropped),
            cmocka_unit_test(test_bomb_stays_bounded),
            cmocka_unit_test(test_a_cut_ends_the_stream),
            cmocka_unit_test(test_a_slice),
            cmocka_unit_test(test_pins_in_memory),
            cmocka_unit_test(test_damage_is_remembered_for_a_while),
            cmocka_unit_test(test_plain_bytes_stay_a_plain_source),
            cmocka_unit_test(test_point_that_proves_is_kept),
            cmocka_unit_test(test_point_that_fails_its_proof_is_dropped),
            cmocka_unit_test(test_reference_in_order),
            cmocka_unit_test(test_reference_out_of_order),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
