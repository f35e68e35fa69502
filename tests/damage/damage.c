/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/damage/damage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"

enum { SECTOR = 512, LONGEST_LOG = 16 };

const char *const damage_names[DAMAGE_KINDS] = {"flip", "cut",       "insert",
                                                "zero", "duplicate", "swap"};

static size_t below(uint64_t *random, size_t n)
{
        return n ? (size_t)(fixture_random(random) % n) : 0;
}

/* Any length up to 64 KiB, the short ones as often as the long ones. */
static size_t choose_length(uint64_t *random)
{
        size_t log = below(random, LONGEST_LOG + 1);

        return ((size_t)1 << log) + below(random, (size_t)1 << log);
}

/* Half of all pieces begin and end with a sector, so that what follows stays aligned. */
static void choose_piece(size_t size, uint64_t *random, struct damage_step *s)
{
        s->len = (size_t)min_u64(choose_length(random), size / 2 + 1);
        s->at = below(random, size - s->len + 1);
        if (below(random, 2) || size < 4 * SECTOR)
                return;
        s->at = s->at / SECTOR * SECTOR;
        s->len = (s->len + SECTOR - 1) / SECTOR * SECTOR;
        if (s->at + s->len > size)
                s->len = size - s->at;
}

static enum damage_kind choose_kind(unsigned kinds, uint64_t *random)
{
        enum damage_kind kind;

        do
                kind = (enum damage_kind)below(random, DAMAGE_KINDS);
        while (!(kinds >> kind & 1));
        return kind;
}

/* Have the LEN bytes at AT of B, which has room, replaced by WITH of WITH_LEN bytes. */
static void splice(struct bytes *b, size_t at, size_t len, const void *with, size_t with_len)
{
        memmove(b->data + at + with_len, b->data + at + len, b->len - at - len);
        memcpy(b->data + at, with, with_len);
        b->len = b->len - len + with_len;
}

static void swap(struct bytes *b, struct damage_step *s, uint8_t *scratch)
{
        size_t room = b->len - s->at - s->len, spare;

        /* The second piece is after the first one. */
        if (room < s->len)
                return;
        spare = room - s->len;
        s->other = s->at + s->len + (spare ? s->other % spare : 0);
        if (s->at % SECTOR == 0 && s->len % SECTOR == 0)
                s->other = s->other / SECTOR * SECTOR;
        memcpy(scratch, b->data + s->at, s->len);
        memcpy(b->data + s->at, b->data + s->other, s->len);
        memcpy(b->data + s->other, scratch, s->len);
}

/* Within the file, not all of it, and a swap's in its first part. */
static void fit(struct bytes b, struct damage_step *s)
{
        s->at = s->at % b.len;
        s->len = (size_t)min_u64(max_u64(s->len, 1), min_u64(b.len - s->at, DAMAGE_GROWTH));
        if (s->kind == DAMAGE_SWAP)
                s->len = (size_t)max_u64(min_u64(s->len, (b.len - s->at) / 2), 1);
}

void damage_step(struct bytes *b, struct damage_step *s, uint64_t noise)
{
        static uint8_t scratch[DAMAGE_GROWTH];

        fit(*b, s);
        switch (s->kind) {
        case DAMAGE_FLIP:
                s->other %= 8;
                b->data[s->at] ^= (uint8_t)(1 << s->other);
                break;
        case DAMAGE_CUT:
                splice(b, s->at, s->len, scratch, 0);
                break;
        case DAMAGE_INSERT:
                for (size_t i = 0; i < s->len; i++)
                        scratch[i] = (uint8_t)fixture_random(&noise);
                splice(b, s->at, 0, scratch, s->len);
                break;
        case DAMAGE_ZERO:
                memset(b->data + s->at, 0, s->len);
                break;
        case DAMAGE_DUPLICATE:
                memcpy(scratch, b->data + s->at, s->len);
                splice(b, s->at + s->len, 0, scratch, s->len);
                break;
        default:
                swap(b, s, scratch);
                break;
        }
}

static int is_same(struct bytes a, struct bytes b)
{
        return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

struct bytes damage_apply(struct bytes sound, uint64_t seed, unsigned kinds,
                          struct damage_plan *plan)
{
        uint64_t random = seed;
        struct bytes b = {.data = malloc(sound.len + DAMAGE_STEPS * DAMAGE_GROWTH)};

        if (!b.data)
                abort();
        do {
                memcpy(b.data, sound.data, sound.len);
                b.len = sound.len;
                plan->count = 1 + (unsigned)below(&random, 6) / 3;
                plan->count += plan->count == 2 && below(&random, 2);
                for (unsigned i = 0; i < plan->count; i++) {
                        struct damage_step *s = &plan->steps[i];

                        *s = (struct damage_step){.kind = choose_kind(kinds, &random)};
                        choose_piece(b.len, &random, s);
                        s->other = fixture_random(&random);
                        damage_step(&b, s, fixture_random(&random));
                        if (b.len == 0)
                                break;
                }
        } while (b.len == 0 || is_same(sound, b));
        return b;
}

const char *damage_describe(const struct damage_plan *plan, char *out, size_t size)
{
        size_t at = 0;

        out[0] = '\0';
        for (unsigned i = 0; i < plan->count && at < size; i++) {
                const struct damage_step *s = &plan->steps[i];
                const char *and = i ? ", " : "";

                if (s->kind == DAMAGE_FLIP)
                        at += (size_t)snprintf(out + at, size - at, "%sflip bit %zu of byte %zu",
                                               and, s->other, s->at);
                else if (s->kind == DAMAGE_SWAP)
                        at +=
                            (size_t)snprintf(out + at, size - at, "%sswap %zu bytes at %zu and %zu",
                                             and, s->len, s->at, s->other);
                else
                        at += (size_t)snprintf(out + at, size - at, "%s%s %zu bytes at %zu", and,
                                               damage_names[s->kind], s->len, s->at);
        }
        return out;
}

int damage_moves(const struct damage_plan *plan)
{
        for (unsigned i = 0; i < plan->count; i++)
                if (plan->steps[i].kind == DAMAGE_CUT || plan->steps[i].kind == DAMAGE_INSERT ||
                    plan->steps[i].kind == DAMAGE_DUPLICATE)
                        return 1;
        return 0;
}
