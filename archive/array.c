/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/array.h"

enum { ROOM_MIN = 8 };

void *array_grown(void *items, size_t *room, size_t count, size_t size)
{
        size_t more = *room < ROOM_MIN ? ROOM_MIN : 2 * *room;
        void *grown;

        if (count <= *room)
                return items;
        if (count > PTRDIFF_MAX / size)
                return NULL;
        if (more < count || more > PTRDIFF_MAX / size)
                more = count;
        grown = reallocarray(items, more, size);
        if (grown)
                *room = more;
        return grown;
}
