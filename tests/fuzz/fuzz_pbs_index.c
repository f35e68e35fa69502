/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as an index of a datastore, of either kind. */
#include <string.h>

#include "archive/source/source.h"
#include "archive/store/pbs/pbs_index.h"
#include "tests/fixtures/stream_fixture.h"
#include "tests/fuzz/fuzz.h"

static void read_index(const uint8_t *data, size_t size)
{
        struct source *source = fixture_source(data, size);
        struct pbs_index index;
        struct pbs_chunk_ref ref;

        if (pbs_index_open(source, &index, NULL) < 0)
                return;
        for (uint64_t i = 0; i < 64 && index.size; i++) {
                uint64_t pos = index.size / 64 * i;

                if (pbs_index_find(&index, pos, &ref) == 0)
                        fuzz_require(ref.start <= pos && pos < ref.end && ref.number < index.count);
        }
        pbs_index_close(&index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        read_index(data, size);
        return 0;
}
