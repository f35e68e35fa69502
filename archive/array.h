/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A growable array, and the binary search.
 *
 *   ARRAY(struct stretch) list;                          all zeros is an empty array
 *   rc = array_add(&list, ((struct stretch){.start = 0}));
 *   array_at(&list, i)->end                              ends the process unless i < count
 *   i = search_first(list.count, m, list.items[m].end > pos);
 *   array_free(&list);
 *
 * Elements move when the array grows.
 */
#ifndef VMAFS_ARRAY_H
#define VMAFS_ARRAY_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define ARRAY(type)                                                                                \
        struct {                                                                                   \
                type *items;                                                                       \
                size_t count, room;                                                                \
        }

/* ITEMS with room for COUNT elements of SIZE bytes, at least 1; may move. NULL: out of memory. */
void *array_grown(void *items, size_t *room, size_t count, size_t size);

static inline size_t array_index(size_t i, size_t count)
{
        if (i >= count)
                abort();
        return i;
}

/* Make room for MORE elements than there are. 0 or -ENOMEM. */
#define array_reserve(array, more)                                                                 \
        ({                                                                                         \
                __typeof__(array) reserve_ = (array);                                              \
                void *grown_ = array_grown(reserve_->items, &reserve_->room,                       \
                                           reserve_->count + (more), sizeof *reserve_->items);     \
                                                                                                   \
                if (grown_)                                                                        \
                        reserve_->items = grown_;                                                  \
                grown_ ? 0 : -ENOMEM;                                                              \
        })

/* Append ITEM. 0, or -ENOMEM with the array as it was. */
#define array_add(array, item)                                                                     \
        ({                                                                                         \
                __typeof__(array) add_ = (array);                                                  \
                int rc_ = array_reserve(add_, 1);                                                  \
                                                                                                   \
                if (rc_ == 0)                                                                      \
                        add_->items[add_->count++] = (item);                                       \
                rc_;                                                                               \
        })

/* The address of element I. */
#define array_at(array, i) (&(array)->items[array_index((i), (array)->count)])

/* The address of the last element. */
#define array_last(array) array_at(array, (array)->count - 1)

/* Free the array's memory and leave it empty. */
#define array_free(array)                                                                          \
        do {                                                                                       \
                free((array)->items);                                                              \
                *(array) = (__typeof__(*(array))){0};                                              \
        } while (0)

/*
 * The first of COUNT elements for which CONDITION, an expression in the index I, is true; COUNT if
 * there is none. CONDITION is false up to that element, and true from it on.
 */
#define search_first(count, i, condition)                                                          \
        ({                                                                                         \
                size_t low_ = 0, high_ = (count);                                                  \
                                                                                                   \
                while (low_ < high_) {                                                             \
                        size_t i = low_ + (high_ - low_) / 2;                                      \
                                                                                                   \
                        if (condition)                                                             \
                                high_ = i;                                                         \
                        else                                                                       \
                                low_ = i + 1;                                                      \
                }                                                                                  \
                low_;                                                                              \
        })

#endif
