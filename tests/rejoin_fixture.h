/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A damaged stream that is gone through to its end, past every gap: what is served of it is right.
 * Each function fails the test where what it does fails.
 */
#ifndef VMAFS_TESTS_REJOIN_FIXTURE_H
#define VMAFS_TESTS_REJOIN_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "tests/decoded_fixture.h"
#include "tests/fixture_stream.h"

struct rejoined {
        struct source *s; /* closed by the caller */
        struct passage met;
};

/* Go through Z, which must outlive it. */
struct rejoined rejoin(struct bytes z);

/*
 * What lies in front of the first gap and behind the last one is there, at least LEAST bytes, and
 * what lies between two gaps is a piece of PLAIN, wherever that was.
 */
void rejoined_expect(const struct rejoined *r, struct bytes plain, size_t least);

/* Both. */
void rejoin_expect(struct bytes plain, struct bytes z, size_t least);

/*
 * ROUNDS times, Z with up to LONGEST bytes of noise somewhere in it: whatever is damaged, and
 * however, a byte behind the gap is right or not served. Returns how often there was such a byte.
 */
size_t rejoin_random_damage(struct bytes plain, struct bytes z, int rounds, size_t longest);

#endif
