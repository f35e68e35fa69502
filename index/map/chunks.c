/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/map/chunks.h"

#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"

enum { DIRECT_MIN = 16, BITS_MIN = 2 };

static unsigned span_count_of(const struct chunk *chunk)
{
        return (unsigned)__builtin_popcountll(chunk->open);
}

/* Slots of the table. */
static size_t place_count(const struct chunks *c)
{
        return c->bits ? (size_t)1 << c->bits : c->direct;
}

static size_t chunk_bytes(unsigned capacity)
{
        return sizeof(struct chunk) + capacity * sizeof(struct span);
}

void chunks_fini(struct chunks *c)
{
        for (size_t i = 0; i < place_count(c); i++) {
                struct chunk *chunk = c->table[i];
                unsigned count = chunk ? span_count_of(chunk) : 0;

                for (unsigned k = 0; k < count; k++)
                        span_fini(&chunk->spans[k]);
                free(chunk);
        }
        free(c->table);
        *c = (struct chunks){0};
}

uint64_t chunks_missing(const struct chunks *c, uint64_t number)
{
        const struct chunk *chunk = chunks_at(c, number / CHUNK_SPANS);
        uint64_t rest = chunk ? chunk->open >> number % CHUNK_SPANS : 0;

        if (rest)
                return (uint64_t)__builtin_ctzll(rest);
        if (!c->table || number / CHUNK_SPANS >= c->last)
                return UINT64_MAX - number;
        return CHUNK_SPANS - number % CHUNK_SPANS;
}

struct span *chunk_counted(struct chunk *c, unsigned at)
{
        return &c->spans[__builtin_popcountll(c->open & ((UINT64_C(1) << at) - 1))];
}

/* ---- the table ---- */

/* The slot of chunk NUMBER in a hashed table, or the free slot where it would go. */
static struct chunk **probe(const struct chunks *c, uint64_t number)
{
        size_t mask = ((size_t)1 << c->bits) - 1;
        size_t i = (size_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> (64 - c->bits));

        while (c->table[i] && c->table[i]->number != number)
                i = (i + 1) & mask;
        return &c->table[i];
}

struct chunk *chunks_hashed(const struct chunks *c, uint64_t number)
{
        return *probe(c, number);
}

static struct chunk **place_of(const struct chunks *c, uint64_t number)
{
        return c->bits ? probe(c, number) : &c->table[number];
}

/*
 * Make a table for COUNT chunks, the highest of which is LAST. It has a slot for each chunk of the
 * disk, if that takes about as little memory as a hash. While the map grows, the table has spare
 * slots.
 */
static bool rebuild(struct chunks *c, size_t count, uint64_t last, bool grows)
{
        struct chunks built = *c;

        built.bits = 0;
        built.direct = 0;
        if (last < 2 * count + DIRECT_MIN) {
                built.direct = (size_t)last + 1 + (grows ? (size_t)last / 4 : 0);
        } else {
                size_t places = count + (grows ? count : count / 3) + 1;

                for (built.bits = BITS_MIN; (size_t)1 << built.bits < places;)
                        built.bits++;
        }
        built.table = calloc(place_count(&built), sizeof *built.table);
        if (!built.table)
                return false;
        for (size_t i = 0; i < place_count(c); i++)
                if (c->table[i])
                        *place_of(&built, c->table[i]->number) = c->table[i];
        free(c->table);
        *c = built;
        return true;
}

/* Make room for chunk NUMBER. In a hash, a quarter of the slots stays free. */
static bool reserve(struct chunks *c, uint64_t number)
{
        size_t places = place_count(c);

        if (c->bits ? c->count + 1 <= places - places / 4 : number < places)
                return true;
        return rebuild(c, c->count + 1, max_u64(c->last, number), true);
}

static void chunk_trim(struct chunk **chunk)
{
        unsigned count = span_count_of(*chunk);
        struct chunk *trimmed;

        for (unsigned i = 0; i < count; i++)
                span_trim(&(*chunk)->spans[i]);
        if (count == (*chunk)->capacity)
                return;
        trimmed = realloc(*chunk, chunk_bytes(count));
        if (!trimmed)
                return;
        trimmed->capacity = (uint16_t)count;
        *chunk = trimmed;
}

void chunks_trim(struct chunks *c)
{
        if (!c->table)
                return;
        for (size_t i = 0; i < place_count(c); i++)
                if (c->table[i])
                        chunk_trim(&c->table[i]);
        /* If memory is short, the table keeps its size. */
        rebuild(c, c->count, c->last, false);
}

/* ---- growing ---- */

/* The slot of chunk NUMBER, which is created if it is missing. NULL: out of memory. */
static struct chunk **make_chunk(struct chunks *c, uint64_t number)
{
        struct chunk *chunk = chunks_at(c, number), **place;

        if (chunk)
                return place_of(c, number);
        if (!reserve(c, number))
                return NULL;
        chunk = malloc(chunk_bytes(1));
        if (!chunk)
                return NULL;
        chunk->open = 0;
        atomic_init(&chunk->unloaded, 0);
        chunk->number = (uint32_t)number;
        chunk->capacity = 1;
        chunk->straight = 0;
        place = place_of(c, number);
        *place = chunk;
        c->count++;
        c->last = max_u64(c->last, number);
        return place;
}

/* Make room for one more span. */
static bool reserve_span(struct chunk **chunk, unsigned count)
{
        struct chunk *grown;

        if (count < (*chunk)->capacity)
                return true;
        grown = realloc(*chunk, chunk_bytes(2 * (*chunk)->capacity));
        if (!grown)
                return false;
        grown->capacity = (uint16_t)(grown->capacity * 2);
        *chunk = grown;
        return true;
}

struct span *chunks_open(struct chunks *c, uint64_t number)
{
        struct chunk **place = make_chunk(c, number / CHUNK_SPANS), *chunk;
        uint64_t bit = UINT64_C(1) << number % CHUNK_SPANS;
        unsigned count, at;

        if (!place)
                return NULL;
        if ((*place)->open & bit)
                return chunk_span(*place, number);
        count = span_count_of(*place);
        if (!reserve_span(place, count))
                return NULL;
        chunk = *place;
        at = (unsigned)__builtin_popcountll(chunk->open & (bit - 1));
        memmove(&chunk->spans[at + 1], &chunk->spans[at], (count - at) * sizeof *chunk->spans);
        chunk->spans[at] = (struct span){0};
        chunk->open |= bit;
        chunk->straight = chunk->open + 1 ? (uint16_t)__builtin_ctzll(~chunk->open) : CHUNK_SPANS;
        return &chunk->spans[at];
}
