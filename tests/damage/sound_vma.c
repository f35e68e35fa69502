/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sound VMA archives, and where their extents are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "tests/damage/sound.h"
#include "tests/fixtures/vma_writer.h"

enum { DISKS = 2, PAGE = 4096 };

static const uint8_t uuid[16] = {0xda, 0x3a, 0x9e, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};

static void put(struct vma_writer *w, const struct bytes *disks, unsigned disk, uint32_t cluster)
{
        uint8_t bytes[VMA_CLUSTER] = {0};
        size_t at = (size_t)cluster * VMA_CLUSTER;

        memcpy(bytes, disks[disk].data + at, (size_t)min_u64(sizeof bytes, disks[disk].len - at));
        sound_require(vma_writer_cluster(w, (uint8_t)(disk + 1), cluster, vma_nonzero_mask(bytes),
                                         bytes) == 0,
                      "a cluster");
}

/* Each cluster of each disk: DISK << 16 | CLUSTER. */
static uint32_t *list_clusters(const struct bytes *disks, size_t *count)
{
        uint32_t *order = malloc((disks[0].len + disks[1].len) / VMA_CLUSTER * 4 + 16);

        sound_require(order != NULL, "out of memory");
        *count = 0;
        for (unsigned d = 0; d < DISKS; d++)
                for (uint32_t c = 0; (size_t)c * VMA_CLUSTER < disks[d].len; c++)
                        order[(*count)++] = d << 16 | c;
        return order;
}

/* As a running machine is backed up: both disks in turn, and what is written to comes early. */
static void shuffle(uint32_t *order, size_t count)
{
        uint64_t random = 99;

        for (size_t i = 0; i < count / 2; i++) {
                size_t a = (size_t)(fixture_random(&random) % count);
                size_t b = (size_t)(fixture_random(&random) % count);
                uint32_t swap = order[a];

                order[a] = order[b];
                order[b] = swap;
        }
}

/* The header, and each extent, are frames. */
static void add_frames(struct sound *s, struct bytes b)
{
        size_t at = load_be32(b.data + 56);

        sound_add_frame(s, 0, at, at);
        while (at < b.len) {
                size_t end = at + VMA_EXTENT_HEADER + (size_t)load_be16(b.data + at + 6) * PAGE;

                sound_require(memcmp(b.data + at, "VMAE", 4) == 0 && end <= b.len, "an extent");
                sound_add_frame(s, at, VMA_EXTENT_HEADER, end);
                at = end;
        }
}

static struct bytes read_back(int fd)
{
        char path[32];

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        return fixture_file(path);
}

static void make(struct sound *s, size_t size, bool live)
{
        struct bytes disks[DISKS] = {sound_disk(size + 3 * SOUND_SECTOR, 11),
                                     sound_disk(size / 2, 12)};
        struct bytes config = fixture_mixture(3000, 13);
        int fd = memfd_create("vma", MFD_CLOEXEC);
        struct vma_writer *w = NULL;
        uint32_t *order;
        size_t count;

        sound_require(fd >= 0 && vma_writer_open(fd, uuid, 1700000000, &w) == 0, "vma_writer");
        sound_require(vma_writer_config(w, "qemu-server.conf", config.data, config.len) == 0 &&
                          vma_writer_device(w, 1, "drive-scsi0", disks[0].len) == 0 &&
                          vma_writer_device(w, 2, "drive-scsi1", disks[1].len) == 0 &&
                          vma_writer_header(w, NULL) == 0,
                      "a header");
        /* Small extents: a small archive should have many. */
        sound_require(vma_writer_set_slots(w, 5) == 0, "slots");
        order = list_clusters(disks, &count);
        if (live)
                shuffle(order, count);
        for (size_t i = 0; i < count; i++)
                put(w, disks, order[i] >> 16, order[i] & 0xffff);
        free(order);
        sound_require(vma_writer_close(w) == 0, "close");
        sound_add_file(s, "a.vma", read_back(fd));
        close(fd);
        s->unit = PAGE;
        add_frames(s, s->files[0].bytes);
        sound_add(s, "qemu-server.conf", config);
        sound_add(s, "disk-drive-scsi0.raw", disks[0]);
        sound_add(s, "disk-drive-scsi1.raw", disks[1]);
}

void sound_vma_ordered(struct sound *s, size_t size)
{
        make(s, size, false);
}

void sound_vma_live(struct sound *s, size_t size)
{
        make(s, size, true);
}
