/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fuse/wait.h"

#include <errno.h>

#include "fs/fuse/context.h"

enum {
        WAIT_NEW,         /* libfuse may not free the request before wait_begin has told it of us */
        WAIT_INTERRUPTED, /* as early as that */
        WAIT_HERE,
        WAIT_TAKEN, /* by the one that answers the request */
};

static bool change(struct wait *w, unsigned from, unsigned to)
{
        return atomic_compare_exchange_strong(&w->state, &from, to);
}

/* libfuse holds the request's lock, so it stays alive here. */
static void interrupted(fuse_req_t req, void *data)
{
        struct wait *w = data;

        if (!change(w, WAIT_NEW, WAIT_INTERRUPTED) && change(w, WAIT_HERE, WAIT_TAKEN))
                fuse_reply_err(req, EINTR);
}

/* REQ is not answered. */
static bool fail(struct wait *w, int error)
{
        w->c->waiting--;
        fuse_req_interrupt_func(w->req, NULL, NULL);
        fuse_reply_err(w->req, error);
        return false;
}

bool wait_begin(struct wait *w, struct ops_context *c, fuse_req_t req, enum wait_most most)
{
        w->c = c;
        w->req = req;
        atomic_init(&w->state, WAIT_NEW);
        if (c->waiting++ >= (unsigned)most)
                return fail(w, EAGAIN);
        fuse_req_interrupt_func(req, interrupted, w);
        return change(w, WAIT_NEW, WAIT_HERE) || fail(w, EINTR);
}

bool wait_end(struct wait *w)
{
        bool ours = change(w, WAIT_HERE, WAIT_TAKEN);

        w->c->waiting--;
        /* Nobody has W any more when this returns. */
        if (ours)
                fuse_req_interrupt_func(w->req, NULL, NULL);
        return ours;
}
