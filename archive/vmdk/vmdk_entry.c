/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the entries of directories and tables say.
 *
 *   header, COWD   32 bits: the sector of a table or a grain; 0: there is none
 *   SESparse       64 bits, the top four of which are a type: 0 none, 1 or 2 zeros, 3 a grain
 *
 *     | 3 | low 12 bits of the number | its high 48 bits |      a grain
 *     | 1 |           0           | number (32 bits)     |      a table
 */
#include "archive/bytes.h"
#include "archive/vmdk/vmdk.h"

#define TYPE_SHIFT   60
#define LOW_SHIFT    48 /* of an entry's bits that are the low ones of a grain's number */
#define LOW_BITS     12
#define HIGH_MASK    ((UINT64_C(1) << LOW_SHIFT) - 1)
#define TABLE_HIGH   UINT64_C(0x10000000) /* the upper half of an entry that names a table */
#define TABLE_NUMBER UINT64_C(0xffffffff)

enum { TYPE_NONE, TYPE_UNMAPPED, TYPE_ZERO, TYPE_GRAIN };

/* Byte START + NUMBER * SIZE of a file; VMDK_NOWHERE where no file is so long. */
static uint64_t place(uint64_t start, uint64_t number, uint64_t size)
{
        uint64_t bytes, at;

        if (!checked_mul(number, size, &bytes) || !checked_add(start, bytes, &at) ||
            at >= VMDK_FILE_MAX)
                return VMDK_NOWHERE;
        return at;
}

uint64_t vmdk_table_at(const struct vmdk_part *p, const unsigned char *entry)
{
        uint64_t value = vmdk_load(p, entry);

        if (!p->h.sesparse)
                return value * VMDK_SECTOR;
        if (value >> 32 != TABLE_HIGH)
                return VMDK_NOWHERE;
        return place(p->h.tables, value & TABLE_NUMBER, vmdk_table_bytes(p));
}

uint64_t vmdk_entry(const struct vmdk_part *p, const unsigned char *entry)
{
        uint64_t value = vmdk_load(p, entry), number;

        if (!p->h.sesparse)
                return p->h.zeroed && value == 1 ? 0 : value * VMDK_SECTOR;
        switch (value >> TYPE_SHIFT) {
        case TYPE_NONE:
                return value ? VMDK_NOWHERE : 0;
        case TYPE_UNMAPPED:
        case TYPE_ZERO:
                return 0;
        case TYPE_GRAIN:
                number = (value >> LOW_SHIFT & ((1 << LOW_BITS) - 1)) | (value & HIGH_MASK)
                                                                            << LOW_BITS;
                return place(p->h.grains, number, p->h.grain);
        default:
                return VMDK_NOWHERE;
        }
}
