/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/vma_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/format.h"
#include "index/index.h"
#include "tests/vma_writer.h"

const uint8_t backup_uuid[16] = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0,
                                 1,    2,    3,    4,    5,    6,    7,    8};

struct backup backup_start(void)
{
        struct backup f = {.fd = memfd_create("archive", MFD_CLOEXEC)};

        assert_true(f.fd >= 0);
        snprintf(f.path, sizeof f.path, "/proc/self/fd/%d", f.fd);
        assert_int_equal(vma_writer_open(f.fd, backup_uuid, BACKUP_CTIME, &f.w), 0);
        return f;
}

void backup_device(struct backup *f, uint8_t id, const char *name, uint64_t size)
{
        assert_int_equal(vma_writer_device(f->w, id, name, size), 0);
}

void backup_header(struct backup *f)
{
        assert_int_equal(vma_writer_header(f->w, NULL), 0);
}

void backup_cluster(struct backup *f, uint8_t dev, uint32_t number, uint16_t mask)
{
        static uint8_t data[BACKUP_CLUSTER];

        vma_pattern(dev, number, data);
        assert_int_equal(vma_writer_cluster(f->w, dev, number, mask, data), 0);
}

void backup_finish(struct backup *f)
{
        assert_int_equal(vma_writer_close(f->w), 0);
        f->w = NULL;
}

int backup_open(struct backup *f, bool recover_zero)
{
        struct index_options options = {.recover_zero = recover_zero};

        if (f->w)
                backup_finish(f);
        f->err = (struct error){0};
        return index_open(f->path, &options, &f->index, &f->err);
}

struct disk *backup_scan(struct backup *f)
{
        assert_int_equal(backup_open(f, false), 0);
        assert_int_equal(index_scan(f->index, NULL, &f->err), 0);
        assert_true(index_sealed(f->index));
        return index_disk_count(f->index) ? index_disk(f->index, 0) : NULL;
}

void backup_end(struct backup *f)
{
        index_close(f->index);
        vma_writer_close(f->w);
        close(f->fd);
}

void backup_expect_pattern(struct disk *d, uint8_t dev, uint64_t pos)
{
        static uint8_t want[BACKUP_CLUSTER];
        uint8_t got[BACKUP_BLOCK];

        vma_pattern(dev, (uint32_t)(pos / BACKUP_CLUSTER), want);
        assert_int_equal(disk_read(d, got, BACKUP_BLOCK, pos), BACKUP_BLOCK);
        assert_memory_equal(got, want + pos % BACKUP_CLUSTER, BACKUP_BLOCK);
}

void backup_expect_zero(struct disk *d, uint64_t pos)
{
        static const uint8_t zero[BACKUP_BLOCK];
        uint8_t got[BACKUP_BLOCK];

        memset(got, 0xff, sizeof got);
        assert_int_equal(disk_read(d, got, BACKUP_BLOCK, pos), BACKUP_BLOCK);
        assert_memory_equal(got, zero, BACKUP_BLOCK);
}

void backup_expect_lost(struct disk *d, uint64_t pos)
{
        uint8_t got[BACKUP_BLOCK];

        assert_int_equal(disk_read(d, got, BACKUP_BLOCK, pos), -EIO);
}

void backup_expect_damage(const struct backup *f, uint64_t offset, const char *word)
{
        const struct index_damage *list;

        assert_true(index_damages(f->index, &list) > 0);
        assert_int_equal(list[0].offset, offset);
        assert_non_null(strstr(list[0].text, word));
}
