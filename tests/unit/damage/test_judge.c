/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What judges others must itself be right: what it lets pass, and what it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/damage/damage.h"
#include "tests/damage/judge.h"
#include "tests/fixtures/vma_writer.h"

enum { SIZE = 512 << 10, DISK = 1, SECTOR = 10, AT = SECTOR * SOUND_SECTOR + 100 };

static struct sound sound;
static struct bytes files[SOUND_FILES]; /* damaged by the test */
static struct serving served;           /* of the first disk, as the sound archive has it */

static int set_up(void **state)
{
        struct content *c;

        (void)state;
        sound = sound_make(&sound_formats[0], SIZE);
        files[0] =
            (struct bytes){malloc(sound.files[0].bytes.len + 4096), sound.files[0].bytes.len};
        memcpy(files[0].data, sound.files[0].bytes.data, files[0].len);
        c = &sound.contents[DISK];
        served = (struct serving){.present = true, .size = c->bytes.len};
        served.bytes = sound_copy(c->bytes);
        served.failed = calloc(c->bytes.len / JUDGE_BLOCK + 1, 1);
        assert_non_null(served.failed);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        free(files[0].data);
        free(served.bytes.data);
        free(served.failed);
        sound_free(&sound);
        return 0;
}

/* Where the byte AT of the disk lies in the archive. */
static size_t place(void)
{
        struct place_of p = sound.contents[DISK].places[SECTOR][0];

        assert_int_equal(p.file, 0);
        return p.at + AT % SOUND_SECTOR;
}

static struct verdict judge(bool packed)
{
        struct verdict v = {0};
        struct harmed h;

        harmed_init(&h, &sound, files, packed);
        h.moved = files[0].len != sound.files[0].bytes.len;
        judge_content(&h, DISK, &served, false, &v);
        harmed_fini(&h);
        return v;
}

static void test_right_bytes_are_right(void **state)
{
        struct verdict v = judge(false);

        (void)state;
        assert_true(verdict_is_right(&v));
        assert_false(verdict_is_silent(&v));
}

static void test_the_very_byte_that_was_damaged_is_data(void **state)
{
        struct verdict v;

        (void)state;
        files[0].data[place()] ^= 4;
        served.bytes.data[AT] ^= 4;
        v = judge(false);
        assert_int_equal(v.wrong[JUDGE_DATA], 1);
        assert_false(verdict_is_right(&v));
        assert_false(verdict_is_silent(&v));
}

static void test_another_value_of_it_must_not_be(void **state)
{
        struct verdict v;

        (void)state;
        files[0].data[place()] ^= 4;
        served.bytes.data[AT] ^= 5;
        v = judge(false);
        assert_int_equal(v.wrong[JUDGE_SILENT], 1);
        assert_true(verdict_is_silent(&v));
}

static void test_a_byte_beside_it_must_not_be(void **state)
{
        struct verdict v;

        (void)state;
        files[0].data[place()] ^= 4;
        served.bytes.data[AT + SOUND_SECTOR] ^= 4;
        v = judge(false);
        assert_true(verdict_is_silent(&v));
}

static void test_what_a_compression_covers_must_not_be(void **state)
{
        struct verdict v;

        (void)state;
        files[0].data[place()] ^= 4;
        served.bytes.data[AT] ^= 4;
        v = judge(true);
        assert_true(verdict_is_silent(&v));
}

/* The next header is not where the extent ends: it could have been known. */
static void test_what_a_cut_has_moved_must_not_be(void **state)
{
        size_t at = place() / SOUND_SECTOR * SOUND_SECTOR;
        struct verdict v;

        (void)state;
        memmove(files[0].data + at, files[0].data + at + 1, files[0].len - at - 1);
        files[0].len--;
        memcpy(served.bytes.data + (size_t)SECTOR * SOUND_SECTOR, files[0].data + at, SOUND_SECTOR);
        v = judge(false);
        assert_true(verdict_is_silent(&v));
}

/* Nothing has moved, and the extent is where it was. */
static void test_data_before_a_damaged_header_are_data(void **state)
{
        struct frame *extent = &sound.frames[1];
        struct verdict v;

        (void)state;
        assert_true(place() > extent->start && place() < extent->end);
        memset(files[0].data + extent->end, 0, VMA_EXTENT_HEADER);
        files[0].data[place()] ^= 4;
        served.bytes.data[AT] ^= 4;
        v = judge(false);
        assert_int_equal(v.wrong[JUDGE_DATA], 1);
        assert_false(verdict_is_silent(&v));
}

static void test_an_error_is_no_wrong_byte(void **state)
{
        struct verdict v;

        (void)state;
        served.bytes.data[AT] ^= 4;
        served.failed[AT / JUDGE_BLOCK] = 1;
        v = judge(true);
        assert_int_equal(v.errors, JUDGE_BLOCK / SOUND_SECTOR);
        assert_false(verdict_is_right(&v));
        assert_false(verdict_is_silent(&v));
}

static void test_zeros_stand_for_errors_in_what_is_partial_alone(void **state)
{
        struct verdict v;

        (void)state;
        memset(served.bytes.data + (size_t)SECTOR * SOUND_SECTOR, 0, SOUND_SECTOR);
        v = judge(false);
        assert_true(verdict_is_silent(&v));
        served.partial = true;
        v = judge(false);
        assert_false(verdict_is_silent(&v));
        assert_int_equal(v.errors, 1);
}

static void test_another_size_must_not_be(void **state)
{
        struct verdict v;

        (void)state;
        served.size += SOUND_SECTOR;
        v = judge(false);
        assert_true(verdict_is_silent(&v));
}

static void test_damage_is_the_same_for_the_same_seed(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed < 200; seed++) {
                struct damage_plan plan, again;
                struct bytes a = damage_apply(sound.files[0].bytes, seed, ~0u, &plan);
                struct bytes b = damage_apply(sound.files[0].bytes, seed, ~0u, &again);

                assert_int_equal(a.len, b.len);
                assert_memory_equal(a.data, b.data, a.len);
                assert_memory_equal(&plan.count, &again.count, sizeof plan.count);
                assert_true(a.len != sound.files[0].bytes.len ||
                            memcmp(a.data, sound.files[0].bytes.data, a.len) != 0);
                free(a.data);
                free(b.data);
        }
}

static void test_damage_is_of_the_kinds_that_were_asked_for(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed < 100; seed++) {
                struct damage_plan plan;
                struct bytes b = damage_apply(sound.files[0].bytes, seed, 1u << DAMAGE_SWAP, &plan);

                assert_int_equal(b.len, sound.files[0].bytes.len);
                assert_int_equal(plan.steps[0].kind, DAMAGE_SWAP);
                assert_false(damage_moves(&plan));
                free(b.data);
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_right_bytes_are_right, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_the_very_byte_that_was_damaged_is_data, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(test_another_value_of_it_must_not_be, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(test_a_byte_beside_it_must_not_be, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_what_a_compression_covers_must_not_be, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(test_what_a_cut_has_moved_must_not_be, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(test_data_before_a_damaged_header_are_data, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(test_an_error_is_no_wrong_byte, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_zeros_stand_for_errors_in_what_is_partial_alone,
                                            set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_another_size_must_not_be, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_damage_is_the_same_for_the_same_seed, set_up,
                                            tear_down),
            cmocka_unit_test_setup_teardown(test_damage_is_of_the_kinds_that_were_asked_for, set_up,
                                            tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
