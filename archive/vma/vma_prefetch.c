/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Walkers: threads that read the headers ahead of the scan, at several places at once.
 *
 * Only a header says where the next one is, so the scan has one read in flight, and where extents
 * have the lengths that a live backup gives them, nothing can be predicted either (vma_ahead.c).
 * But a header proves itself, wherever it is met:
 *
 *   |   region    |   region    |   region    |   region    |
 *    scan ->         ..H-->H->     ....H->H      .H--->H
 *                    ^ a walker searches its region for the first header, and goes on from there
 *
 * A walker gives the scan nothing. It reads, and what it has read is in the page cache when the
 * scan comes by, which reads each header itself and alone decides. So nothing depends on what a
 * walker takes for a header: where an archive lies inside of a guest's disk, or one is damaged or
 * hostile, the worst that comes of it are reads that nobody needed, and these are bounded: for each
 * region a search over the length of the longest extent, and then a header for each 64 KiB.
 *
 * Walkers begin when headers have to be waited for. They end when these are in memory after all,
 * for good if what they have read is not kept there. They stay near: between the scan and the
 * farthest of them are 32 GiB, whose headers, one in 2 to 4 MB, take 64 MiB of page cache; where
 * headers are as near to each other as they can be, or a hostile archive has them so, 2 GiB.
 *
 * A disk that turns gets 17 reads to choose from, within 32 GiB. Its ways among them are longer
 * than the scan's alone would be, and it turns less often in vain, since it takes them as they pass
 * by: that is taken to be even. Whether a disk turns is not asked: the sandbox keeps that part of
 * /sys out of reach, and virtual disks say that they do, whatever is below them.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/vma/vma_internal.h"
#include "archive/workers.h"

/* Reads in flight: enough for 10,000 a second where each takes 1.6 ms. */
#define WALKERS 16

/* To search half an extent, 2 MB, is to be little beside a region, and a region beside the way. */
#define REGION_MAX (UINT64_C(1) << 30)
#define REGION_MIN (UINT64_C(64) << 20)
#define REGIONS    64

/* Regions that are begun or can be: a walker that is done early goes on with another. */
#define HANDED_OUT 32

/* A header begins within so many bytes, wherever one begins to search. */
#define EXTENT_MAX (EXTENT_HEADER + SLOTS * CLUSTER)
#define WINDOW     ((size_t)128 << 10)

/* After so many headers in a row that were in memory, the region is taken to be. */
#define QUICK_MAX 64
/* After so many regions of that kind in a row, all of them. */
#define WARM_MAX 4
/* How often what has just been read may be missing from memory, by chance, until it is believed. */
#define MISSED_MAX 3

struct walkers {
        struct source *source;
        unsigned char uuid[UUID_LEN];
        uint64_t base;   /* of the stream, where region 0 begins */
        uint64_t region; /* bytes of each */
        uint64_t end;    /* of the stream */
        size_t next;     /* region to be handed out. The scan's */
        struct workers *threads;

        _Atomic uint64_t passed; /* where the scan is */
        _Atomic unsigned warm;   /* regions in a row whose headers were in memory */
        _Atomic bool useless;    /* what is read does not stay in memory */
        _Atomic bool stopping;
};

/* One walker's way through its region. */
struct walk {
        struct walkers *w;
        uint64_t start, end; /* of the region */
        struct proof proof;
        unsigned char header[EXTENT_HEADER]; /* at hand */
        unsigned headers, slow;
};

static bool is_wanted(const struct walkers *w, uint64_t pos)
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

/* From the header at hand, at byte POS, to where the scan is not helped any more. */
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

/* Is the header at byte POS, which was read, still in memory? If not, that is the end of it all. */
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
        struct walkers *w = ctx;
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

struct walkers *vma_walkers_start(const struct vma *vma, uint64_t pos)
{
        struct source *source = vma->base.source;
        uint64_t left = source->size - min_u64(source->size, pos);
        struct walkers *w;

        if (left < 2 * REGION_MIN)
                return NULL;
        w = calloc(1, sizeof *w);
        if (!w)
                return NULL;
        if (workers_new(WALKERS, &w->threads) < 0) {
                free(w);
                return NULL;
        }
        w->source = source;
        memcpy(w->uuid, vma->proof.uuid, UUID_LEN);
        w->base = pos;
        w->region = max_u64(REGION_MIN, min_u64(REGION_MAX, left / REGIONS));
        w->end = source->size;
        w->next = 1; /* the scan goes through the first one itself */
        workers_release(w->threads);
        return w;
}

enum walkers_use vma_walkers_follow(struct walkers *w, uint64_t pos)
{
        w->passed = pos;
        /* One that is not walked for want of memory is walked by the scan alone. */
        for (; w->next * w->region < min_u64(w->end, pos + HANDED_OUT * w->region) - w->base;
             w->next++)
                workers_submit(w->threads, WORK_SOON, walk_region, w, w->next);
        if (w->useless)
                return WALKERS_USELESS;
        return w->warm >= WARM_MAX ? WALKERS_IDLE : WALKERS_USEFUL;
}

void vma_walkers_end(struct walkers *w)
{
        if (!w)
                return;
        w->stopping = true;
        workers_free(w->threads);
        free(w);
}
