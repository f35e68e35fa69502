/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One compression, as stream.c drives it. stream.c turns a codec into a struct source: it runs
 * the pass, keeps the restart table, caches decoded segments and checks their hashes. A codec
 * only knows its own format:
 *
 *   source_reach ──> pass()     sequential, one thread, finds restart points
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
struct restart_builder;
struct restart_point;
struct source;
struct workers;

struct codec_limits {
        uint64_t window;         /* largest history a frame may ask for, bytes */
        struct workers *workers; /* that may help a pass, and outlive it; NULL: there are none */
};

/*
 * What was found out about a damaged place, in bytes of output but where it says otherwise.
 *
 *   returned so far      | not returned
 *   ... ========~~~~~~~~~|.................|========= pass goes on here
 *               | doubt  |      lost       |
 *                        ^ in_end          ^ in_bit, aux, history: a point
 */
struct codec_gap {
        uint64_t in_end; /* no byte of the input from here on is needed for what was returned */
        uint64_t doubt;
        uint64_t lost; /* SOURCE_GAP_UNKNOWN where nobody can know */
        uint64_t in_bit;
        uint64_t aux;
        const void *history; /* what the point needs, the pass's until its next call */
        uint32_t history_len;
};

/*
 * Damage is noticed behind where it is. A frame or member is not believed for so much in front of
 * the place where it made no sense any more …
 */
#define CODEC_DOUBT_NEAR (UINT64_C(1) << 20)
/*
 * … and where its sum is wrong, not at all. But one that is longer than this may be the whole of a
 * large archive, most of which is right.
 */
#define CODEC_DOUBT_WHOLE (UINT64_C(16) << 20)

/* A part of a segment's output. */
struct codec_piece {
        uint64_t start;
        size_t len;
};

#define CODEC_MARGIN 16 /* bytes, see codec_ops.decode */

struct codec_ops {
        const char *name; /* "zstd", "gzip", "lzop" */

        /* Does a stream that starts with these LEN bytes (up to 64) belong to this codec? */
        bool (*probe)(const void *head, size_t len);

        /*
         * Start a pass at the beginning of IN, which stays the caller's. Sets *PASS, freed by
         * pass_close. Fails with -ENOTSUP and a sentence for what is refused (a dictionary, a
         * window over the limit), -EIO for a damaged header.
         */
        int (*pass_open)(struct source *in, const struct codec_limits *limits, void **pass,
                         struct error *err);
        void (*pass_close)(void *pass); /* NULL is allowed */

        /*
         * The same, but begin at POINT with its history, which the pass takes over. For
         * segments that nobody can enter: they are reached by decoding on from a point. NULL
         * where a codec has none: then such a pass starts at the stream's beginning.
         */
        int (*pass_resume)(struct source *in, const struct codec_limits *limits,
                           const struct restart_point *point, void *take_history, void **pass,
                           struct error *err);

        /*
         * Look at what comes next. Returns how many bytes the next call of pass is best offered
         * room for, at most RESTART_SEGMENT_MAX, which it may then decode in one go; 0 where it
         * does not matter; or -errno. May name a point here through B. NULL where a codec never
         * looks ahead.
         */
        ssize_t (*plan)(void *pass, struct restart_builder *b, struct error *err);

        /*
         * Decode on from where the last call ended: at most LEN bytes into BUF (LEN is at least
         * 256 KiB), fewer at a boundary. Returns the count, 0 at the end of the stream, or
         * -errno with ERR naming the byte of the compressed file. Names restart points through
         * B, unless that is NULL; every checksum of a frame, member or block that is passed is
         * verified.
         */
        ssize_t (*pass)(void *pass, void *buf, size_t len, struct restart_builder *b,
                        struct error *err);

        /*
         * Pass over what comes next without decoding it: for a stream that says where its blocks
         * are and carries checksums of what they decompress to. Returns the bytes of output that
         * were passed over, a whole segment with a point at its beginning; 0 where what comes next
         * is for pass, which then finds a point named in front of it if a segment was passed over
         * last; or -ENOMEM. What it passes over is as sound as its headers; whatever does not look
         * it is left to pass. NULL where a codec cannot.
         */
        ssize_t (*walk)(void *pass, struct restart_builder *b, struct error *err);

        /*
         * After pass has failed with -EIO, OUT bytes having been returned: find where the stream
         * goes on, so that pass can be called again, as if OUT and what is lost had been
         * returned. 1 with GAP; 0 where it does not go on, with only in_end and doubt; -errno.
         * Input that was searched once is not searched again, so that many calls cost no more than
         * the input is long.
         */
        int (*resume)(void *pass, uint64_t out, struct codec_gap *gap);

        /*
         * Decode one segment: exactly LEN bytes into OUT, from POINT, with its HISTORY
         * (POINT->history_len bytes). The SIZE bytes at INPUT are those from the byte that has
         * POINT's first bit to the one that has the last bit in front of the next point; they may
         * be written to, and so may CODEC_MARGIN bytes in front of them and behind. Of a POINT
         * by_sums, the hash is compared here. Thread-safe. 0, -EIO, -ENOMEM.
         */
        int (*decode)(const struct restart_point *point, const void *history, uint8_t *input,
                      size_t size, void *out, size_t len, struct error *err);

        /*
         * Decode as little as can be of such a segment, of LEN bytes, whose POINT is by_sums: WHERE
         * its byte AT is among them, into *OUT, which the caller frees. Also where another part of
         * the segment does not decompress. NULL in a codec that names no such point.
         */
        int (*piece)(struct source *in, const struct restart_point *point, uint64_t in_end,
                     size_t len, uint64_t at, void **out, struct codec_piece *where,
                     struct error *err);
};

extern const struct codec_ops zstd_codec;
extern const struct codec_ops gzip_codec;
extern const struct codec_ops lzop_codec;

#endif
