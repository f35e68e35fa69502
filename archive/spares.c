/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/spares.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"

/* From this size on, buffers ask for huge pages. */
#define HUGE_FROM ((size_t)8 << 20)

/* It lies in the buffer itself. */
struct spare {
        struct spare *next;
        size_t touched;
};

void spares_init(struct spares *s, size_t bound)
{
        *s = (struct spares){.bound = bound};
        pthread_mutex_init(&s->lock, NULL);
}

static size_t class_size(unsigned class)
{
        return (size_t)1 << (SPARES_CLASS_MIN + class);
}

static unsigned class_of(size_t capacity)
{
        unsigned class = 0;

        while (class < SPARES_CLASSES - 1 && class_size(class) < capacity)
                class ++;
        return class;
}

/* Caller holds the lock. A spare of CLASS, taken out; NULL: there is none. */
static struct spare *take(struct spares *s, unsigned class)
{
        struct spare *spare = s->lists[class];

        if (spare) {
                s->lists[class] = spare->next;
                s->bytes -= spare->touched;
        }
        return spare;
}

void spares_fini(struct spares *s)
{
        for (unsigned i = 0; i < SPARES_CLASSES; i++) {
                struct spare *spare;

                while ((spare = take(s, i)))
                        munmap(spare, class_size(i));
        }
        pthread_mutex_destroy(&s->lock);
}

int spares_get(struct spares *s, size_t len, struct buffer *out)
{
        unsigned class = class_of(len);
        size_t capacity = max_u64(class_size(class), len);
        struct spare *spare;
        void *data;

        pthread_mutex_lock(&s->lock);
        spare = take(s, class);
        pthread_mutex_unlock(&s->lock);
        if (spare) {
                *out = (struct buffer){spare, capacity, spare->touched};
                return 0;
        }
        data = mmap(NULL, capacity, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (data == MAP_FAILED)
                return -ENOMEM;
        /* Fewer faults, if the kernel will; no matter if not. */
        if (capacity >= HUGE_FROM)
                madvise(data, capacity, MADV_HUGEPAGE);
        *out = (struct buffer){data, capacity, 0};
        return 0;
}

/* Caller holds the lock. Unmap spares of other classes than CLASS until LEN more bytes fit. */
static bool make_room(struct spares *s, unsigned class, size_t len)
{
        for (unsigned i = 0; i < SPARES_CLASSES; i++) {
                while (i != class && s->bytes + len > s->bound) {
                        struct spare *other = take(s, i);

                        if (!other)
                                break;
                        munmap(other, class_size(i));
                }
        }
        return s->bytes + len <= s->bound;
}

static bool keep(struct spares *s, const struct buffer *b)
{
        unsigned class = class_of(b->capacity);
        struct spare *spare = b->data;
        scoped_lock(&s->lock);

        if (class_size(class) != b->capacity || b->touched > s->bound ||
            !make_room(s, class, b->touched))
                return false;
        spare->next = s->lists[class];
        spare->touched = max_u64(b->touched, sizeof *spare);
        s->lists[class] = spare;
        s->bytes += spare->touched;
        return true;
}

void spares_put(struct spares *s, const struct buffer *b)
{
        if (b->data && !keep(s, b))
                munmap(b->data, b->capacity);
}
