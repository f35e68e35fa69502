/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/cache/bufpool.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"

/*
 * Compressed and decompressed segments have any size between these. One class holds them all, since
 * otherwise one size would lack buffers while the other has spare ones.
 */
#define LARGE_FROM ((size_t)1 << 20)
#define LARGE_SIZE ((size_t)16 << 20)
/* From this size on, buffers ask for huge pages. */
#define HUGE_FROM LARGE_SIZE
#define HUGE_PAGE ((size_t)2 << 20)

/*
 * Below this size, malloc itself caches freed memory. A mapping for each would be too many: the
 * kernel allows a process 65530.
 */
#define SMALL_BELOW ((size_t)1 << BUFPOOL_CLASS_MIN)

/* It lies in the buffer itself. */
struct spare {
        struct spare *next;
        size_t touched;
};

size_t buffer_memory(const struct buffer *b, size_t len)
{
        return b->capacity >= HUGE_FROM ? round_up(len, HUGE_PAGE) : len;
}

void bufpool_init(struct bufpool *s, size_t bound)
{
        *s = (struct bufpool){.bound = bound};
        pthread_mutex_init(&s->lock, NULL);
}

static size_t class_size(unsigned class)
{
        return (size_t)1 << (BUFPOOL_CLASS_MIN + class);
}

static unsigned class_of(size_t capacity)
{
        unsigned class = 0;

        if (capacity > LARGE_FROM && capacity <= LARGE_SIZE)
                capacity = LARGE_SIZE;
        while (class < BUFPOOL_CLASSES - 1 && class_size(class) < capacity)
                class ++;
        return class;
}

/* Does A suit LEN bytes better than B, with less excess memory, or fewer new pages? */
static bool suits_better(const struct spare *a, const struct spare *b, size_t len)
{
        if (a->touched >= len && b->touched >= len)
                return a->touched < b->touched;
        return a->touched > b->touched;
}

/*
 * Caller holds the lock. Remove the spare of CLASS that suits LEN bytes best, and return it; NULL:
 * none.
 */
static struct spare *take(struct bufpool *s, unsigned class, size_t len)
{
        struct spare **best = &s->lists[class];
        struct spare *spare;

        for (struct spare **at = best; *at; at = &(*at)->next)
                if (suits_better(*at, *best, len))
                        best = at;
        spare = *best;
        if (spare) {
                *best = spare->next;
                s->bytes -= spare->touched;
        }
        return spare;
}

void bufpool_fini(struct bufpool *s)
{
        for (unsigned i = 0; i < BUFPOOL_CLASSES; i++) {
                struct spare *spare;

                while ((spare = take(s, i, 0)))
                        munmap(spare, class_size(i));
        }
        pthread_mutex_destroy(&s->lock);
}

bool bufpool_shrink(struct bufpool *s, size_t kept)
{
        struct spare *spare = NULL;
        unsigned class = BUFPOOL_CLASSES;

        if (atomic_load(&s->bytes) <= kept)
                return false;
        pthread_mutex_lock(&s->lock);
        while (!spare && s->bytes > kept && class > 0)
                spare = take(s, --class, 0);
        pthread_mutex_unlock(&s->lock);
        if (spare)
                munmap(spare, class_size(class));
        return spare;
}

static int get_small(size_t len, struct buffer *out)
{
        void *data = malloc(len ? len : 1);

        if (!data)
                return -ENOMEM;
        *out = (struct buffer){data, len, 0};
        return 0;
}

bool bufpool_take(struct bufpool *s, size_t len, struct buffer *out)
{
        unsigned class = class_of(len);
        struct spare *spare;

        if (len < SMALL_BELOW)
                return false;
        pthread_mutex_lock(&s->lock);
        spare = take(s, class, len);
        pthread_mutex_unlock(&s->lock);
        if (spare)
                *out = (struct buffer){spare, max_u64(class_size(class), len), spare->touched};
        return spare;
}

int bufpool_get(struct bufpool *s, size_t len, struct buffer *out)
{
        size_t capacity = max_u64(class_size(class_of(len)), len);
        void *data;

        if (len < SMALL_BELOW)
                return get_small(len, out);
        if (bufpool_take(s, len, out))
                return 0;
        data = mmap(NULL, capacity, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (data == MAP_FAILED)
                return -ENOMEM;
        /* For fewer page faults; ignore errors. */
        if (capacity >= HUGE_FROM)
                madvise(data, capacity, MADV_HUGEPAGE);
        *out = (struct buffer){data, capacity, 0};
        return 0;
}

/* Caller holds the lock. Unmap spares of other classes than CLASS until LEN more bytes fit. */
static bool make_room(struct bufpool *s, unsigned class, size_t len)
{
        for (unsigned i = 0; i < BUFPOOL_CLASSES; i++) {
                while (i != class && s->bytes + len > s->bound) {
                        struct spare *other = take(s, i, 0);

                        if (!other)
                                break;
                        munmap(other, class_size(i));
                }
        }
        return s->bytes + len <= s->bound;
}

static bool keep(struct bufpool *s, const struct buffer *b)
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

void bufpool_put(struct bufpool *s, const struct buffer *b)
{
        if (b->capacity < SMALL_BELOW)
                free(b->data);
        else if (!keep(s, b))
                munmap(b->data, b->capacity);
}
