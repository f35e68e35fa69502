/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/notes.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"

enum {
        HEADER = 12,
        LONGEST = 4096, /* bytes: headers are shorter, and what is longer is a disk's data … */
        BEGINNING = 256 << 10, /* … but for what lies before here */
};

/* Of so many bytes of stream, at most one is noted, and of the first ones a few more. */
#define SHARE 256
#define FREE  (UINT64_C(1) << 20)

struct note {
        uint64_t offset;
        size_t at; /* in loaded: its bytes */
        size_t len;
};

struct notes {
        pthread_mutex_t lock; /* guards everything below */
        ARRAY(uint8_t) added; /* since the last notes_take */
        uint64_t total;       /* bytes added so far */
        ARRAY(uint8_t) loaded;
        ARRAY(struct note) list; /* of those, by offset once SORTED */
        bool sorted;
};

struct notes *notes_new(void)
{
        struct notes *n = calloc(1, sizeof *n);

        if (n)
                pthread_mutex_init(&n->lock, NULL);
        return n;
}

void notes_clear(struct notes *n)
{
        scoped_lock(&n->lock);

        array_free(&n->added);
        array_free(&n->loaded);
        array_free(&n->list);
}

void notes_free(struct notes *n)
{
        if (!n)
                return;
        notes_clear(n);
        pthread_mutex_destroy(&n->lock);
        free(n);
}

/* May so many bytes at OFFSET be noted? */
static bool is_short(uint64_t offset, uint64_t len)
{
        return len > 0 && (len <= LONGEST || range_within(offset, len, BEGINNING));
}

void notes_add(struct notes *n, const void *buf, size_t len, uint64_t offset, uint64_t decoded,
               bool is_header)
{
        uint8_t header[HEADER];
        scoped_lock(&n->lock);

        if (!is_short(offset, len) ||
            (!is_header && n->total + HEADER + len > decoded / SHARE + FREE) ||
            array_reserve(&n->added, HEADER + len) < 0)
                return;
        store_le64(header, offset);
        store_le32(header + 8, (uint32_t)len);
        memcpy(n->added.items + n->added.count, header, HEADER);
        memcpy(n->added.items + n->added.count + HEADER, buf, len);
        n->added.count += HEADER + len;
        n->total += HEADER + len;
}

void notes_take(struct notes *n, void **out, size_t *len)
{
        scoped_lock(&n->lock);

        *out = n->added.items;
        *len = n->added.count;
        n->added.items = NULL;
        n->added.count = n->added.room = 0;
}

int notes_load(struct notes *n, const void *bytes, size_t len)
{
        const uint8_t *from = bytes;
        size_t base = n->loaded.count, at = 0;

        if (len > NOTES_MAX - min_u64(base, NOTES_MAX))
                return -EFBIG;
        if (array_reserve(&n->loaded, len) < 0)
                return -ENOMEM;
        memcpy(n->loaded.items + base, from, len);
        while (at < len) {
                struct note note;

                if (len - at < HEADER)
                        return -EINVAL;
                note = (struct note){load_le64(from + at), base + at + HEADER,
                                     load_le32(from + at + 8)};
                at += HEADER;
                if (note.len > len - at || !is_short(note.offset, note.len))
                        return -EINVAL;
                at += note.len;
                if (array_add(&n->list, note) < 0)
                        return -ENOMEM;
        }
        n->loaded.count += len;
        n->total += len;
        n->sorted = false;
        return 0;
}

static int by_offset(const void *a, const void *b)
{
        const struct note *x = a, *y = b;

        if (x->offset != y->offset)
                return x->offset < y->offset ? -1 : 1;
        return (x->len > y->len) - (x->len < y->len);
}

bool notes_find(struct notes *n, void *buf, size_t len, uint64_t offset)
{
        scoped_lock(&n->lock);
        size_t i;

        if (n->list.count == 0)
                return false;
        if (!n->sorted)
                qsort(n->list.items, n->list.count, sizeof *n->list.items, by_offset);
        n->sorted = true;
        i = search_first(n->list.count, m,
                         n->list.items[m].offset > offset ||
                             (n->list.items[m].offset == offset && n->list.items[m].len >= len));
        if (i == n->list.count || n->list.items[i].offset != offset)
                return false;
        memcpy(buf, n->loaded.items + n->list.items[i].at, len);
        return true;
}
