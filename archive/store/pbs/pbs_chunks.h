/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chunks of a datastore, found by their digests:
 *
 *   .chunks/bb9f/bb9f8df61474d25e71fa00722318cd387396ca1736605e1248821cc0de3d3af8
 *
 * A chunk is read, checked (kind, sum, tag, length, digest), decoded once, and kept in a cache for
 * all disks and snapshots that share it. Nothing of the datastore is written, locked or touched:
 * its files are opened without a change of their access time, where that is allowed.
 *
 *   get(digest) ─ in the cache ──────────────────────────────────> data
 *        └─ openat ─ read ─ check and decode ─ compare digest ─^
 *
 * Thread-safe.
 */
#ifndef VMAFS_PBS_CHUNKS_H
#define VMAFS_PBS_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "archive/store/pbs/pbs_key.h"

struct block;
struct error;
struct pbs_chunks;
struct pbs_far;
struct shared;

/*
 * Those in the folder TAKE_DIR, open on .chunks, which is closed by pbs_chunks_free, and on
 * failure. KEY, which may be NULL, and SHARED, in whose cache decoded chunks are kept, stay the
 * caller's, and outlive *OUT. -ENOMEM.
 */
int pbs_chunks_new(int take_dir, const struct pbs_key *key, struct shared *shared,
                   struct pbs_chunks **out);
/* Those of the datastore FAR in a bucket, which outlives *OUT. */
int pbs_chunks_new_far(struct pbs_far *far, const struct pbs_key *key, struct shared *shared,
                       struct pbs_chunks **out);
void pbs_chunks_free(struct pbs_chunks *c); /* NULL is allowed */

/* How a chunk is stored, as the manifest says of its archive. */
enum pbs_crypt { PBS_CRYPT_PLAIN, PBS_CRYPT_ENCRYPTED };

/*
 * Copy LEN bytes from SKIP of the chunk DIGEST, which has SIZE bytes of plain data. 0; -EIO where
 * the chunk is missing or wrong; -EACCES where it is encrypted and the key is not there; -ENOMEM;
 * and what open and read say. ERR names the chunk.
 */
int pbs_chunks_read(struct pbs_chunks *c, const uint8_t digest[PBS_DIGEST_LEN],
                    enum pbs_crypt crypt, size_t size, size_t skip, void *buf, size_t len,
                    struct error *err);

/*
 * Hold the chunk DIGEST, of SIZE bytes, decoded. Without WAIT only if it is in the cache. 0 with
 * *OUT and its *DATA, which stay until pbs_chunks_put is told how many bytes were READ; -EAGAIN
 * where it is not in the cache, another chunk has its place there, or another thread has failed to
 * load it; otherwise as pbs_chunks_read.
 */
int pbs_chunks_get(struct pbs_chunks *c, const uint8_t digest[PBS_DIGEST_LEN], enum pbs_crypt crypt,
                   size_t size, bool wait, struct block **out, const char **data,
                   struct error *err);
void pbs_chunks_put(struct pbs_chunks *c, struct block *block, size_t read);

enum { PBS_DEPTH_MAX = 32 };

/*
 * How many chunks of SIZE bytes a sequential reader should have prefetched: as many as keep all
 * threads busy, within a quarter of the cache, and at most PBS_DEPTH_MAX. 0: there are no threads,
 * or there is no room.
 */
unsigned pbs_chunks_depth(const struct pbs_chunks *c, size_t size);

/*
 * Somebody will read the chunk DIGEST soon: decode it on another thread, unless it is decoded, or
 * too many wait for that already. What is wrong with it is told to its reader.
 */
void pbs_chunks_prefetch(struct pbs_chunks *c, const uint8_t digest[PBS_DIGEST_LEN],
                         enum pbs_crypt crypt, size_t size);

/*
 * Check the chunk DIGEST as verify does: all that pbs_chunks_read checks; of an encrypted one
 * without a key, kind and sum alone. The same.
 */
int pbs_chunks_check(struct pbs_chunks *c, const uint8_t digest[PBS_DIGEST_LEN],
                     enum pbs_crypt crypt, size_t size, struct error *err);

/*
 * Is DIGEST the name of a chunk of SIZE zeros? No chunk is read. The answer for the last few sizes
 * is remembered. False also where memory has run out.
 */
bool pbs_chunks_is_zeros(struct pbs_chunks *c, const uint8_t digest[PBS_DIGEST_LEN],
                         enum pbs_crypt crypt, size_t size);

#endif
