/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names as they are shown. Nearly all are what the archive has, so a folder whose names all are is
 * remembered as a bit. Where one is not, or where names are looked for in a large folder, it gets a
 * table: the positions of its children by the hash of their shown names.
 */
#include <errno.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/cleanup.h"
#include "index/members/members_internal.h"
#include "index/names.h"

enum {
        SMALL = 16, /* children among which a name is found without a table */
        FREE = UINT32_MAX,
        BITS = 64,
        FIRST_TWIN = 2,
};

/* A child that is not shown under its own name. */
struct odd {
        uint32_t position;
        char *name;
};

/* As struct members_slot. */
struct slot {
        uint32_t position; /* FREE: none */
        uint32_t hash;
};

struct members_names {
        uint32_t folder; /* number; first: the key */
        struct slot *slots;
        uint32_t mask;
        ARRAY(struct odd) odd; /* by position */
        /* While it is built: the number to try next for another child of that name. */
        uint32_t *twins;
};

struct shown_names {
        pthread_mutex_t lock;
        uint64_t seed;
        void *tables; /* lock: of search.h, of struct members_names */
        uint64_t
            *plain; /* lock: a bit a node: a folder that needs no table to be listed; or NULL */
};

/* ---- making and freeing ---- */

struct shown_names *shown_names_new(void)
{
        struct shown_names *s = calloc(1, sizeof *s);

        if (!s)
                return NULL;
        if (getrandom(&s->seed, sizeof s->seed, 0) != sizeof s->seed)
                s->seed = (uint64_t)(uintptr_t)s;
        pthread_mutex_init(&s->lock, NULL);
        return s;
}

static void free_table(void *table)
{
        struct members_names *t = table;

        if (!t)
                return;
        for (size_t i = 0; i < t->odd.count; i++)
                free(t->odd.items[i].name);
        array_free(&t->odd);
        free(t->slots);
        free(t->twins);
        free(t);
}

static void cleanup_table_fn(struct members_names **t)
{
        free_table(*t);
}

void shown_names_free(struct shown_names *s)
{
        if (!s)
                return;
        tdestroy(s->tables, free_table);
        free(s->plain);
        pthread_mutex_destroy(&s->lock);
        free(s);
}

/* ---- a table ---- */

const char *members_shown(const struct members *m, const struct members_names *names,
                          uint64_t position, const struct members_node *child)
{
        size_t at =
            names ? search_first(names->odd.count, k, names->odd.items[k].position >= position) : 0;

        if (names && at < names->odd.count && names->odd.items[at].position == position)
                return names->odd.items[at].name;
        return members_name(m, child);
}

static uint32_t hash_of(const struct members *m, const char *name)
{
        return (uint32_t)XXH3_64bits_withSeed(name, strlen(name), m->shown->seed);
}

static const char *shown_at(const struct members *m, const struct members_node *n,
                            const struct members_names *t, uint32_t position)
{
        return members_shown(m, t, position, members_child(m, n, position));
}

/*
 * The slot of NAME in T, the table of N, or the free one where it would be. What is in a table has
 * been read.
 */
static struct slot *slot_of(const struct members *m, const struct members_node *n,
                            const struct members_names *t, const char *name)
{
        uint32_t hash = hash_of(m, name), at = hash & t->mask;

        while (t->slots[at].position != FREE &&
               (t->slots[at].hash != hash ||
                strcmp(shown_at(m, n, t, t->slots[at].position), name) != 0))
                at = (at + 1) & t->mask;
        return &t->slots[at];
}

static bool is_plain(const struct members *m, const struct members_node *child)
{
        const char *name = members_name(m, child);

        /* Its length is as it was stored: it may have a NUL within. */
        return name_is_safe(name) && strlen(name) == child->name_len;
}

/* A name for CHILD of N that is safe and free in T. NULL: out of memory. */
static char *make_name(const struct members *m, const struct members_node *n,
                       struct members_names *t, const struct members_node *child)
{
        cleanup_free char *safe = name_make_safe(members_name(m, child));
        uint32_t twin = safe ? slot_of(m, n, t, safe)->position : FREE;

        if (twin == FREE)
                return steal_ptr(&safe);
        if (!t->twins)
                t->twins = calloc(n->count, sizeof *t->twins);
        if (!t->twins)
                return NULL;
        /* Start where the last search ended, as tree_add does. */
        for (t->twins[twin] = (uint32_t)max_u64(t->twins[twin], FIRST_TWIN);; t->twins[twin]++) {
                char *numbered = name_number(safe, t->twins[twin]);

                if (!numbered || slot_of(m, n, t, numbered)->position == FREE)
                        return numbered;
                free(numbered);
        }
}

/* Take the child of N at POSITION into T, which has those before it. 0, -EIO, -ENOMEM. */
static int take_child(const struct members *m, const struct members_node *n,
                      struct members_names *t, uint32_t position)
{
        const struct members_node *child = members_child(m, n, position);
        struct odd odd = {.position = position};
        struct slot *slot;
        const char *name;

        if (!child)
                return -EIO;
        name = members_name(m, child);
        slot = is_plain(m, child) ? slot_of(m, n, t, name) : NULL;
        if (slot && slot->position == FREE) {
                *slot = (struct slot){position, hash_of(m, name)};
                return 0;
        }
        odd.name = make_name(m, n, t, child);
        if (!odd.name)
                return -ENOMEM;
        if (array_add(&t->odd, odd) < 0) {
                free(odd.name);
                return -ENOMEM;
        }
        *slot_of(m, n, t, odd.name) = (struct slot){position, hash_of(m, odd.name)};
        return 0;
}

/* The table of the folder N, into *OUT. 0, -EIO, -ENOMEM. */
static int build(const struct members *m, const struct members_node *n, struct members_names **out)
{
        __attribute__((cleanup(cleanup_table_fn))) struct members_names *t = calloc(1, sizeof *t);
        size_t slots = 2;
        int rc = 0;

        if (!t)
                return -ENOMEM;
        while (slots * 2 < n->count * 3)
                slots *= 2;
        t->folder = members_number(m, n);
        t->mask = (uint32_t)slots - 1;
        t->slots = malloc(slots * sizeof *t->slots);
        if (!t->slots)
                return -ENOMEM;
        memset(t->slots, 0xff, slots * sizeof *t->slots);
        for (uint64_t i = 0; i < n->count && rc == 0; i++)
                rc = take_child(m, n, t, (uint32_t)i);
        if (rc < 0)
                return rc;
        free(t->twins);
        t->twins = NULL;
        *out = steal_ptr(&t);
        return 0;
}

/* ---- folders ---- */

static int by_folder(const void *a, const void *b)
{
        uint32_t of_a = *(const uint32_t *)a, of_b = *(const uint32_t *)b;

        return of_a < of_b ? -1 : of_a > of_b;
}

/* Under lock: is N known to be shown as it is, or can that be seen now? 1, 0, -EIO. */
static int needs_none(const struct members *m, const struct members_node *n)
{
        struct shown_names *s = m->shown;
        uint32_t number = members_number(m, n);

        if (!s->plain)
                s->plain = calloc(m->nodes.count / BITS + 1, sizeof *s->plain);
        if (s->plain && (s->plain[number / BITS] >> number % BITS & 1))
                return 1;
        for (uint64_t i = 0; i < n->count; i++) {
                const struct members_node *child = members_child(m, n, i);

                if (!child)
                        return -EIO;
                if (!is_plain(m, child))
                        return 0;
        }
        if (s->plain)
                s->plain[number / BITS] |= UINT64_C(1) << number % BITS;
        return 1;
}

/* Under lock: the table of N, made now if there is none, into *OUT. 0, -EIO, -ENOMEM. */
static int table_of(const struct members *m, const struct members_node *n,
                    const struct members_names **out)
{
        struct shown_names *s = m->shown;
        uint32_t number = members_number(m, n);
        struct members_names *t, **found = tfind(&number, &s->tables, by_folder);
        int rc;

        if (found) {
                *out = *found;
                return 0;
        }
        rc = build(m, n, &t);
        if (rc < 0)
                return rc;
        if (!tsearch(t, &s->tables, by_folder)) {
                free_table(t);
                return -ENOMEM;
        }
        *out = t;
        return 0;
}

int members_names(const struct members *m, const struct members_node *n,
                  const struct members_names **out)
{
        scoped_lock(&m->shown->lock);
        int none = needs_none(m, n);

        *out = NULL;
        if (none < 0)
                return none;
        return none ? 0 : table_of(m, n, out);
}

/* Among few children that are shown as they are. */
static int find_in_few(const struct members *m, const struct members_node *n, const char *name,
                       const struct members_node **out)
{
        size_t len = strlen(name);

        for (uint64_t i = 0; i < n->count; i++) {
                *out = members_child(m, n, i);
                if (!*out)
                        return -EIO;
                if ((*out)->name_len == len && memcmp(members_name(m, *out), name, len) == 0)
                        return 0;
        }
        return -ENOENT;
}

/* The table in which to look for names in N; NULL: none is needed. 0, -EIO, -ENOMEM. */
static int choose_table(const struct members *m, const struct members_node *n,
                        const struct members_names **out)
{
        scoped_lock(&m->shown->lock);
        int none = n->count > SMALL ? 0 : needs_none(m, n);

        *out = NULL;
        if (none < 0)
                return none;
        return none ? 0 : table_of(m, n, out);
}

int members_find(const struct members *m, const struct members_node *n, const char *name,
                 const struct members_node **out)
{
        const struct members_names *t;
        int rc = choose_table(m, n, &t);
        uint32_t at;

        if (rc < 0)
                return rc;
        if (!t)
                return find_in_few(m, n, name, out);
        at = slot_of(m, n, t, name)->position;
        if (at == FREE)
                return -ENOENT;
        *out = members_child(m, n, at);
        return *out ? 0 : -EIO;
}
