/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Going on inside a gzip member, behind damage in it. Without this, damage in the single member
 * that a compressor writes costs everything behind it.
 *
 *   sound | damage | block | block | block | ...        the chain: each begins where one ends
 *   fails ^        ^ found |       ^ here we are: what 32 KiB of output from here on refer to
 *                    at any bit      is known, so all that follows is
 *
 * What is known. History is decoded twice, behind two made-up windows that differ in every byte.
 * Each byte of output is a literal or a copy of one in front of it, and which one does not depend
 * on any byte's value: so the two outputs differ in exactly those bytes that come from the window
 * that nobody has. A block behind which 32 KiB, as far as deflate refers back, come out alike is
 * where it goes on; what of its own window is never referred to is left 0.
 *
 * What is a block. Nothing marks one, so a place has to prove itself by what follows:
 *
 *   - In noise. A dynamic header that zlib takes is right by chance at one bit in 5e9 (its codes
 *     have to be complete), the lengths of a stored block at one in 5e5. They must be followed,
 * each exactly where a block ends, by four dynamic headers, or eight stored ones, or as many of
 * each as weigh the same: at least 128 bits that are right by chance. A petabyte of noise holds
 * 2^53 places to begin at.
 *   - In another stream. A guest's disk is full of files that are deflate streams, and what does
 *     not shrink is stored: there such a stream stands as it is, with blocks that are sound but
 *     not ours. But no more than 64 KiB of it in one piece, since no stored block is longer. So
 *     headers count only from 64 KiB on behind where the chain begins; and if on the way there,
 *     or behind, the lengths of a stored block that is not one of the chain's stand anywhere and
 *     lead to another header, then the two are rivals, and neither is believed.
 *
 * A member's end proves nothing less: there the weight of the headers may be half, without the 64
 * KiB, but the last block and the trailer must end at the very end of the file, where no other
 * stream inside of ours can.
 */
#ifndef VMAFS_GZIP_REJOIN_H
#define VMAFS_GZIP_REJOIN_H

#include <stdint.h>

struct source;

enum { GZIP_WINDOW = 32768 };

/* What a pass has spent on this; all 0 at its beginning. */
struct gzip_rejoin {
        uint64_t searched; /* what is in front of this byte is not searched again */
        uint64_t granted, spent;
};

/*
 * Where in IN does the member that failed go on, at or behind byte FROM? 1, with the block's bit
 * and the window in front of it, GZIP_WINDOW bytes, of which *LEN (0 or all) are needed. 0:
 * nowhere, or not in front of a further member's header. -ENOMEM.
 */
int gzip_rejoin(struct gzip_rejoin *r, struct source *in, uint64_t from, uint64_t *bit,
                unsigned char *window, uint32_t *len);

#endif
