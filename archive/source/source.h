/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A random-access stream of bytes: a plain file, a slice of another source, or what a compressed
 * file holds. Sources stack, and are thread-safe but for close.
 *
 *   format (vma.c)         reads the decompressed stream
 *     source "zstd"        ...
 *       source "file"      reads the file with pread; never mmap, so that a truncated file
 *                          is an error and not a SIGBUS
 *
 * A compressed stream is decodable up to its frontier. The frontier starts at 0 and is moved by
 * source_reach alone, which one thread calls (the scan); source_pread behind it is random
 * access by any thread, source_pread ahead of it fails with -EAGAIN. A plain file's frontier is
 * its end from the start.
 */
#ifndef VMAFS_SOURCE_H
#define VMAFS_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct source;

#define SOURCE_SIZE_UNKNOWN UINT64_MAX

/* A part of a stream that is lost: reading any byte of it fails with -EIO. */
struct source_gap {
        uint64_t start, end;
};

/*
 * Where nobody knows how long a lost part was, the gap is this long: longer than anything in an
 * archive that refers to bytes behind itself by their distance, so that nothing spans a gap of a
 * made-up length.
 */
#define SOURCE_GAP_UNKNOWN (UINT64_C(4) << 20)

/* Bytes of a stream where they lie in memory. */
struct source_loan {
        uint64_t start, end;
        const char *data; /* of START */
        void *held;       /* the source's … */
        bool followed;    /* … and others will want it soon */
        size_t used;      /* bytes that the borrower has read: what all has been read can go */
};

/* Bytes of a stream that are wanted in memory. */
struct source_piece {
        uint64_t offset;
        void *buf;
        size_t len;
};

struct source_ops {
        const char *name; /* "file", "zstd": shown to people as the compression */

        /* As source_pread. */
        ssize_t (*pread)(struct source *s, void *buf, size_t len, uint64_t offset);

        /* As source_gather. NULL: there is no better way than one read for each piece. */
        int (*gather)(struct source *s, struct source_piece *pieces, size_t count);

        /* As source_borrow and source_give_back. NULL: it lends nothing. */
        int (*borrow)(struct source *s, uint64_t offset, bool wait, struct source_loan *loan);
        void (*give_back)(struct source *s, const struct source_loan *loan);

        /* As source_reach. NULL: everything up to size is reachable. */
        int (*reach)(struct source *s, uint64_t offset, uint64_t *end, struct error *err);

        /* As source_resume. NULL: nothing can be had behind damage. */
        int (*resume)(struct source *s, struct source_gap *gap, struct error *err);

        /* As source_will_need. NULL: it would be of no use. */
        void (*will_need)(struct source *s, uint64_t offset, uint64_t len);

        void (*close)(struct source *s); /* frees s */

        bool is_file; /* as source_is_file */
};

struct source {
        const struct source_ops *ops;
        _Atomic uint64_t size; /* bytes; SOURCE_SIZE_UNKNOWN until reach has seen the end */
        /*
         * Set by who reaches, as long as he calls source_resume whenever that fails: what is ahead
         * of the frontier is -EAGAIN for others until then, and not -EIO.
         */
        _Atomic bool resumes;
};

/*
 * Open the plain file PATH. Sets *OUT, which the caller closes. Fails with -ENOENT, -EACCES …
 * as open does, -EISDIR or -EINVAL for what is neither a regular file nor a block device.
 */
int source_open_file(const char *path, struct source **out, struct error *err);

/* The same for an open file. TAKE_FD belongs to the source, and is closed on failure too. */
int source_open_fd(int take_fd, struct source **out, struct error *err);

/*
 * A regular file must stay as it was when it was opened; that is looked at behind each read, so
 * that no read ever gives the bytes of another archive. 0; -EIO once S was cut, -ESTALE once it was
 * written to, with the reason in ERR: from then on every source_pread fails so. A file that is
 * removed, renamed or replaced by another of its name has not changed, nor have others than files.
 * A write in the clock tick (4 ms) of the file's last one before it was opened goes unseen.
 */
int source_check(struct source *s, struct error *err);

/* When S was last written before it was opened, seconds since 1970; 0 where it is no file. */
int64_t source_mtime(const struct source *s);

/* A view of LEN bytes of PARENT from OFFSET. PARENT stays the caller's and outlives the slice. */
int source_open_slice(struct source *parent, uint64_t offset, uint64_t len, struct source **out);

/* NULL is allowed. */
void source_close(struct source *s);

/*
 * Read LEN bytes at OFFSET. Returns the number read, short only at the end of the stream, 0
 * behind it, or -errno: -EIO where the stream cannot be read or is damaged, -EAGAIN ahead of the
 * frontier, and as source_check.
 */
ssize_t source_pread(struct source *s, void *buf, size_t len, uint64_t offset);

/* source_pread of all LEN bytes. 0 or -errno; -EIO where the stream ends before. */
int source_pread_all(struct source *s, void *buf, size_t len, uint64_t offset);

/*
 * source_pread_all of COUNT pieces, which are put in another order on the way: in as few reads as
 * can be. What is in them after a failure is undefined.
 */
int source_gather(struct source *s, struct source_piece *pieces, size_t count);

/*
 * LEN bytes at OFFSET will probably be read soon: begin to have them in memory, without waiting. A
 * hint, of which nothing may come.
 */
void source_will_need(struct source *s, uint64_t offset, uint64_t len);

/* Is S a file as it is? Then threads that read it at several places at once wait together. */
bool source_is_file(const struct source *s);

/* Does S have its bytes in memory, so that they can be borrowed? */
bool source_lends(const struct source *s);

/*
 * Borrow the byte at OFFSET of a source that lends, with those around it that lie together, which
 * LOAN says: the borrower's to read until it gives them back, soon, since the memory counts as the
 * source's. 1; 0 at the end of the stream; -EAGAIN also where some around it are
 * lost, and, unless WAIT, where it is not in memory yet: who holds a loan already must not wait.
 * Otherwise as source_pread.
 */
int source_borrow(struct source *s, uint64_t offset, bool wait, struct source_loan *loan);
void source_give_back(struct source *s, const struct source_loan *loan);

/*
 * Move the frontier to OFFSET at least. *END is how far the stream can be read now: less than
 * OFFSET only where it ends (return 0) or is damaged there (return -EIO, with the reason in
 * ERR). One thread at a time.
 */
int source_reach(struct source *s, uint64_t offset, uint64_t *end, struct error *err);

/*
 * All LEN bytes at OFFSET of something that ERR is to call WHAT, "the header", which are reached
 * first. 0 or -errno with ERR, which names the byte. By the thread of source_reach.
 */
int source_fetch(struct source *s, void *buf, size_t len, uint64_t offset, const char *what,
                 struct error *err);

/*
 * After source_reach has failed with -EIO: go on behind the damage. *GAP is what is lost by it. It
 * may begin in front of where the frontier was, with what was decoded but is not to be believed,
 * and ends where the frontier is now. Its length is right only as far as the compression tells
 * (see SOURCE_GAP_UNKNOWN). 1; 0 where nothing can be had any more; -errno. By the thread of
 * source_reach.
 */
int source_resume(struct source *s, struct source_gap *gap, struct error *err);

/*
 * For those who search what is damaged: source_pread of up to LEN bytes, as far as they can be
 * read: page by page up to the first that cannot be. -EIO where already the first one cannot.
 */
ssize_t source_pread_partly(struct source *s, void *buf, size_t len, uint64_t offset);

/*
 * Where to go on when N bytes from AT, as source_pread_partly has it, were searched in vain for
 * something of NEED bytes: so that none is missed that begins in them, or behind what cannot be
 * read.
 */
uint64_t source_next_window(uint64_t at, ssize_t n, size_t need);

#endif
