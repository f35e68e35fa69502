/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *   forge INDEX             make what a kept index says of the first span of its first disk impossible
 *   forge --hashes INDEX    make the hash of one MiB of each second segment wrong
 *
 * and make all other hashes of it right again, as somebody would who means ill.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "tests/fixtures/sidecar_fixture.h"

static void forge_span(struct bytes *b)
{
        memset(sidecar_extents(b), 0xff, load_le32(sidecar_span(b) + SC_SPAN_LEN));
}

static void forge_hashes(struct bytes *b)
{
        for (uint32_t i = 1; i < sidecar_segments(b); i += 2) {
                uint32_t count = load_le32(sidecar_segment(b, i) + SC_SEG_PARTS);
                uint8_t *hash = sidecar_parts(b, i) + (size_t)(count / 2) * SC_PART;

                if (count == 0)
                        continue;
                store_le64(hash, load_le64(hash) + 1);
                sidecar_seal_segment(b, i);
        }
}

int main(int argc, char **argv)
{
        bool hashes = argc == 3 && strcmp(argv[1], "--hashes") == 0;
        struct bytes b;

        if (argc != 2 + hashes) {
                fprintf(stderr, "usage: forge [--hashes] INDEX\n");
                return 2;
        }
        b = fixture_file(argv[argc - 1]);
        if (!b.data || b.len < SC_HEADER) {
                fprintf(stderr, "forge: %s is no index\n", argv[argc - 1]);
                return 1;
        }
        if (hashes)
                forge_hashes(&b);
        else
                forge_span(&b);
        sidecar_seal(&b);
        fixture_write(argv[argc - 1], b.data, b.len);
        free(b.data);
        return 0;
}
