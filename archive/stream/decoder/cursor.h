/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A decoder somewhere in a stream, which can stop and go on: a pass from a restart point, for
 * readers.
 *
 *   ==point==========|======
 *     ^ opened  read ^   ^ the codec is here; what it decoded beyond waits in the step
 *
 * Not thread-safe, except for the count of what is decoded.
 */
#ifndef VMAFS_CURSOR_H
#define VMAFS_CURSOR_H

#include <stddef.h>
#include <stdint.h>

#include "archive/stream/codec.h"
#include "archive/stream/decoder/turns.h"

struct cache_owner;
struct restart_segment;
struct restart_table;

/* What all decoders of a stream need; all of it stays the caller's. */
struct decoding {
        const struct codec_ops *codec;
        struct codec_limits limits;
        struct source *in;
        struct restart_table *table;
        struct cache_owner *cache; /* that accounts for their memory */
        struct turns turns;        /* of those that decode in one go */
        _Atomic uint64_t decoded;  /* bytes of output */
};

/* All zeros is closed. */
struct cursor {
        void *pass;   /* NULL: closed */
        uint64_t out; /* of the stream, at step_at */
        size_t step_at, step_end;
        uint8_t *step;
        size_t memory; /* that is accounted for */
};

/*
 * Open C, which is closed, at ENTRY's point, or at the stream's beginning if the codec cannot
 * resume there. 0, or as codec_ops.pass_open; -ENODATA as restart_history.
 */
int cursor_open(struct decoding *d, struct cursor *c, const struct restart_segment *entry,
                struct error *err);
void cursor_close(struct decoding *d, struct cursor *c); /* a closed one is allowed */

/*
 * Decode the next LEN bytes into OUT, or skip them if it is NULL. 0; -EIO with ERR where the stream
 * is damaged or has become shorter; -ENOMEM.
 */
int cursor_read(struct decoding *d, struct cursor *c, void *out, uint64_t len, struct error *err);

#endif
