/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unused buffers, kept for the next user. A page that was used before costs nothing, but the kernel
 * has to zero a new one, which takes a tenth of all time at zstd's speed.
 *
 *   put ──> class 64K │ 128K │ … │ 1M │ 16M │ 32M │ …   buffers are powers of two, so that one
 *                                  │                     that was put fits who gets the next
 *   get <──────────────────────────┘
 *
 * Their memory is bounded. The size that was put last is likely to be wanted next, so buffers of
 * other sizes are freed to make room for it. Sizes between 1 and 16 MiB are one class, from which
 * get returns the best fit. Buffers below 64 KiB are left to malloc. Thread-safe, except for init
 * and fini.
 */
#ifndef VMAFS_BUFPOOL_H
#define VMAFS_BUFPOOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* Buffers are of 1 << BUFPOOL_CLASS_MIN bytes, and twice as many, and twice … */
#define BUFPOOL_CLASS_MIN 16
#define BUFPOOL_CLASSES   24

struct spare;

struct bufpool {
        size_t bound;         /* bytes of memory */
        pthread_mutex_t lock; /* guards lists, and changes of bytes */
        struct spare *lists[BUFPOOL_CLASSES];
        _Atomic size_t bytes; /* of memory that they take now */
};

/* CAPACITY bytes of address space, of which the first TOUCHED bytes have memory. */
struct buffer {
        void *data;
        size_t capacity;
        size_t touched;
};

/* How much memory the first LEN bytes of B take: a large buffer may consist of huge pages. */
size_t buffer_memory(const struct buffer *b, size_t len);

void bufpool_init(struct bufpool *s, size_t bound);
void bufpool_fini(struct bufpool *s);

/* Get a buffer of at least LEN bytes, with undefined contents. 0 or -ENOMEM. */
int bufpool_get(struct bufpool *s, size_t len, struct buffer *out);

/* The same, but only one that was used before. False: none fits. */
bool bufpool_take(struct bufpool *s, size_t len, struct buffer *out);

/* Free an unused buffer, if all of them take more than KEPT bytes of memory. False: they do not. */
bool bufpool_shrink(struct bufpool *s, size_t kept);

/* Give back BUFFER, which came from bufpool_get. Its user has to keep TOUCHED up to date. */
void bufpool_put(struct bufpool *s, const struct buffer *buffer);

#endif
