/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scope-bound release. A variable marked with one of these is released when it goes out of
 * scope; steal_ptr and steal_fd hand it over instead.
 */
#ifndef VMAFS_CLEANUP_H
#define VMAFS_CLEANUP_H

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_fn(void *p)
{
        free(*(void **)p);
}

/* Keeps errno: a close on an error path must not hide why we are on it. */
static inline void cleanup_close_fn(const int *fd)
{
        int saved = errno;

        if (*fd >= 0)
                close(*fd);
        errno = saved;
}

static inline void cleanup_fclose_fn(FILE **f)
{
        if (*f)
                fclose(*f);
}

static inline void cleanup_unlock_fn(pthread_mutex_t **m)
{
        if (*m)
                pthread_mutex_unlock(*m);
}

static inline pthread_mutex_t *lock_scope(pthread_mutex_t *m)
{
        pthread_mutex_lock(m);
        return m;
}

#define cleanup_free   __attribute__((cleanup(cleanup_free_fn)))
#define cleanup_close  __attribute__((cleanup(cleanup_close_fn)))
#define cleanup_fclose __attribute__((cleanup(cleanup_fclose_fn)))

/* Holds MUTEX until the end of the enclosing block. */
#define scoped_lock(mutex)                                                                         \
        __attribute__((cleanup(cleanup_unlock_fn), unused)) pthread_mutex_t *scoped_lock_held =    \
            lock_scope(mutex)

/* The value of *pp, which is left NULL: ownership moves to the caller. */
#define steal_ptr(pp)                                                                              \
        ({                                                                                         \
                __typeof__(*(pp)) stolen_ = *(pp);                                                 \
                *(pp) = NULL;                                                                      \
                stolen_;                                                                           \
        })

static inline int steal_fd(int *fd)
{
        int value = *fd;

        *fd = -1;
        return value;
}

#endif
