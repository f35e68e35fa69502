/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A known archive, damaged as the input says: every byte that is served of it is right, or an
 * error, or wrong where no checksum covers it.
 *
 *   input   | format | codec | kind, at 3, length 3, other 3 | … up to three such steps
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "archive/bytes.h"
#include "tests/damage/damage.h"
#include "tests/damage/trial.h"
#include "tests/fuzz/fuzz.h"

enum { STEP = 10, DISK = 320 << 10 };

/* Made when it is first needed. */
struct known {
        bool made;
        struct sound sound;
        struct trial trial;
};

static struct known *known; /* a row of codecs for each format */
static char dir[] = "/dev/shm/vmafs-fuzz-XXXXXX";

static void remove_dir(void)
{
        trial_remove(dir);
}

static void make_dir(void)
{
        static bool made;

        if (made)
                return;
        made = true;
        fuzz_require(mkdtemp(dir) != NULL);
        atexit(remove_dir);
}

static struct known *have(size_t format, size_t codec)
{
        struct known *k;
        char path[64];

        if (!known)
                known = calloc(sound_format_count * sound_codec_count, sizeof *known);
        fuzz_require(known != NULL);
        k = &known[format * sound_codec_count + codec];
        if (k->made)
                return k;
        make_dir();
        snprintf(path, sizeof path, "%s/%zu-%zu", dir, format, codec);
        k->sound = sound_make(&sound_formats[format], DISK);
        trial_init(&k->trial, &k->sound, &sound_codecs[codec], path);
        k->made = true;
        return k;
}

static size_t load_3(const uint8_t *p)
{
        return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16;
}

/* A copy of SOUND, damaged as the SIZE bytes at DATA say. */
static struct bytes damage(struct bytes sound, const uint8_t *data, size_t size,
                           struct damage_plan *plan)
{
        struct bytes b = {.data = malloc(sound.len + DAMAGE_STEPS * DAMAGE_GROWTH),
                          .len = sound.len};

        fuzz_require(b.data != NULL);
        memcpy(b.data, sound.data, sound.len);
        while (size >= STEP && plan->count < DAMAGE_STEPS && b.len > 0) {
                struct damage_step *s = &plan->steps[plan->count++];

                *s = (struct damage_step){data[0] % DAMAGE_KINDS, load_3(data + 1),
                                          load_3(data + 4), load_3(data + 7)};
                damage_step(&b, s, XXH3_64bits(data, STEP));
                data += STEP;
                size -= STEP;
        }
        return b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct damage_plan plan = {0};
        struct bytes files[SOUND_FILES];
        struct outcome_of out;
        struct known *k;
        char text[300], done[300];
        size_t format, victim = 0;

        if (size < 2)
                return 0;
        format = data[0] % sound_format_count;
        k = have(format, sound_formats[format].alone ? 0 : data[1] % sound_codec_count);
        memcpy(files, k->trial.files, sizeof files);
        if (sound_formats[format].alone)
                victim = data[1] % k->sound.file_count;
        files[victim] = damage(k->trial.files[victim], data + 2, size - 2, &plan);
        k->trial.moved = damage_moves(&plan);
        if (files[victim].len > 0)
                trial_read(&k->trial, files, &out);
        if (files[victim].len > 0 && trial_objects(&k->trial, &out, text, sizeof text)) {
                fprintf(stderr, "%s, %s (%s of %s): %s\n", k->sound.format, k->trial.codec->name,
                        damage_describe(&plan, done, sizeof done), k->sound.files[victim].name,
                        text);
                fuzz_require(false);
        }
        free(files[victim].data);
        return 0;
}

/* Steps are longer than what a fuzzer puts in at once: have it change one byte of them, or all. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
        uint64_t random = seed;

        max_size = (size_t)min_u64(max_size, 2 + DAMAGE_STEPS * STEP);
        if (size < 2 + STEP || fixture_random(&random) % 4 == 0) {
                size = 2 + STEP * (1 + fixture_random(&random) % DAMAGE_STEPS);
                size = (size_t)min_u64(size, max_size);
                for (size_t i = 0; i < size; i++)
                        data[i] = (uint8_t)fixture_random(&random);
                return size;
        }
        size = (size_t)min_u64(size, max_size);
        data[fixture_random(&random) % size] = (uint8_t)fixture_random(&random);
        return size;
}
