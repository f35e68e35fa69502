/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * forge INDEX: make what a kept index says of the first span of its first disk impossible, and all
 * its hashes right again, as somebody would who means ill.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "tests/fixtures/sidecar_fixture.h"

int main(int argc, char **argv)
{
        struct bytes b;

        if (argc != 2) {
                fprintf(stderr, "usage: forge INDEX\n");
                return 2;
        }
        b = fixture_file(argv[1]);
        if (!b.data || b.len < SC_HEADER) {
                fprintf(stderr, "forge: %s is no index\n", argv[1]);
                return 1;
        }
        memset(sidecar_extents(&b), 0xff, load_le32(sidecar_span(&b) + SC_SPAN_LEN));
        sidecar_seal(&b);
        fixture_write(argv[1], b.data, b.len);
        free(b.data);
        return 0;
}
