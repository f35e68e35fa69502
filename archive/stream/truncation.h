/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stream ends unexpectedly: was it cut off, or is something else wrong near its end?
 *
 * What precedes a cut was decoded from sound input, and is right to the last byte. But a decoder
 * that meets damage may decode the rest to garbage, and reach the end of the file before it
 * notices. So a file counts as cut off only if its last bytes do not look like the end of a stream
 * of its length, nor like what a file system substitutes for lost data. If they look like that by
 * chance, some data before the cut are lost needlessly.
 */
#ifndef VMAFS_TRUNCATION_H
#define VMAFS_TRUNCATION_H

#include <stdbool.h>
#include <stdint.h>

struct source;

/* Was FILE cut off, if its last gzip member has produced MADE bytes so far? */
bool truncation_gzip(struct source *file, uint64_t made);

/* Was FILE cut off, if its last zstd frame ends in a checksum, or does not? */
bool truncation_zstd(struct source *file, bool checksum);

#endif
