/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tar of more files than are shown is refused, before they have filled the memory. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/entry.h"
#include "archive/error.h"
#include "archive/format.h"
#include "archive/source/source.h"
#include "tests/fixtures/tar_fixture.h"

enum { FILES = 1 << 21, LONG = 4000 };

/* The same few blocks again and again. */
struct endless {
        struct source base;
        const uint8_t *period;
        size_t len;
        size_t reads, bytes;
};

static ssize_t endless_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        struct endless *e = (struct endless *)s;
        char *out = buf;

        if (offset >= s->size)
                return 0;
        if (len > s->size - offset)
                len = (size_t)(s->size - offset);
        e->reads++;
        e->bytes += len;
        for (size_t done = 0; done < len;) {
                size_t at = (size_t)((offset + done) % e->len), n = e->len - at;

                n = n < len - done ? n : len - done;
                memcpy(out + done, e->period + at, n);
                done += n;
        }
        return (ssize_t)len;
}

static const struct source_ops endless_ops = {
    .name = "endless", .pread = endless_pread, .is_file = true};

static int count_entry(void *ctx, const struct entry *e)
{
        (void)e;
        ++*(size_t *)ctx;
        return 0;
}

static int count_member(void *ctx, const struct member *m)
{
        (void)m;
        ++*(size_t *)ctx;
        return 0;
}

/* The tree is complete up to byte END. */
static int note_progress(void *ctx, uint64_t end)
{
        (void)ctx;
        (void)end;
        return 0;
}

/* A file of MEMBERS of what the tarball holds. */
static struct endless endless_of(size_t members)
{
        return (struct endless){.base = {.ops = &endless_ops, .size = members * tarball.len},
                                .period = tarball.data,
                                .len = tarball.len};
}

/* How many members of SOURCE are shown. */
static size_t shown_of(struct endless *source, enum archive_view view, struct error *err)
{
        const struct archive_origin origin = {.name = "a.tar", .view = view};
        size_t entries = 0;
        const struct archive_sink sink = {.ctx = &entries,
                                          .entry = count_entry,
                                          .member = count_member,
                                          .progress = note_progress};
        struct archive *a = NULL;
        int rc = archive_open(&source->base, &origin, &sink, &a, err);

        if (rc == 0 && view == VIEW_TREE)
                rc = a->ops->scan(a, &sink, err);

        assert_int_equal(rc, -err->code);
        archive_close(a);
        return entries;
}

static size_t shown(size_t members, struct error *err)
{
        struct endless source = endless_of(members);

        return shown_of(&source, VIEW_IMAGES, err);
}

static void test_too_many_files(void **state)
{
        struct error err = {0};

        (void)state;
        tarball_header("file", '0', 0);
        assert_int_equal(shown(FILES + 10, &err), 0);
        assert_int_equal(err.code, E2BIG);
        assert_non_null(strstr(err.text, "view=tree"));
}

static void test_too_long_names(void **state)
{
        char name[LONG + 1] = "";
        struct error err = {0};

        (void)state;
        memset(name, 'n', LONG);
        tarball_header("././@LongLink", 'L', LONG + 1);
        tarball_append(name, LONG + 1);
        tarball_header("file", '0', 0);
        assert_int_equal(shown(FILES / (1 + LONG / 128) + 1, &err), 0);
        assert_int_equal(err.code, E2BIG);
        err = (struct error){0};
        assert_int_equal(shown(1000, &err), 1000);
        assert_int_equal(err.code, 0);
}

static void test_headers_that_lie_close_together_take_few_reads(void **state)
{
        struct error err = {0};
        struct endless source;

        (void)state;
        tarball_member("file", "some text", 9);
        source = endless_of(10000);
        assert_int_equal(shown_of(&source, VIEW_TREE, &err), 10000);
        assert_in_range(source.reads, 1, 10000 / 20);
}

static void test_headers_far_apart_are_read_alone(void **state)
{
        struct error err = {0};
        struct endless source;

        (void)state;
        tarball_member("file", NULL, 1 << 20);
        source = endless_of(1000);
        assert_int_equal(shown_of(&source, VIEW_TREE, &err), 1000);
        assert_in_range(source.bytes, 1, 1000 * 2 * TARBALL_BLOCK);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_teardown(test_too_many_files, tarball_reset),
            cmocka_unit_test_teardown(test_too_long_names, tarball_reset),
            cmocka_unit_test_teardown(test_headers_that_lie_close_together_take_few_reads,
                                      tarball_reset),
            cmocka_unit_test_teardown(test_headers_far_apart_are_read_alone, tarball_reset),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
