/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a manifest: as its blob, and as the text in one that is sound. */
#include <stdlib.h>
#include <string.h>

#include "archive/store/pbs/pbs_manifest.h"
#include "tests/fixtures/pbs_writer.h"
#include "tests/fuzz/fuzz.h"

static void read_manifest(const uint8_t *data, size_t size)
{
        struct pbs_manifest *m;

        if (pbs_manifest_parse(data, size, NULL, &m, NULL) < 0)
                return;
        for (size_t i = 0; i < m->count; i++)
                fuzz_require(pbs_manifest_find(m, m->files[i].name) == &m->files[i] &&
                             !strchr(m->files[i].name, '/'));
        pbs_manifest_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct bytes blob = pbsw_plain_blob(data, size, false);

        read_manifest(data, size);
        read_manifest(blob.data, blob.len);
        free(blob.data);
        return 0;
}
