/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Restart tables in a stored index: that of the archive's own stream, and those of the compressed
 * members that an archive may have.
 *
 *   tables   | segments, 64 bytes each | hashes of their parts, 8 bytes each |
 *   file     histories, where the segments say
 *
 *   tables   … | head | segments | parts | head | segments | parts |          of each member
 */
#ifndef VMAFS_STORED_TABLE_H
#define VMAFS_STORED_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct restart_table;
struct source;
struct writer;

enum {
        STORED_NAME = 8,          /* bytes of a codec's or a format's name */
        STORED_STREAMS_MAX = 256, /* members that are compressed, in one index */
};

/* Parse a name of at most STORED_NAME printable bytes, padded with NULs. */
bool stored_name_load(const uint8_t *in, char out[STORED_NAME + 1]);

/* Tables of an index, while they are read. */
struct stored_tables {
        const uint8_t *bytes;
        uint64_t len;
        uint64_t at;       /* of the next byte that is read, at most LEN */
        uint64_t file_end; /* the byte of the file before which histories lie */
        uint64_t window;   /* no history is longer, decompressed; bytes */
};

/*
 * Append the histories of TABLE, which is finished, to W's file, and the rest to W's tables. AT,
 * with an element for each segment, gets where their histories are.
 */
void stored_table_write(struct writer *w, struct restart_table *table, uint64_t *at);

/*
 * Read one of COUNT segments, for a stream of OUT_BYTES that was compressed to IN_BYTES. Sets *OUT,
 * which restart_table_free frees, and which has no store yet. 0; -EINVAL if it contradicts itself;
 * -ENOMEM.
 */
int stored_table_load(struct stored_tables *in, uint32_t count, uint64_t out_bytes,
                      uint64_t in_bytes, struct restart_table **out);

/* A compressed member of the archive. */
struct stored_stream {
        uint64_t at;                 /* byte of the archive's stream where it begins */
        uint64_t size;               /* bytes, compressed */
        char codec[STORED_NAME + 1]; /* what it is compressed with */
        struct restart_table *table; /* NULL: somebody has taken it */
};

/* Write COUNT of them with their tables. AT is as above, for all of them one after the other. */
void stored_streams_write(struct writer *w, const struct stored_stream *list, size_t count,
                          uint64_t *at);

/* Segments of COUNT tables together. */
size_t stored_streams_segments(const struct stored_stream *list, size_t count);

/*
 * Read members up to the end of IN. Sets *LIST, which the caller frees after stored_streams_free,
 * and *COUNT, on failure, too. As stored_table_load.
 */
int stored_streams_load(struct stored_tables *in, struct stored_stream **list, size_t *count);

/*
 * Have all of COUNT tables read their histories from TAKE_STORE. For tables that were saved AT is as
 * above, and NULL for those that are loaded. 0 or -ENOMEM, after which some of them do not.
 */
int stored_streams_use_store(const struct stored_stream *list, size_t count,
                             struct source *take_store, const uint64_t *at);

/* Free the tables that nobody has taken. */
void stored_streams_free(struct stored_stream *list, size_t count);

/* The member of SIZE bytes at byte AT that is compressed with CODEC; NULL: there is none. */
struct stored_stream *stored_streams_find(struct stored_stream *list, size_t count, uint64_t at,
                                          uint64_t size, const char *codec);

#endif
