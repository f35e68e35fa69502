/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A physical volume's label and its metadata areas.
 *
 *   sector 0 to 3    label ── header: id, data areas, metadata areas
 *   metadata area    [ header | text, text, … in a ring ]   the header says which text counts
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/inside/lvm.h"
#include "archive/volume.h"

enum {
        SECTOR = 512,
        LABEL_SECTORS = 4,
        HEADER_LEN = 40,   /* id and size, before the lists of areas */
        AREA_LEN = 16,     /* offset and size */
        AREA_HEADER = 512, /* the ring begins after it */
        LOCATION = 40,     /* of the text, in an area's header */
        IGNORED = 1,       /* a flag of the location */
        TEXT_MAX = 8 << 20,
};

#define CRC_START 0xf597a6cfu

/* LVM's checksum is CRC-32 without the two inversions of zlib's. */
static uint32_t checksum(const void *data, size_t len)
{
        return ~(uint32_t)crc32_z(~CRC_START & UINT32_MAX, data, len);
}

/* -EBADMSG where it is past the end. */
static int read_at(struct volume *v, void *buf, size_t len, uint64_t pos)
{
        return range_within(pos, len, v->size) ? volume_read(v, buf, len, pos) : -EBADMSG;
}

/* The label's sector into SECTOR_OUT. -EBADMSG: there is none. */
static int find_label(struct volume *v, uint8_t *out)
{
        for (uint64_t i = 0; i < LABEL_SECTORS; i++) {
                int rc = read_at(v, out, SECTOR, i * SECTOR);

                if (rc < 0)
                        return rc;
                if (memcmp(out, "LABELONE", 8) == 0 && memcmp(out + 24, "LVM2 001", 8) == 0 &&
                    load_le64(out + 8) == i &&
                    load_le32(out + 16) == checksum(out + 20, SECTOR - 20))
                        return 0;
        }
        return -EBADMSG;
}

/* Read the text that the header H of the area at START says, which may go round the ring's end. */
static int read_text(struct volume *v, const uint8_t *h, uint64_t start, uint64_t size,
                     struct lvm_label *out)
{
        uint64_t offset = load_le64(h + LOCATION), len = load_le64(h + LOCATION + 8), first;
        cleanup_free char *text = NULL;
        int rc;

        if (len == 0 || len > TEXT_MAX || len > size - AREA_HEADER || offset < AREA_HEADER ||
            offset >= size || (load_le32(h + LOCATION + 20) & IGNORED))
                return -EBADMSG;
        text = malloc(len);
        if (!text)
                return -ENOMEM;
        first = min_u64(len, size - offset);
        rc = read_at(v, text, first, start + offset);
        if (rc == 0 && first < len)
                rc = read_at(v, text + first, len - first, start + AREA_HEADER);
        if (rc == 0 && checksum(text, len) != load_le32(h + LOCATION + 16))
                rc = -EBADMSG;
        if (rc < 0)
                return rc;
        out->len = len;
        out->text = steal_ptr(&text);
        return 0;
}

/* The metadata area of SIZE bytes at START. */
static int read_area(struct volume *v, uint64_t start, uint64_t size, struct lvm_label *out)
{
        uint8_t h[AREA_HEADER];
        int rc = range_within(start, size, v->size) && size > AREA_HEADER
                     ? read_at(v, h, sizeof h, start)
                     : -EBADMSG;

        if (rc < 0)
                return rc;
        if (load_le32(h) != checksum(h + 4, sizeof h - 4) ||
            memcmp(h + 4, " LVM2 x[5A%r0N*>", 16) != 0 || load_le32(h + 20) != 1 ||
            load_le64(h + 24) != start || load_le64(h + 32) != size)
                return -EBADMSG;
        return read_text(v, h, start, size, out);
}

/* The next area of the list at *AT in SECTOR_DATA, which is moved on. False: the list ends. */
static bool next_area(const uint8_t *sector, size_t *at, uint64_t *start, uint64_t *size)
{
        if (*at + AREA_LEN > SECTOR)
                return false;
        *start = load_le64(sector + *at);
        *size = load_le64(sector + *at + 8);
        *at += AREA_LEN;
        return *start != 0;
}

int lvm_label_read(struct volume *v, struct lvm_label *out)
{
        uint8_t sector[SECTOR];
        uint64_t start, size;
        size_t at;
        int rc;

        *out = (struct lvm_label){0};
        rc = find_label(v, sector);
        if (rc < 0)
                return rc == -EBADMSG ? 0 : rc;
        at = load_le32(sector + 20);
        if (at > SECTOR - HEADER_LEN)
                return 0;
        out->found = true;
        memcpy(out->id, sector + at, LVM_ID_LEN - 1);
        at += HEADER_LEN;
        while (next_area(sector, &at, &start, &size))
                ; /* data areas: the metadata say where the extents begin */
        while (!out->text && next_area(sector, &at, &start, &size)) {
                rc = read_area(v, start, size, out);
                /* What is wrong with one copy is no reason to do without another. */
                if (rc < 0 && rc != -EBADMSG && rc != -EIO)
                        return rc;
        }
        return 0;
}

void lvm_label_fini(struct lvm_label *l)
{
        free(l->text);
        l->text = NULL;
}
