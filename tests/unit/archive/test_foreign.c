/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is no archive is told by what it begins with, or ends with. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/foreign.h"
#include "archive/probe.h"
#include "archive/source/source.h"

enum { SIZE = 70000 };

static uint8_t bytes[SIZE];

static ssize_t read_bytes(struct source *s, void *buf, size_t len, uint64_t offset)
{
        (void)s;
        if (offset >= SIZE)
                return 0;
        len = (size_t)min_u64(len, SIZE - offset);
        memcpy(buf, bytes + offset, len);
        return (ssize_t)len;
}

static const struct source_ops file_ops = {.name = "file", .pread = read_bytes, .is_file = true};
static const struct source_ops stream_ops = {.name = "xz", .pread = read_bytes};

/* Bytes that are nothing, but for those of MAGIC at byte AT. */
static void fill(size_t at, const char *magic, size_t len)
{
        memset(bytes, 1, sizeof bytes);
        memcpy(bytes + at, magic, len);
}

static struct probe probe_of(struct source *s)
{
        struct probe p;

        assert_int_equal(probe_init(&p, s, NULL), 0);
        return p;
}

static void expect(const struct source_ops *ops, enum foreign_what what, const char *says)
{
        struct source s = {.ops = ops, .size = SIZE};
        struct probe p = probe_of(&s);
        struct error err = {0};

        assert_int_equal(foreign_look(&p), what);
        assert_int_equal(foreign_refuse(&p, &err), -EMEDIUMTYPE);
        if (!strstr(err.text, says))
                fail_msg("%s: %s", says, err.text);
        probe_fini(&p);
}

#define MAGIC(s) s, sizeof(s) - 1

/* How each is named, and with what it is opened. */
static void test_what_holds_something_else(void **state)
{
        static const struct {
                const char *magic;
                size_t len;
                const char *says;
        } kinds[] = {
            {MAGIC("\x1f\x9d"),
             "is compressed with compress, not an archive that vmafs knows; gzip"},
            {MAGIC("\xff\x06\0\0sNaPpY"), "is compressed with snappy"},
            {MAGIC("BZ3v1"), "is compressed with bzip3"},
            {MAGIC("LZIP"), "is compressed with lzip"},
            {MAGIC("\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff"),
             "is compressed with LZMA alone"},
            {MAGIC("PK\3\4"), "is a zip archive"},
            {MAGIC("PK\5\6"), "is a zip archive without files"},
            {MAGIC("PK\7\x8"), "is a part of a zip archive"},
            {MAGIC("7z\xbc\xaf\x27\x1c"), "is a 7z archive"},
            {MAGIC("Rar!\x1a\7\1"), "is a rar archive"},
            {MAGIC("070701"), "is a cpio archive"},
            {MAGIC("070702"), "is a cpio archive"},
            {MAGIC("070707"), "is a cpio archive"},
            {MAGIC("!<arch>\ndebian-binary   "), "is a Debian package"},
            {MAGIC("!<arch>\nfile.o/"), "is an ar archive"},
            {MAGIC("\xed\xab\xee\xdb"), "is an RPM package"},
            {MAGIC("xar!"), "is a xar archive"},
            {MAGIC("\x0d\xa4\xf1\xdf\x75\x6c\x0f\x73"), "is a pxar archive"},
            {MAGIC("\xef\xac\x88\xe5\x74\x64\x95\xd5"), "is a pxar archive"},
            {MAGIC("PaRtImAgE-VoLuMe"), "is an image of partimage"},
            {MAGIC("AFF10\r\n\0"), "is an AFF image"},
            {MAGIC("Bochs Virtual HD Image"), "is an image of Bochs"},
            {MAGIC("#!/bin/sh\n#V2.0 Format\n"), "is a cloop image"},
            {MAGIC("\xd0\xbe\xd2\xbe"), "is the state of a machine of VMware"},
            {MAGIC("\xd1\xba\xd1\xba"), "is the state of a machine of VMware"},
            {MAGIC("\xd2\xbe\xd2\xbe"), "is the state of a machine of VMware"},
            {MAGIC("\xd3\xbe\xd3\xbe"), "is the state of a machine of VMware"},
            {MAGIC("\x8c\x0d\4"), "is encrypted with PGP"},
            {MAGIC("\x84\x5e\3"), "is encrypted with PGP"},
            {MAGIC("\x85\1\x0c\3"), "is encrypted with PGP"},
            {MAGIC("\x85\2\x0c\3"), "is encrypted with PGP"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
                fill(0, kinds[i].magic, kinds[i].len);
                expect(&file_ops, FOREIGN_OTHER, kinds[i].says);
        }
}

static void test_file_systems_are_disks(void **state)
{
        static const struct {
                size_t at;
                const char *magic;
                size_t len;
                const char *says;
        } kinds[] = {
            {0, MAGIC("XFSB"), "an XFS file system"},
            {0, MAGIC("hsqs"), "a squashfs file system"},
            {0, MAGIC("\x45\x3d\xcd\x28"), "a cramfs file system"},
            {3, MAGIC("ReFS\0\0\0\0"), "a ReFS file system"},
            {32, MAGIC("NXSB"), "an APFS container"},
            {1024, MAGIC("\xe2\xe1\xf5\xe0"), "an EROFS file system"},
            {4086, MAGIC("SWAPSPACE2"), "a swap area"},
            {4096, MAGIC("\xfc\x4e\x2b\xa9"), "a part of a Linux RAID"},
            {4120, MAGIC("\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"),
             "a bcachefs file system"},
            {32768, MAGIC("JFS1"), "a JFS file system"},
            {65588, MAGIC("ReIsEr2Fs"), "a ReiserFS file system"},
            {66908, MAGIC("\x19\x01\x54\x19"), "a UFS file system"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
                fill(kinds[i].at, kinds[i].magic, kinds[i].len);
                expect(&file_ops, FOREIGN_DISK, kinds[i].says);
        }
}

/* A disc can be mounted as it is; a compressed one cannot, so that it is worth showing. */
static void test_discs(void **state)
{
        (void)state;
        fill(32769, MAGIC("CD001"));
        expect(&file_ops, FOREIGN_OTHER, "is a CD or DVD image (ISO 9660)");
        expect(&stream_ops, FOREIGN_DISK,
               "is compressed with xz, and what it holds is a CD or DVD");
        fill(32769, MAGIC("BEA01"));
        expect(&file_ops, FOREIGN_OTHER, "is a DVD image (UDF)");
        expect(&stream_ops, FOREIGN_DISK, "is compressed with xz, and what it holds is a DVD");
}

static void test_a_dmg_is_known_by_its_end(void **state)
{
        (void)state;
        fill(SIZE - 512, MAGIC("koly\0\0\0\4"));
        expect(&file_ops, FOREIGN_OTHER, "is a disk image of macOS (DMG)");
        expect(&stream_ops, FOREIGN_UNKNOWN, "no known magic number");
        memcpy(bytes, "XFSB", 4);
        expect(&file_ops, FOREIGN_DISK, "an XFS file system");
}

static void test_nothing(void **state)
{
        (void)state;
        fill(0, "", 0);
        expect(&file_ops, FOREIGN_UNKNOWN,
               "is not an archive that vmafs knows: no known magic number");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_what_holds_something_else),
            cmocka_unit_test(test_file_systems_are_disks),
            cmocka_unit_test(test_discs),
            cmocka_unit_test(test_a_dmg_is_known_by_its_end),
            cmocka_unit_test(test_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
