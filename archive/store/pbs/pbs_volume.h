/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stream of an index as a volume: a disk, or the bytes of a pxar archive. Chunks of zeros are
 * holes and never read, which their names tell.
 */
#ifndef VMAFS_PBS_VOLUME_H
#define VMAFS_PBS_VOLUME_H

#include <stdint.h>

#include "archive/store/pbs/pbs_chunks.h"
#include "archive/volume.h"

struct error;
struct source;

/*
 * The volume of the index TAKE_SOURCE, which is closed with it, and on failure; CHUNKS stays the
 * caller's, and outlives it. EXPECTED is the digest of the index's table that the manifest says, or
 * NULL: it is compared when the volume is first asked, and where it differs all of the volume is
 * lost. Sets *OUT; volume_ops.close frees it. As pbs_index_open, and -ENOMEM.
 */
int pbs_volume_open(struct source *take_source, struct pbs_chunks *chunks, enum pbs_crypt crypt,
                    const uint8_t *expected, struct volume **out, struct error *err);

/*
 * Is the index the one that the manifest names? 0; -EIO where it is not, or cannot be read;
 * -ENOMEM.
 */
int pbs_volume_prove(struct volume *v);

/*
 * Do A and B, two volumes whose indexes were proven, have the same bytes from POS on? 1 or 0 for
 * the first *LEN bytes, not 0, which are made no more than they were, and end where a chunk of A
 * does. Their tables tell, so that 0 means: in other chunks. No chunk is read.
 */
int pbs_volume_same(struct volume *a, struct volume *b, uint64_t pos, uint64_t *len);

/* Seconds since 1970, from the header of the index. */
int64_t pbs_volume_ctime(const struct volume *v);

/* Why a read of V failed, the last time one did. False: none did. Thread-safe. */
bool pbs_volume_failure(struct volume *v, struct error *err);

/*
 * Call EACH for every chunk of V, in order, until it returns other than 0, which is returned.
 * Otherwise as pbs_index_chunk.
 */
struct pbs_chunk_ref;
int pbs_volume_each(const struct volume *v, int (*each)(void *ctx, const struct pbs_chunk_ref *ref),
                    void *ctx);

#endif
