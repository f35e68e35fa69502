/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Buffers that nobody uses, kept for who wants one next: a page that was used before costs nothing,
 * a new one is zeroed by the kernel first, which at the speed of zstd is a tenth of all time.
 *
 *   put ──> class 64K │ 128K │ … │ 1M │ 16M │ 32M │ …   buffers are powers of two, so that one
 *                                  │                     that was put fits who gets the next
 *   get <──────────────────────────┘
 *
 * Their memory is bounded: what was put last is of the size that will be wanted next, and those of
 * other sizes go to make room for it. Between 1 and 16 MiB there is one class, of which get gives
 * the buffer whose memory suits best. Thread-safe but for init and fini.
 */
#ifndef VMAFS_SPARES_H
#define VMAFS_SPARES_H

#include <pthread.h>
#include <stddef.h>

/* Buffers are of 1 << SPARES_CLASS_MIN bytes, and twice as many, and twice … */
#define SPARES_CLASS_MIN 16
#define SPARES_CLASSES   24

struct spare;

struct spares {
        size_t bound;         /* bytes of memory */
        pthread_mutex_t lock; /* guards lists, and changes of bytes */
        struct spare *lists[SPARES_CLASSES];
        _Atomic size_t bytes; /* of memory that they take now */
};

/* Address space of CAPACITY bytes, of whose beginning TOUCHED bytes are memory. */
struct buffer {
        void *data;
        size_t capacity;
        size_t touched;
};

void spares_init(struct spares *s, size_t bound);
void spares_fini(struct spares *s);

/* A buffer of at least LEN bytes, of any content. -ENOMEM. */
int spares_get(struct spares *s, size_t len, struct buffer *out);

/* BUFFER, from spares_get, is not used any more. TOUCHED has to be kept up by who uses it. */
void spares_put(struct spares *s, const struct buffer *buffer);

#endif
