/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lost parts of a damaged stream. Thread-safe. */
#ifndef VMAFS_GAPS_H
#define VMAFS_GAPS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/source/source.h"

/* More damage than this, and a stream is taken for a hostile one. */
enum { GAPS_MAX = 65536 };

struct gaps {
        pthread_mutex_t lock;    /* guards list and capacity */
        struct source_gap *list; /* in the stream's order, apart from one another */
        size_t capacity;
        _Atomic size_t count; /* changes under lock */
};

void gaps_init(struct gaps *g);
void gaps_fini(struct gaps *g);

/* GAP ends behind all that are there. 0, -ENOMEM, or -E2BIG when there are GAPS_MAX. */
int gaps_add(struct gaps *g, struct source_gap gap);

/* Is any of the LEN bytes from START lost? */
bool gaps_touch(struct gaps *g, uint64_t start, size_t len);

#endif
