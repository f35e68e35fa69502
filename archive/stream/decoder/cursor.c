/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/decoder/cursor.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/error.h"
#include "archive/stream/restart_table.h"

#define STEP_SIZE (256 << 10)

void cursor_close(struct decoding *d, struct cursor *c)
{
        d->codec->pass_close(c->pass);
        free(c->step);
        blockcache_account(d->cache, c->memory, 0);
        *c = (struct cursor){0};
}

/* C's pass may take more memory than it did. */
static void account(struct decoding *d, struct cursor *c)
{
        size_t memory = STEP_SIZE + (d->codec->memory ? d->codec->memory(c->pass) : 0);

        blockcache_account(d->cache, c->memory, memory);
        c->memory = memory;
}

int cursor_open(struct decoding *d, struct cursor *c, const struct restart_segment *entry,
                struct error *err)
{
        void *history = NULL;
        int rc = 0;

        c->step = malloc(STEP_SIZE);
        if (!c->step)
                return -ENOMEM;
        c->step_at = c->step_end = 0;
        c->out = 0;
        if (entry->index == 0 || !d->codec->pass_recover) {
                rc = d->codec->pass_open(d->in, &d->limits, &c->pass, err);
        } else {
                c->out = entry->point.out;
                rc = restart_history(d->table, entry->index, &history);
                if (rc == 0)
                        rc = d->codec->pass_recover(d->in, &d->limits, &entry->point, history,
                                                    &c->pass, err);
        }
        if (rc < 0) {
                c->pass = NULL;
                cursor_close(d, c);
                return rc;
        }
        account(d, c);
        return 0;
}

int cursor_read(struct decoding *d, struct cursor *c, void *out, uint64_t len, struct error *err)
{
        uint8_t *to = out;

        while (len > 0) {
                size_t n = (size_t)min_u64(len, c->step_end - c->step_at);

                if (n == 0) {
                        ssize_t got = d->codec->pass(c->pass, c->step, STEP_SIZE, NULL, err);

                        account(d, c);
                        if (got < 0)
                                return (int)got;
                        if (got == 0)
                                return error_set(err, EIO,
                                                 "the compressed stream has become shorter");
                        atomic_fetch_add(&d->decoded, (uint64_t)got);
                        c->step_at = 0;
                        c->step_end = (size_t)got;
                        continue;
                }
                if (to) {
                        memcpy(to, c->step + c->step_at, n);
                        to += n;
                }
                c->step_at += n;
                c->out += n;
                len -= n;
        }
        return 0;
}
