/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Buffered sequential reading of a source, from which decoders take their compressed bytes.
 *
 *   source   |......|##############|..........|........
 *                   ^ input_offset            ^ limit: never read beyond
 *                   |<-available ->|
 *
 * For one thread. The buffer grows to the largest piece that was wanted at once, but never beyond
 * what the source still holds.
 */
#ifndef VMAFS_INPUT_H
#define VMAFS_INPUT_H

#include <stddef.h>
#include <stdint.h>

struct error;
struct source;

struct input {
        struct source *source; /* the caller's; NULL: buf is the caller's and holds everything */
        uint64_t limit;
        uint64_t end; /* offset in the source up to which it was read */
        unsigned char *buf;
        size_t size;
        size_t first, last; /* buf[first, last) is read and not yet consumed */
};

/*
 * Prepare to read [OFFSET, LIMIT) of SOURCE, which must outlive IN, about CHUNK bytes at a time.
 * LIMIT may be past the source's end. 0 or -ENOMEM; call input_fini in either case.
 */
int input_init(struct input *in, struct source *source, uint64_t offset, uint64_t limit,
               size_t chunk, struct error *err);
void input_fini(struct input *in);

/*
 * The same for bytes in memory: the SIZE bytes at BYTES, which the caller keeps, are those of a
 * source from byte OFFSET on, and there are no others. input_seek does not work on them.
 */
void input_init_memory(struct input *in, void *bytes, size_t size, uint64_t offset);

/*
 * Make WANT bytes available in one piece, or all that are left if there are fewer, which is not an
 * error. 0 or -errno, with the byte of the source in ERR.
 */
int input_want(struct input *in, size_t want, struct error *err);

/* Consume N bytes, at most as many as are available. */
void input_skip(struct input *in, size_t n);

/* Go on at byte OFFSET of the source, wherever that is. */
void input_seek(struct input *in, uint64_t offset);

/* Consume zeros. Returns 1 if another byte follows, 0 at the end, or -errno. */
int input_skip_zeros(struct input *in, struct error *err);

static inline const unsigned char *input_bytes(const struct input *in)
{
        return in->buf + in->first;
}

static inline size_t input_available(const struct input *in)
{
        return in->last - in->first;
}

/* The offset of input_bytes in the source. */
static inline uint64_t input_offset(const struct input *in)
{
        return in->end - input_available(in);
}

#endif
