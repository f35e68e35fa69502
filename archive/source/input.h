/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Buffered sequential reading of a source: what a decoder takes its compressed bytes from.
 *
 *   source   |......|##############|..........|........
 *                   ^ input_offset            ^ limit: never read behind
 *                   |<-available ->|
 *
 * One thread, no seeking. The buffer grows to the largest piece that was wanted in one, and
 * never beyond what the source still holds.
 */
#ifndef VMAFS_INPUT_H
#define VMAFS_INPUT_H

#include <stddef.h>
#include <stdint.h>

struct error;
struct source;

struct input {
        struct source *source; /* the caller's; NULL: buf is, and has everything */
        uint64_t limit;
        uint64_t end; /* of the source: how far was read */
        unsigned char *buf;
        size_t size;
        size_t first, last; /* buf[first, last) is read and not yet consumed */
};

/*
 * Read [OFFSET, LIMIT) of SOURCE, which outlives IN, about CHUNK bytes at a time. A LIMIT behind
 * the source's end is allowed. 0 or -ENOMEM; input_fini in either case.
 */
int input_init(struct input *in, struct source *source, uint64_t offset, uint64_t limit,
               size_t chunk, struct error *err);
void input_fini(struct input *in);

/*
 * The same of what is in memory already: the SIZE bytes at BYTES, which stay the caller's and are
 * all there is, are those of a source from byte OFFSET on. Cannot be sought in.
 */
void input_init_memory(struct input *in, void *bytes, size_t size, uint64_t offset);

/*
 * Have WANT bytes available in one piece, or all that are left where there are fewer, which is
 * not an error. 0 or -errno, with the byte of the source in ERR.
 */
int input_want(struct input *in, size_t want, struct error *err);

/* Consume N bytes, at most as many as are available. */
void input_skip(struct input *in, size_t n);

/* Go on at byte OFFSET of the source, wherever that is. */
void input_seek(struct input *in, uint64_t offset);

/* Consume zeros. 1: a byte that is not zero comes next. 0: nothing does. Or -errno. */
int input_skip_zeros(struct input *in, struct error *err);

static inline const unsigned char *input_bytes(const struct input *in)
{
        return in->buf + in->first;
}

static inline size_t input_available(const struct input *in)
{
        return in->last - in->first;
}

/* Where in the source input_bytes is. */
static inline uint64_t input_offset(const struct input *in)
{
        return in->end - input_available(in);
}

#endif
