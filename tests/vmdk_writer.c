/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/vmdk_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "archive/bytes.h"

enum { SECTOR = 512, TABLE = 512, OVERHEAD = 21 * SECTOR };

static void must(bool condition)
{
        if (!condition)
                abort();
}

/* LEN bytes of DATA, or zeros, at the end, padded to a sector. Returns where they are. */
static size_t append(struct vmdk_image *v, const void *data, size_t len)
{
        size_t at = v->file.len, padded = (len + SECTOR - 1) / SECTOR * SECTOR;

        v->file.data = realloc(v->file.data, at + padded + 1);
        must(v->file.data != NULL);
        memset(v->file.data + at, 0, padded);
        if (data)
                memcpy(v->file.data + at, data, len);
        v->file.len += padded;
        return at;
}

static void put_header(struct vmdk_image *v, size_t at, uint64_t gd, uint64_t rgd)
{
        uint8_t *h = v->file.data + at;

        memset(h, 0, SECTOR);
        memcpy(h, "KDMV", 4);
        store_le32(h + 4, v->stream ? 3 : 1);
        store_le32(h + 8, v->stream ? 0x30005 : 0x7);
        store_le64(h + 12, v->size / SECTOR);
        store_le64(h + 20, VMDK_GRAIN / SECTOR);
        store_le64(h + 28, 1); /* the descriptor */
        store_le64(h + 36, 20);
        store_le32(h + 44, TABLE);
        store_le64(h + 48, rgd);
        store_le64(h + 56, gd);
        store_le64(h + 64, OVERHEAD / SECTOR);
        memcpy(h + 73, "\n \r\n", 4);
        h[77] = v->stream;
}

struct vmdk_image vmdk_start(bool stream, uint64_t size)
{
        struct vmdk_image v = {.stream = stream, .size = size};
        char text[600];

        v.count = (size_t)((size + VMDK_GRAIN - 1) / VMDK_GRAIN);
        v.grains = calloc(v.count + 1, sizeof *v.grains);
        must(v.grains != NULL);
        append(&v, NULL, OVERHEAD);
        put_header(&v, 0, UINT64_MAX, 0);
        snprintf(text, sizeof text,
                 "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
                 "createType=\"%s\"\n\nRW %llu SPARSE \"disk.vmdk\"\n\nddb.adapterType = \"ide\"\n",
                 stream ? "streamOptimized" : "monolithicSparse",
                 (unsigned long long)(size / SECTOR));
        memcpy(v.file.data + SECTOR, text, strlen(text));
        return v;
}

void vmdk_free(struct vmdk_image *v)
{
        free(v->file.data);
        free(v->grains);
}

static void append_compressed(struct vmdk_image *v, uint64_t number, const void *data)
{
        uLongf len = compressBound(VMDK_GRAIN);
        uint8_t *out = malloc(len + 12);

        must(out && compress2(out + 12, &len, data, VMDK_GRAIN, 6) == Z_OK);
        store_le64(out, number * (VMDK_GRAIN / SECTOR));
        store_le32(out + 8, (uint32_t)len);
        append(v, out, len + 12);
        free(out);
}

void vmdk_grain(struct vmdk_image *v, uint64_t number, const void *data)
{
        v->grains[number] = data ? (uint32_t)(v->file.len / SECTOR) : 1;
        if (data && v->stream)
                append_compressed(v, number, data);
        else if (data)
                append(v, data, VMDK_GRAIN);
}

static void append_marker(struct vmdk_image *v, uint32_t type, uint64_t sectors)
{
        uint8_t marker[SECTOR] = {0};

        store_le64(marker, sectors);
        store_le32(marker + 12, type);
        append(v, marker, sizeof marker);
}

/* All tables, and the directory behind them. Returns where that is. */
static size_t append_tables(struct vmdk_image *v)
{
        size_t tables = (v->count + TABLE - 1) / TABLE, at;
        uint8_t *gd = calloc(tables + 1, 4), table[TABLE * 4];

        must(gd != NULL);
        for (size_t i = 0; i < tables; i++) {
                bool used = false;

                for (size_t k = 0; k < TABLE; k++) {
                        size_t n = i * TABLE + k;

                        store_le32(table + 4 * k, n < v->count ? v->grains[n] : 0);
                        used |= n < v->count && v->grains[n];
                }
                if (!used)
                        continue;
                if (v->stream)
                        append_marker(v, 1, TABLE * 4 / SECTOR);
                store_le32(gd + 4 * i, (uint32_t)(append(v, table, sizeof table) / SECTOR));
        }
        if (v->stream)
                append_marker(v, 2, (tables * 4 + SECTOR - 1) / SECTOR);
        at = append(v, gd, tables * 4);
        free(gd);
        return at;
}

void vmdk_finish(struct vmdk_image *v)
{
        v->gd = append_tables(v);
        if (!v->stream) {
                v->rgd = append_tables(v);
                put_header(v, 0, v->gd / SECTOR, v->rgd / SECTOR);
                return;
        }
        append_marker(v, 3, 1);
        put_header(v, append(v, NULL, SECTOR), v->gd / SECTOR, 0);
        append_marker(v, 0, 0);
}
