/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/parts.h"

#include "archive/bytes.h"
#include "archive/checksum.h"

uint64_t part_hash(const void *bytes, size_t len)
{
        return XXH3_64bits(bytes, len);
}

uint64_t parts_hash(uint64_t start, const uint64_t *hashes, size_t count)
{
        uint8_t list[8 + PARTS_MAX * 8];

        store_le64(list, start);
        for (size_t i = 0; i < count; i++)
                store_le64(list + 8 + i * 8, hashes[i]);
        return XXH3_64bits(list, 8 + count * 8);
}

uint64_t segment_hash(uint64_t start, const void *bytes, size_t len)
{
        uint64_t hashes[PARTS_MAX];
        size_t count = (size_t)part_count(len);

        for (size_t i = 0; i < count; i++) {
                size_t at = i * (size_t)PART_SIZE;

                hashes[i] =
                    part_hash((const uint8_t *)bytes + at, (size_t)min_u64(PART_SIZE, len - at));
        }
        return parts_hash(start, hashes, count);
}
