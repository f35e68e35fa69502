/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/damage/sound.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"

enum { PAGE = 4096 };

const struct sound_format sound_formats[] = {
    {"vma", sound_vma_ordered, false, false},
    {"vma-live", sound_vma_live, false, false},
    {"tar-raw", sound_tar_raw, false, false},
    {"tar-qcow2", sound_tar_qcow2, false, true},
    {"ova", sound_ova, false, false},
    {"ova-gzip", sound_ova_gzip, false, false},
    {"ova-chunks", sound_ova_chunks, false, false},
    {"xva", sound_xva, false, false},
    {"vmdk-stream", sound_vmdk_stream, false, false},
    {"vmdk-stream-qemu", sound_vmdk_stream_qemu, false, true},
    {"vmdk-sparse", sound_vmdk_sparse, false, false},
    {"vmdk-sparse-qemu", sound_vmdk_sparse_qemu, false, true},
    {"vmdk-split", sound_vmdk_split, true, true},
    {"vmdk-flat", sound_vmdk_flat, true, false},
    {"vmdk-cowd", sound_vmdk_cowd, false, false},
    {"vmdk-sesparse", sound_vmdk_sesparse, true, false},
    {"qcow2", sound_qcow2, false, true},
    {"qcow2-deflate", sound_qcow2_deflate, false, true},
    {"qcow2-zstd", sound_qcow2_zstd, false, true},
    {"qcow2-snapshot", sound_qcow2_snapshot, false, true},
    {"qcow", sound_qcow, false, true},
    {"qcow-deflate", sound_qcow_deflate, false, true},
    {"qed", sound_qed, false, true},
    {"vdi", sound_vdi, false, true},
    {"vhd", sound_vhd, false, true},
    {"vhd-fixed", sound_vhd_fixed, true, true},
    {"vhdx", sound_vhdx, false, true},
    {"parallels", sound_parallels, false, true},
    {"fvd", sound_fvd, false, false},
    {"raw", sound_raw, false, false},
};
const size_t sound_format_count = sizeof sound_formats / sizeof *sound_formats;

void sound_fail(const char *what)
{
        fprintf(stderr, "damager: a sound archive cannot be made: %s\n", what);
        abort();
}

struct bytes sound_copy(struct bytes b)
{
        struct bytes copy = {.data = malloc(b.len + 1), .len = b.len};

        sound_require(copy.data != NULL, "out of memory");
        memcpy(copy.data, b.data, b.len);
        return copy;
}

struct bytes sound_disk(size_t len, uint64_t seed)
{
        struct bytes b = fixture_mixture(len, seed);
        uint64_t random = seed;

        for (size_t at = 0; at < len;) {
                uint64_t r = fixture_random(&random);
                size_t run = PAGE * (1 + (r >> 8) % (r & 0x100000 ? 40 : 6));

                run = (size_t)min_u64(run, len - at);
                if (r % 4 == 0)
                        memset(b.data + at, 0, run);
                at += run;
        }
        /* The first and the last sector say that they are there. */
        memset(b.data, 'a' + (int)(seed % 20), 64);
        memset(b.data + len - 64, 'z', 64);
        return b;
}

struct bytes sound_command(struct bytes raw, const char *command, const char *out)
{
        char dir[] = "/tmp/vmafs-sound-XXXXXX", line[900], path[64];
        struct bytes result;
        FILE *f;

        sound_require(mkdtemp(dir) != NULL, "mkdtemp");
        if (raw.data) {
                snprintf(path, sizeof path, "%s/a.raw", dir);
                f = fopen(path, "w");
                sound_require(f && fwrite(raw.data, 1, raw.len, f) == raw.len && fclose(f) == 0,
                              path);
        }
        snprintf(line, sizeof line, "cd %s && { %s; } >/dev/null", dir, command);
        sound_require(system(line) == 0, command);
        snprintf(path, sizeof path, "%s/%s", dir, out);
        result = fixture_file(path);
        sound_require(result.data != NULL, out);
        snprintf(line, sizeof line, "rm -r %s", dir);
        sound_require(system(line) == 0, line);
        return result;
}

unsigned sound_add(struct sound *s, const char *name, struct bytes bytes)
{
        struct content *c = &s->contents[s->content_count];
        size_t sectors = (bytes.len + SOUND_SECTOR - 1) / SOUND_SECTOR;

        sound_require(s->content_count < SOUND_CONTENTS, "too many contents");
        *c = (struct content){.bytes = bytes, .places = calloc(sectors + 1, sizeof *c->places)};
        sound_require(c->places != NULL, "out of memory");
        snprintf(c->name, sizeof c->name, "%s", name);
        for (size_t i = 0; i < sectors; i++)
                for (int k = 0; k < SOUND_PLACES; k++)
                        c->places[i][k].file = -1;
        return s->content_count++;
}

void sound_add_linear(struct sound *s, const char *name, struct bytes bytes, int file, size_t at)
{
        struct content *c = &s->contents[sound_add(s, name, bytes)];

        c->linear = true;
        for (size_t i = 0; i * SOUND_SECTOR < bytes.len; i++)
                c->places[i][0] = (struct place_of){file, at + i * SOUND_SECTOR};
}

void sound_add_file(struct sound *s, const char *name, struct bytes bytes)
{
        struct sound_file *f = &s->files[s->file_count];

        sound_require(s->file_count++ < SOUND_FILES, "too many files");
        snprintf(f->name, sizeof f->name, "%s", name);
        f->bytes = bytes;
}

/* Room for one more in an array that doubles. */
static void *one_more(void *array, size_t count, size_t size)
{
        if ((count & (count - 1)) == 0) {
                array = realloc(array, (count ? 2 * count : 1) * size);
                sound_require(array != NULL, "out of memory");
        }
        return array;
}

void sound_add_frame(struct sound *s, size_t start, size_t header, size_t end)
{
        s->frames = one_more(s->frames, s->frame_count, sizeof *s->frames);
        s->frames[s->frame_count++] = (struct frame){start, header, end};
}

void sound_add_governor(struct sound *s, const struct governor *g)
{
        s->governors = one_more(s->governors, s->governor_count, sizeof *s->governors);
        s->governors[s->governor_count++] = *g;
}

/* ---- where each sector lies ---- */

struct known {
        uint64_t hash; /* 0: free */
        unsigned content;
        size_t sector;
};

struct finder {
        struct known *slots;
        size_t mask;
};

static bool is_zero(const uint8_t *p, size_t len)
{
        return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

static void note(struct finder *f, const struct content *c, unsigned number, size_t sector)
{
        uint8_t bytes[SOUND_SECTOR] = {0};
        size_t at = sector * SOUND_SECTOR, len = (size_t)min_u64(sizeof bytes, c->bytes.len - at);
        size_t slot;
        uint64_t hash;

        memcpy(bytes, c->bytes.data + at, len);
        if (is_zero(bytes, sizeof bytes))
                return;
        hash = XXH3_64bits(bytes, sizeof bytes) | 1;
        for (slot = hash & f->mask; f->slots[slot].hash; slot = (slot + 1) & f->mask)
                ;
        f->slots[slot] = (struct known){hash, number, sector};
}

static void add_place(struct content *c, size_t sector, int file, size_t at)
{
        for (int k = 0; k < SOUND_PLACES; k++) {
                if (c->places[sector][k].file >= 0)
                        continue;
                c->places[sector][k] = (struct place_of){file, at};
                return;
        }
}

static void find(struct sound *s, const struct finder *f, int file, size_t at)
{
        uint64_t hash = XXH3_64bits(s->files[file].bytes.data + at, SOUND_SECTOR) | 1;

        for (size_t slot = hash & f->mask; f->slots[slot].hash; slot = (slot + 1) & f->mask)
                if (f->slots[slot].hash == hash)
                        add_place(&s->contents[f->slots[slot].content], f->slots[slot].sector, file,
                                  at);
}

/* A sector of zeros that is stored lies beside the others of its unit. */
static void fill_in(struct content *c, size_t unit)
{
        size_t sectors = (c->bytes.len + SOUND_SECTOR - 1) / SOUND_SECTOR;
        size_t each = unit / SOUND_SECTOR;

        for (size_t first = 0; first < sectors; first += each) {
                size_t end = (size_t)min_u64(first + each, sectors), known = first;

                while (known < end && c->places[known][0].file < 0)
                        known++;
                for (size_t i = first; i < end && known < end; i++) {
                        struct place_of p = c->places[known][0];

                        if (c->places[i][0].file >= 0 ||
                            p.at + i * SOUND_SECTOR < known * SOUND_SECTOR)
                                continue;
                        p.at = p.at + i * SOUND_SECTOR - known * SOUND_SECTOR;
                        c->places[i][0] = p;
                }
        }
}

static void find_places(struct sound *s)
{
        struct finder f = {.mask = 1};
        size_t sectors = 1;

        for (unsigned i = 0; i < s->content_count; i++)
                sectors += s->contents[i].bytes.len / SOUND_SECTOR + 1;
        while (f.mask < 2 * sectors)
                f.mask = 2 * f.mask + 1;
        f.slots = calloc(f.mask + 1, sizeof *f.slots);
        sound_require(f.slots != NULL, "out of memory");
        for (unsigned i = 0; i < s->content_count; i++)
                for (size_t k = 0; k * SOUND_SECTOR < s->contents[i].bytes.len; k++)
                        if (!s->contents[i].linear)
                                note(&f, &s->contents[i], i, k);
        for (unsigned i = 0; i < s->file_count; i++)
                for (size_t at = 0; at + SOUND_SECTOR <= s->files[i].bytes.len; at += SOUND_SECTOR)
                        find(s, &f, (int)i, at);
        for (unsigned i = 0; i < s->content_count; i++)
                if (!s->contents[i].linear)
                        fill_in(&s->contents[i], s->unit);
        free(f.slots);
}

struct sound sound_make(const struct sound_format *format, size_t size)
{
        struct sound s = {.format = format->name, .unit = 65536};

        format->make(&s, size);
        find_places(&s);
        return s;
}

void sound_free(struct sound *s)
{
        for (unsigned i = 0; i < s->file_count; i++)
                free(s->files[i].bytes.data);
        for (unsigned i = 0; i < s->content_count; i++) {
                free(s->contents[i].bytes.data);
                free(s->contents[i].places);
        }
        free(s->frames);
        free(s->governors);
}
