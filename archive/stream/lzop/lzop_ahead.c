/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/lzop/lzop_ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/workers.h"

/* Sizes of blocks, in output bytes, that are worth a job and a copy. */
#define BLOCK_MIN ((uint32_t)64 << 10)
#define BLOCK_MAX ((uint32_t)1 << 20)

#define SLOTS_MAX      32
#define SLOTS_A_THREAD 4                  /* so that none waits for another */
#define MEMORY_MAX     ((size_t)16 << 20) /* of all slots, bytes */
/* Only the pass reads, copies and hashes, which takes a sixth of the time of decoding. */
#define HELPERS_MAX 15

enum state {
        WAITING, /* its data are read */
        RUNNING,
        DONE, /* sound says whether out is good */
};

struct slot {
        struct lzop_block block;
        unsigned char *in; /* its data, followed by room for the next header */
        unsigned char *out;
        enum state state; /* guarded by lock; in and out belong to whoever has it RUNNING … */
        bool sound;       /* … and this, until it is DONE */
};

struct helper {
        struct lzop_ahead *ahead;
        struct task task;
        bool busy; /* guarded by lock */
};

struct lzop_ahead {
        struct workers *workers;
        unsigned char *memory;
        uint32_t usual;         /* what the slots have room for; 0: no slots */
        uint32_t flags, filter; /* of the blocks' member */

        /*
         * The block after the last slot, unless next.out_len is 0. Used only by the pass's thread.
         */
        struct lzop_block next;

        pthread_mutex_t lock; /* guards the two below, and the fields above that say so */
        pthread_cond_t done;
        unsigned first, count; /* of the slots in use, as the file has them; the pass's thread reads
                                  them without */

        unsigned slot_count, helper_count;
        struct slot slots[SLOTS_MAX];
        struct helper helpers[HELPERS_MAX];
};

struct lzop_ahead *lzop_ahead_new(struct workers *workers)
{
        struct lzop_ahead *a = calloc(1, sizeof *a);

        if (!a)
                return NULL;
        a->workers = workers;
        for (size_t i = 0; i < HELPERS_MAX; i++)
                a->helpers[i].ahead = a;
        pthread_mutex_init(&a->lock, NULL);
        pthread_cond_init(&a->done, NULL);
        return a;
}

static struct slot *slot_at(struct lzop_ahead *a, unsigned i)
{
        return &a->slots[(a->first + i) % a->slot_count];
}

/*
 * The next block that nobody has begun, or the farthest one; NULL: there is none. Caller holds the
 * lock.
 */
static struct slot *find_waiting(struct lzop_ahead *a, bool farthest)
{
        for (unsigned i = 0; i < a->count; i++) {
                struct slot *s = slot_at(a, farthest ? a->count - 1 - i : i);

                if (s->state == WAITING)
                        return s;
        }
        return NULL;
}

/* Decode S, which is WAITING, into OUT. Caller holds the lock, which is released meanwhile. */
static void decode(struct lzop_ahead *a, struct slot *s, unsigned char *out)
{
        s->state = RUNNING;
        pthread_mutex_unlock(&a->lock);
        s->sound = lzop_decode(&s->block, a->flags, a->filter, s->in, out, NULL) == 0;
        pthread_mutex_lock(&a->lock);
        s->state = DONE;
        pthread_cond_broadcast(&a->done);
}

/* Drop all blocks, once no thread is working on one. */
static void forget(struct lzop_ahead *a)
{
        scoped_lock(&a->lock);

        while (a->count > 0) {
                const struct slot *last = slot_at(a, a->count - 1);

                if (last->state == RUNNING)
                        pthread_cond_wait(&a->done, &a->lock);
                else
                        a->count--;
        }
        a->next = (struct lzop_block){0};
}

void lzop_ahead_free(struct lzop_ahead *a)
{
        if (!a)
                return;
        forget(a);
        for (size_t i = 0; i < HELPERS_MAX; i++)
                workers_join(a->workers, &a->helpers[i].task);
        pthread_cond_destroy(&a->done);
        pthread_mutex_destroy(&a->lock);
        free(a->memory);
        free(a);
}

/* A helper's job. */
static void help(void *ctx, size_t arg)
{
        struct helper *h = ctx;
        struct lzop_ahead *a = h->ahead;
        struct slot *s;
        scoped_lock(&a->lock);

        (void)arg;
        while ((s = find_waiting(a, true)))
                decode(a, s, s->out);
        h->busy = false;
}

static struct helper *find_idle(struct lzop_ahead *a)
{
        scoped_lock(&a->lock);

        for (unsigned i = 0; i < a->helper_count; i++) {
                struct helper *h = &a->helpers[i];

                if (h->busy)
                        continue;
                h->busy = true;
                return h;
        }
        return NULL;
}

/* Announce one more block to decode. */
static void call_help(struct lzop_ahead *a)
{
        struct helper *h = find_idle(a);

        if (!h)
                return;
        workers_join(a->workers, &h->task);
        workers_start(a->workers, &h->task, help, h);
}

/* Make slots for blocks of USUAL bytes, if there are helpers. No slot is in use. */
static bool make_slots(struct lzop_ahead *a, uint32_t usual)
{
        size_t in_size = (size_t)usual + LZOP_HEADER, size = in_size + usual;
        unsigned threads = a->workers ? workers_threads(a->workers) : 0;

        /* One of the threads is the pass's own. */
        if (threads < 2 || usual < BLOCK_MIN || usual > BLOCK_MAX)
                return false;
        if (a->usual == usual)
                return true;
        a->slot_count = (unsigned)min_u64(min_u64((uint64_t)threads * SLOTS_A_THREAD, SLOTS_MAX),
                                          MEMORY_MAX / size);
        a->helper_count = (unsigned)min_u64(threads - 1, HELPERS_MAX);
        free(a->memory);
        a->memory = malloc(a->slot_count * size);
        a->usual = a->memory ? usual : 0;
        for (unsigned i = 0; a->memory && i < a->slot_count; i++) {
                a->slots[i].in = a->memory + i * size;
                a->slots[i].out = a->slots[i].in + in_size;
        }
        return a->memory != NULL;
}

/* The N bytes at BYTES, from byte AT of the file, may begin with the next header. */
static void see_next(struct lzop_ahead *a, const unsigned char *bytes, size_t n, uint64_t at)
{
        a->next = (struct lzop_block){0};
        if (lzop_load_header(bytes, n, a->flags, a->usual, &a->next))
                a->next.offset = at;
}

/* Start at R's position. */
static void start(struct lzop_ahead *a, struct lzop_reader *r)
{
        uint64_t at = input_offset(&r->in);
        unsigned char head[LZOP_HEADER];
        ssize_t n = source_pread(r->in.source, head, sizeof head, at);

        a->flags = r->flags;
        a->filter = r->filter;
        see_next(a, head, n > 0 ? (size_t)n : 0, at);
}

/* Read the next block into a slot. False: there is none, or it cannot be read. */
static bool read_next(struct lzop_ahead *a, struct source *in)
{
        struct slot *s = slot_at(a, a->count);
        uint64_t at = a->next.offset + a->next.header_len;
        uint32_t len = a->next.in_len;
        ssize_t n;

        if (a->next.out_len == 0)
                return false;
        n = source_pread(in, s->in, (size_t)len + LZOP_HEADER, at);
        if (n < (ssize_t)len) {
                a->next.out_len = 0;
                return false;
        }
        s->block = a->next;
        see_next(a, s->in + len, (size_t)n - len, at + len);
        scoped_lock(&a->lock);
        s->state = WAITING;
        a->count++;
        return true;
}

/* Is the first block the next one of R? */
static bool is_first(struct lzop_ahead *a, const struct lzop_reader *r, uint64_t at)
{
        return a->count > 0 && slot_at(a, 0)->block.offset == at && a->flags == r->flags &&
               a->filter == r->filter;
}

bool lzop_ahead_next(struct lzop_ahead *a, struct lzop_reader *r, uint32_t usual)
{
        uint64_t at = input_offset(&r->in);

        if (!is_first(a, r, at)) {
                forget(a);
                if (!make_slots(a, usual))
                        return false;
                start(a, r);
        }
        while (a->count < a->slot_count && read_next(a, r->in.source))
                call_help(a);
        if (a->count == 0)
                return false;
        r->block = slot_at(a, 0)->block;
        r->have_block = true;
        input_seek(&r->in, at + r->block.header_len);
        return true;
}

/*
 * Get S, the first block, decoded. True: into OUT. False: into its slot, by the helper that had
 * begun it.
 */
static bool finish(struct lzop_ahead *a, struct slot *s, unsigned char *out)
{
        scoped_lock(&a->lock);

        while (s->state == RUNNING) {
                struct slot *other = find_waiting(a, false);

                if (other)
                        decode(a, other, other->out);
                else
                        pthread_cond_wait(&a->done, &a->lock);
        }
        if (s->state == DONE)
                return false;
        decode(a, s, out);
        return true;
}

static void drop_first(struct lzop_ahead *a)
{
        scoped_lock(&a->lock);

        a->first = (a->first + 1) % a->slot_count;
        a->count--;
}

/* The file may have changed between the two reads. */
static bool is_same(const struct lzop_block *x, const struct lzop_block *y)
{
        return x->out_len == y->out_len && x->in_len == y->in_len && x->header_len == y->header_len;
}

bool lzop_ahead_decode(struct lzop_ahead *a, struct lzop_reader *r, unsigned char *out)
{
        struct slot *s;

        if (!is_first(a, r, r->block.offset))
                return false;
        s = slot_at(a, 0);
        if (!is_same(&s->block, &r->block))
                return false;
        if (!finish(a, s, out) && s->sound)
                memcpy(out, s->out, s->block.out_len);
        if (!s->sound)
                return false;
        drop_first(a);
        lzop_skip_block(r);
        return true;
}
