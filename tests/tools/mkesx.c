/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mkesx cowd:GRAIN|sesparse RAW BASE.raw|- OUT [SEED [TEXT]]
 *
 * A delta OUT of ESX, which no free tool writes: of the disk RAW it has the grains in which that
 * differs from BASE.raw, or from zeros, in an order by SEED. TEXT is a file with a descriptor that
 * is put into the header of COWD. GRAIN is in sectors.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fixtures/esx_writer.h"

static struct bytes load(const char *path)
{
        struct bytes b = fixture_file(path);

        if (!b.data) {
                perror(path);
                exit(1);
        }
        return b;
}

int main(int argc, char **argv)
{
        struct esx_wish wish = {0};
        struct bytes disk, text = {0};
        struct esx_file out;
        FILE *f;

        if (argc < 5 || argc > 7 ||
            (strncmp(argv[1], "cowd:", 5) != 0 && strcmp(argv[1], "sesparse") != 0)) {
                fprintf(stderr,
                        "usage: mkesx cowd:GRAIN|sesparse RAW BASE.raw|- OUT [SEED [TEXT]]\n");
                return 2;
        }
        wish.sesparse = argv[1][0] == 's';
        wish.grain = wish.sesparse ? 0 : (uint32_t)strtoul(argv[1] + 5, NULL, 10);
        wish.seed = argc > 5 ? strtoul(argv[5], NULL, 10) : 1;
        disk = load(argv[2]);
        if (strcmp(argv[3], "-") != 0)
                wish.base = load(argv[3]);
        if (argc > 6) {
                text = fixture_join(load(argv[6]), (struct bytes){calloc(1, 1), 1});
                wish.text = (const char *)text.data;
        }
        out = esx_write(disk, &wish);
        f = fopen(argv[4], "w");
        if (!f || fwrite(out.bytes.data, 1, out.bytes.len, f) != out.bytes.len || fclose(f) != 0) {
                perror(argv[4]);
                return 1;
        }
        free(out.bytes.data);
        free(wish.base.data);
        free(text.data);
        free(disk.data);
        return 0;
}
