/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a blob of a datastore, decoded into memory of a known size and of none. */
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/store/pbs/pbs_blob.h"
#include "tests/fuzz/fuzz.h"

enum { OUT_MAX = 100000, AT_SUM = 8, HEADER = 12 };

static void read_blob(const uint8_t *data, size_t size)
{
        uint8_t *out = malloc(OUT_MAX);
        void *grown = NULL;
        ssize_t n = pbs_blob_decode(data, size, NULL, out, OUT_MAX, NULL);
        ssize_t m = pbs_blob_decode_new(data, size, NULL, OUT_MAX, &grown, NULL);

        fuzz_require(n <= OUT_MAX && m <= OUT_MAX);
        /* Of blocks that are larger than their window, zstd itself accepts some in one way alone. */
        if (n >= 0 && m >= 0)
                fuzz_require(n == m && memcmp(out, grown, (size_t)n) == 0);
        free(grown);
        free(out);
}

/* The checksum is right, which no change of anything else would keep. */
static void read_with_sum(const uint8_t *data, size_t size)
{
        uint8_t *copy = malloc(size);

        memcpy(copy, data, size);
        store_le32(copy + AT_SUM, checksum_crc32(copy + HEADER, size - HEADER));
        read_blob(copy, size);
        free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        read_blob(data, size);
        if (size >= HEADER)
                read_with_sum(data, size);
        return 0;
}
