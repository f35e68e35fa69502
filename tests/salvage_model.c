/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/salvage_model.h"

#include <errno.h>
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

#include "archive/error.h"
#include "index/index.h"
#include "tests/vma_writer.h"

const uint8_t salvage_uuid[16] = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0x4e, 0xf0,
                                  0x81, 0x22, 0x31, 0x40, 0x95, 0x06, 0xa7, 0x58};

/* ---- an archive ---- */

uint32_t salvage_random(uint64_t *state)
{
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t)(*state >> 33);
}

uint64_t salvage_below(uint64_t *state, uint64_t n)
{
        return (((uint64_t)salvage_random(state) << 31) | salvage_random(state)) % n;
}

static void choose_order(struct salvage *m, uint64_t *random)
{
        for (uint32_t i = 0; i < CLUSTERS; i++) {
                uint32_t j = (uint32_t)salvage_below(random, i + 1);

                m->order[i] = m->order[j];
                m->order[j] = i;
                m->mask[i] = salvage_below(random, 3) ? 0xffff : (uint16_t)salvage_random(random);
        }
        m->mask[7] = 0;
}

struct salvage salvage_make(uint64_t seed, const uint8_t *cluster_0)
{
        struct salvage m = {0};
        int fd = memfd_create("archive", MFD_CLOEXEC);
        uint64_t at;
        struct vma_writer *w;

        m.disk = calloc(1, (size_t)CLUSTERS * CLUSTER);
        choose_order(&m, &seed);
        if (cluster_0)
                m.mask[0] = 0xffff;
        assert_int_equal(vma_writer_open(fd, salvage_uuid, 1, &w), 0);
        assert_int_equal(vma_writer_device(w, 1, "a", (uint64_t)CLUSTERS * CLUSTER), 0);
        assert_int_equal(vma_writer_header(w, NULL), 0);
        assert_int_equal(vma_writer_set_slots(w, SLOTS), 0);
        at = vma_writer_offset(w);
        for (uint32_t i = 0; i < CLUSTERS; i++) {
                static uint8_t data[CLUSTER];
                uint32_t c = m.order[i];

                if (i % SLOTS == 0) {
                        m.extent[i / SLOTS] = at;
                        at += HEADER;
                }
                vma_pattern(1, c, data);
                if (c == 0 && cluster_0)
                        memcpy(data, cluster_0, CLUSTER);
                for (uint32_t b = 0; b < 16; b++) {
                        if (!(m.mask[c] >> b & 1))
                                continue;
                        memcpy(m.disk + (size_t)c * CLUSTER + (size_t)b * BLOCK, data + b * BLOCK,
                               BLOCK);
                        m.block_at[c * 16 + b] = at;
                        at += BLOCK;
                }
                assert_int_equal(vma_writer_cluster(w, 1, c, m.mask[c], data), 0);
        }
        m.extent[EXTENTS] = at;
        assert_int_equal(vma_writer_close(w), 0);
        m.len = at;
        m.bytes = malloc(at + ROOM);
        m.touched = calloc(1, at);
        assert_int_equal(pread(fd, m.bytes, at, 0), at);
        close(fd);
        return m;
}

void salvage_discard(struct salvage *m)
{
        index_close(m->index);
        free(m->bytes);
        free(m->disk);
        free(m->touched);
}

/* ---- damage ---- */

void salvage_overwrite(struct salvage *m, uint64_t at, size_t n, const void *with)
{
        memcpy(m->bytes + at, with, n);
}

void salvage_wipe(struct salvage *m, uint64_t at, size_t n)
{
        memset(m->bytes + at, 0, n);
}

void salvage_insert(struct salvage *m, uint64_t at, size_t n, const void *with)
{
        memmove(m->bytes + at + n, m->bytes + at, m->len - at);
        memcpy(m->bytes + at, with, n);
        m->len += n;
}

void salvage_cut_out(struct salvage *m, uint64_t at, size_t n)
{
        memmove(m->bytes + at, m->bytes + at + n, m->len - at - n);
        m->len -= n;
}

const uint8_t *salvage_junk(size_t n)
{
        static uint8_t bytes[ROOM];
        uint64_t state = 99;

        for (size_t i = 0; i < n; i++)
                bytes[i] = (uint8_t)salvage_random(&state);
        return bytes;
}

/* ---- reading it ---- */

int salvage_try(struct salvage *m)
{
        struct index_options options = {.threads = 1, .cache_bytes = 4 << 20};
        struct error err = {0};
        int fd = memfd_create("damaged", MFD_CLOEXEC);
        char path[64];
        int rc;

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        assert_int_equal(write(fd, m->bytes, m->len), m->len);
        rc = index_open(path, &options, &m->index, &err);
        close(fd);
        if (rc < 0) {
                m->index = NULL;
                return rc;
        }
        if (index_scan(m->index, NULL, &err) < 0)
                fail_msg("%s", err.text);
        m->d = index_disk(m->index, 0);
        return 0;
}

void salvage_open(struct salvage *m)
{
        assert_int_equal(salvage_try(m), 0);
}

static bool was_touched(const struct salvage *m, size_t block)
{
        for (size_t i = 0; m->block_at[block] && i < BLOCK; i++)
                if (m->touched[m->block_at[block] + i])
                        return true;
        return false;
}

size_t salvage_check(struct salvage *m)
{
        size_t count = 0;

        for (size_t i = 0; i < BLOCKS; i++) {
                uint8_t got[BLOCK];
                ssize_t n = disk_read(m->d, got, BLOCK, i * BLOCK);

                m->lost[i] = n == -EIO;
                count += m->lost[i];
                if (m->lost[i] || was_touched(m, i))
                        continue;
                assert_int_equal(n, BLOCK);
                if (memcmp(got, m->disk + i * BLOCK, BLOCK) != 0)
                        fail_msg("block %zu is wrong", i);
        }
        assert_int_equal(m->d->totals.lost, count * BLOCK);
        return count;
}

void salvage_expect_lost(const struct salvage *m, unsigned e, bool zeros)
{
        for (unsigned i = 0; i < SLOTS; i++) {
                uint32_t c = m->order[e * SLOTS + i];

                for (unsigned b = 0; b < 16; b++)
                        assert_int_equal(m->lost[c * 16 + b], zeros || (m->mask[c] >> b & 1));
        }
}

void salvage_expect_whole(const struct salvage *m, unsigned e)
{
        for (unsigned i = 0; i < SLOTS * 16; i++)
                assert_false(m->lost[m->order[e * SLOTS + i / 16] * 16 + i % 16]);
}

void salvage_expect_fates(struct salvage *m, const char *fates)
{
        salvage_open(m);
        salvage_check(m);
        assert_int_equal(strlen(fates), EXTENTS);
        for (unsigned e = 0; e < EXTENTS; e++) {
                if (fates[e] == '.')
                        salvage_expect_whole(m, e);
                else
                        salvage_expect_lost(m, e, fates[e] == 'x');
        }
        assert_int_equal(index_damage_count(m->index) > 0, strspn(fates, ".") < EXTENTS);
}

bool salvage_has_damage(const struct salvage *m, uint64_t offset, const char *word)
{
        const struct index_damage *list;
        size_t n = index_damages(m->index, &list);

        for (size_t i = 0; i < n; i++)
                if (list[i].offset == offset && strstr(list[i].text, word))
                        return true;
        return false;
}
