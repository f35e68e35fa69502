/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/extract/writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "archive/cleanup.h"

enum { RING = 16 };

struct piece {
        int fd;
        size_t len;
        uint64_t offset;
};

struct writer {
        char *memory;     /* RING buffers */
        bool threaded;    /* the thread was started */
        pthread_t thread; /* writes pieces[written] and on */

        pthread_mutex_t lock; /* guards everything below */
        pthread_cond_t submitted_more;
        pthread_cond_t written_more;
        struct piece pieces[RING];
        uint64_t submitted, written; /* pieces so far; those in between wait or are being written */
        int error;                   /* -errno of the first write that failed */
        int failed_fd;
        bool ending;
};

int write_all(int fd, const void *buf, size_t len, uint64_t offset)
{
        for (size_t done = 0; done < len;) {
                ssize_t n =
                    pwrite(fd, (const char *)buf + done, len - done, (off_t)(offset + done));

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0)
                        done += (size_t)n;
        }
        return 0;
}

static char *buffer(const struct writer *w, uint64_t number)
{
        return w->memory + number % RING * WRITER_SIZE;
}

/* Caller holds the lock, which is released while the oldest piece is written. */
static void write_oldest(struct writer *w)
{
        struct piece piece = w->pieces[w->written % RING];
        const char *bytes = buffer(w, w->written);
        int rc = 0;

        if (!w->error) {
                pthread_mutex_unlock(&w->lock);
                rc = write_all(piece.fd, bytes, piece.len, piece.offset);
                pthread_mutex_lock(&w->lock);
        }
        if (rc < 0) {
                w->error = rc;
                w->failed_fd = piece.fd;
        }
        w->written++;
        pthread_cond_signal(&w->written_more);
}

static void *write_pieces(void *arg)
{
        struct writer *w = arg;
        scoped_lock(&w->lock);

        for (;;) {
                if (w->written < w->submitted)
                        write_oldest(w);
                else if (w->ending)
                        return NULL;
                else
                        pthread_cond_wait(&w->submitted_more, &w->lock);
        }
}

int writer_new(struct writer **out)
{
        struct writer *w = calloc(1, sizeof *w);

        if (w)
                w->memory = malloc((size_t)RING * WRITER_SIZE);
        if (!w || !w->memory) {
                free(w);
                return -ENOMEM;
        }
        pthread_mutex_init(&w->lock, NULL);
        pthread_cond_init(&w->submitted_more, NULL);
        pthread_cond_init(&w->written_more, NULL);
        w->threaded = pthread_create(&w->thread, NULL, write_pieces, w) == 0;
        *out = w;
        return 0;
}

void writer_free(struct writer *w)
{
        if (!w)
                return;
        pthread_mutex_lock(&w->lock);
        w->ending = true;
        pthread_cond_signal(&w->submitted_more);
        pthread_mutex_unlock(&w->lock);
        if (w->threaded)
                pthread_join(w->thread, NULL);
        pthread_cond_destroy(&w->submitted_more);
        pthread_cond_destroy(&w->written_more);
        pthread_mutex_destroy(&w->lock);
        free(w->memory);
        free(w);
}

void *writer_buffer(struct writer *w)
{
        scoped_lock(&w->lock);

        while (w->submitted - w->written == RING)
                pthread_cond_wait(&w->written_more, &w->lock);
        return buffer(w, w->submitted);
}

int writer_submit(struct writer *w, int fd, size_t len, uint64_t offset)
{
        scoped_lock(&w->lock);

        w->pieces[w->submitted++ % RING] = (struct piece){fd, len, offset};
        if (w->threaded)
                pthread_cond_signal(&w->submitted_more);
        else
                write_oldest(w);
        return w->error;
}

int writer_drain(struct writer *w, int *fd)
{
        scoped_lock(&w->lock);

        while (w->written < w->submitted)
                pthread_cond_wait(&w->written_more, &w->lock);
        *fd = w->failed_fd;
        return w->error;
}
