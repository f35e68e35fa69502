/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A compressed file as a struct source: sequential once, random access from then on.
 *
 *   source_reach ─> pass ─> tail ──(segment ends)──> cache <── workers: read-ahead
 *                    │       │                         ^
 *                    v       v (in front of frontier)  │ miss: decode the segment
 *                  restart   source_pread <────────────┘
 *                  table <── workers: second proof of each point
 *
 * The tail is the segment that still grows; what the pass decoded last is read from there and from
 * the cache, without being decoded again.
 */
#ifndef VMAFS_STREAM_H
#define VMAFS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct codec_ops;
struct error;
struct restart_table;
struct source;

struct stream_options {
        size_t cache_bytes; /* decoded segments in memory; 0: STREAM_CACHE_DEFAULT */
        unsigned threads;   /* workers; 0: one a processor */
        uint64_t window;    /* largest history a stream may ask for; 0: STREAM_WINDOW_DEFAULT */
        /*
         * The table will not be kept: a point is then proven by the first reader who needs it, and
         * not by decoding everything a second time during the pass.
         */
        bool late_proofs;
        /*
         * The pass is for its restart points alone, and few of the bytes are wanted: it decodes no
         * more than it has to, and damage that shows only in decoding is left to who reads there.
         */
        bool walk;
        struct restart_table *take_table; /* complete, from a sidecar: no pass is needed; or NULL */
};

#define STREAM_CACHE_DEFAULT  ((size_t)256 << 20)
#define STREAM_WINDOW_DEFAULT (UINT64_C(128) << 20)

/*
 * Open TAKE_IN, compressed with CODEC. TAKE_IN and the options' table belong to the stream, and
 * are freed on failure too. -ENOTSUP for what is refused, -EIO for a damaged header, -ENOMEM.
 * No thread is started before stream_release.
 */
int stream_open(const struct codec_ops *codec, struct source *take_in,
                const struct stream_options *o, struct source **out, struct error *err);

/*
 * Let S use threads: the process will not fork any more. A stream works without, but alone. Any
 * source; only a stream has threads.
 */
void stream_release(struct source *s);

/* The codec of what starts with these LEN bytes, or NULL. */
const struct codec_ops *stream_codec(const void *head, size_t len);

/* TAKE_IN opened as what its first bytes say it is: as a stream, or as it is. */
int stream_probe(struct source *take_in, const struct stream_options *o, struct source **out,
                 struct error *err);

/* Its table, if S is a stream; NULL for any other source. It belongs to S. */
struct restart_table *stream_table(struct source *s);

/*
 * How much of the compressed file the pass has been through, bytes; it moves in steps of a
 * segment. Thread-safe. 0 for a source that is no stream.
 */
uint64_t stream_consumed(struct source *s);

/* Why a source_pread failed with -EIO, the last time one did. 0: none did. */
int stream_damage(struct source *s, struct error *err);

#endif
