/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/vma_writer.h"

#include <endian.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"

/* Byte offsets of the header's fields. */
enum {
        HEADER_VERSION = 4,
        HEADER_UUID = 8,
        HEADER_CTIME = 24,
        HEADER_MD5 = 32,
        HEADER_BLOBS = 48,
        HEADER_BLOBS_SIZE = 52,
        HEADER_LENGTH = 56,
        HEADER_CONFIG_NAMES = 2044,
        HEADER_CONFIG_DATA = 3068,
        HEADER_DEVICES = 4096,
        HEADER_DEVICE_SIZE = 32,
};

/* … and of an extent header's. */
enum {
        EXTENT_RESERVED = 4,
        EXTENT_COUNT = 6,
        EXTENT_UUID = 8,
        EXTENT_MD5 = 24,
        EXTENT_SLOTS = 40,
};

#define EXTENT_MAGIC 0x564d4145u /* "VMAE" */
#define TABLE_SIZE   256u
#define BLOB_MAX     65535u
#define ROOM_UNIT    512u
#define BLOCKS_MAX   (VMA_CLUSTER / VMA_BLOCK)

struct slot {
        uint64_t word;
        unsigned blocks;
        bool hole; /* blocks take room in the file and nothing is written there */
};

struct device {
        uint32_t name;
        uint64_t size;
};

struct vma_writer {
        int fd;
        uint64_t offset; /* bytes of archive so far, holes included */
        bool header_written;
        uint8_t uuid[16];
        int64_t ctime;

        unsigned configs;
        uint32_t config_names[TABLE_SIZE];
        uint32_t config_data[TABLE_SIZE];
        struct device devices[TABLE_SIZE];
        uint8_t *blobs;
        size_t blobs_len;
        size_t blobs_room; /* what the genuine writer would have allocated, and writes out */

        uint64_t extents;
        unsigned slots_max;
        unsigned slots_used;
        unsigned damage;
        struct slot slots[VMA_SLOTS];
        uint8_t *data; /* of the open extent: VMA_SLOTS clusters, filled from the start */
        size_t data_len;
};

static void put_be16(uint8_t *p, uint16_t v)
{
        v = htobe16(v);
        memcpy(p, &v, sizeof v);
}

static void put_be32(uint8_t *p, uint32_t v)
{
        v = htobe32(v);
        memcpy(p, &v, sizeof v);
}

static void put_be64(uint8_t *p, uint64_t v)
{
        v = htobe64(v);
        memcpy(p, &v, sizeof v);
}

static int write_at(int fd, const uint8_t *data, size_t len, uint64_t offset)
{
        while (len > 0) {
                ssize_t n = pwrite(fd, data, len, (off_t)offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                data += n;
                len -= (size_t)n;
                offset += (uint64_t)n;
        }
        return 0;
}

/* The MD5 of LEN bytes in which the 16 at FIELD count as zero, put there. */
static int put_md5(uint8_t *bytes, size_t len, size_t field, bool wrong)
{
        uint8_t md5[16];

        memset(bytes + field, 0, sizeof md5);
        if (!EVP_Digest(bytes, len, md5, NULL, EVP_md5(), NULL))
                return -ENOTSUP;
        memcpy(bytes + field, md5, sizeof md5);
        if (wrong)
                bytes[field] ^= 1;
        return 0;
}

int vma_writer_open(int fd, const uint8_t uuid[16], int64_t ctime, struct vma_writer **out)
{
        struct vma_writer *w = calloc(1, sizeof *w);

        if (!w)
                return -ENOMEM;
        w->fd = fd;
        w->ctime = ctime;
        w->slots_max = VMA_SLOTS_GENUINE;
        memcpy(w->uuid, uuid, sizeof w->uuid);
        /* Offset 0 means "no blob", so the buffer begins with a byte that is none's. */
        w->blobs_len = 1;
        w->blobs_room = ROOM_UNIT;
        w->blobs = calloc(1, w->blobs_len);
        w->data = malloc((size_t)VMA_SLOTS * VMA_CLUSTER);
        if (!w->blobs || !w->data) {
                vma_writer_close(w);
                return -ENOMEM;
        }
        *out = w;
        return 0;
}

int vma_writer_blob(struct vma_writer *w, const void *data, size_t len, uint32_t *offset)
{
        uint8_t *grown;

        if (w->header_written || len > BLOB_MAX)
                return -EINVAL;
        grown = realloc(w->blobs, w->blobs_len + 2 + len);
        if (!grown)
                return -ENOMEM;
        w->blobs = grown;
        *offset = (uint32_t)w->blobs_len;
        /* The one little-endian number of the format. */
        grown[w->blobs_len] = (uint8_t)(len & 0xff);
        grown[w->blobs_len + 1] = (uint8_t)(len >> 8);
        if (len > 0)
                memcpy(grown + w->blobs_len + 2, data, len);
        w->blobs_len += 2 + len;
        if (w->blobs_len > w->blobs_room)
                w->blobs_room += round_up(2 + len, ROOM_UNIT);
        return 0;
}

int vma_writer_config_at(struct vma_writer *w, uint8_t slot, uint32_t name, uint32_t data)
{
        if (w->header_written)
                return -EINVAL;
        w->config_names[slot] = name;
        w->config_data[slot] = data;
        return 0;
}

int vma_writer_device_at(struct vma_writer *w, uint8_t id, uint32_t name, uint64_t size)
{
        if (w->header_written)
                return -EINVAL;
        w->devices[id] = (struct device){.name = name, .size = size};
        return 0;
}

int vma_writer_config(struct vma_writer *w, const char *name, const void *data, size_t len)
{
        uint32_t name_at;
        uint32_t data_at;
        int rc;

        if (w->configs >= TABLE_SIZE)
                return -EINVAL;
        rc = vma_writer_blob(w, name, strlen(name) + 1, &name_at);
        if (rc == 0)
                rc = vma_writer_blob(w, data, len, &data_at);
        if (rc == 0)
                rc = vma_writer_config_at(w, (uint8_t)w->configs, name_at, data_at);
        if (rc == 0)
                w->configs++;
        return rc;
}

int vma_writer_device(struct vma_writer *w, uint8_t id, const char *name, uint64_t size)
{
        uint32_t name_at;
        int rc = vma_writer_blob(w, name, strlen(name) + 1, &name_at);

        return rc < 0 ? rc : vma_writer_device_at(w, id, name_at, size);
}

static void fill_header(const struct vma_writer *w, uint8_t *h, uint32_t version, uint32_t size)
{
        memcpy(h, "VMA", 4);
        put_be32(h + HEADER_VERSION, version);
        memcpy(h + HEADER_UUID, w->uuid, sizeof w->uuid);
        put_be64(h + HEADER_CTIME, (uint64_t)w->ctime);
        put_be32(h + HEADER_BLOBS, VMA_HEADER_SIZE);
        put_be32(h + HEADER_BLOBS_SIZE, (uint32_t)w->blobs_len);
        put_be32(h + HEADER_LENGTH, size);
        for (size_t i = 0; i < TABLE_SIZE; i++) {
                put_be32(h + HEADER_CONFIG_NAMES + 4 * i, w->config_names[i]);
                put_be32(h + HEADER_CONFIG_DATA + 4 * i, w->config_data[i]);
                put_be32(h + HEADER_DEVICES + HEADER_DEVICE_SIZE * i, w->devices[i].name);
                put_be64(h + HEADER_DEVICES + HEADER_DEVICE_SIZE * i + 8, w->devices[i].size);
        }
        memcpy(h + VMA_HEADER_SIZE, w->blobs, w->blobs_len);
}

int vma_writer_header(struct vma_writer *w, const struct vma_header_options *opt)
{
        const struct vma_header_options genuine = {0};
        cleanup_free uint8_t *header = NULL;
        uint64_t least = VMA_HEADER_SIZE + w->blobs_len;
        uint64_t size;
        int rc;

        if (!opt)
                opt = &genuine;
        size = opt->header_size ? opt->header_size : VMA_HEADER_SIZE + w->blobs_room;
        if (w->header_written || size < least || size > UINT32_MAX)
                return -EINVAL;
        header = calloc(1, size);
        if (!header)
                return -ENOMEM;
        fill_header(w, header, opt->version ? opt->version : 1, (uint32_t)size);
        if (opt->edit)
                opt->edit(opt->edit_ctx, header, size);
        rc = put_md5(header, size, HEADER_MD5, opt->wrong_md5);
        if (rc == 0)
                rc = write_at(w->fd, header, size, 0);
        if (rc < 0)
                return rc;
        w->header_written = true;
        w->offset = size;
        return 0;
}

int vma_writer_set_slots(struct vma_writer *w, unsigned n)
{
        if (n < 1 || n > VMA_SLOTS || w->slots_used >= n)
                return -EINVAL;
        w->slots_max = n;
        return 0;
}

/* Take a slot and room for its blocks behind the extent's data, which the caller fills. */
static bool append_slot(struct vma_writer *w, uint64_t word, unsigned blocks, bool hole)
{
        /* Full is only an extent whose flush has failed. */
        if (!w->header_written || blocks > BLOCKS_MAX || w->slots_used >= w->slots_max)
                return false;
        w->slots[w->slots_used++] = (struct slot){.word = word, .blocks = blocks, .hole = hole};
        w->data_len += (size_t)blocks * VMA_BLOCK;
        return true;
}

static int flush_when_full(struct vma_writer *w)
{
        return w->slots_used >= w->slots_max ? vma_writer_flush(w) : 0;
}

int vma_writer_slot(struct vma_writer *w, uint64_t word, const void *data, unsigned blocks)
{
        uint8_t *to = w->data + w->data_len;

        if (!append_slot(w, word, blocks, !data))
                return -EINVAL;
        if (data)
                memcpy(to, data, (size_t)blocks * VMA_BLOCK);
        return flush_when_full(w);
}

int vma_writer_cluster(struct vma_writer *w, uint8_t dev, uint32_t cluster, uint16_t mask,
                       const void *data)
{
        uint64_t word = (uint64_t)mask << 48 | (uint64_t)dev << 32 | cluster;
        uint8_t *to = w->data + w->data_len;

        if (!append_slot(w, word, (unsigned)__builtin_popcount(mask), !data))
                return -EINVAL;
        for (unsigned i = 0; data && i < BLOCKS_MAX; i++) {
                if (!(mask >> i & 1))
                        continue;
                memcpy(to, (const uint8_t *)data + (size_t)i * VMA_BLOCK, VMA_BLOCK);
                to += VMA_BLOCK;
        }
        return flush_when_full(w);
}

void vma_writer_damage(struct vma_writer *w, unsigned damage)
{
        w->damage = damage;
}

static int fill_extent_header(const struct vma_writer *w, uint8_t *h)
{
        size_t count = w->data_len / VMA_BLOCK;

        if (w->damage & VMA_WRONG_COUNT_MORE)
                count++;
        if (w->damage & VMA_WRONG_COUNT_LESS)
                count--;
        put_be32(h, w->damage & VMA_WRONG_MAGIC ? EXTENT_MAGIC + 1 : EXTENT_MAGIC);
        put_be16(h + EXTENT_RESERVED, w->damage & VMA_WRONG_RESERVED ? 1 : 0);
        put_be16(h + EXTENT_COUNT, (uint16_t)count);
        memcpy(h + EXTENT_UUID, w->uuid, sizeof w->uuid);
        if (w->damage & VMA_WRONG_UUID)
                h[EXTENT_UUID] ^= 1;
        for (size_t i = 0; i < w->slots_used; i++)
                put_be64(h + EXTENT_SLOTS + 8 * i, w->slots[i].word);
        return put_md5(h, VMA_EXTENT_HEADER, EXTENT_MD5, w->damage & VMA_WRONG_MD5);
}

/* Write the extent's data, neighbouring slots in one go, and nothing where a slot is a hole. */
static int write_data(const struct vma_writer *w)
{
        uint64_t base = w->offset + VMA_EXTENT_HEADER;
        size_t start = 0;
        size_t end = 0;

        for (size_t i = 0; i < w->slots_used; i++) {
                size_t len = (size_t)w->slots[i].blocks * VMA_BLOCK;

                if (w->slots[i].hole) {
                        int rc = write_at(w->fd, w->data + start, end - start, base + start);

                        if (rc < 0)
                                return rc;
                        start = end + len;
                }
                end += len;
        }
        return write_at(w->fd, w->data + start, end - start, base + start);
}

int vma_writer_flush(struct vma_writer *w)
{
        uint8_t header[VMA_EXTENT_HEADER] = {0};
        int rc;

        if (!w->header_written)
                return -EINVAL;
        rc = fill_extent_header(w, header);
        if (rc == 0)
                rc = write_at(w->fd, header, sizeof header, w->offset);
        if (rc == 0)
                rc = write_data(w);
        if (rc < 0)
                return rc;
        w->offset += sizeof header + w->data_len;
        w->extents++;
        w->slots_used = 0;
        w->data_len = 0;
        w->damage = 0;
        return 0;
}

static int flush_if_begun(struct vma_writer *w)
{
        return w->slots_used > 0 ? vma_writer_flush(w) : 0;
}

int vma_writer_raw(struct vma_writer *w, const void *data, size_t len)
{
        int rc = flush_if_begun(w);

        if (rc == 0)
                rc = write_at(w->fd, data, len, w->offset);
        if (rc == 0)
                w->offset += len;
        return rc;
}

uint64_t vma_writer_offset(const struct vma_writer *w)
{
        return w->offset;
}

uint64_t vma_writer_extents(const struct vma_writer *w)
{
        return w->extents;
}

int vma_writer_close(struct vma_writer *w)
{
        int rc;

        if (!w)
                return 0;
        rc = flush_if_begun(w);
        /* A hole at the end is not part of the file until the length says so. */
        if (rc == 0 && w->header_written && ftruncate(w->fd, (off_t)w->offset) < 0)
                rc = -errno;
        free(w->blobs);
        free(w->data);
        free(w);
        return rc;
}

uint16_t vma_nonzero_mask(const void *cluster)
{
        static const uint8_t zero[VMA_BLOCK];
        unsigned mask = 0;

        for (unsigned i = 0; i < BLOCKS_MAX; i++)
                if (memcmp((const uint8_t *)cluster + (size_t)i * VMA_BLOCK, zero, VMA_BLOCK) != 0)
                        mask |= 1u << i;
        return (uint16_t)mask;
}

/* Sebastiano Vigna's splitmix64: every input has its own output. */
static uint64_t mix(uint64_t x)
{
        x += UINT64_C(0x9e3779b97f4a7c15);
        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
        return x ^ (x >> 31);
}

void vma_pattern(uint8_t dev, uint32_t cluster, void *out)
{
        /* The word's number is below 2^13, so no two words of any device share an input. */
        uint64_t place = (uint64_t)dev << 45 | (uint64_t)cluster << 13;
        uint8_t *to = out;

        for (uint64_t i = 0; i < VMA_CLUSTER / sizeof place; i++) {
                uint64_t word = mix(place + i);

                memcpy(to + i * sizeof word, &word, sizeof word);
        }
}
