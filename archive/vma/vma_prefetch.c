/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Prefetch threads read headers ahead of the scan, at several places at once.
 *
 * Only a header says where the next one is, so the scan has one read in flight. In a live backup
 * the lengths of extents vary, so vma_ahead.c cannot predict anything either. But a header proves
 * itself, wherever it is found:
 *
 *   |   region    |   region    |   region    |   region    |
 *    scan ->         ..H-->H->     ....H->H      .H--->H
 *                    ^ a thread searches its region for the first header, and goes on from there
 *
 * A thread passes nothing to the scan. What it reads is in the page cache when the scan gets there;
 * the scan reads each header itself and alone decides. So nothing depends on what a thread takes
 * for a header. If an archive lies inside a guest's disk, or is damaged or hostile, the worst
 * result is unneeded reads, and these are bounded: for each region, a search over the length of the
 * longest extent, and then a header for each 64 KiB.
 *
 * The threads start when the scan has to wait for headers. They end when headers turn out to be in
 * memory, and for good if what they read does not stay there. They keep within 32 GiB of the scan.
 * The headers of 32 GiB, one in 2 to 4 MB, take 64 MiB of page cache, or 2 GiB if headers are as
 * dense as possible, as in a hostile archive.
 *
 * A spinning disk gets 17 reads to choose from, within 32 GiB. It seeks farther than for the scan
 * alone, but waits for fewer rotations, since it can take the reads in the order in which they pass
 * by; we assume that this evens out. Whether a disk is rotational is not checked: the sandbox hides
 * that part of /sys, and virtual disks claim to be, whatever they are on.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/shared.h"
#include "archive/source/source.h"
#include "archive/vma/vma_internal.h"
#include "archive/workers.h"

/*
 * Searching half an extent, 2 MB, should be little compared with a region, and a region with the
 * whole archive.
 */
#define REGION_MAX (UINT64_C(1) << 30)
#define REGION_MIN (UINT64_C(64) << 20)
#define REGIONS    64

/* How many regions are handed out at a time. A thread that is done early goes on with another. */
#define HANDED_OUT 32

/* From any byte, the next header begins within so many bytes. */
#define EXTENT_MAX (EXTENT_HEADER + SLOTS * CLUSTER)
#define WINDOW     ((size_t)128 << 10)

/* If so many headers in a row were in memory, the whole region is taken to be. */
#define QUICK_MAX 64
/* If so many regions in a row were, all are taken to be. */
#define WARM_MAX 4
/*
 * How often a header that was just read may be slow again before we believe that it did not stay in
 * memory.
 */
#define MISSED_MAX 3

struct prefetch {
        struct source *source;
        unsigned char uuid[UUID_LEN];
        uint64_t base;   /* of the stream, where region 0 begins */
        uint64_t region; /* bytes of each */
        uint64_t end;    /* of the stream */
        size_t next;     /* the region to hand out next; only the scan uses it */
        struct workers *workers;

        _Atomic uint64_t passed; /* where the scan is */
        _Atomic unsigned warm;   /* regions in a row whose headers were in memory */
        _Atomic bool useless;    /* what was read does not stay in memory */
        _Atomic bool stopping;
};

/* A thread's way through its region. */
struct walk {
        struct prefetch *w;
        uint64_t start, end; /* of the region */
        struct proof proof;
        unsigned char header[EXTENT_HEADER]; /* at hand */
        unsigned headers, slow;
};

static bool is_wanted(const struct prefetch *w, uint64_t pos)
{
        return !w->stopping && !w->useless && w->warm < WARM_MAX && w->passed <= pos;
}

/* Find the region's first header, into k->header. */
static bool find_first(struct walk *k, uint64_t *pos)
{
        cleanup_free unsigned char *window = malloc(WINDOW);
        uint64_t at = k->start;

        while (window && at < k->start + EXTENT_MAX && is_wanted(k->w, at)) {
                ssize_t n = source_pread(k->w->source, window, WINDOW, at);
                const unsigned char *p;

                if (n < EXTENT_HEADER)
                        return false;
                p = vma_find_header(&k->proof, window, (size_t)n, k->header);
                if (p) {
                        *pos = at + (uint64_t)(p - window);
                        return *pos < k->end;
                }
                at = source_next_window(at, n, EXTENT_HEADER);
        }
        return false;
}

static bool is_slow(struct walk *k, uint64_t pos, ssize_t *n)
{
        uint64_t took;

        *n = vma_timed_read(k->w->source, k->header, EXTENT_HEADER, pos, &took);
        return took > VMA_SLOW_NS;
}

/* Go on from the current header, at byte POS, as long as that helps the scan. */
static void follow(struct walk *k, uint64_t pos)
{
        uint64_t most = (k->end - k->start) / CLUSTER;
        unsigned quick = 0;

        while (k->headers < most && quick < QUICK_MAX) {
                ssize_t n;

                pos = vma_next(pos, k->header);
                if (pos >= k->end || !is_wanted(k->w, pos))
                        return;
                quick++;
                k->headers++;
                if (is_slow(k, pos, &n)) {
                        k->slow++;
                        quick = 0;
                }
                if (n < EXTENT_HEADER || vma_fault(&k->proof, k->header))
                        return;
        }
}

/*
 * Is the header at byte POS, which was read before, still in memory? If not, give up prefetching.
 */
static bool is_kept(struct walk *k, uint64_t pos)
{
        unsigned missed = 0;
        ssize_t n;

        while (missed < MISSED_MAX && is_slow(k, pos, &n))
                missed++;
        if (missed == MISSED_MAX)
                k->w->useless = true;
        return missed < MISSED_MAX;
}

static void walk_region(void *ctx, size_t number)
{
        struct prefetch *w = ctx;
        struct walk k = {.w = w, .start = w->base + number * w->region};
        uint64_t first;

        k.end = min_u64(k.start + w->region, w->end);
        memcpy(k.proof.uuid, w->uuid, UUID_LEN);
        if (is_wanted(w, k.start) && md5_init(&k.proof.md5) == 0 && find_first(&k, &first) &&
            is_kept(&k, first)) {
                follow(&k, first);
                if (k.slow > 0 && is_kept(&k, first))
                        w->warm = 0;
                else if (k.slow == 0 && k.headers > 0)
                        w->warm++;
        }
        md5_fini(&k.proof.md5);
}

struct prefetch *vma_prefetch_start(const struct vma *vma, uint64_t pos)
{
        struct source *source = vma->base.source;
        uint64_t left = source->size - min_u64(source->size, pos);
        struct prefetch *w;

        if (!vma->shared || left < 2 * REGION_MIN)
                return NULL;
        w = calloc(1, sizeof *w);
        if (!w)
                return NULL;
        if (workers_new(vma->shared->pool, &w->workers) < 0) {
                free(w);
                return NULL;
        }
        w->source = source;
        memcpy(w->uuid, vma->proof.uuid, UUID_LEN);
        w->base = pos;
        w->region = max_u64(REGION_MIN, min_u64(REGION_MAX, left / REGIONS));
        w->end = source->size;
        w->next = 1; /* the scan does the first one itself */
        return w;
}

enum prefetch_use vma_prefetch_follow(struct prefetch *w, uint64_t pos)
{
        w->passed = pos;
        /* A region that cannot be submitted for lack of memory is left to the scan. */
        for (; w->next * w->region < min_u64(w->end, pos + HANDED_OUT * w->region) - w->base;
             w->next++)
                workers_submit(w->workers, WORK_DISK, walk_region, w, w->next);
        if (w->useless)
                return PREFETCH_USELESS;
        return w->warm >= WARM_MAX ? PREFETCH_IDLE : PREFETCH_USEFUL;
}

void vma_prefetch_end(struct prefetch *w)
{
        if (!w)
                return;
        w->stopping = true;
        workers_free(w->workers);
        free(w);
}
