/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A random-access stream of bytes: a plain file, a slice of another source, or the contents of a
 * compressed file. Sources stack, and are thread-safe except for close.
 *
 *   format (vma.c)         reads the decompressed stream
 *     source "zstd"        ...
 *       source "file"      reads the file with pread; never mmap, so that a truncated file
 *                          is an error and not a SIGBUS
 *
 * A compressed stream is decoded once from beginning to end, by source_reach and source_look_ahead,
 * which one thread calls (the scan). A compressor writes a checksum after the data that it covers,
 * so decoded data are withheld until they are known to be right:
 *
 *   believed: source_pread, any thread | withheld: source_peek, the scan alone | -EAGAIN
 *                                      ^ the frontier                          ^ decoded so far
 *
 * The frontier moves over what a checksum has proven, and over whatever is more than
 * SOURCE_WITHHELD bytes back, since a member or frame may be as long as the archive. If the stream
 * is damaged, everything withheld is lost, and decoding continues after the damage if the
 * compression allows it; no format has to ask for that. For all readers, what is lost fails with
 * -EIO once the frontier has passed it. A plain file's frontier is its end from the start.
 */
#ifndef VMAFS_SOURCE_H
#define VMAFS_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct source;
struct volume_extent;
struct watch;

#define SOURCE_SIZE_UNKNOWN UINT64_MAX

/*
 * A lost part of a stream, a gap: reading any byte of it fails with -EIO. If it is not known how
 * much was lost, its length is made up, and what follows is not where it was in the sound stream.
 */
struct source_lost_range {
        uint64_t start, end;
        bool exact; /* its length is right */
};

/*
 * How much longer a gap of unknown length is made: longer than any distance by which something in
 * an archive refers to later bytes, so that nothing spans such a gap.
 */
#define SOURCE_LOST_UNKNOWN (UINT64_C(4) << 20)

/* At most so many bytes wait for their checksum. */
#define SOURCE_WITHHELD (UINT64_C(16) << 20)

/*
 * Called once for each damage, by the thread of source_reach. WHY names the byte of the file; AT is
 * the byte of the stream. Returns 0, or -errno, with which source_reach ends.
 */
struct source_observer {
        void *ctx;
        int (*damaged)(void *ctx, uint64_t at, const struct error *why);
};

/* A part of a stream. */
struct source_range {
        uint64_t start, end;
};

/* Bytes of a stream that are pinned in memory. */
struct source_pin {
        uint64_t start, end;
        const char *data; /* the byte at START */
        void *held;       /* the source's … */
        bool kept;        /* … which has it apart from its other blocks, … */
        bool followed;    /* … and others will want these bytes soon */
        size_t used;      /* bytes that the holder has read: fully read data can be evicted */
};

/* Bytes of a stream to be read into memory. */
struct source_piece {
        uint64_t offset;
        void *buf;
        size_t len;
};

/* Identifies a file among all others, and shows whether it has changed. */
struct source_stamp {
        uint64_t inode;
        int64_t mtime, ctime; /* nanoseconds since 1970 */
};

struct source_ops {
        const char *name; /* "file", "zstd": shown to people as the compression */

        /* As source_pread. */
        ssize_t (*pread)(struct source *s, void *buf, size_t len, uint64_t offset);

        /* As source_gather. NULL: one read for each piece is the best way. */
        int (*gather)(struct source *s, struct source_piece *pieces, size_t count);

        /* As source_pin and source_unpin. NULL: nothing can be pinned. */
        int (*pin)(struct source *s, uint64_t offset, size_t len, bool wait,
                   struct source_pin *pin);
        void (*unpin)(struct source *s, const struct source_pin *pin);

        /* As source_note_read. NULL: it is of no use. */
        void (*note_read)(struct source *s, uint64_t offset, uint64_t len);

        /*
         * As source_reach, source_look_ahead, source_peek, source_frontier, source_decoded,
         * source_suspect and source_observe. NULL: everything up to size can be read and is
         * trusted.
         */
        int (*reach)(struct source *s, uint64_t offset, uint64_t *end, struct error *err);
        int (*look_ahead)(struct source *s, uint64_t offset, uint64_t *end, struct error *err);
        ssize_t (*peek)(struct source *s, void *buf, size_t len, uint64_t offset);
        uint64_t (*frontier)(struct source *s);
        uint64_t (*decoded)(struct source *s);
        void (*suspect)(struct source *s, uint64_t offset);
        void (*observe)(struct source *s, const struct source_observer *observer);

        /* As source_find_lost and source_damage. NULL: there is none. */
        bool (*find_lost)(struct source *s, uint64_t from, struct source_lost_range *gap);
        int (*damage)(struct source *s, struct error *err);

        /* As source_resolve. NULL: it is no view. */
        int (*resolve)(struct source *s, uint64_t offset, uint64_t len, struct volume_extent *out);

        /* As source_will_need. NULL: it would not help. */
        void (*will_need)(struct source *s, uint64_t offset, uint64_t len);

        /* As source_unit and source_expect. NULL: nothing of it is decoded. */
        bool (*unit)(struct source *s, uint64_t offset, struct source_range *out);
        void (*expect)(struct source *s, const struct source_range *ranges, size_t count);

        /* As source_next_data. NULL: whether bytes are zeros is known by reading them. */
        uint64_t (*next_data)(struct source *s, uint64_t offset);
        /* As source_next_hole. NULL: no holes are known. */
        uint64_t (*next_hole)(struct source *s, uint64_t offset);

        /* As source_check. NULL: it cannot change. */
        int (*check)(struct source *s, struct error *err);

        /*
         * As source_mtime, source_owner, source_stamp, source_watch, which sets s->watch and is
         * given the watch to use or NULL, and source_set_verified. NULL: it is not a file's.
         */
        int64_t (*mtime)(const struct source *s);
        uint32_t (*owner)(const struct source *s);
        bool (*stamp)(struct source *s, struct source_stamp *out);
        void (*watch)(struct source *s, struct watch *with);
        void (*set_verified)(struct source *s);

        void (*close)(struct source *s); /* frees s */

        bool is_file; /* as source_is_file */
        bool is_far;  /* as source_is_far */
};

struct source {
        const struct source_ops *ops;
        _Atomic uint64_t size; /* bytes; SOURCE_SIZE_UNKNOWN until the pass has reached the end */
        struct watch *watch;   /* of a file, or NULL */
};

/*
 * Open the plain file PATH. Sets *OUT, which the caller closes. Fails as open does, and with
 * -EISDIR or -EINVAL if PATH is neither a regular file nor a block device.
 */
int source_open_file(const char *path, struct source **out, struct error *err);

/*
 * Open PATH without reading from it. Returns a descriptor for source_open_fd, or fails as open
 * does.
 */
int source_open_path(const char *path, struct error *err);

/* source_open_file for an open file. The source owns TAKE_FD, which is closed on failure, too. */
int source_open_fd(int take_fd, struct source **out, struct error *err);

/*
 * A regular file must not change while it is open. This is checked after each read, so that no read
 * ever returns bytes of another archive. A write changes the mtime, or at least the ctime if the
 * mtime was restored; but other changes to a file also change its ctime.
 *
 *   watched, and no write seen      it has not changed: it got another name, link, owner or mode
 *   not watched, but verified       the same: bytes that have changed are an error elsewhere
 *   not watched                     nobody can tell: it counts as written to
 *
 * Returns 0; -EIO once S was truncated; -ESTALE once it was written to, with the reason in ERR
 * (which may be NULL). From then on every source_pread fails like this. It costs one fstat. A slice
 * or a stream has changed if the file below it has; what is not a regular file never has. Two
 * writes go unnoticed: one in the same clock tick (4 ms) as the last one before the file was
 * opened; and, until the writer closes the file, one through a shared mapping or by asynchronous
 * I/O that restores the mtime.
 */
int source_check(struct source *s, struct error *err);

/*
 * Have the kernel report writes to the file S (watch.h), for source_check. Call it before anything
 * is read from S. WITH is another file of the same archive, whose watch is shared, or NULL. Does
 * nothing if S cannot be watched or is not a file. Not thread-safe.
 */
void source_watch(struct source *s, const struct source *with);

/*
 * From now on, everything read from the file S is checked against hashes taken earlier.
 * Thread-safe.
 */
void source_set_verified(struct source *s);

/*
 * The identity of S as it is now. False if it is not a regular file, or has changed (see
 * source_check).
 */
bool source_stamp(struct source *s, struct source_stamp *out);

/* The owner of the file S when it was opened; 0 if it is not a file. */
uint32_t source_owner(const struct source *s);

/* Is that known? What is on a server has none that this machine knows. */
bool source_has_owner(const struct source *s);

/*
 * When S, or the file below it, had last been written when it was opened, seconds since 1970; 0 if
 * there is no file.
 */
int64_t source_mtime(const struct source *s);

/*
 * A view of LEN bytes of PARENT from OFFSET (slice.c). The caller keeps PARENT, which must outlive
 * the slice. 0, -EOVERFLOW, -ENOMEM.
 */
int source_open_slice(struct source *parent, uint64_t offset, uint64_t len, struct source **out);

/*
 * Is S a view of another source, a slice or a volume? Then source_resolve says what [OFFSET, OFFSET
 * + LEN), of which the first byte is below its size, begins with, as volume_ops.extent: where it
 * lies in the source below.
 */
static inline bool source_is_view(const struct source *s)
{
        return s->ops->resolve != NULL;
}
int source_resolve(struct source *s, uint64_t offset, uint64_t len, struct volume_extent *out);

/* NULL is allowed. */
void source_close(struct source *s);

/*
 * Read LEN bytes at OFFSET. Returns the number read, which is short only at the end of the stream
 * and 0 past it; or -errno: -EIO if the stream is unreadable or damaged there, -EAGAIN past the
 * frontier, or as source_check.
 */
ssize_t source_pread(struct source *s, void *buf, size_t len, uint64_t offset);

/* source_pread of all LEN bytes. 0 or -errno; -EIO if the stream ends early. */
int source_pread_all(struct source *s, void *buf, size_t len, uint64_t offset);

/*
 * source_pread_all of COUNT pieces, in as few reads as possible. The pieces are reordered. After a
 * failure their memory is undefined.
 */
int source_gather(struct source *s, struct source_piece *pieces, size_t count);

/*
 * LEN bytes at OFFSET will probably be read soon: start to load them into memory, without waiting.
 * It is only a hint.
 */
void source_will_need(struct source *s, uint64_t offset, uint64_t len);

/*
 * The first byte from OFFSET on, below the size, that may be anything but zero: what is before it
 * is a hole of a sparse file, which need not be read. The size: there is none. Thread-safe.
 */
uint64_t source_next_data(struct source *s, uint64_t offset);

/* The first byte from OFFSET on that is in such a hole. The size: none is known. Thread-safe. */
uint64_t source_next_hole(struct source *s, uint64_t offset);

/* Is S a plain file? Then threads that read at several places at once wait in parallel. */
bool source_is_file(const struct source *s);

/* Does each read of S wait for a server? Then it pays to say before what will be read. */
bool source_is_far(const struct source *s);

/* Can bytes of S be pinned in memory? */
bool source_can_pin(const struct source *s);

/*
 * Pin the byte at OFFSET, together with the bytes around it in the same block, of which the next LEN,
 * not 0, will be read. PIN describes them; the holder may read them until it unpins them, which
 * should be soon, since the memory counts as the source's. Returns 1; 0 at the end of the stream;
 * -EAGAIN also if some of the bytes around it are lost, or, without WAIT, if the byte is not in memory
 * yet. A thread that already holds a pin must not wait. Otherwise as source_pread.
 */
int source_pin(struct source *s, uint64_t offset, size_t len, bool wait, struct source_pin *pin);
void source_unpin(struct source *s, const struct source_pin *pin);

/*
 * Whoever has pinned what is at OFFSET reads these LEN bytes of it. A hint: what is passed by, and
 * will be wanted later, can be kept. Thread-safe.
 */
void source_note_read(struct source *s, uint64_t offset, uint64_t len);

/*
 * Whoever knows that readers in sequence will come to parts of a stream can have them decoded
 * before. Is S a stream whose parts are decoded?
 */
bool source_can_expect(const struct source *s);

/* What is decoded as one with the byte at OFFSET. False: that is not there. Thread-safe. */
bool source_unit(struct source *s, uint64_t offset, struct source_range *out);

/*
 * These COUNT ranges, all inside one unit, will soon be read by a reader in sequence: start to
 * decode what it takes, once, and keep them. One range that is the whole unit: all of it will be
 * read. Only a hint. Thread-safe.
 */
void source_expect(struct source *s, const struct source_range *ranges, size_t count);

/*
 * Move the frontier to OFFSET or beyond, and set *END to it. It is before OFFSET only if the stream
 * ends, or cannot be decoded any further; then the size is known. Damage is not an error here: it
 * becomes a gap, and the observer is told. Fails with -ENOTSUP, -ENOMEM, or what an observer
 * returned, with the reason in ERR; after that, source_pread fails with -EIO past the frontier. One
 * thread at a time.
 */
int source_reach(struct source *s, uint64_t offset, uint64_t *end, struct error *err);

/*
 * The same, without waiting for checksums: *END is how far source_peek can read. Called by the
 * thread of source_reach.
 */
int source_look_ahead(struct source *s, uint64_t offset, uint64_t *end, struct error *err);

/*
 * source_pread of decoded data, even if they are withheld, or differ from what a stored index says:
 * for something that proves itself, such as a header with its own checksum. Called by the thread of
 * source_reach.
 */
ssize_t source_peek(struct source *s, void *buf, size_t len, uint64_t offset);

/*
 * The stream's contents show that it is damaged at or before OFFSET, although the decompressor has
 * not noticed. Unless a checksum proves it right after all, what is withheld up to OFFSET is lost.
 * Called by the thread of source_reach.
 */
void source_suspect(struct source *s, uint64_t offset);

/* The frontier. Thread-safe. */
uint64_t source_frontier(struct source *s);

/* How far S is decoded. Called by the thread of source_reach. */
uint64_t source_decoded(struct source *s);

/* From now on OBSERVER, which is copied, is told about damage. */
void source_observe(struct source *s, const struct source_observer *observer);

/*
 * The first gap that ends after byte FROM of S. False: there is none before the frontier. Gaps come
 * in order, but the last one may grow at its end until the frontier has passed it. Thread-safe.
 */
bool source_find_lost(struct source *s, uint64_t from, struct source_lost_range *gap);

/*
 * How far distances from byte FROM of S can be trusted: where the next gap of unknown length
 * begins, since everything after it is displaced. UINT64_MAX: nothing is displaced before the
 * frontier. Thread-safe.
 */
uint64_t source_straight(struct source *s, uint64_t from);

/* The damage of S that the pass or a reader last met. 0: none. Thread-safe. */
int source_damage(struct source *s, struct error *err);

/*
 * Reach and read all LEN bytes at OFFSET, which ERR calls WHAT ("the header"). 0, or -errno with
 * ERR, which names the byte. Called by the thread of source_reach.
 */
int source_fetch(struct source *s, void *buf, size_t len, uint64_t offset, const char *what,
                 struct error *err);

/* The same, for as many bytes as there are. Returns how many, or -errno. */
ssize_t source_fetch_some(struct source *s, void *buf, size_t len, uint64_t offset,
                          const char *what, struct error *err);

/* source_fetch of something that proves itself, with source_look_ahead and source_peek. */
int source_fetch_early(struct source *s, void *buf, size_t len, uint64_t offset, const char *what,
                       struct error *err);

/*
 * For searching damaged data: source_pread of up to LEN bytes, up to the first unreadable page.
 * -EIO if that is the first one.
 */
ssize_t source_pread_partly(struct source *s, void *buf, size_t len, uint64_t offset);

/* The same with source_peek. */
ssize_t source_peek_partly(struct source *s, void *buf, size_t len, uint64_t offset);

/*
 * Where to continue a search for something of NEED bytes, after the N bytes at AT from
 * source_pread_partly were searched in vain. Nothing is missed that begins in them, or after an
 * unreadable part.
 */
uint64_t source_next_window(uint64_t at, ssize_t n, size_t need);

#endif
