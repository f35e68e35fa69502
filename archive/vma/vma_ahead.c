/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asks for headers before the scan comes to them.
 *
 * Only a header says where the next one is, so a plain scan waits for the disk at each header, with
 * one read in flight, however many the disk could serve. But on a full disk most extents have the
 * same length. So if the last N headers were equally far apart, the next N are assumed to be, too:
 *
 *   |<-stride->|<-stride->|<-stride->|
 *   H          H          here       ?          ?          asked for
 *
 * This is only a hint to the kernel. Each header is still read and checked when the scan reaches
 * it. A wrong guess costs a page that nobody reads, and there are at most as many of them as there
 * were right guesses before. On a disk that takes 5 ms a read, a scan of 6 GiB took 0.24 s with
 * this, and 1 to 2.3 s with the threads of vma_prefetch.c alone.
 *
 * If extents differ, and the scan does little but wait, threads go ahead of it: vma_prefetch.c.
 */
#include <time.h>

#include "archive/bytes.h"
#include "archive/source/source.h"
#include "archive/vma/vma_internal.h"

/* How many to ask for at once: more than it takes to keep a disk busy. */
#define MOST 64
/* If fewer are alike, it is chance. */
#define FEWEST 4

/* After a slow header, assume for so many more that headers are not in memory. */
#define SLOW_LASTS 128

/* Start threads if the scan had to wait for so many of the last 64 headers. */
#define WAITS 16

/* If headers are closer than this, ask for them in one piece. */
#define NEAR 4096

static uint64_t nanoseconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Ask for the headers after POS that have not been asked for yet. */
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

/* The header at byte POS has been read: start or end prefetch threads, as needed. */
static void keep_prefetch(struct ahead *a, const struct vma *vma, uint64_t pos)
{
        enum prefetch_use use;

        if (!a->prefetch && a->waits && !a->alone && __builtin_popcountll(a->waits) >= WAITS)
                a->prefetch = vma_prefetch_start(vma, pos);
        if (!a->prefetch)
                return;
        use = vma_prefetch_follow(a->prefetch, pos);
        if (use == PREFETCH_USEFUL)
                return;
        vma_ahead_end(a);
        a->alone = use == PREFETCH_USELESS;
}

ssize_t vma_ahead_read(struct ahead *a, const struct vma *vma, void *buf, size_t len, uint64_t pos)
{
        uint64_t start = nanoseconds();
        ssize_t n = source_peek(vma->base.source, buf, len, pos);
        uint64_t end = nanoseconds();
        bool slow = end - start > VMA_SLOW_NS;

        if (slow)
                a->slow = SLOW_LASTS;
        else if (a->slow)
                a->slow--;
        /*
         * If reading the data between two headers takes longer, threads would not help, and that
         * data should stay in memory.
         */
        slow = slow && end - start > start - a->end;
        a->end = end;
        a->waits = a->waits << 1 | slow;
        if (source_is_file(vma->base.source))
                keep_prefetch(a, vma, pos);
        return n;
}

void vma_ahead_end(struct ahead *a)
{
        vma_prefetch_end(a->prefetch);
        a->prefetch = NULL;
        a->waits = 0;
}
