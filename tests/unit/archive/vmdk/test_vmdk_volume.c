/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the volume of a VMDK answers, extent by extent. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/bytes.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/format.h"
#include "archive/shared.h"
#include "archive/source/source.h"
#include "archive/volume.h"
#include "tests/fixtures/vmdk_fixture.h"

/* An image without an index. */
struct opened {
        struct shared *shared;
        struct source *source;
        struct archive *archive;
        struct volume *volume;
        unsigned damages;
        unsigned counted; /* how often totals were told: */
        uint64_t stored, lost;
};

static int take_entry(void *ctx, const struct entry *entry)
{
        struct opened *o = ctx;

        o->volume = entry->disk->volume;
        return 0;
}

static int take_damage(void *ctx, const struct damage *damage)
{
        struct opened *o = ctx;

        (void)damage;
        o->damages++;
        return 0;
}

static int take_totals(void *ctx, uint32_t disk, uint64_t stored, uint64_t lost)
{
        struct opened *o = ctx;

        assert_int_equal(disk, 0);
        o->counted++;
        o->stored = stored;
        o->lost = lost;
        return 0;
}

static int take_progress(void *ctx, uint64_t done)
{
        (void)ctx;
        (void)done;
        return 0;
}

static struct archive_sink sink_of(struct opened *o)
{
        return (struct archive_sink){.ctx = o,
                                     .entry = take_entry,
                                     .totals = take_totals,
                                     .damage = take_damage,
                                     .progress = take_progress};
}

/* DATA, and after them a hole up to SIZE. */
static void open_sparse(struct opened *o, const void *data, size_t len, uint64_t size)
{
        struct archive_origin origin = {.name = "a.vmdk"};
        struct error err = {0};
        struct archive_sink sink;
        int fd = memfd_create("image", MFD_CLOEXEC);

        *o = (struct opened){0};
        assert_int_equal(shared_new(1 << 20, 1, &o->shared, &err), 0);
        origin.shared = o->shared;
        sink = sink_of(o);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, data, len, 0), (ssize_t)len);
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        assert_int_equal(source_open_fd(fd, &o->source, &err), 0);
        if (archive_open(o->source, &origin, &sink, &o->archive, &err) < 0)
                fail_msg("%s", err.text);
        assert_non_null(o->volume);
}

static void open_bytes(struct opened *o, const void *data, size_t len)
{
        open_sparse(o, data, len, len);
}

static void scan(struct opened *o)
{
        struct archive_sink sink = sink_of(o);
        struct error err = {0};

        assert_int_equal(o->archive->ops->scan(o->archive, &sink, &err), 0);
}

static void end(struct opened *o)
{
        archive_close(o->archive);
        source_close(o->source);
        shared_free(o->shared);
}

static struct volume_extent extent_at(const struct opened *o, uint64_t pos, uint64_t len)
{
        struct volume_extent e;

        assert_int_equal(o->volume->ops->extent(o->volume, pos, len, &e), 0);
        assert_true(e.len > 0 && e.len <= len);
        assert_true((e.kind == VOLUME_RAW || e.kind == VOLUME_CODED) == (e.source != NULL));
        return e;
}

/* The grain NUMBER, asked for alone. */
static struct volume_extent grain_at(const struct opened *o, uint64_t number)
{
        return extent_at(o, number * VMDK_GRAIN,
                         min_u64(VMDK_GRAIN, o->volume->size - number * VMDK_GRAIN));
}

static void expect_kind(const struct opened *o, uint64_t number, enum volume_kind kind,
                        bool allocated)
{
        struct volume_extent e = grain_at(o, number);

        if (e.len != VMDK_GRAIN || e.kind != kind || e.allocated != allocated)
                fail_msg("grain %u is %d, %d", (unsigned)number, e.kind, e.allocated);
}

static void test_nothing_is_known_before_the_tables_are_judged(void **state)
{
        (void)state;
        for (int stream = 0; stream < 2; stream++) {
                struct vmdk_image v = vmdk_small(stream);
                struct opened o;
                struct volume_extent e;

                open_bytes(&o, v.file.data, v.file.len);
                e = extent_at(&o, 5, v.size - 5);
                assert_int_equal(e.kind, VOLUME_UNKNOWN);
                scan(&o);
                assert_int_not_equal(grain_at(&o, 0).kind, VOLUME_UNKNOWN);
                assert_int_equal(o.damages, 0);
                end(&o);
                vmdk_free(&v);
        }
}

/* Scanned, or as one that was found sound before. */
static void check_small(struct vmdk_image v, bool scanned)
{
        enum volume_kind stored = v.stream ? VOLUME_CODED : VOLUME_RAW;
        static const uint64_t there[] = {0, 1, 3, 600};
        struct opened o;

        open_bytes(&o, v.file.data, v.file.len);
        if (scanned)
                scan(&o);
        else
                o.archive->ops->skip_scan(o.archive);
        assert_int_equal(o.counted, scanned);
        assert_int_equal(o.stored, scanned ? 4 * VMDK_GRAIN : 0);
        assert_int_equal(o.lost, 0);
        for (size_t i = 0; i < 4; i++) {
                expect_kind(&o, there[i], stored, true);
                assert_int_equal(grain_at(&o, there[i]).offset,
                                 (uint64_t)v.grains[there[i]] * VMDK_SECTOR);
                assert_ptr_equal(grain_at(&o, there[i]).source, o.source);
        }
        expect_kind(&o, 2, VOLUME_ZERO, false);
        expect_kind(&o, 4, VOLUME_ZERO, true);
        expect_kind(&o, 599, VOLUME_ZERO, false);
        end(&o);
        vmdk_free(&v);
}

static void test_what_a_small_image_has(void **state)
{
        (void)state;
        for (int scanned = 0; scanned < 2; scanned++) {
                check_small(vmdk_small(false), scanned);
                check_small(vmdk_small(true), scanned);
                check_small(vmdk_small_front(), scanned);
        }
}

/* Byte N of V's disk, of which all grains have their patterns. */
static uint8_t byte_of(const struct vmdk_image *v, uint64_t n)
{
        uint64_t number = n / VMDK_GRAIN, word = number << 32 | n % VMDK_GRAIN / 8 * 8;

        return (uint8_t)(v->grains[number] > 1 ? word >> 8 * (n % 8) : 0);
}

/* E, which begins at POS, gives V's bytes; BUF has room. */
static void expect_bytes(const struct opened *o, const struct vmdk_image *v,
                         const struct volume_extent *e, uint64_t pos, uint8_t *buf)
{
        if (e->kind == VOLUME_RAW)
                assert_int_equal(source_pread(e->source, buf, e->len, e->offset), e->len);
        else if (e->kind == VOLUME_CODED)
                assert_int_equal(o->volume->ops->read(o->volume, buf, e->len, pos), 0);
        else
                memset(buf, 0, e->len);
        for (uint64_t i = 0; i<e->len; i += e->len> 8192 && i > 2048 ? 509 : 1)
                if (buf[i] != byte_of(v, pos + i))
                        fail_msg("byte %llu", (unsigned long long)(pos + i));
}

/* Whatever is asked for, answers are its beginning and right, and go on as far as they can. */
static void check_anywhere(struct vmdk_image v)
{
        enum { MOST = 5 * VMDK_GRAIN };
        uint8_t *buf = malloc(MOST);
        uint64_t seed = 3;
        struct opened o;

        assert_non_null(buf);
        open_bytes(&o, v.file.data, v.file.len);
        scan(&o);
        for (unsigned i = 0; i < 400; i++) {
                uint64_t number = (uint64_t[]){0, 1, 2, 3, 4, 510, 511, 512, 600, 611}[i % 10];
                uint64_t pos = number * VMDK_GRAIN + fixture_random(&seed) % VMDK_GRAIN;
                uint64_t most = min_u64(MOST, v.size - pos);
                struct volume_extent e = extent_at(&o, pos, fixture_random(&seed) % most + 1);

                expect_bytes(&o, &v, &e, pos, buf);
        }
        free(buf);
        end(&o);
        vmdk_free(&v);
}

static void test_extents_that_begin_and_end_anywhere(void **state)
{
        (void)state;
        check_anywhere(vmdk_small(false));
        check_anywhere(vmdk_small(true));
}

/* Grains that follow one another in the file are one extent, as are holes over many tables. */
static void test_extents_are_as_long_as_they_can_be(void **state)
{
        const uint64_t size = 1000 * (uint64_t)VMDK_SPAN;
        struct vmdk_image v = vmdk_start_front(size);
        struct volume_extent e;
        unsigned steps = 0;
        struct opened o;
        uint64_t pos;

        (void)state;
        for (uint64_t i = 100; i < 110; i++)
                vmdk_grain(&v, i, vmdk_pattern(i));
        vmdk_grain(&v, v.count - 1, vmdk_pattern(7));
        vmdk_finish(&v);
        memset(v.file.data + v.gd + 4, 0, 998 * 4);
        memset(v.file.data + v.rgd + 4, 0, 998 * 4);
        open_bytes(&o, v.file.data, v.file.len);
        scan(&o);
        assert_int_equal(o.damages, 0);
        e = extent_at(&o, 0, size);
        assert_int_equal(e.kind, VOLUME_ZERO);
        assert_int_equal(e.len, 100 * VMDK_GRAIN);
        e = extent_at(&o, 100 * VMDK_GRAIN, size - 100 * VMDK_GRAIN);
        assert_int_equal(e.kind, VOLUME_RAW);
        assert_int_equal(e.len, 10 * VMDK_GRAIN);
        /* To the last table: in a few steps, of what is loaded at a time. */
        for (pos = VMDK_SPAN; pos < size - VMDK_SPAN && steps < 8; pos += e.len, steps++) {
                e = extent_at(&o, pos, size - pos);
                assert_int_equal(e.kind, VOLUME_ZERO);
        }
        assert_int_equal(pos, size - VMDK_SPAN);
        end(&o);
        vmdk_free(&v);
}

/* Where markers are gone by, what has none is lost, as far as the next grain. */
static void test_what_markers_do_not_say_is_lost(void **state)
{
        struct vmdk_image v = vmdk_small(true);
        struct volume_extent e;
        struct opened o;

        (void)state;
        memset(v.file.data + v.gd, 0, 8);
        open_bytes(&o, v.file.data, v.file.len);
        scan(&o);
        assert_true(o.damages > 0);
        expect_kind(&o, 3, VOLUME_CODED, true);
        e = extent_at(&o, 4 * VMDK_GRAIN + 100, v.size - 4 * VMDK_GRAIN - 100);
        assert_int_equal(e.kind, VOLUME_LOST);
        assert_int_equal(e.len, 596 * VMDK_GRAIN - 100);
        e = extent_at(&o, 601 * (uint64_t)VMDK_GRAIN, v.size - 601 * (uint64_t)VMDK_GRAIN);
        assert_int_equal(e.kind, VOLUME_LOST);
        assert_int_equal(e.len, v.size - 601 * (uint64_t)VMDK_GRAIN);
        end(&o);
        vmdk_free(&v);
}

/* A flat disk after its descriptor: there are no tables that could be wrong. */
static void test_a_flat_disk_is_raw_without_a_scan(void **state)
{
        struct vmdk_image v = vmdk_start(false, VMDK_GRAIN);
        struct volume_extent e;
        struct opened o;
        char *line;

        (void)state;
        vmdk_grain(&v, 0, vmdk_pattern(7));
        store_le64(v.file.data + 12, 0);
        line = strstr((char *)v.file.data + VMDK_SECTOR, "SPARSE \"disk.vmdk\"\n\n");
        assert_non_null(line);
        memcpy(line, "FLAT \"d.vmdk\" 21   \n", 21);
        open_bytes(&o, v.file.data, v.file.len);
        e = extent_at(&o, 1000, VMDK_GRAIN - 1000);
        assert_int_equal(e.kind, VOLUME_RAW);
        assert_int_equal(e.offset, 21 * VMDK_SECTOR + 1000);
        assert_int_equal(e.len, VMDK_GRAIN - 1000);
        scan(&o);
        assert_int_equal(extent_at(&o, 1000, 10).offset, 21 * VMDK_SECTOR + 1000);
        end(&o);
        vmdk_free(&v);
}

/* The file ends in a grain: whole blocks of it are there. */
static void test_a_grain_that_is_cut_off_has_its_beginning(void **state)
{
        struct vmdk_image v = vmdk_small_front();
        const uint64_t pos = 600 * (uint64_t)VMDK_GRAIN, there = 10 * VMDK_BLOCK;
        struct volume_extent e;
        struct opened o;

        (void)state;
        open_bytes(&o, v.file.data, v.file.len - VMDK_GRAIN + there + 100);
        scan(&o);
        e = extent_at(&o, pos, v.size - pos);
        assert_int_equal(e.kind, VOLUME_RAW);
        assert_int_equal(e.len, there);
        e = extent_at(&o, pos + there, v.size - pos - there);
        assert_int_equal(e.kind, VOLUME_LOST);
        assert_int_equal(e.len, VMDK_GRAIN - there);
        assert_int_equal(o.stored, 3 * VMDK_GRAIN + there);
        assert_int_equal(o.lost, VMDK_GRAIN - there);
        end(&o);
        vmdk_free(&v);
}

static void *ask_while_scanned(void *ctx)
{
        const struct opened *o = ctx;
        static const enum volume_kind expected[] = {VOLUME_RAW, VOLUME_RAW, VOLUME_ZERO};

        for (unsigned known = 0; known < 3;) {
                struct volume_extent e;
                int rc =
                    o->volume->ops->extent(o->volume, known * (uint64_t)VMDK_GRAIN, VMDK_GRAIN, &e);

                if (rc < 0 || (e.kind != VOLUME_UNKNOWN && e.kind != expected[known]))
                        return "a wrong answer";
                known += e.kind != VOLUME_UNKNOWN;
        }
        return NULL;
}

static void test_many_ask_while_it_is_scanned(void **state)
{
        struct vmdk_image v = vmdk_small(false);
        pthread_t threads[4];
        struct opened o;
        void *what;

        (void)state;
        open_bytes(&o, v.file.data, v.file.len);
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, ask_while_scanned, &o), 0);
        scan(&o);
        for (size_t i = 0; i < 4; i++) {
                pthread_join(threads[i], &what);
                if (what)
                        fail_msg("%s", (const char *)what);
        }
        end(&o);
        vmdk_free(&v);
}

/* ---- a source that is watched ---- */

struct watched {
        struct source base;
        struct source *below;
        uint64_t start, end; /* cannot be read */
        uint64_t bytes;      /* were read */
};

static ssize_t watched_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        struct watched *w = (struct watched *)s;

        if (offset < w->end && offset + len > w->start)
                return -EIO;
        w->bytes += len;
        return source_pread(w->below, buf, len, offset);
}

static uint64_t watched_next_data(struct source *s, uint64_t offset)
{
        return source_next_data(((struct watched *)s)->below, offset);
}

static void watched_close(struct source *s)
{
        (void)s;
}

static const struct source_ops watched_ops = {
    .name = "watched",
    .pread = watched_pread,
    .next_data = watched_next_data,
    .close = watched_close,
};

/* O, which is open, again through W. */
static void reopen(struct opened *o, struct watched *w)
{
        struct archive_origin origin = {.name = "a.vmdk", .shared = o->shared};
        struct archive_sink sink = sink_of(o);
        struct error err = {0};

        archive_close(o->archive);
        w->base.ops = &watched_ops;
        w->base.size = o->source->size;
        w->below = o->source;
        assert_int_equal(archive_open(&w->base, &origin, &sink, &o->archive, &err), 0);
}

/* One bad sector of a table costs what its entries are for, and no more. */
static void test_a_sector_that_cannot_be_read_costs_its_entries(void **state)
{
        struct vmdk_image v = vmdk_small_front();
        struct watched w = {0};
        struct opened o;

        (void)state;
        /* Entries 0 to 127; and there is no copy, which would be as good. */
        w.start = (uint64_t)load_le32(v.file.data + v.gd) * VMDK_SECTOR;
        w.end = w.start + VMDK_SECTOR;
        store_le64(v.file.data + 48, 0);
        open_bytes(&o, v.file.data, v.file.len);
        reopen(&o, &w);
        scan(&o);
        assert_true(o.damages > 0);
        expect_kind(&o, 0, VOLUME_LOST, true);
        expect_kind(&o, 127, VOLUME_LOST, true);
        expect_kind(&o, 600, VOLUME_RAW, true);
        end(&o);
        vmdk_free(&v);
}

/*
 * 64 GiB of nothing in the file, after the grains, where markers are looked for, or data that no
 * table names. It is a hole, and so next to nothing is read.
 */
static void test_a_hole_of_the_file_is_not_read(void **state)
{
        (void)state;
        for (int stream = 0; stream < 2; stream++) {
                struct vmdk_image v = stream ? vmdk_small(true) : vmdk_small_front();
                const uint64_t hole = UINT64_C(64) << 30;
                struct watched w = {0};
                struct opened o;

                open_sparse(&o, v.file.data, v.file.len, v.file.len + hole);
                reopen(&o, &w);
                scan(&o);
                expect_kind(&o, 600, stream ? VOLUME_CODED : VOLUME_RAW, true);
                expect_kind(&o, 2, VOLUME_ZERO, false);
                assert_true(w.bytes < 100 * v.file.len);
                end(&o);
                vmdk_free(&v);
        }
}

/* One table for all of 640 GiB: it is not read each time that the directory names it. */
static void test_tables_that_share_their_place_are_not_all_read(void **state)
{
        const size_t tables = 20000;
        struct vmdk_image v = vmdk_start(true, tables * (uint64_t)VMDK_SPAN);
        struct watched w = {0};
        struct opened o;

        (void)state;
        vmdk_grain(&v, 0, vmdk_pattern(0));
        vmdk_finish(&v);
        for (size_t i = 1; i < tables; i++)
                memcpy(v.file.data + v.gd + 4 * i, v.file.data + v.gd, 4);
        open_bytes(&o, v.file.data, v.file.len);
        reopen(&o, &w);
        scan(&o);
        assert_true(o.damages > 0);
        expect_kind(&o, 0, VOLUME_CODED, true);
        expect_kind(&o, 512, VOLUME_LOST, true);
        assert_true(w.bytes < 20 * v.file.len);
        end(&o);
        vmdk_free(&v);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_nothing_is_known_before_the_tables_are_judged),
            cmocka_unit_test(test_what_a_small_image_has),
            cmocka_unit_test(test_extents_that_begin_and_end_anywhere),
            cmocka_unit_test(test_extents_are_as_long_as_they_can_be),
            cmocka_unit_test(test_what_markers_do_not_say_is_lost),
            cmocka_unit_test(test_a_flat_disk_is_raw_without_a_scan),
            cmocka_unit_test(test_a_grain_that_is_cut_off_has_its_beginning),
            cmocka_unit_test(test_many_ask_while_it_is_scanned),
            cmocka_unit_test(test_a_sector_that_cannot_be_read_costs_its_entries),
            cmocka_unit_test(test_a_hole_of_the_file_is_not_read),
            cmocka_unit_test(test_tables_that_share_their_place_are_not_all_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
