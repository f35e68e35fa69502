/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/ragged_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "index/index.h"
#include "tests/fixture_stream.h"
#include "tests/vma_writer.h"

enum { BLOCK = BACKUP_BLOCK, CLUSTER = BACKUP_CLUSTER, LENT = RAGGED_LENT };

static const uint16_t masks[RAGGED] = {
    0xffff, 0x0ff0, 0x00ff, 0,      0xfffe, 0x8001, 0x7f0f, 0xffff, 0xffff, 0,      0,      0,
    0xff00, 0x5555, 0x01ff, 0x0001, 0xffff, 0x8000, 0,      0x0100, 0xffff, 0xfe3f, 0xffff, 0xffff};

struct backup ragged_backup(void)
{
        struct backup f = backup_start();

        backup_device(&f, 1, "a", RAGGED_SIZE);
        backup_header(&f);
        for (uint32_t i = 0; i < RAGGED; i++)
                backup_cluster(&f, 1, i * 5 % RAGGED, masks[i * 5 % RAGGED]);
        backup_finish(&f);
        return f;
}

struct backup ragged_alike(uint16_t mask, uint32_t count)
{
        struct backup f = backup_start();

        backup_device(&f, 1, "a", (uint64_t)count * CLUSTER);
        backup_header(&f);
        for (uint32_t i = 0; i < count; i++)
                backup_cluster(&f, 1, i, mask);
        return f;
}

struct backup ragged_gap(void)
{
        struct backup f = backup_start();

        backup_device(&f, 1, "a", 3 * CLUSTER);
        backup_header(&f);
        backup_cluster(&f, 1, 2, 0xffff);
        backup_cluster(&f, 1, 0, 0xffff);
        backup_finish(&f);
        return f;
}

static void replace(struct backup *f, struct bytes content)
{
        assert_int_equal(ftruncate(f->fd, 0), 0);
        assert_int_equal(pwrite(f->fd, content.data, content.len, 0), content.len);
}

void ragged_compress(struct backup *f, const char *command)
{
        struct bytes plain, packed;

        if (f->w)
                backup_finish(f);
        plain = fixture_file(f->path);
        packed = fixture_pipe(plain, command);
        replace(f, packed);
        free(plain.data);
        free(packed.data);
}

struct disk *ragged_scan_recovering(struct backup *f)
{
        assert_int_equal(backup_open(f, true), 0);
        assert_int_equal(index_scan(f->index, NULL, &f->err), 0);
        return index_disk(f->index, 0);
}

void ragged_ranges(struct disk *d, void (*check)(struct disk *d, uint64_t at, size_t len))
{
        static const size_t lens[] = {1,         511,         BLOCK - 1,   BLOCK,
                                      BLOCK + 1, LENT - 1,    LENT,        LENT + 1,
                                      CLUSTER,   CLUSTER + 1, 3 * CLUSTER, 12 * CLUSTER};
        uint64_t seed = 9;

        for (uint64_t at = 0; at < d->size; at += 3 * BLOCK)
                for (int64_t off = -1; off <= 1; off++)
                        for (size_t i = 0; i < sizeof lens / sizeof *lens; i++)
                                if (at + (uint64_t)off + lens[i] <= d->size && (at > 0 || off >= 0))
                                        check(d, at + (uint64_t)off, lens[i]);
        for (unsigned i = 0; i < 500; i++) {
                uint64_t at = fixture_random(&seed) % d->size;

                check(d, at, 1 + (size_t)(fixture_random(&seed) % (d->size - at)));
        }
        check(d, 0, d->size);
        check(d, d->size - 1, 1);
        check(d, d->size - CLUSTER - 5, CLUSTER + 5);
}
