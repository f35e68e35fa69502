/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared by the files of the VMA reader; nobody else includes this.
 *
 *   vma.c          the header, and the vtable
 *   vma_scan.c     from extent header to extent header; what of each can be believed
 *   vma_ahead.c    headers that are asked for early
 *   vma_prefetch.c  threads that read headers early
 *   vma_resync.c   where the chain of headers is broken: looks for where it goes on
 */
#ifndef VMAFS_VMA_INTERNAL_H
#define VMAFS_VMA_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/format.h"
#include "archive/vma/md5.h"

struct error;

enum {
        BLOCK = 4096,
        CLUSTER = 65536,
        CLUSTER_BLOCKS = 16,
        DEVICES = 256, /* 1 to 254 are devices */

        EXTENT_HEADER = 512,
        EXTENT_UUID = 8,
        EXTENT_MD5 = 24,
        EXTENT_SLOTS = 40,
        SLOTS = 59,

        UUID_LEN = 16,
};

/* Cluster numbers have 32 bits. */
#define DEVICE_MAX (UINT64_C(1) << 48)

struct vma_device {
        bool used;
        bool vmstate;
        uint32_t number; /* its number for the sink */
        uint64_t size;
        uint64_t stored; /* bytes up to the end of the last cluster seen */
        uint64_t seen;   /* clusters */

        /* Impossible clusters: of no device, or zeros far beyond a device's end. */
        uint64_t strange;
        uint64_t strange_at; /* the first extent header that names such a cluster */
};

/* What it takes to prove that an extent header belongs to an archive. For one thread at a time. */
struct proof {
        unsigned char uuid[UUID_LEN];
        struct md5 md5;
};

struct vma {
        struct archive base;
        struct shared *shared; /* NULL: no threads */
        uint64_t first_extent;
        struct proof proof; /* used by open and then by the scan alone */
        struct vma_device devices[DEVICES];
};

/* What stands where an extent header should be. */
enum finding {
        FOUND_HEADER,     /* one that proves itself */
        FOUND_REMAINS,    /* one that is damaged or cut off, but was here */
        FOUND_JUNK,       /* something else */
        FOUND_UNREADABLE, /* the medium or the decompressor cannot deliver it */
        FOUND_END,        /* the stream ends here or before */
        FOUND_REST,       /* the archive is whole, and something else follows it */
};

struct place {
        uint64_t pos; /* of the stream */
        enum finding found;
        const char *fault; /* why it is not a header, as a sentence */
        unsigned char header[EXTENT_HEADER];
};

/* The part of the stream that a search has reached. */
struct window {
        unsigned char *bytes; /* NULL until needed */
        uint64_t at;          /* offset of bytes[0] in the stream … */
        size_t len;           /* … and the number of bytes */
};

/* Reading a header takes a microsecond from memory, and a hundred from a fast disk. */
#define VMA_SLOW_NS 40000

/* The distances between headers: see vma_ahead.c. */
struct ahead {
        uint64_t stride; /* from the last header to the next */
        uint64_t alike;  /* how often it was the same before */
        uint64_t asked;  /* the last offset that was asked for with this stride; 0: none */
        unsigned slow;   /* for how many more headers reading is assumed to be slow */

        uint64_t end;   /* when the last header had been read, nanoseconds */
        uint64_t waits; /* a bit for each of the last 64: the scan waited for it; newest is bit 0 */
        struct prefetch *prefetch; /* NULL while headers are in memory */
        bool alone;                /* prefetching does not help */
};

/* The scan of one archive. */
struct scan {
        struct vma *vma;
        const struct archive_sink *sink;
        struct error *err;
        uint64_t progress; /* the byte last reported */
        uint64_t end;      /* how far the stream can be read, up to what was wanted */

        struct place *here; /* the current extent … */
        struct place *next; /* … and what stands where it says the next one begins */

        struct window window;
        struct ahead ahead;

        bool doubtful; /* the current extent's data may be displaced */
        uint32_t disk; /* whose extents are in the batch */
        size_t count;
        struct extent batch[SLOTS * CLUSTER_BLOCKS];
};

/* Tell the sink that the scan has reached byte DONE. Later calls never name an earlier byte. */
int vma_progress(struct scan *s, uint64_t done);

/* Set s->end to how far the stream can be decoded, at most WANT. 0 or -errno. */
int vma_reach(struct scan *s, uint64_t want);

/*
 * Check the EXTENT_HEADER bytes at H as an extent header of PROOF's archive. Returns what is wrong,
 * or NULL. May zero its MD5 field.
 */
const char *vma_fault(const struct proof *proof, unsigned char *h);

/*
 * Find the first header in the N bytes at P that proves itself. Returns it or NULL. OUT gets its
 * bytes, with the MD5 zeroed.
 */
const unsigned char *vma_find_header(const struct proof *proof, const unsigned char *p, size_t n,
                                     unsigned char out[EXTENT_HEADER]);

/* Where the next header begins, according to the header H at byte POS. */
uint64_t vma_next(uint64_t pos, const unsigned char *h);

/* The scan goes on from the header at byte HERE to the one at byte NEXT. */
void vma_ahead_next(struct ahead *a, struct source *source, uint64_t here, uint64_t next);

/* source_peek of a header, for the scan. Measures whether headers are in memory. */
ssize_t vma_ahead_read(struct ahead *a, const struct vma *vma, void *buf, size_t len, uint64_t pos);

/* The scan is over. */
void vma_ahead_end(struct ahead *a);

/* source_pread that sets *TOOK to the nanoseconds that it took. */
ssize_t vma_timed_read(struct source *source, void *buf, size_t len, uint64_t pos, uint64_t *took);

/*
 * Start threads that read the headers of VMA after byte POS, where the scan is. They go on using
 * its source, but not VMA. NULL: not worth it, or out of memory.
 */
struct prefetch *vma_prefetch_start(const struct vma *vma, uint64_t pos);

enum prefetch_use {
        PREFETCH_USEFUL,
        PREFETCH_IDLE,    /* the headers are in memory already */
        PREFETCH_USELESS, /* what the threads read does not stay in memory */
};

/* The scan has reached byte POS. Unless the result is PREFETCH_USEFUL, end the threads. */
enum prefetch_use vma_prefetch_follow(struct prefetch *w, uint64_t pos);

/* End the threads, once their current reads are done. NULL is allowed. */
void vma_prefetch_end(struct prefetch *w);

/*
 * Search the stream from byte FROM for the next extent header that proves itself. 1 with OUT; 0:
 * there is none; -errno to end the scan.
 */
int vma_resync(struct scan *s, uint64_t from, struct place *out);

/* As struct format's scan. */
int vma_scan(struct archive *a, const struct archive_sink *sink, struct error *err);

#endif
