/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which files are disks as they are, and what is lost of one whose compression is damaged. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/format.h"
#include "archive/probe.h"
#include "archive/source/source.h"
#include "archive/volume.h"
#include "index/disk.h"
#include "index/index.h"
#include "tests/fixtures/image_fixture.h"
#include "tests/fixtures/stream_fixture.h"

enum { SIZE = 3 * 1024 * 1024 + 1536, BLOCK = 4096 };

/* A disk with a partition table; three of four MiB hold records, and the third one zeros. */
static struct bytes make_disk(void)
{
        struct bytes b = fixture_records(SIZE, 3);

        memset(b.data, 0, 512);
        b.data[446 + 4] = 0x83;
        store_le32(b.data + 446 + 8, 1);
        store_le32(b.data + 446 + 12, 1000);
        b.data[510] = 0x55;
        b.data[511] = 0xaa;
        memset(b.data + 2 * MIB, 0, MIB);
        return b;
}

/* ---- which files ---- */

static bool is_raw(const char *name, struct bytes head)
{
        struct source *s = fixture_source(head.data, head.len);
        const struct format *f;
        struct probe p;

        assert_int_equal(probe_init(&p, s, NULL), 0);
        p.name = name;
        f = format_find(&p, false);
        probe_fini(&p);
        source_close(s);
        return f && strcmp(f->name, "raw") == 0;
}

static void test_by_contents(void **state)
{
        struct bytes b = make_disk();

        (void)state;
        assert_true(is_raw("web", b));
        assert_true(is_raw("web.bin", b));
        assert_true(is_raw("web.img", b));
        b.data[510] = 0;
        assert_false(is_raw("web", b));
        memcpy(b.data, "XFSB", 4);
        assert_true(is_raw("web", b));
        memcpy(b.data, "none", 4);
        b.data[1048] = 2;
        memset(b.data + 1049, 0, 3);
        memcpy(b.data + 1080, "\x53\xef", 2);
        assert_true(is_raw("web", b));
        free(b.data);
}

static void test_boot_sector(void **state)
{
        struct bytes b = make_disk();

        (void)state;
        memset(b.data + 446, 0, 64);
        assert_false(is_raw("web", b));
        memcpy(b.data, "\xeb\x3c\x90", 3);
        assert_true(is_raw("web", b));
        free(b.data);
}

static void test_by_name(void **state)
{
        static const char *const names[] = {"a.img", "a.RAW", "a.dd", "a.img.xz", "b.dd.GZ"};
        static const char *const others[] = {"a",       "img",      ".img",
                                             "a.img.x", "a.bin.xz", "a.xz.img.b"};
        struct bytes b = fixture_noise(70000, 1);

        (void)state;
        memset(b.data, 1, 512);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                assert_true(is_raw(names[i], b));
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
                assert_false(is_raw(others[i], b));
        memset(b.data, 0, b.len);
        assert_true(is_raw("a.img", b));
        assert_false(is_raw("a", b));
        free(b.data);
}

/* What is named as another format's is damaged, whatever it begins with. */
static void test_names_of_others(void **state)
{
        static const char *const names[] = {"a.vma",       "a.vma.zst", "a.qcow2",
                                            "a-flat.vmdk", "a.VHD",     "a.tar.xz"};
        struct bytes b = make_disk();

        (void)state;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                assert_false(is_raw(names[i], b));
        free(b.data);
}

/* What holds something else is that, whatever its name. */
static void test_what_is_in_something(void **state)
{
        static const struct {
                size_t at;
                const char *magic;
        } magics[] = {{0, "PK\3\4"}, {0, "LUKS\xba\xbe"}, {0, "7z\xbc\xaf\x27\x1c"}};

        (void)state;
        for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
                struct bytes b = make_disk();

                memcpy(b.data + magics[i].at, magics[i].magic, strlen(magics[i].magic));
                assert_false(is_raw("a.img", b));
                assert_false(is_raw("a", b));
                free(b.data);
        }
}

/* ---- what of it is there ---- */

/* How many blocks of M's disk are lost; all others are those of WANT. */
static size_t count_lost(const struct image *m, struct bytes want)
{
        size_t lost = 0;

        for (size_t at = 0; at < m->disk->size; at += BLOCK) {
                size_t len = (size_t)min_u64(BLOCK, m->disk->size - at);
                uint8_t got[BLOCK];
                int rc = volume_read(m->disk->volume, got, len, at);

                if (rc == 0) {
                        assert_true(at + len <= want.len);
                        assert_memory_equal(got, want.data + at, len);
                } else {
                        assert_int_equal(rc, -EIO);
                        lost++;
                }
        }
        return lost;
}

static enum volume_kind kind_at(const struct image *m, uint64_t pos)
{
        struct volume_extent e;

        assert_int_equal(volume_find(m->disk->volume, pos, BLOCK, &e), 0);
        return e.kind;
}

static void test_plain(void **state)
{
        struct bytes b = make_disk();
        struct image m = image_scanned(b.data, b.len);

        (void)state;
        assert_int_equal(m.disk->size, SIZE);
        assert_int_equal(count_lost(&m, b), 0);
        assert_int_equal(kind_at(&m, 0), VOLUME_RAW);
        image_end(&m);
        free(b.data);
}

/* Zeros are found in a stream, where no file system knows of holes. */
static void test_compressed(void **state)
{
        static const char *const commands[] = {
            "zstd -q -c",
            "gzip -c",
            "lzop -c",
#ifdef VMAFS_XZ
            "xz -0 -T2 --block-size=300000 -c",
#endif
#ifdef VMAFS_BZIP2
            "bzip2 -1 -c",
#endif
#ifdef VMAFS_LZ4
            "lz4 -q -B4 -c",
#endif
        };
        struct bytes b = make_disk();

        (void)state;
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
                struct bytes z = fixture_pipe(b, commands[i]);
                struct image m = image_scanned(z.data, z.len);

                assert_int_equal(m.disk->size, SIZE);
                assert_int_equal(count_lost(&m, b), 0);
                assert_int_equal(kind_at(&m, MIB), VOLUME_RAW);
                assert_int_equal(kind_at(&m, 2 * MIB + MIB / 2), VOLUME_ZERO);
                image_end(&m);
                free(z.data);
        }
        free(b.data);
}

/* How much a block of lzop held is known: what follows it is where it belongs. */
static void test_damage_of_known_length(void **state)
{
        struct bytes b = make_disk(), z = fixture_pipe(b, "lzop -c");
        size_t lost;
        struct image m;

        (void)state;
        z.data[fixture_lzop_block(z, 2) + 5000] ^= 0x10;
        m = image_scanned(z.data, z.len);
        lost = count_lost(&m, b);
        assert_int_equal(m.disk->size, SIZE);
        assert_int_equal(lost, (256 << 10) / BLOCK);
        image_end(&m);
        free(z.data);
        free(b.data);
}

/* What follows damage of unknown length belongs nobody knows where. */
static void test_damage_of_unknown_length(void **state)
{
        struct bytes b = make_disk(), parts[3], z;
        size_t lost;
        struct image m;

        (void)state;
        for (size_t i = 0; i < 3; i++) {
                struct bytes part = {b.data + i * MIB, i < 2 ? MIB : b.len - i * MIB};

                parts[i] = fixture_pipe(part, "gzip -c");
        }
        parts[1].data[parts[1].len / 2] ^= 0x10;
        z = fixture_join(fixture_join(parts[0], parts[1]), parts[2]);
        m = image_scanned(z.data, z.len);
        lost = count_lost(&m, (struct bytes){b.data, MIB});
        assert_true(lost >= (SIZE - MIB) / BLOCK);
        assert_true(image_damage_says(&m, "how much is lost"));
        image_end(&m);
        free(z.data);
        free(b.data);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_by_contents),
            cmocka_unit_test(test_boot_sector),
            cmocka_unit_test(test_by_name),
            cmocka_unit_test(test_names_of_others),
            cmocka_unit_test(test_what_is_in_something),
            cmocka_unit_test(test_plain),
            cmocka_unit_test(test_compressed),
            cmocka_unit_test(test_damage_of_known_length),
            cmocka_unit_test(test_damage_of_unknown_length),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
