/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/block_pass.h"

#include <errno.h>

#include "archive/error.h"
#include "archive/source/input.h"
#include "archive/stream/pass_state.h"
#include "archive/stream/restart_builder.h"

static bool is_worth_naming(const struct block_ops *ops, const struct block_pass *p,
                            struct restart_builder *b)
{
        return p->resumed || restart_wanted(b) || (!p->dear && p->out - p->named >= ops->spacing);
}

/* Name the point at the end of what was returned, if it is worth it. */
static int name_point(const struct block_ops *ops, struct block_pass *p, struct restart_builder *b,
                      struct error *err)
{
        struct block_point point = ops->point(p);
        struct pass_state state = {0};
        bool named = p->resumed;
        int rc = 0;

        p->dear = point.history_len > 0;
        if (!is_worth_naming(ops, p, b))
                return 0;
        if (!named)
                rc = restart_here(b, point.in_bit, point.aux, point.history, point.history_len);
        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        p->resumed = false;
        p->named = p->out;
        if (!named && ops->checkpoint) {
                ops->checkpoint(p, &state);
                restart_checkpoint(b, &state, true);
        }
        return 0;
}

/* Return where a block has ended, after DONE bytes, so that a point can be named there? */
static bool returns_at(const struct block_ops *ops, const struct block_pass *p, size_t done)
{
        return done >= ops->return_after ||
               (done > 0 && !p->dear && p->out + done - p->named >= ops->spacing);
}

/*
 * Decode into BUF until it is full, or to the end of a block where the pass returns. *DONE is valid
 * even on failure. 1: there is more. 0: the end.
 */
static int decode_run(const struct block_ops *ops, struct block_pass *p, uint8_t *buf, size_t len,
                      size_t *done, struct restart_builder *b, struct error *err)
{
        for (;;) {
                ssize_t n;
                int rc = 1;

                if (!ops->inside(p)) {
                        rc = ops->next(p, p->out + *done, err);
                        if (rc > 0 && b && *done == 0 && p->out > 0)
                                rc = name_point(ops, p, b, err) < 0 ? -ENOMEM : 1;
                }
                if (rc <= 0)
                        return rc;
                n = ops->read(p, buf + *done, len - *done, err);
                if (n < 0)
                        return (int)n;
                *done += (size_t)n;
                if (!ops->inside(p))
                        ops->settle(p, p->out + *done);
                if (*done == len || (!ops->inside(p) && returns_at(ops, p, *done)))
                        return 1;
        }
}

ssize_t block_pass_run(const struct block_ops *ops, struct block_pass *p, void *buf, size_t len,
                       struct restart_builder *b, struct error *err)
{
        size_t done = 0;
        int rc = decode_run(ops, p, buf, len, &done, b, err);

        if (done == 0 && rc < 0)
                return rc;
        if (rc < 0 && err)
                *err = (struct error){0}; /* the next call fails with it again */
        p->out += done;
        return (ssize_t)done;
}

void block_pass_go_on(struct block_pass *p, uint64_t out)
{
        p->out = p->named = p->trust.settled = out;
}

int block_pass_exactly(const struct block_ops *ops, struct block_pass *p, uint8_t *out, size_t len,
                       struct error *err)
{
        size_t done = 0;

        while (done < len) {
                ssize_t n = ops->inside(p) ? 1 : ops->next(p, done, err);

                if (n == 0)
                        return error_set_at(err, EIO, input_offset(p->in),
                                            "the %s blocks do not fill a segment", ops->name);
                if (n > 0)
                        n = ops->read(p, out + done, len - done, err);
                if (n < 0)
                        return (int)n;
                done += (size_t)n;
        }
        return 0;
}
