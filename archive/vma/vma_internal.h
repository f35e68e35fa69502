/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of the VMA reader share; nobody else includes this.
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
        uint32_t number; /* what the sink knows it by */
        uint64_t size;
        uint64_t stored; /* bytes up to the end of its last cluster seen */
};

/* What an extent header of an archive proves itself by. For one thread at a time. */
struct proof {
        unsigned char uuid[UUID_LEN];
        struct md5 md5;
};

struct vma {
        struct archive base;
        uint64_t first_extent;
        struct proof proof; /* used by open and then by the scan alone */
        struct vma_device devices[DEVICES];
};

/* What is found where an extent header should be. */
enum finding {
        FOUND_HEADER,     /* one that proves itself */
        FOUND_REMAINS,    /* one that is damaged or cut off, but has stood here */
        FOUND_JUNK,       /* something else */
        FOUND_UNREADABLE, /* the medium, or the compression, does not give it */
        FOUND_END,        /* the stream ends here or in front of here */
};

struct place {
        uint64_t pos; /* of the stream */
        enum finding found;
        const char *fault; /* a sentence where it is no header */
        unsigned char header[EXTENT_HEADER];
};

/* Of the stream, where a search has come to. */
struct window {
        unsigned char *bytes; /* NULL until one is needed */
        uint64_t at;          /* of the stream, what bytes[0] is … */
        size_t len;           /* … and how many there are */
};

/* A header in memory takes a microsecond, and one from a fast disk a hundred. */
#define VMA_SLOW_NS 40000

/* How the extents follow one another: see vma_ahead.c. */
struct ahead {
        uint64_t stride; /* from the last header to the next */
        uint64_t alike;  /* how often it was the same before */
        uint64_t asked; /* the last byte of the stream that was asked for by this stride; 0: none */
        unsigned slow;  /* headers to go for which reading is taken to be slow */

        uint64_t end;   /* when the last header had been read, nanoseconds */
        uint64_t waits; /* a bit for each of the last 64: it was waited for; the newest is bit 0 */
        struct walkers *walkers; /* NULL while headers are in memory */
        bool alone;              /* walkers are of no use */
};

/* The scan of one archive. */
struct scan {
        struct vma *vma;
        const struct archive_sink *sink;
        struct error *err;
        uint64_t end; /* how far the stream can be read, of what was asked for */
        bool broken;  /* nothing can be had behind that */

        struct place *here; /* the extent at hand … */
        struct place *next; /* … and what stands where it says the next one begins */

        struct window window;
        struct ahead ahead;

        bool doubtful; /* the data of the extent at hand may not be what they should be */
        uint32_t disk; /* whose extents wait in the batch */
        size_t count;
        struct extent batch[SLOTS * CLUSTER_BLOCKS];
};

/*
 * Find out how far the stream goes, up to WANT, into s->end. Where it breaks, that is reported,
 * and it goes on behind the break if it can. 0, or -errno that ends the scan.
 */
int vma_reach(struct scan *s, uint64_t want);

/*
 * NULL, or what is wrong with the EXTENT_HEADER bytes at H as an extent header of the archive that
 * PROOF is of. May zero its MD5 field.
 */
const char *vma_fault(const struct proof *proof, unsigned char *h);

/*
 * The first header in the N bytes at P that proves itself, or NULL. OUT has its bytes, but for its
 * MD5, which is zeroed.
 */
const unsigned char *vma_find_header(const struct proof *proof, const unsigned char *p, size_t n,
                                     unsigned char out[EXTENT_HEADER]);

/* Where the header H that stands at byte POS says that the next one begins. */
uint64_t vma_next(uint64_t pos, const unsigned char *h);

/* The scan goes from the header at byte HERE to the one at byte NEXT. */
void vma_ahead_next(struct ahead *a, struct source *source, uint64_t here, uint64_t next);

/* source_pread of a header by the scan of VMA, which shows whether headers are in memory. */
ssize_t vma_ahead_read(struct ahead *a, const struct vma *vma, void *buf, size_t len, uint64_t pos);

/* The scan is over. */
void vma_ahead_end(struct ahead *a);

/* source_pread that took *TOOK nanoseconds. */
ssize_t vma_timed_read(struct source *source, void *buf, size_t len, uint64_t pos, uint64_t *took);

/*
 * Threads that read the headers of VMA behind byte POS, where the scan is. They use its source, and
 * of VMA nothing later. NULL: it is not worth it, or there is no memory.
 */
struct walkers *vma_walkers_start(const struct vma *vma, uint64_t pos);

enum walkers_use {
        WALKERS_USEFUL,
        WALKERS_IDLE,    /* the headers are in memory already */
        WALKERS_USELESS, /* what is read does not stay in memory */
};

/* The scan has come to byte POS. Where they are of no use, they should be ended. */
enum walkers_use vma_walkers_follow(struct walkers *w, uint64_t pos);

/* Waits for the reads that are under way. NULL is allowed. */
void vma_walkers_end(struct walkers *w);

/*
 * Search the stream from byte FROM for the next extent header that proves itself. 1 with OUT; 0:
 * none follows; -errno that ends the scan.
 */
int vma_resync(struct scan *s, uint64_t from, struct place *out);

/* The whole of archive_ops.scan. */
int vma_scan(struct archive *a, const struct archive_sink *sink, struct error *err);

#endif
