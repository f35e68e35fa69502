/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/stream/zstd/zstd_beside.h"

#include <string.h>

#include "archive/cleanup.h"
#include "archive/stream/restart_builder.h"
#include "archive/stream/zstd/zstd_checksum.h"

void zstd_beside_init(struct zstd_beside *s, struct zstd_checksum *checksum,
                      struct workers *workers)
{
        *s = (struct zstd_beside){.checksum = checksum, .workers = workers};
}

void zstd_beside_sum(struct zstd_beside *s, const void *bytes, size_t len)
{
        s->bytes = bytes;
        s->len = len;
}

void zstd_beside_store(struct zstd_beside *s, struct restart_builder *b, const void *history,
                       uint32_t history_len)
{
        s->builder = b;
        s->history = history;
        s->history_len = history_len;
}

static bool is_stored(const struct zstd_beside *s)
{
        cleanup_free void *stored = NULL;

        return restart_stored(s->builder, &stored) == 0 &&
               (s->history_len == 0 || memcmp(stored, s->history, s->history_len) == 0);
}

static void do_all(void *ctx, size_t arg)
{
        struct zstd_beside *s = ctx;

        (void)arg;
        if (s->bytes)
                zstd_checksum_update(s->checksum, s->bytes, s->len);
        if (!s->builder)
                return;
        s->rc = restart_accept(s->builder, s->history, s->history_len);
        s->stored = s->rc == 0 && is_stored(s);
}

void zstd_beside_start(struct zstd_beside *s)
{
        s->stored = !s->builder;
        s->rc = 0;
        if (s->bytes || s->builder)
                workers_offer(s->workers, &s->task, do_all, s);
}

int zstd_beside_join(struct zstd_beside *s)
{
        workers_join(s->workers, &s->task);
        s->bytes = NULL;
        s->builder = NULL;
        return s->rc;
}
