/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sound VMDK images, of one file and of several. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "tests/damage/sound.h"
#include "tests/fixtures/esx_writer.h"
#include "tests/fixtures/vmdk_writer.h"

struct bytes sound_vmdk_file(struct bytes raw, bool stream)
{
        static const uint8_t zeros[VMDK_GRAIN];
        struct vmdk_image v = vmdk_start(stream, raw.len);
        struct bytes file;

        for (size_t i = 0; i < v.count; i++) {
                uint8_t grain[VMDK_GRAIN] = {0};
                size_t at = i * VMDK_GRAIN;

                memcpy(grain, raw.data + at, (size_t)min_u64(VMDK_GRAIN, raw.len - at));
                if (memcmp(grain, zeros, sizeof grain) != 0)
                        vmdk_grain(&v, i, grain);
        }
        vmdk_finish(&v);
        file = v.file;
        v.file.data = NULL;
        vmdk_free(&v);
        return file;
}

/* A disk with whole grains that are holes, too. */
static struct bytes disk_with_holes(size_t size, uint64_t seed)
{
        struct bytes disk = sound_disk(size, seed);

        for (size_t grain = 3; (grain + 1) * VMDK_GRAIN < size; grain += 7)
                memset(disk.data + grain * VMDK_GRAIN, 0, VMDK_GRAIN);
        return disk;
}

static void make(struct sound *s, size_t size, bool stream)
{
        struct bytes disk = disk_with_holes(size, 51);

        sound_add_file(s, "a.vmdk", sound_vmdk_file(disk, stream));
        sound_add(s, "disk-a.raw", disk);
}

void sound_vmdk_stream(struct sound *s, size_t size)
{
        make(s, size, true);
}

void sound_vmdk_sparse(struct sound *s, size_t size)
{
        make(s, size, false);
}

static void make_by_qemu(struct sound *s, size_t size, const char *subformat)
{
        struct bytes disk = disk_with_holes(size, 52);
        char command[200];

        snprintf(command, sizeof command,
                 "qemu-img convert -f raw -O vmdk -o subformat=%s a.raw a.vmdk", subformat);
        sound_add_file(s, "a.vmdk", sound_command(disk, command, "a.vmdk"));
        sound_add(s, "disk-a.raw", disk);
}

void sound_vmdk_stream_qemu(struct sound *s, size_t size)
{
        make_by_qemu(s, size, "streamOptimized");
}

void sound_vmdk_sparse_qemu(struct sound *s, size_t size)
{
        make_by_qemu(s, size, "monolithicSparse");
}

static void add_descriptor(struct sound *s, const char *type, const char *lines)
{
        struct bytes text = {.data = malloc(1000)};

        sound_require(text.data != NULL, "out of memory");
        text.len = (size_t)snprintf((char *)text.data, 1000,
                                    "# Disk DescriptorFile\nversion=1\nCID=12345678\n"
                                    "parentCID=ffffffff\ncreateType=\"%s\"\n\n%s\n"
                                    "ddb.adapterType = \"lsilogic\"\n",
                                    type, lines);
        sound_add_file(s, "a.vmdk", text);
}

/* The descriptor, which is text without a checksum, decides on all of the disk. */
static void govern_all(struct sound *s)
{
        sound_add_governor(s, &(struct governor){.len = s->files[0].bytes.len, .size = SIZE_MAX});
}

static struct bytes part_of(struct bytes disk, size_t at, size_t len)
{
        return sound_copy((struct bytes){disk.data + at, len});
}

void sound_vmdk_split(struct sound *s, size_t size)
{
        static const char *const command =
            "qemu-img convert -f raw -O vmdk -o subformat=twoGbMaxExtentSparse a.raw p.vmdk";
        size_t half = size / 2 / VMDK_GRAIN * VMDK_GRAIN;
        struct bytes disk = disk_with_holes(2 * half, 53);
        char lines[200];

        snprintf(lines, sizeof lines,
                 "RW %zu SPARSE \"a-s001.vmdk\"\nRW %zu SPARSE \"a-s002.vmdk\"\n",
                 half / SOUND_SECTOR, half / SOUND_SECTOR);
        add_descriptor(s, "twoGbMaxExtentSparse", lines);
        for (int i = 0; i < 2; i++) {
                struct bytes part = part_of(disk, (size_t)i * half, half);
                char name[32];

                snprintf(name, sizeof name, "a-s%03d.vmdk", i + 1);
                sound_add_file(s, name, sound_command(part, command, "p-s001.vmdk"));
                free(part.data);
        }
        sound_add(s, "disk-a.raw", disk);
        govern_all(s);
}

void sound_vmdk_flat(struct sound *s, size_t size)
{
        size_t first = size / 3 / SOUND_SECTOR * SOUND_SECTOR;
        struct bytes disk = disk_with_holes(size, 54);
        char lines[200];

        snprintf(lines, sizeof lines,
                 "RW %zu FLAT \"a-f001.vmdk\" 0\nRW %zu FLAT \"a-f002.vmdk\" 0\n",
                 first / SOUND_SECTOR, (size - first) / SOUND_SECTOR);
        add_descriptor(s, "twoGbMaxExtentFlat", lines);
        sound_add_file(s, "a-f001.vmdk", part_of(disk, 0, first));
        sound_add_file(s, "a-f002.vmdk", part_of(disk, first, size - first));
        sound_add_linear(s, "disk-a.raw", disk, 1, 0);
        govern_all(s);
        /* Its second part begins another file. */
        for (size_t at = first; at < size; at += SOUND_SECTOR)
                s->contents[0].places[at / SOUND_SECTOR][0] = (struct place_of){2, at - first};
}

/* ---- ESX's own ---- */

static void govern(struct sound *s, unsigned file, size_t at, size_t len, size_t start, size_t size)
{
        sound_add_governor(
            s,
            &(struct governor){.file = file, .at = at, .len = len, .start = start, .size = size});
}

/* Its header, of which nothing else has a copy, decides on what the tables mean. */
void sound_vmdk_cowd(struct sound *s, size_t size)
{
        const struct esx_wish wish = {.grain = SE_GRAIN / ESX_SECTOR, .seed = 55};
        struct bytes disk = disk_with_holes(size, 55);

        s->unit = SE_GRAIN;
        sound_add_file(s, "a.vmdk", esx_write(disk, &wish).bytes);
        sound_add(s, "disk-a.raw", disk);
        govern(s, 0, 0, ESX_SECTOR, 0, SIZE_MAX);
}

/* Nothing says which grains are in use but the tables, and of each grain one entry. */
void sound_vmdk_sesparse(struct sound *s, size_t size)
{
        const struct esx_wish wish = {.sesparse = true, .seed = 56};
        struct bytes disk = disk_with_holes(size, 56);
        struct esx_file delta = esx_write(disk, &wish);
        char line[80];

        sound_require(size <= ESX_ENTRIES * SE_GRAIN, "a disk of more than one table");
        s->unit = SE_GRAIN;
        snprintf(line, sizeof line, "RW %zu SESPARSE \"a-delta.vmdk\"\n", size / SOUND_SECTOR);
        add_descriptor(s, "seSparse", line);
        sound_add_file(s, "a-delta.vmdk", delta.bytes);
        sound_add(s, "disk-a.raw", disk);
        govern_all(s);
        govern(s, 1, 0, ESX_SECTOR, 0, SIZE_MAX);
        govern(s, 1, SE_DIRECTORY, 8, 0, SIZE_MAX);
        for (size_t i = 0; i * SE_GRAIN < size; i++)
                govern(s, 1, delta.tables + 8 * i, 8, i * SE_GRAIN, SE_GRAIN);
}
