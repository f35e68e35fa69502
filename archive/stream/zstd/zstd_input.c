/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/zstd/zstd_input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"

#define MARGIN     64
#define INPUT_SIZE ((size_t)512 << 10)

int zstd_input_init(struct zstd_input *z, struct source *in, uint64_t pos)
{
        uint8_t *memory = malloc(INPUT_SIZE + (size_t)2 * MARGIN);

        *z = (struct zstd_input){.source = in, .pos = pos};
        if (!memory)
                return -ENOMEM;
        z->bytes = memory + MARGIN;
        z->size = INPUT_SIZE;
        return 0;
}

void zstd_input_fini(struct zstd_input *z)
{
        if (z->bytes)
                free(z->bytes - MARGIN);
        z->bytes = NULL;
}

/* Room for LEN bytes at the front, where what is at hand moves. */
static int make_room(struct zstd_input *z, size_t len)
{
        size_t have = z->end - z->at, size = z->size;
        uint8_t *memory;

        while (size < len)
                size *= 2;
        if (size == z->size) {
                memmove(z->bytes, z->bytes + z->at, have);
        } else {
                memory = malloc(size + (size_t)2 * MARGIN);
                if (!memory)
                        return -ENOMEM;
                memcpy(memory + MARGIN, z->bytes + z->at, have);
                free(z->bytes - MARGIN);
                z->bytes = memory + MARGIN;
                z->size = size;
        }
        z->at = 0;
        z->end = have;
        return 0;
}

ssize_t zstd_input_want(struct zstd_input *z, size_t len, uint8_t **bytes, struct error *err)
{
        if (z->size - z->at < len && make_room(z, len) < 0)
                return error_set(err, ENOMEM, "out of memory");
        while (z->end - z->at < len) {
                uint64_t read_pos = z->pos + (z->end - z->at);
                ssize_t n = source_pread_partly(z->source, z->bytes + z->end,
                                                min_u64(z->size - z->end, max_u64(len, INPUT_SIZE)),
                                                read_pos);

                if (n < 0)
                        return error_set_at(err, (int)-n, read_pos,
                                            "the compressed file cannot be read: %s",
                                            strerror((int)-n));
                if (n == 0)
                        break;
                z->end += (size_t)n;
        }
        *bytes = z->bytes + z->at;
        return (ssize_t)min_u64(z->end - z->at, len);
}

void zstd_input_skip(struct zstd_input *z, uint64_t len)
{
        z->pos += len;
        z->at += (size_t)min_u64(len, z->end - z->at);
        if (z->at == z->end)
                z->at = z->end = 0;
}

void zstd_input_copy(struct zstd_input *z, const struct zstd_input *from, size_t len)
{
        size_t have = from->end - from->at, n = have - (size_t)min_u64(len, have);

        z->pos = from->pos + len;
        z->at = z->end = 0;
        if (n > z->size)
                return;
        memcpy(z->bytes, from->bytes + from->at + len, n);
        z->end = n;
}

void zstd_input_move(struct zstd_input *z, uint64_t pos)
{
        if (pos < z->pos)
                z->at = z->end = 0;
        else
                zstd_input_skip(z, pos - z->pos);
        z->pos = pos;
}
