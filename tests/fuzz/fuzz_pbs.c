/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as what lies in a datastore; the first one says as what. */
#include <string.h>

#include "archive/source/source.h"
#include "archive/store/pbs/pbs_blob.h"
#include "archive/store/pbs/pbs_index.h"
#include "archive/store/pbs/pbs_key.h"
#include "archive/store/pbs/pbs_manifest.h"
#include "tests/fixtures/stream_fixture.h"
#include "tests/fuzz/fuzz.h"

enum { OUT_MAX = 100000 };

static void read_blob(const uint8_t *data, size_t size)
{
        uint8_t *out = malloc(OUT_MAX);
        void *grown = NULL;
        ssize_t n = pbs_blob_decode(data, size, NULL, out, OUT_MAX, NULL);
        ssize_t m = pbs_blob_decode_new(data, size, NULL, OUT_MAX, &grown, NULL);

        fuzz_require(n <= OUT_MAX && (n < 0) == (m < 0));
        if (n >= 0)
                fuzz_require(n == m && memcmp(out, grown, (size_t)n) == 0);
        free(grown);
        free(out);
}

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

static void read_key(const uint8_t *data, size_t size)
{
        struct pbs_key *key;

        /* Without a password: deriving keys takes its time. */
        if (pbs_key_parse((const char *)data, size, NULL, &key, NULL) == 0)
                pbs_key_free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static void (*const readers[])(const uint8_t *, size_t) = {read_blob, read_index,
                                                                   read_manifest, read_key};

        if (size > 0)
                readers[data[0] % 4](data + 1, size - 1);
        return 0;
}
