/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Restart points every few KiB, where the program wants them every few MiB: linked with
 * --wrap, so that inputs of a fuzzer's size have segments at all.
 */
#include "archive/stream/restart_builder.h"
#include "tests/fuzz/fuzz.h"

enum { DISTANCE = 4096, MOST = 65536 };

int __real_restart_builder_new(struct restart_table *table, restart_recall_fn recall, void *ctx,
                               struct restart_builder **out);
int __wrap_restart_builder_new(struct restart_table *table, restart_recall_fn recall, void *ctx,
                               struct restart_builder **out);
int __real_restart_advance(struct restart_builder *b, const void *buf, size_t len);
int __wrap_restart_advance(struct restart_builder *b, const void *buf, size_t len);
bool __wrap_restart_wanted(struct restart_builder *b);
struct restart_spacing __wrap_restart_spacing(const struct restart_builder *b);

/* One pass runs at a time. */
static uint64_t here;

int __wrap_restart_builder_new(struct restart_table *table, restart_recall_fn recall, void *ctx,
                               struct restart_builder **out)
{
        here = 0;
        return __real_restart_builder_new(table, recall, ctx, out);
}

int __wrap_restart_advance(struct restart_builder *b, const void *buf, size_t len)
{
        here += len;
        return __real_restart_advance(b, buf, len);
}

bool __wrap_restart_wanted(struct restart_builder *b)
{
        return here >= restart_segment_start(b) + DISTANCE;
}

struct restart_spacing __wrap_restart_spacing(const struct restart_builder *b)
{
        (void)b;
        return (struct restart_spacing){.best = DISTANCE, .most = MOST};
}
