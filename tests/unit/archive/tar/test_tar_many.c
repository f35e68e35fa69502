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
};

static ssize_t endless_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        const struct endless *e = (const struct endless *)s;
        char *out = buf;

        for (size_t done = 0; done < len;) {
                size_t at = (size_t)((offset + done) % e->len), n = e->len - at;

                n = n < len - done ? n : len - done;
                memcpy(out + done, e->period + at, n);
                done += n;
        }
        return (ssize_t)len;
}

static const struct source_ops endless_ops = {.name = "endless", .pread = endless_pread};

static int count_entry(void *ctx, const struct entry *e)
{
        (void)e;
        ++*(size_t *)ctx;
        return 0;
}

/* MEMBERS of what the tarball holds, which is then emptied. Returns how many were shown. */
static size_t shown(size_t members, struct error *err)
{
        struct endless source = {.base = {.ops = &endless_ops, .size = members * tarball.len},
                                 .period = tarball.data,
                                 .len = tarball.len};
        const struct archive_origin origin = {.name = "a.tar"};
        size_t entries = 0;
        const struct archive_sink sink = {.ctx = &entries, .entry = count_entry};
        struct archive *a = NULL;
        int rc = archive_open(&source.base, &origin, &sink, &a, err);

        assert_int_equal(rc, -err->code);
        archive_close(a);
        return entries;
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

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_teardown(test_too_many_files, tarball_reset),
            cmocka_unit_test_teardown(test_too_long_names, tarball_reset),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
