/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as the extents of a disk: what can be read is written the same again. */
#include <string.h>

#include "archive/bytes.h"
#include "index/map/extentcode.h"
#include "index/map/map.h"
#include "tests/fuzz/fuzz.h"

enum { EXTENTS_MAX = 4096 };

/* Decode up to EXTENTS_MAX extents of [DATA, + SIZE). How many. */
static size_t decode(const uint8_t *data, size_t size, struct extent *out)
{
        const uint8_t *at = data, *end = data + size;
        struct extentcode code = {0};
        uint64_t start = 0;
        size_t n = 0;

        while (n < EXTENTS_MAX && at < end) {
                const uint8_t *before = at;
                struct extent *e = &out[n];

                if (extentcode_read(&code, start, &at, end, e) < 0)
                        break;
                fuzz_require(at > before && at <= end);
                fuzz_require(e->start == start && e->len > 0 && e->len % MAP_BLOCK == 0);
                fuzz_require(e->addr <= EXTENT_ADDR_MAX || e->addr == EXTENT_ZERO ||
                             e->addr == EXTENT_LOST);
                if (!checked_add(start, e->len, &start))
                        break;
                n++;
        }
        return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct extent extents[EXTENTS_MAX], again[EXTENTS_MAX];
        struct extentcode code = {0};
        size_t n = decode(data, size, extents), len = 0;
        char *bytes = NULL;
        FILE *out = open_memstream(&bytes, &len);

        fuzz_require(out != NULL);
        for (size_t i = 0; i < n; i++)
                extentcode_write(&code, &extents[i], out);
        fuzz_require(fclose(out) == 0);
        fuzz_require(decode((const uint8_t *)bytes, len, again) == n);
        fuzz_require(memcmp(extents, again, n * sizeof *extents) == 0);
        free(bytes);
        return 0;
}
