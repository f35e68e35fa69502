/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a disk: each partition is a range of it, whatever the table says. The first byte
 * says whether the checksums of a GPT are made right, so that what they cover is looked at.
 */
#include <string.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/inside/filesystem.h"
#include "archive/inside/part_volume.h"
#include "archive/inside/partitions.h"
#include "archive/volume.h"
#include "tests/fuzz/fuzz.h"

struct disk {
        struct volume base;
        const uint8_t *bytes;
};

static int disk_extent(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        fuzz_require(len > 0 && range_within(pos, len, v->size));
        *out = (struct volume_extent){.len = len, .kind = VOLUME_CODED};
        return 0;
}

static int disk_read(struct volume *v, void *buf, size_t len, uint64_t pos)
{
        fuzz_require(range_within(pos, len, v->size));
        memcpy(buf, ((struct disk *)v)->bytes + pos, len);
        return 0;
}

static const struct volume_ops disk_ops = {.extent = disk_extent, .read = disk_read};

/* Make the checksums right of the copy whose header is at AT, of sectors of SECTOR bytes. */
static void make_right(uint8_t *bytes, size_t size, uint64_t at, unsigned sector)
{
        uint64_t len, entries;
        uint8_t *h;

        if (!range_within(at, sector, size))
                return;
        h = bytes + at;
        len = (uint64_t)load_le32(h + 80) * load_le32(h + 84);
        if (checked_mul(load_le64(h + 72), sector, &entries) && range_within(entries, len, size))
                store_le32(h + 88, checksum_crc32(bytes + entries, len));
        if (load_le32(h + 12) > sector)
                return;
        store_le32(h + 16, 0);
        store_le32(h + 16, checksum_crc32(h, load_le32(h + 12)));
}

static void check_partition(struct disk *d, const struct partition *p)
{
        struct part_volume v;
        const char *name;
        uint8_t byte;

        fuzz_require(memchr(p->name, '\0', sizeof p->name));
        fuzz_require(memchr(p->type, '\0', sizeof p->type));
        fuzz_require(p->len == 0 || range_within(p->start, p->len, d->base.size));
        if (p->len == 0)
                return;
        part_volume_init(&v, &d->base, p->start, p->len);
        fuzz_require(volume_read(&v.base, &byte, 1, p->len - 1) == 0);
        fuzz_require(byte == d->bytes[p->start + p->len - 1]);
        fuzz_require(filesystem_look(&v.base, &name) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct partition_table t;
        struct disk d = {.base = {.ops = &disk_ops}};
        uint8_t *bytes;

        if (size < 1 || !(bytes = malloc(size)))
                return 0;
        memcpy(bytes, data + 1, size - 1);
        d.base.size = size - 1;
        d.bytes = bytes;
        if (data[0] & 1) {
                make_right(bytes, size - 1, 512, 512);
                make_right(bytes, size - 1, (size - 1) / 512 * 512 - 512, 512);
        }
        if (data[0] & 2)
                make_right(bytes, size - 1, 4096, 4096);
        fuzz_require(partition_table_read(&d.base, &t, NULL) == 0);
        fuzz_require(t.list.count <= PARTITIONS_MAX);
        for (size_t i = 0; i < t.list.count; i++)
                check_partition(&d, &t.list.items[i]);
        partition_table_free(&t);
        free(bytes);
        return 0;
}
