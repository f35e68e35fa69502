/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Headers that are asked for before the scan comes to them.
 *
 * Only a header says where the next one is, so a scan waits for the disk once a header: one read in
 * flight, however many the disk could serve. But most extents of a disk that is full are as long as
 * the one in front. So what has been true so often is taken to be true as often again:
 *
 *   |<-stride->|<-stride->|<-stride->|
 *   H          H          here       ?          ?          asked for
 *
 * It is a hint to the kernel and no more: a header is believed when it is reached, as ever, and a
 * wrong guess costs a page that nobody reads, at most as many as there were right ones before it.
 *
 * Where extents differ, and the scan does little but wait, threads go ahead of it: vma_prefetch.c.
 */
#include <time.h>

#include "archive/bytes.h"
#include "archive/source/source.h"
#include "archive/vma/vma_internal.h"

/* The most that are asked for at once: more than a disk needs to be busy. */
#define MOST 64
/* Fewer alike than this are chance. */
#define FEWEST 4

/* After a slow one, for so many headers it is assumed that the next ones are not in memory either.
 */
#define SLOW_LASTS 128

/* So many of the last 64 headers that had to be waited for are worth threads. */
#define WAITS 16

/* Headers that are nearer to one another are asked for in one piece. */
#define NEAR 4096

static uint64_t nanoseconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Ask for those behind POS, as far as they are not asked for already. */
static void ask(struct ahead *a, struct source *source, uint64_t pos)
{
        uint64_t size = source->size;
        uint64_t target = pos + min_u64(a->alike, MOST) * a->stride;
        uint64_t from = max_u64(a->asked, pos) + a->stride;

        if (from > target || target >= size)
                return;
        if (a->stride <= NEAR)
                source_will_need(source, from, target + EXTENT_HEADER - from);
        for (uint64_t at = from; a->stride > NEAR && at <= target; at += a->stride)
                source_will_need(source, at, EXTENT_HEADER);
        a->asked = target;
}

void vma_ahead_next(struct ahead *a, struct source *source, uint64_t here, uint64_t next)
{
        if (next - here == a->stride) {
                a->alike++;
        } else {
                a->stride = next - here;
                a->alike = 0;
                a->asked = 0;
        }
        if (a->slow && a->alike >= FEWEST)
                ask(a, source, next);
}

ssize_t vma_timed_read(struct source *source, void *buf, size_t len, uint64_t pos, uint64_t *took)
{
        uint64_t start = nanoseconds();
        ssize_t n = source_pread(source, buf, len, pos);

        *took = nanoseconds() - start;
        return n;
}

/* The header at byte POS has been read: have walkers where they are of use. */
static void keep_walkers(struct ahead *a, const struct vma *vma, uint64_t pos)
{
        enum walkers_use use;

        if (!a->walkers && a->waits && !a->alone && __builtin_popcountll(a->waits) >= WAITS)
                a->walkers = vma_walkers_start(vma, pos);
        if (!a->walkers)
                return;
        use = vma_walkers_follow(a->walkers, pos);
        if (use == WALKERS_USEFUL)
                return;
        vma_ahead_end(a);
        a->alone = use == WALKERS_USELESS;
}

ssize_t vma_ahead_read(struct ahead *a, const struct vma *vma, void *buf, size_t len, uint64_t pos)
{
        uint64_t start = nanoseconds();
        ssize_t n = source_pread(vma->base.source, buf, len, pos);
        uint64_t end = nanoseconds();
        bool slow = end - start > VMA_SLOW_NS;

        if (slow)
                a->slow = SLOW_LASTS;
        else if (a->slow)
                a->slow--;
        /* Who copies what is between two headers waits for that, and wants it in memory. */
        slow = slow && end - start > start - a->end;
        a->end = end;
        a->waits = a->waits << 1 | slow;
        if (source_is_file(vma->base.source))
                keep_walkers(a, vma, pos);
        return n;
}

void vma_ahead_end(struct ahead *a)
{
        vma_walkers_end(a->walkers);
        a->walkers = NULL;
        a->waits = 0;
}
