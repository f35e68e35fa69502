/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A sidecar that somebody changes who means ill, and can compute checksums. */
#ifndef VMAFS_TESTS_FORGERY_FIXTURE_H
#define VMAFS_TESTS_FORGERY_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "tests/fixture_sidecar.h"

/* Disks: of a few segments, and of more. */
#define FORGERY_SMALL (7 * MIB + 1536)
#define FORGERY_WIDE  (20 * MIB)

struct forgery {
        struct sidecar_fixture f;
        struct bytes b; /* a copy of the sidecar, to be changed */
};

struct forgery forgery_begin(enum fixture_kind kind, size_t len);
void forgery_end(struct forgery *g);

/* Seal the changed copy, see what comes of it, and start again from the true one. */
void forgery_expect(struct forgery *g, enum outcome outcome);

/* Add N to the little-endian 64 bits at AT. */
void forgery_add64(uint8_t *at, uint64_t n);

#endif
