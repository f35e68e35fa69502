/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pieces of objects on disk, so that what was fetched once is not fetched again by the next mount.
 * The folder is the fetcher's: the process that reads archives has no access to it, and cannot put
 * anything there that another mount would take for what a server sent.
 *
 *   DIR/.count        how many of the following there are, at least
 *   DIR/KEY-NUMBER    16 pieces of a version of an object, and their checksums
 *
 *   | head                     | 4 KiB
 *   |   magic, KEY, NUMBER     |
 *   |   16 checksums           |
 *   | piece 0 | … | piece 15   | 64 KiB each; what was not fetched is a hole
 *
 * KEY is a hash of the object's address, ETag, time and size: a replaced object has another one.
 * The checksum of a piece depends on KEY and on where in the object it belongs. A piece that does
 * not match is not there. So nothing has to be synced, and two processes that write the same file
 * write the same bytes.
 *
 * Each file counts in full, filled or not, so that the folder never exceeds its size, and nobody has
 * to add up blocks. For a new one, those that were used longest ago are removed. The number of files
 * is kept in one of its own: to list a folder of 100 000 files takes longer than to fetch what one
 * of them holds. Each process lists the folder once, and then where there is no room.
 *
 * As the index, a file is trusted if nobody but root and this user can have written it. Failures to
 * store are not reported: they cost only time. Thread-safe; processes may share a folder.
 */
#ifndef VMAFS_SPOOL_H
#define VMAFS_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/source/remote/protocol.h"

struct error;
struct spool;
struct validator;

enum {
        SPOOL_PIECE = REMOTE_MESSAGE, /* bytes */
        SPOOL_PIECES = 16,            /* in a file */
        SPOOL_HEAD = 4096,            /* bytes */
        SPOOL_FILE = SPOOL_HEAD + SPOOL_PIECES * SPOOL_PIECE,
        SPOOL_KEY = 32, /* bytes */
};

/* The smallest size that a folder may be given. */
#define SPOOL_MIN (UINT64_C(16) << 20)

/* A version of an object. */
struct spool_object {
        bool usable; /* false: nothing is read or stored of it */
        uint8_t key[SPOOL_KEY];
        uint64_t size;
};

/*
 * Open the folder PATH, of LEN bytes; it is created if only it is missing. A descriptor, or -errno
 * with ERR.
 */
int spool_open_folder(const char *path, size_t len, struct error *err);

/* One of at most MAX bytes, at least SPOOL_MIN, in TAKE_FOLDER. NULL: out of memory. */
struct spool *spool_new(int take_folder, uint64_t max);
void spool_free(struct spool *s); /* NULL is allowed */

/*
 * Count the files now, which the first that is stored does else: for a process that only has children
 * which store. They have a copy of S.
 */
void spool_count(struct spool *s);

/*
 * The object of SIZE bytes at URL, of version IS. It is not usable where IS could be the version of
 * two contents: if it is a time alone, and that is less than a minute before NOW, by the server's
 * clock, or not understood.
 */
void spool_object_init(struct spool_object *o, const char *url, const struct validator *is,
                       uint64_t size, int64_t now);

/* Bytes of piece NUMBER: SPOOL_PIECE, but for the last. 0: O has no such piece. */
size_t spool_piece_len(const struct spool_object *o, uint64_t number);

/* Is the piece probably there? */
bool spool_has(struct spool *s, const struct spool_object *o, uint64_t number);

/* Read the piece to BUF, which has SPOOL_PIECE bytes. False: it is not there. */
bool spool_get(struct spool *s, const struct spool_object *o, uint64_t number, void *buf);

/* Store the piece, whose bytes are at BUF. */
void spool_put(struct spool *s, const struct spool_object *o, uint64_t number, const void *buf);

#endif
