/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/vmdk_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "index/index.h"

const uint8_t *vmdk_pattern(uint64_t number)
{
        static uint8_t data[VMDK_GRAIN];

        for (size_t i = 0; i < sizeof data; i += 8)
                store_le64(data + i, number << 32 | i);
        return data;
}

struct vmdk_image vmdk_small(bool stream)
{
        struct vmdk_image v = vmdk_start(stream, VMDK_SPAN + 100 * (uint64_t)VMDK_GRAIN);

        vmdk_grain(&v, 0, vmdk_pattern(0));
        vmdk_grain(&v, 3, vmdk_pattern(3));
        vmdk_grain(&v, 1, vmdk_pattern(1));
        vmdk_grain(&v, 4, NULL);
        vmdk_grain(&v, 600, vmdk_pattern(600));
        vmdk_finish(&v);
        return v;
}

struct image vmdk_scanned_bytes(const void *data, size_t len)
{
        struct image m = image_scanned(data, len);

        assert_int_equal(index_disk_count(m.index), 1);
        return m;
}

struct image vmdk_scanned(const struct vmdk_image *v)
{
        return vmdk_scanned_bytes(v->file.data, v->file.len);
}

void vmdk_expect_grain(const struct image *m, uint64_t number)
{
        uint8_t buffer[VMDK_GRAIN];
        ssize_t n = disk_read(m->disk, buffer, VMDK_GRAIN, number * VMDK_GRAIN);

        assert_int_equal(n, VMDK_GRAIN);
        assert_memory_equal(buffer, vmdk_pattern(number), VMDK_GRAIN);
}

void vmdk_expect_zeros(const struct image *m, uint64_t number)
{
        uint8_t buffer[VMDK_GRAIN];

        assert_int_equal(disk_read(m->disk, buffer, VMDK_GRAIN, number * VMDK_GRAIN), VMDK_GRAIN);
        for (size_t i = 0; i < VMDK_GRAIN; i++)
                assert_int_equal(buffer[i], 0);
}

void vmdk_expect_lost(const struct image *m, uint64_t number)
{
        uint8_t buffer[VMDK_BLOCK];

        assert_int_equal(disk_read(m->disk, buffer, VMDK_BLOCK, number * VMDK_GRAIN), -EIO);
}

void vmdk_expect_small(const struct image *m)
{
        vmdk_expect_grain(m, 0);
        vmdk_expect_grain(m, 1);
        vmdk_expect_zeros(m, 2);
        vmdk_expect_grain(m, 3);
        vmdk_expect_zeros(m, 4);
        vmdk_expect_grain(m, 600);
        vmdk_expect_zeros(m, 599);
}
