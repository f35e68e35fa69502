/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sound qcow2 and QED images, and which bytes of them decide on what: neither format has a checksum
 * of anything.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "tests/damage/sound.h"

enum {
        CLUSTER = 65536,
        QCOW2_L1 = 40,
        QCOW2_SNAPSHOTS = 64,
        QED_L1 = 40,
        CODED_BITS = 62 - (16 - 8), /* of a compressed cluster's offset, for clusters of 64 KiB */
};

#define ADDRESS_MASK UINT64_C(0x00fffffffffffe00)
#define COMPRESSED   (UINT64_C(1) << 62)

/* How to go through two levels of tables. */
struct tables {
        uint64_t (*load)(const void *p);
        size_t base; /* of the image in the file; what follows counts from it */
        size_t l1;
        size_t entries; /* of the second level */
};

static void govern(struct sound *s, size_t at, size_t len, unsigned content, size_t start,
                   size_t size, bool coded)
{
        size_t end = s->contents[content].bytes.len;

        if (start >= end)
                return;
        sound_add_governor(s, &(struct governor){at, len, content, start,
                                                 (size_t)min_u64(size, end - start), coded, 0});
}

static void govern_cluster(struct sound *s, size_t base, uint64_t entry, unsigned content,
                           size_t start)
{
        size_t at, sectors;

        if (!(entry & COMPRESSED))
                return;
        at = (size_t)(entry & ((UINT64_C(1) << CODED_BITS) - 1));
        sectors = (size_t)(entry >> CODED_BITS & 0xff) + 1;
        govern(s, base + at, sectors * SOUND_SECTOR - at % SOUND_SECTOR, content, start, CLUSTER,
               true);
}

static void walk(struct sound *s, const struct tables *t, unsigned content)
{
        const uint8_t *file = s->files[0].bytes.data + t->base;
        size_t size = s->contents[content].bytes.len, span = t->entries * CLUSTER;

        for (size_t i = 0; i * span < size; i++) {
                size_t l2 = (size_t)(t->load(file + t->l1 + 8 * i) & ADDRESS_MASK);

                govern(s, t->base + t->l1 + 8 * i, 8, content, i * span, span, false);
                for (size_t k = 0; l2 && k < t->entries && i * span + k * CLUSTER < size; k++) {
                        size_t at = l2 + 8 * k, start = i * span + k * CLUSTER;

                        govern(s, t->base + at, 8, content, start, CLUSTER, false);
                        govern_cluster(s, t->base, t->load(file + at), content, start);
                }
        }
}

static uint64_t be64(const void *p)
{
        return load_be64(p);
}

static uint64_t le64(const void *p)
{
        return load_le64(p);
}

static void walk_qcow2(struct sound *s, size_t base, unsigned content, size_t l1)
{
        const struct tables t = {be64, base, l1, CLUSTER / 8};

        /* Version, features, sizes, and where the tables are. */
        govern(s, base, 112, content, 0, SIZE_MAX, false);
        walk(s, &t, content);
}

void sound_govern_qcow2(struct sound *s, size_t base, unsigned content)
{
        walk_qcow2(s, base, content, (size_t)load_be64(s->files[0].bytes.data + base + QCOW2_L1));
}

static void make(struct sound *s, size_t size, const char *options)
{
        struct bytes disk = sound_disk(size, 61);
        char command[200];

        snprintf(command, sizeof command, "qemu-img convert -f raw -O qcow2 %s a.raw a.qcow2",
                 options);
        sound_add_file(s, "a.qcow2", sound_command(disk, command, "a.qcow2"));
        sound_govern_qcow2(s, 0, sound_add(s, "disk-a.raw", disk));
}

void sound_qcow2(struct sound *s, size_t size)
{
        make(s, size, "");
}

void sound_qcow2_deflate(struct sound *s, size_t size)
{
        make(s, size, "-c");
}

void sound_qcow2_zstd(struct sound *s, size_t size)
{
        make(s, size, "-c -o compression_type=zstd");
}

/* A snapshot, after which half of the disk was written to. */
void sound_qcow2_snapshot(struct sound *s, size_t size)
{
        struct bytes first = sound_disk(size, 62), second = sound_disk(size, 63);
        struct bytes both = {.data = malloc(2 * size), .len = 2 * size};
        char command[500];
        size_t table;

        sound_require(both.data != NULL, "out of memory");
        /* What is written is stored, zeros too: in each cluster something says where that is. */
        for (size_t at = 0; at < size; at += CLUSTER)
                store_le64(second.data + at, at + 1);
        memcpy(both.data, first.data, size);
        memcpy(both.data + size, second.data, size);
        snprintf(command, sizeof command,
                 "head -c %zu a.raw >first && tail -c %zu a.raw >second && "
                 "qemu-img convert -f raw -O qcow2 first a.qcow2 && "
                 "qemu-img snapshot -c one a.qcow2 && "
                 "qemu-io -c 'write -q -s second 0 %zu' a.qcow2",
                 size, size, size / 2);
        sound_add_file(s, "a.qcow2", sound_command(both, command, "a.qcow2"));
        free(both.data);
        /* qemu-io repeats the file from its beginning. */
        memcpy(second.data + size / 2, first.data + size / 2, size - size / 2);
        sound_govern_qcow2(s, 0, sound_add(s, "disk-a.raw", second));
        table = (size_t)load_be64(s->files[0].bytes.data + QCOW2_SNAPSHOTS);
        walk_qcow2(s, 0, sound_add(s, "snapshots/one/disk-a.raw", first),
                   (size_t)load_be64(s->files[0].bytes.data + table));
        govern(s, table, 80, 1, 0, SIZE_MAX, false);
}

/*
 * Version 1: small clusters, and compressed data byte after byte. QEMU says of those that it has
 * failed, after all was written.
 */
static void make_qcow(struct sound *s, size_t size, const char *options)
{
        enum { SMALL = 4096, ENTRIES = 512, LEN_BITS = 63 - 12 };
        struct bytes disk = sound_disk(size / SMALL * SMALL, 65);
        const uint8_t *file;
        char command[200];
        unsigned content;

        s->unit = SMALL;
        snprintf(command, sizeof command, "qemu-img convert -f raw -O qcow %s a.raw a.qcow || true",
                 options);
        sound_add_file(s, "a.qcow", sound_command(disk, command, "a.qcow"));
        content = sound_add(s, "disk-a.raw", disk);
        file = s->files[0].bytes.data;
        govern(s, 0, 48, content, 0, SIZE_MAX, false);
        for (size_t i = 0; i * ENTRIES * SMALL < size; i++) {
                size_t l1 = (size_t)load_be64(file + 40) + 8 * i, l2 = (size_t)load_be64(file + l1);

                govern(s, l1, 8, content, i * ENTRIES * SMALL, ENTRIES * SMALL, false);
                for (size_t k = 0; l2 && k < ENTRIES; k++) {
                        size_t start = (i * ENTRIES + k) * SMALL;
                        uint64_t entry = load_be64(file + l2 + 8 * k);

                        govern(s, l2 + 8 * k, 8, content, start, SMALL, false);
                        if (entry >> 63)
                                govern(s, (size_t)(entry & ((UINT64_C(1) << LEN_BITS) - 1)),
                                       (size_t)(entry >> LEN_BITS & (SMALL - 1)), content, start,
                                       SMALL, true);
                }
        }
}

void sound_qcow(struct sound *s, size_t size)
{
        make_qcow(s, size, "");
}

void sound_qcow_deflate(struct sound *s, size_t size)
{
        make_qcow(s, size, "-c");
}

void sound_qed(struct sound *s, size_t size)
{
        struct bytes disk = sound_disk(size, 64);
        unsigned content;
        struct tables t = {.load = le64, .entries = 4 * CLUSTER / 8};

        sound_add_file(s, "a.qed",
                       sound_command(disk, "qemu-img convert -f raw -O qed a.raw a.qed", "a.qed"));
        content = sound_add(s, "disk-a.raw", disk);
        t.l1 = (size_t)load_le64(s->files[0].bytes.data + QED_L1);
        govern(s, 0, 64, content, 0, SIZE_MAX, false);
        walk(s, &t, content);
}
