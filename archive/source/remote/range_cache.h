/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pieces of objects on a server, in memory: those that are there, and those that are on their way.
 *
 *   object   |  .  |ready|ready|wanted|wanted|  .  |  .  |     pieces of 64 KiB
 *                                ^ filled so far
 *
 * The number of pieces is bounded. When all are in use, the ready one that was used longest ago
 * and that nobody holds goes. Not thread-safe: its owner has a lock.
 */
#ifndef VMAFS_RANGE_CACHE_H
#define VMAFS_RANGE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

enum { RANGE_PIECE = 65536 }; /* bytes */

enum range_state {
        RANGE_WANTED,
        RANGE_READY,
        RANGE_FAILED, /* as long as somebody holds it */
};

struct range_piece {
        uint32_t object;
        uint64_t number; /* of the piece in its object */
        enum range_state state;
        int rc;        /* FAILED: -errno */
        size_t filled; /* bytes from its beginning that are there */
        unsigned holds;
        char *data;
        LIST_ENTRY(range_piece) chain;
        TAILQ_ENTRY(range_piece) order;
};

struct range_cache;

/* One of at most MAX pieces. Sets *OUT. 0 or -ENOMEM. */
int range_cache_new(size_t max, struct range_cache **out);
void range_cache_free(struct range_cache *c); /* NULL is allowed */

/* The piece, or NULL: it is neither there nor on its way. */
struct range_piece *range_cache_find(struct range_cache *c, uint32_t object, uint64_t number);

/*
 * A new piece, WANTED and held once by whoever fills it; there is none of that number. NULL: all
 * are held, or there is no memory.
 */
struct range_piece *range_cache_add(struct range_cache *c, uint32_t object, uint64_t number);

/* How many pieces range_cache_add could make now. */
size_t range_cache_room(const struct range_cache *c);

void range_cache_hold(struct range_cache *c, struct range_piece *p);

/* The last one to let go of a piece that is not ready ends it. */
void range_cache_let_go(struct range_cache *c, struct range_piece *p);

#endif
