/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a source begins and ends with is read once, and only what is asked for. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/format.h"
#include "archive/probe.h"
#include "archive/source/source.h"

/* LEN bytes, byte I of which is I / 16; reading fails from BROKEN on. */
struct sample {
        struct source base;
        uint64_t broken;
        unsigned reads;
        uint64_t read_to; /* the last byte that was asked for */
        const char *head; /* what it begins with instead */
};

static ssize_t sample_pread(struct source *source, void *buf, size_t len, uint64_t offset)
{
        struct sample *s = (struct sample *)source;

        s->reads++;
        s->read_to = max_u64(s->read_to, offset + len);
        if (offset + len > s->broken)
                return -EIO;
        for (size_t i = 0; i < len; i++)
                ((uint8_t *)buf)[i] = (uint8_t)((offset + i) / 16);
        if (offset == 0 && s->head)
                memcpy(buf, s->head, strlen(s->head));
        return (ssize_t)len;
}

static const struct source_ops file_ops = {.name = "file", .pread = sample_pread, .is_file = true};
static const struct source_ops stream_ops = {.name = "zstd", .pread = sample_pread};

static struct sample make(const struct source_ops *ops, uint64_t size)
{
        return (struct sample){.base = {.ops = ops, .size = size}, .broken = UINT64_MAX};
}

static void init(struct probe *p, struct sample *s)
{
        struct error err = {0};

        assert_int_equal(probe_init(p, &s->base, &err), 0);
}

static void test_head_is_read_at_once_and_the_rest_when_wanted(void **state)
{
        struct sample s = make(&file_ops, 1 << 20);
        struct probe p;
        (void)state;

        init(&p, &s);
        assert_int_equal(s.reads, 1);
        assert_int_equal(s.read_to, PROBE_HEAD);
        assert_true(probe_has(&p, 16, "\1\1", 2));
        assert_true(probe_has(&p, PROBE_HEAD - 2, "\37\37", 2));
        assert_false(probe_has(&p, PROBE_HEAD - 1, "\37\37", 2));
        assert_false(probe_has(&p, SIZE_MAX, "\37\37", 2));
        assert_int_equal(probe_more(&p, 2000), 0);
        assert_int_equal(p.len, 2000);
        assert_true(probe_has(&p, PROBE_HEAD - 1, "\37\40", 2));
        assert_int_equal(probe_more(&p, 1000), 0);
        assert_int_equal(s.reads, 2);
        probe_fini(&p);
}

static void test_tail_is_read_once(void **state)
{
        struct sample s = make(&file_ops, 4096);
        const uint8_t *tail;
        struct probe p;
        (void)state;

        init(&p, &s);
        assert_int_equal(s.read_to, PROBE_HEAD);
        tail = probe_tail(&p);
        assert_non_null(tail);
        assert_int_equal(tail[0], (4096 - PROBE_TAIL) / 16);
        assert_int_equal(tail[PROBE_TAIL - 1], 4095 / 16);
        assert_ptr_equal(probe_tail(&p), tail);
        assert_int_equal(s.reads, 2);
        probe_fini(&p);
}

/* To know a stream's end, all of it would have to be decoded. */
static void test_a_stream_has_no_tail(void **state)
{
        struct sample s = make(&stream_ops, 4096);
        struct probe p;
        (void)state;

        init(&p, &s);
        assert_null(probe_tail(&p));
        assert_int_equal(s.reads, 1);
        probe_fini(&p);
}

static void test_what_is_short(void **state)
{
        struct sample s = make(&file_ops, 20), nothing = make(&file_ops, 0);
        struct probe p;
        (void)state;

        init(&p, &s);
        assert_int_equal(p.len, 20);
        assert_int_equal(p.head[20], 0);
        assert_null(probe_tail(&p));
        assert_int_equal(probe_more(&p, 2000), 0);
        assert_int_equal(p.len, 20);
        probe_fini(&p);
        init(&p, &nothing);
        assert_int_equal(p.len, 0);
        probe_fini(&p);
}

static void test_what_cannot_be_read(void **state)
{
        struct sample s = make(&file_ops, 4096);
        struct error err = {0};
        struct probe p;
        (void)state;

        s.broken = 100;
        assert_int_equal(probe_init(&p, &s.base, &err), -EIO);
        assert_int_equal(err.code, EIO);
        probe_fini(&p);
        s.broken = 1000;
        init(&p, &s);
        assert_null(probe_tail(&p));
        assert_int_equal(probe_more(&p, 2000), 0);
        assert_int_equal(p.len, PROBE_HEAD);
        probe_fini(&p);
}

/* In the members of an archive only images are looked for, which hold no archives. */
static void test_formats(void **state)
{
        const struct {
                const char *head, *name;
                bool image;
        } known[] = {{"VMA", "vma", false},
                     {"KDMV", "vmdk", true},
                     {"QFI\xfb", "qcow2", true},
                     {"QED", "qed", true},
                     {"nothing", NULL, false}};
        (void)state;

        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
                struct sample s = make(&file_ops, 4096);
                const struct format *any, *image;
                struct probe p;

                s.head = known[i].head;
                init(&p, &s);
                any = format_find(&p, false);
                image = format_find(&p, true);
                probe_fini(&p);
                assert_true(known[i].name ? any != NULL : any == NULL);
                if (any)
                        assert_string_equal(any->name, known[i].name);
                assert_ptr_equal(image, known[i].image ? any : NULL);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_head_is_read_at_once_and_the_rest_when_wanted),
            cmocka_unit_test(test_tail_is_read_once),
            cmocka_unit_test(test_a_stream_has_no_tail),
            cmocka_unit_test(test_what_is_short),
            cmocka_unit_test(test_what_cannot_be_read),
            cmocka_unit_test(test_formats),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
