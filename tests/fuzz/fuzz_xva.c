/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as an XVA: ova.xml is the input up to a line "%", and each line after that a chunk, its
 * name and its length in bytes, which are its own number.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/fixtures/xva_writer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_disk.h"

enum { NAME_MAX_LEN = 99, BYTES_MAX = 4 << 20 };

/* NAME LENGTH[!]: with '!' nothing but a header, whose checksum is wrong. */
static void add_line(struct xva_out *x, char *line)
{
        static uint8_t data[2 << 20];
        char *space = strrchr(line, ' ');
        size_t len = space ? strtoul(space + 1, NULL, 10) : 0, at = x->file.len;

        if (!space || (size_t)(space - line) > NAME_MAX_LEN)
                return;
        *space = '\0';
        if (len > sizeof data)
                len %= sizeof data;
        memset(data, (int)(x->number++ % 255 + 1), len);
        if (strchr(line, '.') || strchr(space + 1, '?')) {
                xva_member(x, line, data, len);
        } else {
                char *slash = strrchr(line, '/');
                uint64_t number = slash ? strtoul(slash + 1, NULL, 10) : 0;

                if (slash)
                        *slash = '\0';
                xva_chunk(x, line, number, data, len);
        }
        if (strchr(space + 1, '!'))
                x->file.data[at] ^= 0x55;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct xva_out x = xva_start();
        char *text = malloc(size + 1), *rest, *line;
        const uint8_t *end = memmem(data, size, "\n%\n", 3);
        size_t xml = end ? (size_t)(end - data) : size;

        fuzz_require(text != NULL);
        memcpy(text, data, size);
        text[size] = '\0';
        xva_member(&x, "ova.xml", text, xml);
        rest = text + xml + (end ? 3 : 0);
        while (x.file.len < BYTES_MAX && (line = strsep(&rest, "\n")))
                add_line(&x, line);
        xva_finish(&x);
        check_archive(x.file.data, x.file.len);
        xva_free(&x);
        free(text);
        return 0;
}
