/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoders that have stopped inside a segment, after what was asked for, and can go on.
 *
 *   segment  |====|====|====|....|....|....|    parts, each with a hash
 *            [  its block  ] ^ the decoder waits here
 *            ` what is decoded and checked
 *
 * A reader of a few bytes pays for the parts up to them. What a later one needs of the same segment
 * is decoded from where the decoder waits. The few that were used last are kept. When one goes,
 * what it has decoded is left to the cache as a block with PAUSED_KEY. A codec that cannot wait
 * leaves such a block at once. Thread-safe, except for init and fini.
 */
#ifndef VMAFS_PAUSED_H
#define VMAFS_PAUSED_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/stream/decoder/cursor.h"

struct block;
struct restart_segment;

enum { PAUSED_MAX = 16 };

/* In a block's key: it holds the beginning of the segment that begins at the rest of the key. */
#define PAUSED_KEY (UINT64_C(1) << 62)

struct paused_decoder {
        struct block *block; /* NULL: unused */
        size_t index;        /* of its segment */
        uint64_t start,
            done; /* where that begins in the stream; bytes that are decoded and right */
        struct cursor cursor; /* the decoder; closed if it has not begun */
        bool busy;            /* a thread decodes; it alone uses the cursor, and changes DONE */
        uint64_t tick;        /* when it was used last */
};

struct paused {
        struct decoding *d;
        uint64_t bound;       /* bytes that all of them may take */
        pthread_mutex_t lock; /* guards the rest */
        pthread_cond_t idle;  /* one of them is no longer busy */
        struct paused_decoder decoders[PAUSED_MAX];
        uint64_t tick;
};

/* D stays the caller's. */
void paused_init(struct paused *p, struct decoding *d);
void paused_fini(struct paused *p);

/* Can a decode of SEGMENT stop early, and be checked? */
bool paused_suits(const struct paused *p, const struct restart_segment *segment);

/*
 * Hold what is decoded of the segment that begins at START, *DONE bytes, if that has its byte AT.
 * NULL: it has not.
 */
struct block *paused_find(struct paused *p, uint64_t start, uint64_t at, uint64_t *done);

/* Gets the first DONE bytes of a segment, at DATA. */
typedef void (*paused_use_fn)(void *ctx, const uint8_t *data, uint64_t done);

/*
 * Decode SEGMENT, which suits, up to its byte UPTO or a little further, and hold that: *DONE bytes
 * at *BLOCK. If USE is not NULL, it is called before any other thread can have the decoder, which
 * does not stay for its sake, and nothing is held.
 *
 * 0; -EAGAIN where another thread has just finished with the segment, so that what is wanted may be
 * in the cache; -EBUSY if all decoders are in use; -EIO where the bytes are not what the index says:
 * those before them are left to the cache; -ENOMEM.
 */
int paused_reach(struct paused *p, const struct restart_segment *segment, uint64_t upto,
                 paused_use_fn use, void *ctx, struct block **block, uint64_t *done);

/*
 * Wait until not all decoders are in use. The caller has no room for what it decodes, which those who
 * use them may wait for.
 */
void paused_wait(struct paused *p);

/*
 * Decode all of SEGMENT into OUT from where a decoder waits in it. False: there is none, or it does
 * not come out right. The caller has room for all of it.
 */
bool paused_finish(struct paused *p, const struct restart_segment *segment, uint8_t *out);

#endif
