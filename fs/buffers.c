/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/buffers.h"

#include <pthread.h>
#include <stdlib.h>

#include "archive/cleanup.h"

enum { KEPT_MAX = 16 };

struct buffers {
        pthread_mutex_t lock;
        void *kept[KEPT_MAX]; /* lock: a stack, the warmest on top */
        size_t count;         /* lock */
};

struct buffers *buffers_new(void)
{
        struct buffers *b = calloc(1, sizeof *b);

        if (b)
                pthread_mutex_init(&b->lock, NULL);
        return b;
}

void buffers_free(struct buffers *b)
{
        if (!b)
                return;
        for (size_t i = 0; i < b->count; i++)
                free(b->kept[i]);
        pthread_mutex_destroy(&b->lock);
        free(b);
}

void *buffers_get(struct buffers *b)
{
        {
                scoped_lock(&b->lock);
                if (b->count)
                        return b->kept[--b->count];
        }
        return malloc(BUFFER_SIZE);
}

void buffers_put(struct buffers *b, void *take_buffer)
{
        {
                scoped_lock(&b->lock);
                if (b->count < KEPT_MAX) {
                        b->kept[b->count++] = take_buffer;
                        return;
                }
        }
        free(take_buffer);
}
