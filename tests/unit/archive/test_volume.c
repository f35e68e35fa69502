/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a volume calls raw, as its source has it: below views, lost, displaced, or not known yet. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "archive/source/source.h"
#include "archive/source/volume_source.h"
#include "archive/volume.h"

enum { SIZE = 1 << 20, FRONTIER = SIZE - 1000, GAP = 600000, GAP_END = 700000 };

/* A stream that has lost a part, and has not decoded its end yet. */
struct stream {
        struct source base;
        bool exact;
};

static ssize_t stream_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        (void)s;
        for (size_t i = 0; i < len; i++)
                ((uint8_t *)buf)[i] = (uint8_t)((offset + i) % 251);
        return (ssize_t)len;
}

static bool stream_find_lost(struct source *s, uint64_t from, struct source_lost_range *gap)
{
        *gap = (struct source_lost_range){GAP, GAP_END, ((struct stream *)s)->exact};
        return from < GAP_END;
}

static uint64_t stream_frontier(struct source *s)
{
        (void)s;
        return FRONTIER;
}

static const struct source_ops stream_ops = {.name = "stream",
                                             .pread = stream_pread,
                                             .find_lost = stream_find_lost,
                                             .frontier = stream_frontier};

/* All of it lies from START of SOURCE on, but for a hole of two bytes. */
enum { HOLE = 5000 };

struct plain {
        struct volume base;
        struct source *source;
        uint64_t start;
        int failure;
};

static int plain_extent(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        struct plain *p = (struct plain *)v;
        uint64_t left = pos < HOLE ? HOLE - pos : pos < HOLE + 2 ? HOLE + 2 - pos : len;

        if (p->failure)
                return p->failure;
        *out = (struct volume_extent){.len = len < left ? len : left, .allocated = true};
        if (pos >= HOLE && pos < HOLE + 2)
                return 0;
        out->kind = VOLUME_RAW;
        out->source = p->source;
        out->offset = p->start + pos;
        return 0;
}

static const struct volume_ops plain_ops = {.extent = plain_extent};

static struct stream stream_of(bool exact)
{
        return (struct stream){.base = {.ops = &stream_ops, .size = SIZE}, .exact = exact};
}

static struct plain plain_of(struct source *s, uint64_t start)
{
        return (struct plain){
            .base = {.ops = &plain_ops, .size = SIZE}, .source = s, .start = start};
}

static void expect(struct plain *p, uint64_t pos, enum volume_kind kind, uint64_t len)
{
        struct volume_extent e;

        assert_int_equal(volume_find(&p->base, pos, SIZE - pos, &e), 0);
        assert_int_equal(e.kind, kind);
        assert_int_equal(e.len, len);
}

static void test_what_a_source_has_lost(void **state)
{
        struct stream s = stream_of(true);
        struct plain p = plain_of(&s.base, 0);
        (void)state;

        expect(&p, HOLE + 2, VOLUME_RAW, GAP - HOLE - 2);
        expect(&p, GAP, VOLUME_LOST, GAP_END - GAP);
        expect(&p, GAP + 5, VOLUME_LOST, GAP_END - GAP - 5);
        expect(&p, GAP_END, VOLUME_RAW, FRONTIER - GAP_END);
        expect(&p, FRONTIER, VOLUME_UNKNOWN, SIZE - FRONTIER);
        p.start = 10;
        expect(&p, FRONTIER - 10, VOLUME_UNKNOWN, 1000);
        expect(&p, SIZE - 10, VOLUME_LOST, 10);
}

static void test_what_is_displaced_is_lost(void **state)
{
        struct stream s = stream_of(false);
        struct plain p = plain_of(&s.base, 0);
        (void)state;

        expect(&p, GAP_END, VOLUME_LOST, SIZE - GAP_END);
        /* What speaks of the bytes lies after the gap. */
        p.base.anchor = GAP_END;
        expect(&p, GAP_END, VOLUME_RAW, FRONTIER - GAP_END);
}

static void test_below_views(void **state)
{
        struct stream s = stream_of(false);
        struct source *slice, *inner;
        struct volume_extent e;
        struct plain p, within;
        (void)state;

        assert_int_equal(source_open_slice(&s.base, GAP_END, 100000, &slice), 0);
        within = plain_of(slice, 100);
        within.base.size = 50000;
        assert_int_equal(source_open_volume(&within.base, &s.base, &inner), 0);
        p = plain_of(inner, 1000);
        assert_int_equal(volume_find(&p.base, 10, 100, &e), 0);
        assert_int_equal(e.kind, VOLUME_RAW);
        assert_ptr_equal(e.source, &s.base);
        assert_int_equal(e.offset, GAP_END + 1110);
        assert_int_equal(e.len, 100);
        /* The hole of the inner one. */
        expect(&p, HOLE - 1000, VOLUME_ZERO, 2);
        source_close(inner);
        source_close(slice);
}

static void test_failures(void **state)
{
        struct stream s = stream_of(true);
        struct plain p = plain_of(&s.base, 0);
        struct volume_extent e;
        (void)state;

        p.failure = -EAGAIN;
        expect(&p, 4000, VOLUME_UNKNOWN, 96);
        p.failure = -EIO;
        assert_int_equal(volume_find(&p.base, 4000, 5000, &e), -EIO);
        assert_int_equal(e.len, 96);
}

static void test_reading(void **state)
{
        struct stream s = stream_of(true);
        struct plain p = plain_of(&s.base, 7);
        uint8_t got[20];
        (void)state;

        assert_int_equal(volume_read(&p.base, got, sizeof got, HOLE - 9), 0);
        for (unsigned i = 0; i < sizeof got; i++)
                assert_int_equal(got[i], i == 9 || i == 10 ? 0 : (HOLE - 2 + i) % 251);
        assert_int_equal(volume_read(&p.base, got, sizeof got, GAP - 10), -EIO);
        assert_int_equal(volume_read(&p.base, got, sizeof got, FRONTIER - 10), -EAGAIN);
}

/* A file with a hole, whose end moves when the hole is written to. */
static uint64_t hole_next_data(struct source *s, uint64_t offset)
{
        (void)s;
        return offset >= GAP && offset < GAP_END ? GAP_END : offset;
}

static uint64_t hole_next_hole(struct source *s, uint64_t offset)
{
        return offset < GAP ? GAP : s->size;
}

static uint64_t filled_next_hole(struct source *s, uint64_t offset)
{
        (void)s;
        return offset;
}

static void split(const struct source_ops *ops, uint64_t offset, enum volume_kind kind,
                  uint64_t len)
{
        struct source s = {.ops = ops, .size = SIZE};
        struct volume_extent e = {
            .len = SIZE - offset, .kind = VOLUME_RAW, .source = &s, .offset = offset};

        volume_split_hole(&e);
        assert_int_equal(e.kind, kind);
        assert_int_equal(e.len, len);
        assert_int_equal(e.offset, offset);
}

static void test_holes_of_a_file(void **state)
{
        static const struct source_ops ops = {.next_data = hole_next_data,
                                              .next_hole = hole_next_hole};
        static const struct source_ops filled = {.next_data = hole_next_data,
                                                 .next_hole = filled_next_hole};
        (void)state;

        split(&ops, 100, VOLUME_RAW, GAP - 100);
        split(&ops, GAP, VOLUME_ZERO, GAP_END - GAP);
        split(&ops, GAP_END - 1, VOLUME_ZERO, 1);
        split(&ops, GAP_END, VOLUME_RAW, SIZE - GAP_END);
        /* What the two calls say does not belong together. */
        split(&filled, 100, VOLUME_RAW, SIZE - 100);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_what_a_source_has_lost),
            cmocka_unit_test(test_what_is_displaced_is_lost),
            cmocka_unit_test(test_below_views),
            cmocka_unit_test(test_failures),
            cmocka_unit_test(test_reading),
            cmocka_unit_test(test_holes_of_a_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
