/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Continues inside a gzip member after damage. Without this, damage in the single member that a
 * compressor writes would cost everything after it.
 *
 *   sound | damage | block | block | block | ...        the chain: each begins where one ends
 *   fails ^        ^ found |       ^ here we are: what 32 KiB of output from here on refer to
 *                    at any bit      is known, so all that follows is
 *
 * What is known. The data are decoded twice, with two made-up windows that differ in every byte.
 * Each byte of output is a literal or a copy of an earlier byte, and which one does not depend on
 * any byte's value. So the two outputs differ in exactly the bytes that come from the missing
 * window. Decoding continues at a block after which both outputs agree for 32 KiB, as far as
 * deflate refers back. Parts of its window that are never referred to stay 0.
 *
 * What a block is. Nothing marks one, so a position has to prove itself by what follows:
 *
 *   - In noise. By chance, a dynamic header that zlib accepts stands at one bit in 5e9 (its codes
 *     have to be complete), and the lengths of a stored block at one in 5e5. So four dynamic
 *     headers must follow, or eight stored ones, or a mixture of the same weight, each exactly
 *     where a block ends: at least 128 bits that are right by chance. A petabyte of noise holds
 *     2^53 positions to begin at.
 *   - In another stream. A guest's disk is full of files that are deflate streams, and a
 *     compressor stores what does not shrink. So there may be a complete embedded stream, whose
 *     blocks are sound but not ours. But it is in pieces of at most 64 KiB, since no stored block
 *     is longer. So headers count only from 64 KiB after the start of the chain on. And if the
 *     lengths of a stored block that is not in the chain stand anywhere on the way, and lead to
 *     another header, the two are rivals, and neither is believed.
 *
 * A member's end is as good a proof: then half the weight of headers is enough, without the 64 KiB,
 * but the last block and the trailer must end exactly at the end of the file, where no embedded
 * stream can end.
 */
#ifndef VMAFS_GZIP_RECOVER_H
#define VMAFS_GZIP_RECOVER_H

#include <stdint.h>

struct source;

enum { GZIP_WINDOW = 32768 };

struct gzip_searcher;

/* What a pass has spent on this, and the memory that it needs for it; initially zero. */
struct gzip_recovery {
        uint64_t searched; /* nothing before this byte is searched again */
        uint64_t granted, spent;
        struct gzip_searcher
            *searcher; /* 1.2 MiB, of which little is touched before it is needed */
};

void gzip_recovery_fini(struct gzip_recovery *r);

/*
 * Find where in IN, at or after byte FROM, the damaged member goes on. 1, with the block's bit and
 * the window before it, GZIP_WINDOW bytes, of which *LEN (0 or all) are needed; 0 if nowhere, or
 * not before another member's header; -ENOMEM.
 */
int gzip_recover_from(struct gzip_recovery *r, struct source *in, uint64_t from, uint64_t *bit,
                      unsigned char *window, uint32_t *len);

#endif
