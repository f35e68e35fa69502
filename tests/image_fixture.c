/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/image_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/format.h"
#include "index/index.h"

struct image image_new(void)
{
        struct image m = {.fd = memfd_create("image", MFD_CLOEXEC)};

        assert_true(m.fd >= 0);
        snprintf(m.path, sizeof m.path, "/proc/self/fd/%d", m.fd);
        return m;
}

void image_end(struct image *m)
{
        index_close(m->index);
        close(m->fd);
}

int image_open(struct image *m, const void *data, size_t len)
{
        struct index_options options = {0};

        assert_int_equal(pwrite(m->fd, data, len, 0), (ssize_t)len);
        return index_open(m->path, &options, &m->index, &m->err);
}

void image_scan(struct image *m, const void *data, size_t len)
{
        if (image_open(m, data, len) < 0)
                fail_msg("%s", m->err.text);
        assert_int_equal(index_scan(m->index, NULL, &m->err), 0);
        m->disk = index_disk_count(m->index) ? index_disk(m->index, 0) : NULL;
}

struct image image_scanned(const void *data, size_t len)
{
        struct image m = image_new();

        image_scan(&m, data, len);
        return m;
}

void image_expect_refused(const void *data, size_t len, int code, const char *word)
{
        struct image m = image_new();

        assert_int_equal(image_open(&m, data, len), -code);
        if (!strstr(m.err.text, word))
                fail_msg("'%s' does not say '%s'", m.err.text, word);
        image_end(&m);
}

bool image_damage_says(const struct image *m, const char *word)
{
        const struct index_damage *list;
        size_t n = index_damages(m->index, &list);

        for (size_t i = 0; i < n; i++)
                if (strstr(list[i].text, word))
                        return true;
        return false;
}
