/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A compressed file as a struct source: one sequential pass, and random access to what it has
 * passed.
 *
 *   source_reach ─> pass ─> tail ──(segment ends)──> cache <── workers: read-ahead
 *                    │       │                         ^
 *                    v       v (before the frontier)   │ miss: decode the segment
 *                  restart   source_pread <────────────┘
 *                  table <── workers: second proof of each point
 *
 * The tail is the segment that is still growing. What the pass has just decoded is read from the
 * tail and the cache, and not decoded again.
 *
 * While the pass's thread, the one that calls source_reach, works on what was decoded, a worker may
 * decode some MiB more (stream_pass.c). Nobody sees that before the pass's thread takes it: the
 * frontier moves, damage is told and KEEP is called by that thread alone, as if it did all by itself.
 */
#ifndef VMAFS_STREAM_H
#define VMAFS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/stream/pass_state.h"

struct codec_ops;
struct error;
struct notes;
struct restart_table;
struct shared;
struct source;

/*
 * Where a pass that was interrupted goes on: the segments before, the point, and the state that
 * stream_checkpoint told of. NOTES may lack what was noted of them.
 */
struct stream_resume {
        struct restart_table *take_table;
        struct notes *take_notes;
        uint64_t frontier;
        struct pass_state state;
};

void stream_resume_fini(struct stream_resume *r);

struct stream_options {
        struct shared *shared; /* outlives the stream; NULL: one of its own, of the two below */
        size_t cache_bytes;
        unsigned threads;
        uint64_t window;   /* largest history a stream may ask for; 0: STREAM_WINDOW_DEFAULT */
        uint64_t withheld; /* at most so many bytes wait for their checksum; 0: SOURCE_WITHHELD */
        /*
         * The table will not be stored. Then a point is proven when a reader first needs it,
         * instead of decoding everything a second time during the pass.
         */
        bool late_proofs;
        /*
         * What is compressed is itself read through a stream of the same cache: whoever decodes it
         * must not have others wait for room that the one below may need.
         */
        bool nested;
        /*
         * The pass is only for restart points, and few of the bytes are wanted. It decodes no more
         * than it has to; damage that shows only in decoding is left to later readers.
         */
        bool skip;
        struct restart_table *take_table; /* complete, from a sidecar: no pass is needed; or NULL */
        /*
         * Go on from there; or NULL. What it holds is taken, and it is left empty. If that is not
         * to be believed, stream_open fails with -EINVAL or -EIO, and should be called without.
         */
        struct stream_resume *resume;
        /*
         * Called by the pass's thread when stream_checkpoint has something new; NULL: nothing is
         * kept.
         */
        void (*keep)(void *ctx, struct source *s);
        void *keep_ctx;
};

#define STREAM_WINDOW_DEFAULT (UINT64_C(128) << 20)

/*
 * Open TAKE_IN, compressed with CODEC. The stream owns TAKE_IN and the options' table, which are
 * freed on failure, too. -ENOTSUP if the stream is refused, -EIO for a damaged header, -ENOMEM.
 */
int stream_open(const struct codec_ops *codec, struct source *take_in,
                const struct stream_options *o, struct source **out, struct error *err);

/* Release what S has of its own, as shared_release does. Any source. */
void stream_release(struct source *s);

/* The codec of a stream that starts with these LEN bytes, or NULL. */
const struct codec_ops *stream_codec(const void *head, size_t len);

/* What the names of compressed files end in: ".zst" and so on, up to a NULL. */
extern const char *const stream_suffixes[];

/* The name of the codec whose stream IN is, by its first bytes; NULL: it is none, or unreadable. */
const char *stream_name(struct source *in);

/* Open TAKE_IN as what its first bytes say: as a compressed stream, or as it is. */
int stream_probe(struct source *take_in, const struct stream_options *o, struct source **out,
                 struct error *err);

/* The table of S, which S owns; NULL if S is not a stream. */
struct restart_table *stream_table(struct source *s);

/*
 * Could the pass over S go on later, in another process? Then it needs the first SEGMENTS of the
 * table, the point after them (restart_copy), and the rest of *OUT. The pass's thread calls it. False
 * if nothing can be kept: there is no point yet, or the stream is damaged.
 */
struct stream_checkpoint {
        size_t segments;
        uint64_t frontier;
        struct pass_state state;
};

bool stream_checkpoint(struct source *s, struct stream_checkpoint *out);

/* Finish the proofs that are under way, of which there may be many. The pass's thread calls it. */
void stream_finish_proofs(struct source *s);

/* What was noted for it since the last call, as notes_take. */
void stream_take_notes(struct source *s, void **out, size_t *len);

/*
 * Does the pass over S decode all of it? Then what lies before the frontier, and is not lost, was
 * decoded and compared with the stream's checksums, and reading it again proves nothing. False for
 * a source that is no stream.
 */
bool stream_decodes_all(struct source *s);

/*
 * From now on at most BYTES of the stream S wait for their checksum, which takes as much memory.
 * Called by the thread of source_reach.
 */
void stream_withhold(struct source *s, uint64_t bytes);

/*
 * How many bytes of the compressed file the pass has processed, in steps of a segment; 0 if S is
 * not a stream. Thread-safe.
 */
uint64_t stream_consumed(struct source *s);

/*
 * Bytes of output that were decoded of S so far for its readers, without the pass over it: what
 * that is more than was read is the read amplification. Thread-safe. 0 for a source that is no
 * stream.
 */
uint64_t stream_work(struct source *s);

#endif
