/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/foreign.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/probe.h"
#include "archive/source/source.h"

enum {
        HEAD_SIZE = 68 * 1024, /* up to the magic number of Btrfs */
        TEXT_MIN = 8,
        TEXT_SIZE = 4096, /* so much has to be text for a file to be one */
};

#define DECOMPRESS(program) program " decompresses it"
#define WITHOUT(package)    "install " package " and build vmafs again, or "
#ifdef VMAFS_XZ
#define XZ DECOMPRESS("xz -d")
#else
#define XZ WITHOUT("liblzma-dev") DECOMPRESS("xz -d")
#endif
#ifdef VMAFS_BZIP2
#define BZIP2 DECOMPRESS("bzip2 -d")
#else
#define BZIP2 WITHOUT("libbz2-dev") DECOMPRESS("bzip2 -d")
#endif
#ifdef VMAFS_LZ4
#define LZ4 DECOMPRESS("lz4 -d")
#else
#define LZ4 WITHOUT("liblz4-dev") DECOMPRESS("lz4 -d")
#endif
#define LOOP        "mount -o ro,loop mounts it"
#define VMSS        "the state of a machine of VMware"
#define VMSS_DISKS  "its disks are in the .vmdk beside it"
#define PBS         "a file of a Proxmox Backup Server's datastore"
#define PBS_RESTORE "proxmox-backup-client restore gets back what it belongs to"

struct kind {
        const char *name, *advice;
};

/* What a file is by what it has at one place. */
struct signature {
        uint32_t offset;
        uint8_t len;
        const char *magic;
        struct kind kind;
};

static const struct signature signatures[] = {
    {0, 6, "\xfd\x37zXZ\0", {"compressed with xz", XZ}},
    {0, 3, "BZh", {"compressed with bzip2", BZIP2}},
    {0, 4, "\x04\x22\x4d\x18", {"compressed with lz4", LZ4}},
    {0, 4, "\x02\x21\x4c\x18", {"compressed with lz4", LZ4}},
    {0, 4, "LZIP", {"compressed with lzip", DECOMPRESS("lzip -d")}},
    {0, 4, "LRZI", {"compressed with lrzip", DECOMPRESS("lrzip -d")}},
    {0, 2, "\x1f\x9d", {"compressed with compress", DECOMPRESS("gzip -d")}},
    {0, 10, "\xff\x06\0\0sNaPpY", {"compressed with snappy", DECOMPRESS("snzip -d")}},
    {0, 5, "BZ3v1", {"compressed with bzip3", DECOMPRESS("bzip3 -d")}},
    {0, 6, "7z\xbc\xaf\x27\x1c", {"a 7z archive", "7z x unpacks it"}},
    {0, 4, "PK\x03\x04", {"a zip archive", "unzip unpacks it"}},
    {0, 4, "PK\x05\x06", {"a zip archive without files", "was it made completely?"}},
    {0, 4, "PK\x07\x08", {"a part of a zip archive", "unzip unpacks all of it"}},
    {0, 6, "Rar!\x1a\x07", {"a rar archive", "unrar x unpacks it"}},
    {0, 6, "070701", {"a cpio archive", "cpio -id unpacks it"}},
    {0, 6, "070702", {"a cpio archive", "cpio -id unpacks it"}},
    {0, 6, "070707", {"a cpio archive", "cpio -id unpacks it"}},
    {0, 21, "!<arch>\ndebian-binary", {"a Debian package", "dpkg-deb -x unpacks it"}},
    {0, 8, "!<arch>\n", {"an ar archive", "ar x unpacks it"}},
    {0, 4, "\xed\xab\xee\xdb", {"an RPM package", "rpm2archive makes a tar of it"}},
    {0, 4, "xar!", {"a xar archive", "xar -x unpacks it"}},
    {0, 8, "\x0d\xa4\xf1\xdf\x75\x6c\x0f\x73", {"a pxar archive", "pxar extract unpacks it"}},
    {0, 8, "\xef\xac\x88\xe5\x74\x64\x95\xd5", {"a pxar archive", "pxar extract unpacks it"}},
    {0, 8, "MSWIM\0\0\0", {"a WIM image", "wimlib-imagex unpacks it"}},
    {0, 7, "EVF\x09\x0d\x0a\xff", {"an EWF image", "ewfmount shows its disk"}},
    {0, 15, "partclone-image", {"an image of partclone", "partclone.restore restores it"}},
    {0, 16, "PaRtImAgE-VoLuMe", {"an image of partimage", "partimage restores it"}},
    {0, 8, "AFF10\r\n\0", {"an AFF image", "affuse shows its disk"}},
    {0, 22, "Bochs Virtual HD Image", {"an image of Bochs", "qemu-img convert reads it"}},
    {0, 23, "#!/bin/sh\n#V2.0 Format\n", {"a cloop image", "qemu-img convert -f cloop reads it"}},
    {0, 4, "\xd0\xbe\xd2\xbe", {VMSS, VMSS_DISKS}},
    {0, 4, "\xd1\xba\xd1\xba", {VMSS, VMSS_DISKS}},
    {0, 4, "\xd2\xbe\xd2\xbe", {VMSS, VMSS_DISKS}},
    {0, 4, "\xd3\xbe\xd3\xbe", {VMSS, VMSS_DISKS}},
    {3, 8, "-FVE-FS-", {"a disk encrypted with BitLocker", "cryptsetup open --readonly opens it"}},
    {0, 8, "Salted__", {"encrypted with openssl enc", "decrypt it first"}},
    {0, 21, "age-encryption.org/v1", {"encrypted with age", "age -d decrypts it"}},
    {0, 14, "-----BEGIN PGP", {"encrypted or signed with PGP", "gpg -d decrypts it"}},
    {0, 3, "\x8c\x0d\x04", {"encrypted with PGP", "gpg -d decrypts it"}},
    {0, 3, "\x84\x5e\x03", {"encrypted with PGP", "gpg -d decrypts it"}},
    {0, 4, "\x85\x01\x0c\x03", {"encrypted with PGP", "gpg -d decrypts it"}},
    {0, 4, "\x85\x02\x0c\x03", {"encrypted with PGP", "gpg -d decrypts it"}},
    {0, 6, "LUKS\xba\xbe", {"an encrypted disk (LUKS)", "cryptsetup open --readonly opens it"}},
    {0, 8, "\x42\xab\x38\x07\xbe\x83\x70\xa1", {PBS " (a blob or a chunk)", PBS_RESTORE}},
    {0, 8, "\x31\xb9\x58\x42\x6f\xb6\xa3\x7f", {PBS " (a blob or a chunk)", PBS_RESTORE}},
    {0, 8, "\x7b\x67\x85\xbe\x22\x2d\x4c\xf0", {PBS " (encrypted)", PBS_RESTORE}},
    {0, 8, "\xe6\x59\x1b\xbf\x0b\xbf\xd8\x0b", {PBS " (encrypted)", PBS_RESTORE}},
    {0, 8, "\x2f\x7f\x41\xed\x91\xfd\x0f\xcd", {PBS " (an index)", PBS_RESTORE}},
    {0, 8, "\x1c\x91\x4e\xa5\x19\xba\xb3\xcd", {PBS " (an index)", PBS_RESTORE}},
    {0, 8, "VMAFSIDX", {"an index of vmafs", "the archive that it is of can be mounted"}},
};

/* As they are, nothing is gained by showing them: a mount shows more. */
static const struct signature discs[] = {
    {32769, 5, "CD001", {"a CD or DVD image (ISO 9660)", LOOP}},
    {32769, 5, "BEA01", {"a DVD image (UDF)", LOOP}},
};

/* Disks as they are, and partitions of one. */
static const struct signature file_systems[] = {
    {0, 4, "XFSB", {"an XFS file system", "mount -o ro,loop,norecovery mounts it"}},
    {3, 8, "NTFS    ", {"an NTFS file system", LOOP}},
    {3, 8, "EXFAT   ", {"an exFAT file system", LOOP}},
    {54, 5, "FAT12", {"a FAT file system", LOOP}},
    {54, 5, "FAT16", {"a FAT file system", LOOP}},
    {82, 5, "FAT32", {"a FAT file system", LOOP}},
    {0, 4, "hsqs", {"a squashfs file system", LOOP}},
    {65600, 8, "_BHRfS_M", {"a Btrfs file system", LOOP}},
    {512, 8, "LABELONE", {"a physical volume of LVM", "losetup -r shows it to LVM"}},
    {1024, 4, "\x10\x20\xf5\xf2", {"an F2FS file system", LOOP}},
    {1024, 4, "H+\0\4", {"an HFS+ file system", LOOP}},
    {1024, 4, "\xe2\xe1\xf5\xe0", {"an EROFS file system", LOOP}},
    {0, 4, "\x45\x3d\xcd\x28", {"a cramfs file system", LOOP}},
    {3, 8, "ReFS\0\0\0\0", {"a ReFS file system", "Windows mounts it"}},
    {32768, 4, "JFS1", {"a JFS file system", LOOP}},
    {65588, 6, "ReIsEr", {"a ReiserFS file system", LOOP}},
    {66908, 4, "\x19\x01\x54\x19", {"a UFS file system", LOOP}},
    {4086, 10, "SWAPSPACE2", {"a swap area", "losetup -r shows it"}},
    {4096,
     4,
     "\xfc\x4e\x2b\xa9",
     {"a part of a Linux RAID", "mdadm --assemble --readonly shows it"}},
    {4120,
     16,
     "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef",
     {"a bcachefs file system", LOOP}},
    {32, 4, "NXSB", {"an APFS container", "losetup -r shows it to apfs-fuse"}},
};

static const struct kind disk = {"a disk with a partition table",
                                 "losetup -r -P shows its partitions"};
static const struct kind boot = {"a boot sector", LOOP};
static const struct kind lzma = {"compressed with LZMA alone", DECOMPRESS("xz -d")};
static const struct kind ext = {"an ext2, ext3 or ext4 file system",
                                "mount -o ro,loop,noload mounts it"};
static const struct kind dmg = {"a disk image of macOS (DMG)", "qemu-img convert -f dmg reads it"};
static const struct kind log_text = {"a log of vzdump", "the archive lies beside it"};
static const struct kind xml = {"an XML text", "an OVF's disks are in the .vmdk beside it"};
static const struct kind text = {"a text", "is it the notes or the log of an archive?"};
static const struct kind zeros = {"zeros from its beginning on", "was it copied completely?"};

static const struct kind *find_signature(const struct probe *p, const struct signature *list,
                                         size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (probe_has(p, list[i].offset, list[i].magic, list[i].len))
                        return &list[i].kind;
        return NULL;
}

/* It has no magic number: the usual properties, a dictionary's size, and that of the contents. */
static bool is_lzma(const struct probe *p)
{
        uint32_t dictionary = load_le32(p->head + 1);
        uint64_t size = load_le64(p->head + 5);

        return p->head[0] == 0x5d && dictionary >= 4096 && (dictionary & (dictionary - 1)) == 0 &&
               (size == UINT64_MAX || size >> 48 == 0);
}

/* What holds something else, or is encrypted; NULL: none that is known. */
static const struct kind *find_wrapper(const struct probe *p)
{
        const struct kind *found =
            find_signature(p, signatures, sizeof signatures / sizeof *signatures);

        if (!found && source_is_file(p->source))
                found = find_signature(p, discs, sizeof discs / sizeof *discs);
        return !found && is_lzma(p) ? &lzma : found;
}

/* Two bytes alone say little: the size of its blocks has to be one, too. */
static bool is_ext(const struct probe *p)
{
        return probe_has(p, 1080, "\x53\xef", 2) && load_le32(p->head + 1048) <= 6;
}

/* A boot sector with a partition in it, or the GPT that follows it. */
static bool has_partitions(const struct probe *p)
{
        if (probe_has(p, 512, "EFI PART", 8) || probe_has(p, 4096, "EFI PART", 8))
                return true;
        if (!probe_has(p, 510, "\x55\xaa", 2))
                return false;
        for (size_t at = 446; at < 510; at += 16) {
                const uint8_t *entry = p->head + at;

                if ((entry[0] & 0x7f) == 0 && entry[4] != 0 && load_le32(entry + 12) != 0)
                        return true;
        }
        return false;
}

/* Code that a PC starts: a jump first, and the mark at the end. */
static bool is_boot(const struct probe *p)
{
        return probe_has(p, 510, "\x55\xaa", 2) &&
               ((p->head[0] == 0xeb && p->head[2] == 0x90) || p->head[0] == 0xe9);
}

static const struct kind *find_disk(const struct probe *p)
{
        const struct kind *found =
            find_signature(p, file_systems, sizeof file_systems / sizeof *file_systems);

        if (!found)
                found = find_signature(p, discs, sizeof discs / sizeof *discs);
        if (found)
                return found;
        if (has_partitions(p))
                return &disk;
        if (is_ext(p))
                return &ext;
        return is_boot(p) ? &boot : NULL;
}

/* It is known by its end alone, and begins with what it has compressed, or as a disk. */
static bool is_dmg(struct probe *p)
{
        const uint8_t *tail = probe_tail(p);

        return tail && memcmp(tail, "koly\0\0\0\4", 8) == 0;
}

static size_t text_len(const struct probe *p)
{
        return p->len < TEXT_SIZE ? p->len : TEXT_SIZE;
}

static bool is_text(const struct probe *p)
{
        if (p->len < TEXT_MIN)
                return false;
        for (size_t i = 0; i < text_len(p); i++) {
                uint8_t c = p->head[i];

                if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
                        return false;
        }
        return true;
}

static const struct kind *kind_of_text(const struct probe *p)
{
        const char *backup = "Backup of VM";

        if (p->head[0] == '<')
                return &xml;
        return memmem(p->head, text_len(p), backup, strlen(backup)) ||
                       memmem(p->head, text_len(p), "vzdump", 6)
                   ? &log_text
                   : &text;
}

static bool is_zero(const struct probe *p)
{
        for (size_t i = 0; i < p->len; i++)
                if (p->head[i])
                        return false;
        return true;
}

/* NULL where nothing is known. What lies in a disk's boot sector comes after what a disk is in. */
static const struct kind *find_kind(struct probe *p)
{
        const struct kind *found = find_wrapper(p);

        if (!found)
                found = find_disk(p);
        if (!found && is_dmg(p))
                found = &dmg;
        if (found)
                return found;
        if (is_text(p))
                return kind_of_text(p);
        return is_zero(p) ? &zeros : NULL;
}

enum foreign_what foreign_look(struct probe *p)
{
        if (probe_more(p, HEAD_SIZE) < 0 || find_wrapper(p))
                return FOREIGN_OTHER;
        if (find_disk(p))
                return FOREIGN_DISK;
        return is_dmg(p) ? FOREIGN_OTHER : FOREIGN_UNKNOWN;
}

int foreign_refuse(struct probe *p, struct error *err)
{
        const struct kind *kind;
        char is[64] = "is ";

        if (probe_more(p, HEAD_SIZE) < 0)
                return error_set(err, ENOMEM, "out of memory");
        kind = find_kind(p);
        if (!source_is_file(p->source))
                snprintf(is, sizeof is, "is compressed with %s, and what it holds is ",
                         p->source->ops->name);
        if (kind)
                return error_set(err, EMEDIUMTYPE, "%s%s, not an archive that vmafs knows; %s", is,
                                 kind->name, kind->advice);
        return error_set_at(err, EMEDIUMTYPE, 0,
                            "%snot an archive that vmafs knows: no known magic number", is);
}
