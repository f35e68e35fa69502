/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a pass has to know to go on from a restart point, as bytes that can be stored: a row of
 * numbers, put by one and got by another process in the same order.
 */
#ifndef VMAFS_PASS_STATE_H
#define VMAFS_PASS_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/bytes.h"

#define PASS_STATE_MAX 768 /* bytes */

struct pass_state {
        uint8_t bytes[PASS_STATE_MAX];
        size_t len;
        size_t at;   /* what was got of them */
        bool failed; /* more was put than fits, or got than there is */
};

static inline void state_put(struct pass_state *s, uint64_t v)
{
        if (PASS_STATE_MAX - s->len < sizeof v) {
                s->failed = true;
                return;
        }
        store_le64(s->bytes + s->len, v);
        s->len += sizeof v;
}

/* 0 where there is none. */
static inline uint64_t state_get(struct pass_state *s)
{
        uint64_t v;

        if (s->failed || s->len - s->at < sizeof v) {
                s->failed = true;
                return 0;
        }
        v = load_le64(s->bytes + s->at);
        s->at += sizeof v;
        return v;
}

/* Was everything got, and was it there? */
static inline bool state_is_used_up(const struct pass_state *s)
{
        return !s->failed && s->at == s->len;
}

/* Append what was put into MORE. */
static inline void state_append(struct pass_state *s, const struct pass_state *more)
{
        s->failed |= more->failed || PASS_STATE_MAX - s->len < more->len;
        if (s->failed)
                return;
        memcpy(s->bytes + s->len, more->bytes, more->len);
        s->len += more->len;
}

#endif
