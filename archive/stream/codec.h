/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interface of a compression format. stream.c turns a codec into a struct source: it runs the
 * pass, keeps the restart table, caches decoded segments and checks their hashes. A codec knows
 * only its own format:
 *
 *   source_reach ──> pass()     sequential, one thread at a time, finds restart points
 *                ──> walk()     likewise, without decoding
 *   source_pread ──> decode()   random access, any thread, no state but its arguments
 *                ──> piece()    likewise, and no more than has to be decoded
 */
#ifndef VMAFS_CODEC_H
#define VMAFS_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct pass_state;
struct restart_builder;
struct restart_point;
struct source;
struct workers;

struct codec_limits {
        uint64_t window;         /* largest history a frame may ask for, bytes */
        uint64_t keep;           /* most that a pass may ask for with restart_keep, bytes */
        struct workers *workers; /* may help a pass, and outlive it; NULL: none */
};

/*
 * What was found about a damaged place, in bytes of output unless it says otherwise.
 *
 *   returned so far        | not returned
 *   ...settled=|~~~~~~~~~~~|.................|========= pass goes on here
 *              | withheld  |      lost       |
 *                          ^ in_end          ^ in_bit, aux, history: a point
 */
struct codec_lost_range {
        uint64_t in_end; /* what was returned needs no input from here on */
        bool sound;      /* the input ended too early, but what was returned is right */
        bool exact;      /* LOST is exact to the byte */
        bool inside;     /* the pass goes on inside the damaged member or frame */
        uint64_t lost;   /* SOURCE_LOST_UNKNOWN if it cannot be known */
        uint64_t in_bit; /* it may be before in_end: damage is noticed late */
        uint64_t aux;
        const void *history; /* what the point needs; valid until the pass's next call */
        uint32_t history_len;
};

/* What is known about the members or frames that a pass has returned, in bytes of output. */
struct codec_trust {
        uint64_t settled; /* where the last complete one ended: nothing up to here changes */
        uint64_t proven_from, proven; /* the last range that checksums have proven */
        uint64_t broken; /* where the last damaged one ends, which no checksum can prove */
};

enum codec_verdict {
        CODEC_PROVEN,
        CODEC_UNCHECKED, /* it has no checksum */
        CODEC_BROKEN,    /* a part of it is lost */
};

/* For a codec: a member or frame ends at OUT. */
static inline void codec_settle(struct codec_trust *t, uint64_t out, enum codec_verdict verdict)
{
        if (verdict == CODEC_PROVEN) {
                if (t->proven != t->settled)
                        t->proven_from = t->settled;
                t->proven = out;
        } else if (verdict == CODEC_BROKEN) {
                t->broken = out;
        }
        t->settled = out;
}

/* A part of a segment's output. */
struct codec_piece {
        uint64_t start;
        size_t len;
};

#define CODEC_MARGIN 16 /* bytes, see codec_ops.decode */

struct codec_ops {
        const char *name; /* "zstd", "gzip" … */

        /* Does a stream that starts with these LEN bytes (up to 64) belong to this codec? */
        bool (*probe)(const void *head, size_t len);

        /*
         * Start a pass at the beginning of IN, which the caller keeps. Sets *PASS, which pass_close
         * frees. Fails with -ENOTSUP and a sentence if the stream is refused (a dictionary, a
         * window over the limit), -EIO for a damaged header.
         */
        int (*pass_open)(struct source *in, const struct codec_limits *limits, void **pass,
                         struct error *err);
        void (*pass_close)(void *pass); /* NULL is allowed */

        /*
         * The same, but begin at POINT with its history, which the pass then owns. For segments
         * that cannot be entered: they are reached by decoding on from a point. NULL: such a pass
         * starts at the stream's beginning.
         */
        int (*pass_recover)(struct source *in, const struct codec_limits *limits,
                            const struct restart_point *point, void *take_history, void **pass,
                            struct error *err);

        /*
         * The same as pass_open, but go on at POINT with its history, as the pass would have that
         * had given STATE to restart_checkpoint there: it names the same points, and verifies the
         * checksums of all that it has not verified yet. B is as it was then; what is kept can be
         * recalled from it. -EINVAL if STATE is not to be believed. NULL: such a codec begins anew.
         */
        int (*pass_resume)(struct source *in, const struct codec_limits *limits,
                           const struct restart_point *point, void *take_history,
                           struct pass_state *state, struct restart_builder *b, void **pass,
                           struct error *err);

        /* How much memory PASS uses now, in bytes, including its window. NULL: little. */
        size_t (*memory)(const void *pass);

        /*
         * Look at what comes next. Returns how much room the next call of pass should get, at most
         * RESTART_SEGMENT_MAX, to decode that in one go; 0 if it does not matter; or -errno. May
         * name a point here through B. NULL: the codec never looks ahead.
         */
        ssize_t (*plan)(void *pass, struct restart_builder *b, struct error *err);

        /*
         * Decode on from where the last call ended: at most LEN bytes into BUF (LEN is at least 256
         * KiB), fewer at a boundary. Returns the count, 0 at the end of the stream, or -errno with
         * ERR naming the byte of the compressed file. Names restart points through B, unless that
         * is NULL. Verifies every checksum of a frame, member or block on the way. After a call of
         * plan, what the previous call put into its BUF is read until this one has returned, even by
         * another thread: it must be there, unchanged.
         */
        ssize_t (*pass)(void *pass, void *buf, size_t len, struct restart_builder *b,
                        struct error *err);

        /*
         * Skip what comes next without decoding it, in a stream that says where its blocks are and
         * has checksums of their contents. Returns the bytes of output skipped, a whole segment
         * with a point at its beginning; 0 if pass has to decode what comes next (a point has been
         * named before it, if a segment was skipped last); or -ENOMEM. Only data whose headers are
         * sound are skipped. NULL: the codec cannot skip.
         */
        ssize_t (*skip)(void *pass, struct restart_builder *b, struct error *err);

        /*
         * Which of the bytes that pass has returned can be trusted? Called after each call of pass.
         */
        struct codec_trust (*trust)(const void *pass);

        /*
         * Called when pass has failed with -EIO after it returned OUT bytes: find where the stream
         * goes on, so that pass can be called again as if OUT and the lost bytes had been returned.
         * Returns 1 with GAP; 0, with only in_end and sound, if it does not go on; or -errno. No
         * input is searched twice, so many calls cost no more than one search of the input.
         */
        int (*recover)(void *pass, uint64_t out, struct codec_lost_range *gap);

        /*
         * Decode one segment: exactly LEN bytes into OUT, from POINT, with its HISTORY
         * (POINT->history_len bytes). The SIZE bytes at INPUT are those from the byte that has
         * POINT's first bit to the one that has the last bit before the next point; they may be
         * written to, and so may CODEC_MARGIN bytes before and after them, and SCRATCH bytes after
         * those, which the codec has for its tables. If POINT is by_sums,
         * checks the hash. If the codec STOPS, LEN may be less than the segment's length, and what
         * comes after it is not decoded. Thread-safe. 0, -EIO, -ENOMEM.
         */
        int (*decode)(const struct restart_point *point, const void *history, uint8_t *input,
                      size_t size, void *out, size_t len, struct error *err);
        bool stops;
        size_t scratch;

        /*
         * Decode as little as possible of such a segment, of LEN bytes, whose POINT is by_sums: the
         * piece that holds its byte AT. WHERE describes the piece; *OUT holds it, and the caller
         * frees it. Works even if another part of the segment does not decompress. NULL: the codec
         * names no such points.
         */
        int (*piece)(struct source *in, const struct restart_point *point, uint64_t in_end,
                     size_t len, uint64_t at, void **out, struct codec_piece *where,
                     struct error *err);
};

extern const struct codec_ops zstd_codec;
extern const struct codec_ops gzip_codec;
extern const struct codec_ops lzop_codec;
/* Each only where its library was there when vmafs was built. */
extern const struct codec_ops xz_codec;
extern const struct codec_ops bzip2_codec;
extern const struct codec_ops lz4_codec;

#endif
