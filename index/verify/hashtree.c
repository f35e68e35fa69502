/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pieces are in chunks, which are allocated when the first of their hashes arrives: a hostile
 * archive can claim a disk of 256 TiB in a few bytes.
 */
#include "index/verify/hashtree.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"

enum { CHUNK = 64 }; /* pieces */

#define LEAVES_SIZE ((size_t)HASHTREE_LEAVES * HASHTREE_LEN)

struct piece {
        enum hashtree_state state;
        uint64_t seen;   /* a bit for each leaf that is known, while it is open … */
        uint64_t zero;   /* … for those of them that are zeros … */
        uint8_t *leaves; /* … and the hashes of the others; NULL: none yet */
        uint8_t hash[HASHTREE_LEN];
};

struct hashtree {
        uint64_t size;
        uint8_t zero_leaf[HASHTREE_LEN];
        uint8_t zero_piece[HASHTREE_LEN];

        pthread_mutex_t lock;  /* guards everything below */
        struct piece **chunks; /* of CHUNK pieces, or NULL */
        size_t chunk_count;
        size_t memory; /* bytes that may still be allocated */
};

int hashtree_sha256(const void *data, size_t len, uint8_t out[HASHTREE_LEN])
{
        return EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL) == 1 ? 0 : -ENOTSUP;
}

static uint64_t count_of(uint64_t size, uint64_t unit)
{
        return size / unit + (size % unit != 0);
}

/* The hashes of zeros. */
static int hash_zeros(struct hashtree *t)
{
        cleanup_free uint8_t *zeros = calloc(1, HASHTREE_LEAF);
        uint8_t leaves[LEAVES_SIZE];
        int rc = zeros ? hashtree_sha256(zeros, HASHTREE_LEAF, t->zero_leaf) : -ENOMEM;

        if (rc < 0)
                return rc;
        for (size_t i = 0; i < HASHTREE_LEAVES; i++)
                memcpy(leaves + i * HASHTREE_LEN, t->zero_leaf, HASHTREE_LEN);
        return hashtree_sha256(leaves, sizeof leaves, t->zero_piece);
}

int hashtree_new(uint64_t size, size_t memory, struct hashtree **out)
{
        struct hashtree *t = calloc(1, sizeof *t);
        int rc;

        if (!t)
                return -ENOMEM;
        t->size = size;
        t->memory = memory;
        pthread_mutex_init(&t->lock, NULL);
        rc = hash_zeros(t);
        if (rc < 0) {
                hashtree_free(t);
                return rc;
        }
        *out = t;
        return 0;
}

void hashtree_free(struct hashtree *t)
{
        if (!t)
                return;
        for (size_t i = 0; i < t->chunk_count; i++) {
                for (size_t j = 0; t->chunks[i] && j < CHUNK; j++)
                        free(t->chunks[i][j].leaves);
                free(t->chunks[i]);
        }
        free(t->chunks);
        pthread_mutex_destroy(&t->lock);
        free(t);
}

uint64_t hashtree_size(const struct hashtree *t)
{
        return t->size;
}

uint64_t hashtree_pieces(const struct hashtree *t)
{
        return count_of(t->size, HASHTREE_PIECE);
}

size_t hashtree_leaf_len(const struct hashtree *t, uint64_t leaf)
{
        return (size_t)min_u64(HASHTREE_LEAF, t->size - leaf * HASHTREE_LEAF);
}

/* All leaves of PIECE as a bit mask. */
static uint64_t all_leaves(const struct hashtree *t, uint64_t piece)
{
        uint64_t n = count_of(t->size - piece * HASHTREE_PIECE, HASHTREE_LEAF);

        return n >= HASHTREE_LEAVES ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

/* Caller holds the lock. NULL: none of its leaves is known. */
static struct piece *find_piece(const struct hashtree *t, uint64_t piece)
{
        uint64_t chunk = piece / CHUNK;

        if (chunk >= t->chunk_count || !t->chunks[chunk])
                return NULL;
        return &t->chunks[chunk][piece % CHUNK];
}

/* Caller holds the lock. Allocate LEN zeroed bytes from the budget. */
static int take_memory(struct hashtree *t, size_t len, void *out)
{
        void **at = out;

        if (len > t->memory)
                return -ENOSPC;
        *at = calloc(1, len);
        if (!*at)
                return -ENOMEM;
        t->memory -= len;
        return 0;
}

/* Caller holds the lock. Make room for pointers to COUNT chunks. */
static int grow_chunks(struct hashtree *t, size_t count)
{
        size_t capacity = (size_t)max_u64(count, 2 * t->chunk_count);
        struct piece **grown;

        if (count <= t->chunk_count)
                return 0;
        grown = reallocarray(t->chunks, capacity, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        memset(&grown[t->chunk_count], 0, (capacity - t->chunk_count) * sizeof(*grown));
        t->chunks = grown;
        t->chunk_count = capacity;
        return 0;
}

/* Caller holds the lock. -ENOSPC: the budget is used up. */
static int get_piece(struct hashtree *t, uint64_t piece, struct piece **out)
{
        uint64_t chunk = piece / CHUNK;
        int rc = grow_chunks(t, chunk + 1);

        if (rc == 0 && !t->chunks[chunk])
                rc = take_memory(t, CHUNK * sizeof(struct piece), &t->chunks[chunk]);
        if (rc == 0)
                *out = &t->chunks[chunk][piece % CHUNK];
        return rc;
}

/* Caller holds the lock. Free the leaves of P. */
static void close_piece(struct hashtree *t, struct piece *p, enum hashtree_state state)
{
        if (p->leaves)
                t->memory += LEAVES_SIZE;
        free(p->leaves);
        p->leaves = NULL;
        p->state = state;
}

/* Caller holds the lock. If P is complete, its leaves become its hash. */
static int fold(struct hashtree *t, struct piece *p, uint64_t piece)
{
        uint64_t all = all_leaves(t, piece);
        uint8_t leaves[LEAVES_SIZE];
        int rc = 0;

        if (p->state != HASHTREE_OPEN || (p->seen & all) != all)
                return 0;
        for (size_t i = 0; i < HASHTREE_LEAVES; i++) {
                bool zero = p->zero >> i & 1;
                size_t at = i * HASHTREE_LEN;

                if (zero || p->leaves)
                        memcpy(leaves + at, zero ? t->zero_leaf : p->leaves + at, HASHTREE_LEN);
        }
        if (p->zero == UINT64_MAX)
                memcpy(p->hash, t->zero_piece, HASHTREE_LEN);
        else
                rc = hashtree_sha256(leaves, (size_t)__builtin_popcountll(all) * HASHTREE_LEN,
                                     p->hash);
        if (rc == 0)
                close_piece(t, p, HASHTREE_COMPLETE);
        return rc;
}

bool hashtree_wants(struct hashtree *t, uint64_t leaf)
{
        scoped_lock(&t->lock);
        const struct piece *p = find_piece(t, leaf / HASHTREE_LEAVES);

        return !p || (p->state == HASHTREE_OPEN && !(p->seen >> leaf % HASHTREE_LEAVES & 1));
}

/* HASH NULL means zeros. */
static int put(struct hashtree *t, uint64_t leaf, const uint8_t *hash)
{
        uint64_t bit = UINT64_C(1) << leaf % HASHTREE_LEAVES;
        struct piece *p = NULL;
        int rc = get_piece(t, leaf / HASHTREE_LEAVES, &p);

        if (rc < 0 || p->state != HASHTREE_OPEN || p->seen & bit)
                return rc == -ENOSPC ? 0 : rc;
        if (hash && !p->leaves)
                rc = take_memory(t, LEAVES_SIZE, &p->leaves);
        if (rc < 0)
                return rc == -ENOSPC ? 0 : rc;
        p->seen |= bit;
        if (hash)
                memcpy(p->leaves + leaf % HASHTREE_LEAVES * HASHTREE_LEN, hash, HASHTREE_LEN);
        else
                p->zero |= bit;
        return fold(t, p, leaf / HASHTREE_LEAVES);
}

int hashtree_put(struct hashtree *t, uint64_t leaf, const uint8_t hash[HASHTREE_LEN])
{
        bool zero = memcmp(hash, t->zero_leaf, HASHTREE_LEN) == 0;
        scoped_lock(&t->lock);

        return put(t, leaf, zero ? NULL : hash);
}

int hashtree_put_zero(struct hashtree *t, uint64_t leaf)
{
        scoped_lock(&t->lock);

        return put(t, leaf, NULL);
}

void hashtree_spoil(struct hashtree *t, uint64_t piece)
{
        scoped_lock(&t->lock);
        struct piece *p = find_piece(t, piece);

        /* A piece that was never allocated is incomplete anyway. */
        if (p)
                close_piece(t, p, HASHTREE_SPOILT);
}

int hashtree_settle(struct hashtree *t, uint64_t size)
{
        scoped_lock(&t->lock);
        uint64_t last = size ? (size - 1) / HASHTREE_PIECE : 0;
        struct piece *p = find_piece(t, last);
        bool changed = size != t->size;

        t->memory = SIZE_MAX / 2;
        t->size = size;
        if (!changed || !p || size % HASHTREE_PIECE == 0)
                return 0;
        if (p->state == HASHTREE_COMPLETE)
                *p = (struct piece){0};
        if (size % HASHTREE_LEAF) {
                uint64_t bit = UINT64_C(1) << size / HASHTREE_LEAF % HASHTREE_LEAVES;

                p->seen &= ~bit;
                p->zero &= ~bit;
        }
        return fold(t, p, last);
}

enum hashtree_state hashtree_piece(struct hashtree *t, uint64_t piece, uint8_t out[HASHTREE_LEN])
{
        scoped_lock(&t->lock);
        const struct piece *p = find_piece(t, piece);

        if (!p)
                return HASHTREE_OPEN;
        if (p->state == HASHTREE_COMPLETE)
                memcpy(out, p->hash, HASHTREE_LEN);
        return p->state;
}

int hashtree_root(struct hashtree *t, uint8_t out[HASHTREE_LEN])
{
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        uint64_t pieces = hashtree_pieces(t);
        uint8_t hash[HASHTREE_LEN];
        int rc = ctx ? 0 : -ENOMEM;

        if (rc == 0 && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
                rc = -ENOTSUP;
        for (uint64_t i = 0; i < pieces && rc == 0; i++) {
                if (hashtree_piece(t, i, hash) != HASHTREE_COMPLETE)
                        rc = -ENODATA;
                else if (EVP_DigestUpdate(ctx, hash, sizeof hash) != 1)
                        rc = -ENOTSUP;
        }
        if (rc == 0 && EVP_DigestFinal_ex(ctx, out, NULL) != 1)
                rc = -ENOTSUP;
        EVP_MD_CTX_free(ctx);
        return rc;
}

const uint8_t *hashtree_zero_piece(const struct hashtree *t)
{
        return t->zero_piece;
}
