/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a fuzz target over files, without a fuzzer: fuzz_x [FILE|DIR]… A directory stands for the
 * files in it. Says how many there were; none is a failure.
 */
#include <fts.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
        (void)data;
        (void)max_size;
        return size;
}

/* Of its exact size, so that a sanitizer sees any read past it. */
static void replay(const char *path, size_t size)
{
        uint8_t *bytes = malloc(size + !size);
        FILE *file = fopen(path, "r");

        fuzz_require(bytes && file && fread(bytes, 1, size, file) == size);
        fclose(file);
        /* Before it is tried: for who looks where it stopped. */
        fprintf(stderr, "%s\n", path);
        LLVMFuzzerTestOneInput(bytes, size);
        free(bytes);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
        return strcmp((*a)->fts_name, (*b)->fts_name);
}

int main(int argc, char **argv)
{
        const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
        unsigned count = 0;
        FTSENT *e;
        FTS *fts;

        if (argc < 2)
                return 2;
        fts = fts_open(argv + 1, FTS_LOGICAL | FTS_NOCHDIR, by_name);
        fuzz_require(fts != NULL);
        while ((e = fts_read(fts))) {
                if (e->fts_info != FTS_F)
                        continue;
                replay(e->fts_path, (size_t)e->fts_statp->st_size);
                count++;
        }
        fts_close(fts);
        printf("%s: %u inputs, each ended well\n", name, count);
        return count ? 0 : 1;
}
