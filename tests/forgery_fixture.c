/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/forgery_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "archive/bytes.h"

struct forgery forgery_begin(enum fixture_kind kind, size_t len)
{
        struct forgery g = {0};

        sidecar_fixture_make(&g.f, kind, len);
        g.b = fixture_copy(g.f.sidecar);
        return g;
}

void forgery_expect(struct forgery *g, enum outcome outcome)
{
        sidecar_seal(&g->b);
        assert_int_equal(sidecar_outcome(&g->f, g->b.data, g->b.len), outcome);
        free(g->b.data);
        g->b = fixture_copy(g->f.sidecar);
}

void forgery_end(struct forgery *g)
{
        free(g->b.data);
        sidecar_fixture_free(&g->f);
}

void forgery_add64(uint8_t *at, uint64_t n)
{
        store_le64(at, load_le64(at) + n);
}
