/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/source/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/source/source.h"

int input_init(struct input *in, struct source *source, uint64_t offset, uint64_t limit,
               size_t chunk, struct error *err)
{
        *in = (struct input){.source = source, .end = offset};
        in->limit = min_u64(limit, source->size);
        in->size = offset < in->limit ? (size_t)min_u64(chunk, in->limit - offset) : 1;
        in->buf = malloc(in->size);
        if (!in->buf)
                return error_set(err, ENOMEM, "out of memory");
        return 0;
}

void input_init_memory(struct input *in, void *bytes, size_t size, uint64_t offset)
{
        *in = (struct input){
            .limit = offset + size, .end = offset + size, .buf = bytes, .size = size, .last = size};
}

void input_fini(struct input *in)
{
        if (in->source)
                free(in->buf);
        in->buf = NULL;
}

static int grow(struct input *in, size_t size, struct error *err)
{
        unsigned char *bigger = realloc(in->buf, size);

        if (!bigger)
                return error_set(err, ENOMEM, "out of memory");
        in->buf = bigger;
        in->size = size;
        return 0;
}

/* Read more into the buffer, up to the first unreadable byte. */
static int read_more(struct input *in, struct error *err)
{
        size_t room = (size_t)min_u64(in->size - in->last, in->limit - in->end);
        ssize_t n = source_pread_partly(in->source, in->buf + in->last, room, in->end);

        if (n < 0)
                return error_set_at(err, (int)-n, in->end, "cannot be read: %s", strerror((int)-n));
        in->last += (size_t)n;
        in->end += (uint64_t)n;
        if (n == 0)
                in->limit = in->end;
        return 0;
}

int input_want(struct input *in, size_t want, struct error *err)
{
        uint64_t left = in->end < in->limit ? in->limit - in->end : 0;
        size_t have = input_available(in);
        int rc = 0;

        if (have >= want || left == 0)
                return 0;
        want = (size_t)min_u64(want, have + left);
        memmove(in->buf, in->buf + in->first, have);
        in->first = 0;
        in->last = have;
        if (want > in->size)
                rc = grow(in, want, err);
        while (rc == 0 && input_available(in) < want && in->end < in->limit)
                rc = read_more(in, err);
        return rc;
}

void input_skip(struct input *in, size_t n)
{
        in->first += n;
}

void input_seek(struct input *in, uint64_t offset)
{
        in->first = in->last = 0;
        in->end = offset;
}

int input_skip_zeros(struct input *in, struct error *err)
{
        for (;;) {
                int rc = input_want(in, 1, err);

                if (rc < 0)
                        return rc;
                if (input_available(in) == 0)
                        return 0;
                while (input_available(in) > 0 && *input_bytes(in) == 0)
                        input_skip(in, 1);
                if (input_available(in) > 0)
                        return 1;
        }
}
