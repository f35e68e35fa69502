/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stream.c, stream_read.c, stream_skip.c and stream_resume.c share; nobody else includes this.
 */
#ifndef VMAFS_STREAM_INTERNAL_H
#define VMAFS_STREAM_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/lost_ranges.h"
#include "archive/stream/readahead.h"

struct block;
struct blockcache;
struct codec_ops;
struct restart_builder;
struct restart_segment;
struct restart_table;
struct segments;
struct workers;

/*
 * What the pass has decoded, oldest first. First the codec may still recall it, and the block is
 * held; then the block is the cache's, in which the pass must not have too large a share: memory
 * that it used before is fast, and new memory is not.
 */
struct recent {
        struct recent *next;
        struct block *block;
        uint64_t start, end;
};

struct recents {
        struct recent *first, **end;
};

/* A part of a segment that was decoded alone: [start, end) of the stream; both 0: none. */
struct piece {
        uint64_t start, end;
        void *bytes;
};

struct stream {
        struct source base;
        struct source_ops ops; /* of base: the name is the codec's */
        const struct codec_ops *codec;
        struct source *in;
        struct restart_table *table;
        struct blockcache *cache;
        struct segments *segments;
        struct workers *workers;
        unsigned depth; /* segments that are read ahead */
        bool late_proofs;

        /* The pass's thread alone. */
        void *pass;
        struct restart_builder *builder;
        struct recents recalled; /* held for restart_recall */
        struct recents fed;      /* left to the cache: at most fed_max bytes that nobody has read */
        uint64_t fed_bytes, fed_max, cache_bytes;
        bool walks;        /* the pass decodes only what it has to */
        struct piece seen; /* what its thread has read last while it walks */
        bool ended;
        struct error failure; /* what stopped the pass; code 0: nothing did */
        uint64_t resumed_bit; /* where it last went on behind that */

        _Atomic pthread_t scanner; /* the pass's thread, which reads as well */
        _Atomic bool has_readers;  /* besides it */

        _Atomic uint64_t frontier;
        _Atomic bool failed;

        pthread_mutex_t tail_lock; /* guards the two below; the pass's thread reads them without */
        struct block *tail;        /* NULL while the pass walks, and once it has ended */
        uint64_t tail_start;

        struct tracks tracks; /* of sequential readers */
        struct gaps gaps;     /* of a damaged stream */

        pthread_mutex_t damage_lock; /* guards damage */
        struct error damage;
};

/* stream.c: */

/* The codec will not recall anything in front of KEEP_FROM any more. */
void stream_forget(struct stream *st, uint64_t keep_from);

/* TAIL (NULL: none) is what grows from START on. The one before it is the caller's to put. */
void stream_set_tail(struct stream *st, struct block *tail, uint64_t start);

/* The tail's segment has ended at END, where NEXT (NULL: nothing) begins. -ENOMEM. */
int stream_retire_tail(struct stream *st, uint64_t end, struct block *next);

/* A read failed, as ERR says. */
void stream_note_damage(struct stream *st, const struct error *err);

/* stream_read.c: as source_pread, source_borrow and source_give_back. */
ssize_t stream_pread(struct source *s, void *buf, size_t len, uint64_t offset);
int stream_borrow(struct source *s, uint64_t offset, bool wait, struct source_loan *loan);
void stream_give_back(struct source *s, const struct source_loan *loan);

/* stream_skip.c: */

/* Pass over what comes next. 1; 0 where it has to be decoded, into the tail; -errno. */
int stream_walk(struct stream *st, struct error *err);

/* Is SEGMENT read by who needs no more than a piece of it? */
bool stream_wants_piece(struct stream *st, const struct restart_segment *segment);

/*
 * As much of [OFFSET, + LEN) as lies in one piece of SEGMENT, whose point is by_sums. The bytes, or
 * -errno.
 */
ssize_t stream_read_piece(struct stream *st, const struct restart_segment *segment, void *buf,
                          size_t len, uint64_t offset);

/* stream_resume.c: as source_resume. */
int stream_resume(struct source *s, struct source_gap *gap, struct error *err);

#endif
