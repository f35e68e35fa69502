/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lost parts of a damaged stream. Thread-safe. */
#ifndef VMAFS_LOST_RANGES_H
#define VMAFS_LOST_RANGES_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/array.h"
#include "archive/source/source.h"

/* If there are more, the last ones are merged with what lies between them. */
enum { LOST_RANGES_MAX = 65536 };

struct lost_ranges {
        pthread_mutex_t lock;                 /* guards list */
        ARRAY(struct source_lost_range) list; /* in stream order, disjoint */
        _Atomic size_t count;                 /* of list; changes under lock */
};

void lost_ranges_init(struct lost_ranges *g);
void lost_ranges_fini(struct lost_ranges *g);

/* Add GAP, which is not empty and ends after all others. 0 or -ENOMEM. */
int lost_ranges_add(struct lost_ranges *g, struct source_lost_range gap);

/* The first gap that ends after byte FROM. False: there is none. */
bool lost_ranges_find(struct lost_ranges *g, uint64_t from, struct source_lost_range *gap);

/* Is any of the LEN bytes from START lost? */
bool lost_ranges_touch(struct lost_ranges *g, uint64_t start, size_t len);

#endif
