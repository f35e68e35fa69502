/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/inside/filesystem.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/volume.h"

struct mark {
        const char *name;
        uint32_t offset; /* bytes into the volume */
        uint8_t len;
        const char *bytes;
};

#define MARK(name, offset, bytes)                                                                  \
        {                                                                                          \
                name, offset, sizeof(bytes) - 1, bytes                                             \
        }

/*
 * What encloses others comes first. A file system that was made over another one leaves marks of
 * that: those that are far from the beginning come last.
 */
static const struct mark marks[] = {
    MARK("crypto_LUKS", 0, "LUKS\xba\xbe"),
    MARK("BitLocker", 3, "-FVE-FS-"),
    MARK("LVM2_member", 512 + 24, "LVM2 001"),
    MARK("LVM2_member", 24, "LVM2 001"),
    MARK("LVM2_member", 1024 + 24, "LVM2 001"),
    MARK("LVM2_member", 1536 + 24, "LVM2 001"),
    MARK("linux_raid_member", 4096, "\xfc\x4e\x2b\xa9"),
    MARK("linux_raid_member", 0, "\xfc\x4e\x2b\xa9"),
    MARK("xfs", 0, "XFSB"),
    MARK("ntfs", 3, "NTFS    "),
    MARK("exfat", 3, "EXFAT   "),
    MARK("ReFS", 3, "ReFS\0\0\0\0"),
    MARK("squashfs", 0, "hsqs"),
    MARK("vfat", 82, "FAT32   "),
    MARK("vfat", 54, "FAT16   "),
    MARK("vfat", 54, "FAT12   "),
    MARK("vfat", 54, "FAT     "),
    MARK("apfs", 32, "NXSB"),
    MARK("f2fs", 1024, "\x10\x20\xf5\xf2"),
    MARK("ext", 1024 + 56, "\x53\xef"),
    MARK("hfsplus", 1024, "H+\0\4"),
    MARK("swap", 4096 - 10, "SWAPSPACE2"),
    MARK("swap", 16384 - 10, "SWAPSPACE2"),
    MARK("swap", 65536 - 10, "SWAPSPACE2"),
    MARK("btrfs", 65536 + 64, "_BHRfS_M"),
    MARK("iso9660", 32768 + 1, "CD001"),
};

/* A ZFS label has these from 128 KiB on, of 1 KiB at least. */
enum { UBERBLOCKS = 131072, UBERBLOCK = 1024, UBERBLOCK_COUNT = 128 };
#define UBERBLOCK_MAGIC UINT64_C(0x00bab10c)

/* What of it is past the end reads as something that is no mark. */
static int read_at(struct volume *v, void *buf, size_t len, uint64_t pos)
{
        memset(buf, 0, len);
        return range_within(pos, len, v->size) ? volume_read(v, buf, len, pos) : 0;
}

/* By the features in the superblock, as libblkid tells them apart. */
static int name_ext(struct volume *v, const char **out)
{
        enum { JOURNAL = 4, JOURNAL_DEVICE = 8, EXT3_INCOMPAT = 0x16, EXT3_RO_COMPAT = 7 };
        uint8_t features[12];
        int rc = read_at(v, features, sizeof features, 1024 + 92);
        uint32_t compat = load_le32(features), incompat = load_le32(features + 4);
        uint32_t ro_compat = load_le32(features + 8);

        *out = "ext2";
        if (incompat & JOURNAL_DEVICE)
                *out = "jbd";
        else if ((incompat & ~(uint32_t)EXT3_INCOMPAT) || (ro_compat & ~(uint32_t)EXT3_RO_COMPAT))
                *out = "ext4";
        else if (compat & JOURNAL)
                *out = "ext3";
        return rc;
}

static int find_zfs(struct volume *v, const char **out)
{
        int rc = 0;

        for (unsigned i = 0; i < UBERBLOCK_COUNT && rc == 0 && !*out; i++) {
                uint8_t magic[8];

                rc = read_at(v, magic, sizeof magic, UBERBLOCKS + (uint64_t)i * UBERBLOCK);
                if (load_le64(magic) == UBERBLOCK_MAGIC || load_be64(magic) == UBERBLOCK_MAGIC)
                        *out = "zfs_member";
        }
        return rc;
}

/* Does V have the mark M? 1, 0 or -errno. */
static int has_mark(struct volume *v, const struct mark *m)
{
        uint8_t bytes[16];
        int rc = read_at(v, bytes, m->len, m->offset);

        if (rc < 0)
                return rc;
        return memcmp(bytes, m->bytes, m->len) == 0;
}

int filesystem_look(struct volume *v, const char **out)
{
        int lost = 0, rc;

        *out = NULL;
        for (size_t i = 0; i < sizeof marks / sizeof *marks && !*out; i++) {
                rc = has_mark(v, &marks[i]);
                /* What is lost does not stand in the way of a mark that is there. */
                if (rc < 0 && rc != -EIO)
                        return rc;
                lost = rc < 0 ? rc : lost;
                if (rc == 1)
                        *out = marks[i].name;
        }
        if (*out && strcmp(*out, "ext") == 0)
                return name_ext(v, out);
        if (*out)
                return 0;
        rc = find_zfs(v, out);
        return rc == 0 && !*out ? lost : rc;
}
