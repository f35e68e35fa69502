/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a manifest: what is told of a line lies in it, and lines come in order. */
#include <string.h>

#include "archive/tar/manifest.h"
#include "tests/fuzz/fuzz.h"

static void check_line(const struct manifest_line *line, const char *text, size_t size)
{
        if (line->kind == MANIFEST_MALFORMED) {
                fuzz_require(!line->name && !line->algorithm && line->digest_len == 0);
                return;
        }
        fuzz_require(line->name > text && line->name + line->name_len < text + size);
        fuzz_require(line->name_len > 0 && line->name_len <= MANIFEST_NAME_MAX);
        fuzz_require(!memchr(line->name, '\n', line->name_len));
        fuzz_require(!memchr(line->name, '\0', line->name_len));
        fuzz_require((line->kind == MANIFEST_DIGEST) == (line->algorithm != NULL));
        fuzz_require(line->kind == MANIFEST_UNKNOWN || line->digest_len >= 20);
        fuzz_require(line->digest_len <= MANIFEST_DIGEST_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        /* Of exactly this size, so that no byte after it is looked at. */
        char *text = malloc(size + !size);
        struct manifest_reader r = {.text = text, .len = size};
        struct manifest_line line;
        size_t last = 0;

        memcpy(text, data, size);
        while (manifest_next(&r, &line)) {
                fuzz_require(line.number > last && r.at <= size + 1);
                last = line.number;
                check_line(&line, text, size);
        }
        free(text);
        return 0;
}
