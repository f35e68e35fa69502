/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An index of a Proxmox Backup Server datastore: which chunks a stream of bytes consists of.
 *
 *   .fidx   header 4096 | digest | digest | …                    chunks of one size; the last is
 *                                                                  what is left
 *   .didx   header 4096 | end, digest | end, digest | …           chunk i reaches from the end
 *                                                                  before to its own
 *   stream  |   chunk 0   |   chunk 1   |  …
 *
 * The table, 8 MiB for a TiB, stays in the file, and is read where it is asked for. One port pads
 * the headers to 16384 bytes, which the length of a .fidx shows.
 */
#ifndef VMAFS_PBS_INDEX_H
#define VMAFS_PBS_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/store/pbs/pbs_key.h"

struct error;
struct source;

struct pbs_index {
        struct source *source; /* the index's */
        bool dynamic;
        uint64_t size;       /* bytes of the stream */
        uint64_t chunk_size; /* bytes; .fidx alone */
        uint64_t count;      /* of chunks */
        uint64_t table;      /* byte of the file where the table starts */
        int64_t ctime;       /* seconds since 1970 */
};

struct pbs_chunk_ref {
        uint64_t number;
        uint64_t start, end; /* of the stream: start < end, and at most PBS_BLOB_MAX apart */
        uint8_t digest[PBS_DIGEST_LEN];
};

/*
 * Read the header of the index TAKE_SOURCE, which becomes OUT's, and is closed on failure, too. 0,
 * or -EIO with the reason in ERR where it cannot be an index, and what reading gave.
 */
int pbs_index_open(struct source *take_source, struct pbs_index *out, struct error *err);
void pbs_index_close(struct pbs_index *index);

/*
 * The chunk that has byte POS of the stream, which is below the size. 0; -EIO where the table says
 * what cannot be; and what reading gave. Thread-safe.
 */
int pbs_index_find(const struct pbs_index *index, uint64_t pos, struct pbs_chunk_ref *out);

/* Chunk NUMBER, below the count. The same. */
int pbs_index_chunk(const struct pbs_index *index, uint64_t number, struct pbs_chunk_ref *out);

/* SHA-256 of the whole table, which the manifest repeats. 0, -ENOMEM, and what reading gave. */
int pbs_index_digest(const struct pbs_index *index, uint8_t out[PBS_DIGEST_LEN]);

#endif
