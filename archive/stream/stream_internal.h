/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by stream*.c; nobody else includes this. */
#ifndef VMAFS_STREAM_INTERNAL_H
#define VMAFS_STREAM_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/stream/codec.h"
#include "archive/stream/leftovers.h"
#include "archive/stream/lost_ranges.h"
#include "archive/stream/readahead.h"
#include "archive/stream/restart_table.h"
#include "archive/workers.h"

struct block;
struct cache_owner;
struct codec_limits;
struct codec_ops;
struct notes;
struct restart_builder;
struct segments;
struct shared;
struct stream_resume;
struct workers;

/*
 * Blocks that the pass has decoded, oldest first. While the codec may still recall a block, it is
 * held. After that it is left to the cache, in which the pass must not have too large a share:
 * memory that it has used before is fast, new memory is not.
 */
struct recent {
        struct recent *next;
        struct block *block;
        uint64_t start, end;
};

struct recents {
        struct recent *first, **end;
};

/* The segment that the codec's output goes to. */
struct growing {
        struct block *block; /* NULL while the pass skips, and after its end */
        uint64_t start, end; /* bytes of the stream: it begins, and was decoded up to here */
        uint64_t widest;     /* the most that a step has decoded, bytes */
        bool stopped;        /* the last step was damage, or the stream's end */
};

/* What one call of the codec has decoded. */
struct step {
        ssize_t n;           /* bytes; 0: the stream ends; or -errno */
        struct block *tail;  /* of the segment that grows now, which begins … */
        uint64_t tail_start; /* … here; it is held as the growing one, or for restart_recall */
        uint64_t end;        /* what is decoded ends here */
        uint64_t keep_from;  /* restart_keep_from, if something was decoded */
        struct codec_trust trust;
};

enum { BATCH_STEPS = 64 };

struct batch {
        struct step steps[BATCH_STEPS];
        unsigned count, taken;
        struct error err; /* of the last step, if that has failed */
};

/* What a worker decodes ahead of the pass's thread: one batch while the other is being taken. */
struct ahead {
        struct batch batches[2];
        unsigned taking; /* which one of them */
        uint64_t most;   /* bytes in a batch, but for its last step; 0: nothing is decoded ahead */
        bool started;    /* the task has been; then it has the other batch and what decodes */
        struct task task;
        _Atomic bool cancelled;
};

/* A part of a segment that was decoded alone: [start, end) of the stream; both 0: none. */
struct piece {
        uint64_t start, end;
        void *bytes;
};

/* Parts of a segment that somebody will read: a worker's job. */
struct expected {
        STAILQ_ENTRY(expected) next;
        size_t index; /* of the segment */
        size_t count;
        struct source_range ranges[];
};

enum {
        EXPECTED_MAX = 256,  /* jobs that wait */
        EXPECTED_WHOLE = 64, /* segments of which is known that they were expected as a whole */
};

struct expectations {
        pthread_mutex_t lock; /* guards the rest */
        STAILQ_HEAD(, expected) jobs;
        size_t count;
        size_t whole[EXPECTED_WHOLE]; /* their indices + 1, in a ring */
        size_t whole_at;
};

struct stream {
        struct source base;
        struct source_ops ops; /* of base: the name is the codec's */
        const struct codec_ops *codec;
        struct source *in;
        struct restart_table *table;
        struct shared *own; /* what it uses if nothing is shared with it, or NULL */
        struct cache_owner *cache;
        /*
         * What is kept of segments without them, apart: a unit takes little and costs a segment to
         * decode again, so segments must not push it out.
         */
        struct cache_owner *strays;
        struct segments *segments;
        struct workers *workers;
        unsigned threads; /* that decode */
        unsigned depth;   /* how many segments to read ahead */

        /* Used by the pass's thread, or by a worker that decodes ahead of it: stream_pass.c. */
        void *pass;
        struct restart_builder *builder;
        struct growing growing;

        pthread_mutex_t recalled_lock; /* guards recalled */
        struct recents recalled;       /* held for restart_recall, or not taken yet */

        /* Used only by the pass's thread. */
        struct ahead ahead;
        uint64_t asked;     /* where it wants to be */
        struct recents fed; /* left to the cache: at most fed_max bytes that nobody has read yet */
        uint64_t fed_bytes, fed_max, cache_bytes;
        struct piece seen; /* what the pass's thread last read while it skips */
        /*
         * What can be decoded of a segment that its hash disproves, for stream_peek alone; and that
         * segment, from 1 on; 0: none.
         */
        struct piece salvage;
        size_t salvaged;
        struct error failure;   /* what stopped the pass for good; code 0: nothing */
        uint64_t recovered_bit; /* where it last continued after damage */
        uint64_t withheld;      /* at most so many bytes wait for their checksum */
        uint64_t decoded;       /* what lies from the frontier to here is withheld */
        uint64_t suspect;       /* up to here something is known to be wrong with it; 0: nothing */
        uint64_t settled;       /* as the codec last reported it */
        struct notes *notes;    /* of what the pass's thread reads; NULL: they are not wanted */
        void (*keep)(void *ctx, struct source *s); /* as in stream_options … */
        void *keep_ctx;
        size_t kept; /* … and the segments before the checkpoint that it was last called for */
        struct source_observer observer;
        bool late_proofs;
        bool skips; /* the pass decodes only what it has to */
        bool ended;
        bool adopted;  /* the table was complete: there was no pass */
        bool believed; /* a part of the damaged member was believed */

        _Atomic pthread_t scanner; /* the pass's thread, which reads as well */
        _Atomic bool has_readers;  /* other than the scanner */

        _Atomic uint64_t frontier; /* moved by the pass's thread, after it has noted what is lost */
        _Atomic bool failed;

        pthread_mutex_t tail_lock; /* guards the two below; the pass's thread reads them without */
        struct block *tail;        /* as far as it was taken; NULL as growing.block */
        uint64_t tail_start;

        struct readahead readahead; /* of sequential readers */
        struct leftovers leftovers; /* what they have read of the segments they are in */
        struct expectations expected;
        struct lost_ranges lost; /* of a damaged stream */

        pthread_mutex_t damage_lock; /* guards damage */
        struct error damage;
};

/* stream.c: */

/* The codec no longer recalls anything before KEEP_FROM. */
void stream_forget(struct stream *st, uint64_t keep_from);

/*
 * Make TAIL (NULL: none), which begins at START, the tail. The caller has to put the previous one.
 */
void stream_set_tail(struct stream *st, struct block *tail, uint64_t start);

/*
 * BLOCK has [START, END), a segment, and its codec is done with it: hold it for stream_recall, and
 * have readers find it. 0 or -ENOMEM.
 */
int stream_retire(struct stream *st, struct block *block, uint64_t start, uint64_t end);

/* The tail's segment ended at END, where NEXT (NULL: none) begins. 0 or -ENOMEM. */
int stream_retire_tail(struct stream *st, uint64_t end, struct block *next);

/* A read failed with ERR. */
void stream_note_damage(struct stream *st, const struct error *err);

/* Copy what was decoded at OFFSET from what the pass holds: a restart_recall_fn. CTX: the stream. */
int stream_recall(void *ctx, uint64_t offset, void *buf, size_t len);

/* Have the pass hold BLOCK, which has [START, END), for that. 0 or -ENOMEM. */
int stream_hold_recalled(struct stream *st, struct block *block, uint64_t start, uint64_t end);

/* stream_pass.c: */

/* Decode some more, and go on after damage if there is any. */
void stream_advance(struct stream *st);

/* May a worker decode ahead, if it is ALLOWED and would help? */
void stream_init_ahead(struct stream *st, bool allowed);

/* Nothing is decoded ahead from now on. */
void stream_stop_ahead(struct stream *st);

/* stream_resume.c: */

/* Begin the pass of ST where TAKE says. 0, -EINVAL, -EIO, -ENOTSUP, -ENOMEM. */
int stream_begin_resumed(struct stream *st, const struct codec_limits *limits,
                         struct stream_resume *take, struct error *err);

/* stream_read.c: */

/* Hold the bytes of SEGMENT in *BLOCK. 0 or -errno. */
int stream_get_segment(struct stream *st, const struct restart_segment *segment,
                       struct block **block);

/* As source_pread, source_peek, source_pin and source_unpin. */
ssize_t stream_pread(struct source *s, void *buf, size_t len, uint64_t offset);
ssize_t stream_peek(struct source *s, void *buf, size_t len, uint64_t offset);
int stream_pin(struct source *s, uint64_t offset, size_t len, bool wait, struct source_pin *pin);
void stream_unpin(struct source *s, const struct source_pin *pin);

/* Hold all of SEGMENT's bytes. */
int stream_get_segment(struct stream *st, const struct restart_segment *segment,
                       struct block **block);

/* A worker's job: load segment INDEX into the cache before it is asked for. */
void stream_read_ahead(void *ctx, size_t index);

/* What the requests of one reader may be apart, bytes: the kernel's read-ahead. */
#define STREAM_IN_FLIGHT (UINT64_C(6) << 20)

/* stream_leftovers.c: */

/* Hold, in st->strays, what was kept of SEGMENT, the bytes [*START, *END) with OFFSET. NULL: nothing was. */
struct block *stream_hold_leftover(struct stream *st, const struct restart_segment *segment,
                                   uint64_t offset, uint64_t *start, uint64_t *end);

/* Somebody reads SEGMENT in sequence: keep what he has left unread of those before it. */
void stream_leave_segments(struct stream *st, const struct restart_segment *segment);

/* As source_unit and source_expect. */
bool stream_unit(struct source *s, uint64_t offset, struct source_range *out);
void stream_expect(struct source *s, const struct source_range *ranges, size_t count);

/* Was all of segment INDEX expected? Then whoever reads it is led by somebody who knows better. */
bool stream_is_led(struct stream *st, size_t index);

void stream_init_expected(struct stream *st);
void stream_fini_expected(struct stream *st); /* no workers are left */

/* As source_note_read. */
void stream_note_read(struct source *s, uint64_t offset, uint64_t len);

/* stream_skip.c: */

/* Skip what comes next. 1; 0 if it has to be decoded, into the tail; -errno. */
int stream_skip(struct stream *st, struct error *err);

/* Does the reader of SEGMENT need only a piece of it? */
bool stream_wants_piece(struct stream *st, const struct restart_segment *segment);

/*
 * Read as much of [OFFSET, + LEN) as lies in one piece of SEGMENT, whose point is by_sums. Returns
 * the count or -errno.
 */
ssize_t stream_read_piece(struct stream *st, const struct restart_segment *segment, void *buf,
                          size_t len, uint64_t offset);

/* stream_trust.c: */

/*
 * More was decoded, or the pass has ended: move the frontier over what can be trusted now, and note
 * what is lost. 0 or -ENOMEM.
 */
int stream_believe(struct stream *st, const struct codec_trust *trust);

/*
 * Everything from the frontier to END is lost; the frontier moves there. EXACT: END is exact. Does
 * nothing if END is before the frontier.
 */
int stream_lose(struct stream *st, uint64_t end, bool exact);

uint64_t stream_frontier(struct source *s);
uint64_t stream_decoded(struct source *s);
void stream_suspect(struct source *s, uint64_t offset);
bool stream_find_lost(struct source *s, uint64_t from, struct source_lost_range *gap);

/* stream_recover.c: */

/*
 * The pass has failed with -EIO and WHY: lose what that puts in doubt, and go on after it. 1; 0 if
 * nothing more can be decoded; -errno.
 */
int stream_recover(struct stream *st, const struct error *why);

#endif
