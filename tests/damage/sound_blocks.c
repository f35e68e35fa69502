/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sound images that have one table of blocks, and which bytes of them decide on what: the header,
 * and of the table each entry by itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "tests/damage/sound.h"

static void govern(struct sound *s, size_t at, size_t len, size_t start, size_t size)
{
        size_t end = s->contents[0].bytes.len;

        if (start < end)
                sound_add_governor(s, &(struct governor){at, len, 0, start,
                                                         (size_t)min_u64(size, end - start), false,
                                                         0});
}

/* A table of entries of LEN bytes from AT on, each for BLOCK bytes of the disk. */
static void govern_table(struct sound *s, size_t at, size_t len, size_t block)
{
        for (size_t i = 0; i * block < s->contents[0].bytes.len; i++)
                govern(s, at + i * len, len, i * block, block);
}

/* A disk with whole blocks of BLOCK bytes that are holes, too, as FORMAT. */
static void make(struct sound *s, size_t size, const char *format, const char *options,
                 size_t block)
{
        struct bytes disk = sound_disk(size, 71);
        char name[32], command[200];

        s->unit = block;
        for (size_t at = block; at + block < size; at += 4 * block)
                memset(disk.data + at, 0, block);
        snprintf(name, sizeof name, "a.%s", format);
        snprintf(command, sizeof command, "qemu-img convert -f raw -O %s %s a.raw %s", format,
                 options, name);
        sound_add_file(s, name, sound_command(disk, command, name));
        sound_add(s, "disk-a.raw", disk);
}

void sound_vdi(struct sound *s, size_t size)
{
        make(s, 4 * size, "vdi", "", 1 << 20);
        govern(s, 0, 512, 0, SIZE_MAX);
        govern_table(s, load_le32(s->files[0].bytes.data + 0x154), 4, 1 << 20);
}

static uint32_t be32(const uint8_t *p)
{
        return load_be32(p);
}

/* The footer at the end governs all, as its copy and the header do. */
void sound_vhd(struct sound *s, size_t size)
{
        struct bytes file;

        make(s, 4 * size, "vpc", "-o force_size=on", 2 << 20);
        file = s->files[0].bytes;
        govern_table(s, be32(file.data + 512 + 20), 4, 2 << 20);
}

void sound_vhd_fixed(struct sound *s, size_t size)
{
        static const char *const command =
            "qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on a.raw a.vhd";
        struct bytes disk = sound_disk(size, 72);

        sound_add_file(s, "a.vhd", sound_command(disk, command, "a.vhd"));
        sound_add_linear(s, "disk-a.raw", disk, 0, 0);
}

/* Headers, regions and the log have checksums; metadata and the table have none. */
void sound_vhdx(struct sound *s, size_t size)
{
        enum { REGIONS = 192 << 10, METADATA = 128 << 10 };
        const uint8_t *regions;

        make(s, 4 * size, "vhdx", "-o block_size=1M", 1 << 20);
        regions = s->files[0].bytes.data + REGIONS + 16;
        for (int i = 0; i < 2; i++, regions += 32) {
                size_t at = (size_t)load_le64(regions + 16);

                if (regions[0] == 0x66)
                        govern_table(s, at, 8, 1 << 20);
                else
                        govern(s, at, METADATA, 0, SIZE_MAX);
        }
}

void sound_parallels(struct sound *s, size_t size)
{
        make(s, size, "parallels", "-o cluster_size=65536", 65536);
        govern(s, 0, 64, 0, SIZE_MAX);
        govern_table(s, 64, 4, 65536);
}

/* Nothing writes it any more. The chunks lie in reverse, and those of zeros are not there. */
void sound_fvd(struct sound *s, size_t size)
{
        enum { CHUNK = 65536, TABLE = 4608, DATA = 8192, AT_SIZE = 12, AT_METADATA = 20 };
        enum { AT_COMPACT = 2208, AT_TABLE = 2212, AT_CHUNK = 2220, AT_CLEAN = 4300 };
        static const uint8_t zeros[CHUNK];
        size_t chunks = (size + CHUNK - 1) / CHUNK;
        struct bytes disk = sound_disk(chunks * CHUNK, 73);
        struct bytes file = {.data = calloc(1, DATA + disk.len), .len = DATA};

        sound_require(file.data != NULL, "out of memory");
        for (size_t i = 2; i + 1 < chunks; i += 4)
                memset(disk.data + i * CHUNK, 0, CHUNK);
        store_le32(file.data, 0x5143f5a9);
        store_le32(file.data + 4, 1);
        store_le32(file.data + 8, 1);
        store_le64(file.data + AT_SIZE, disk.len);
        store_le64(file.data + AT_METADATA, DATA);
        store_le32(file.data + AT_COMPACT, 1);
        store_le64(file.data + AT_TABLE, TABLE);
        store_le64(file.data + AT_CHUNK, CHUNK);
        store_le32(file.data + AT_CLEAN, 1);
        for (size_t i = chunks; i-- > 0;) {
                const uint8_t *chunk = disk.data + i * CHUNK;
                bool hole = memcmp(chunk, zeros, CHUNK) == 0;

                store_le32(file.data + TABLE + 4 * i,
                           hole ? UINT32_MAX : (uint32_t)((file.len - DATA) / CHUNK));
                if (hole)
                        continue;
                memcpy(file.data + file.len, chunk, CHUNK);
                file.len += CHUNK;
        }
        s->unit = CHUNK;
        sound_add_file(s, "a.fvd", file);
        sound_add(s, "disk-a.raw", disk);
        govern(s, 0, TABLE, 0, SIZE_MAX);
        govern_table(s, TABLE, 4, CHUNK);
}

/* A disk as it is, which its name says. */
void sound_raw(struct sound *s, size_t size)
{
        struct bytes disk = sound_disk(size, 74);

        s->bare = true;
        sound_add_file(s, "a.img", sound_copy(disk));
        sound_add_linear(s, "disk-a.raw", disk, 0, 0);
}
