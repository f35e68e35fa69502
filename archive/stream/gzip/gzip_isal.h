/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoding a segment of a gzip stream with Intel's ISA-L, which inflates two to three times as fast
 * as zlib. It is there where the build has found ISA-L, and the result is the same: what it cannot
 * decode is zlib's to judge.
 */
#ifndef VMAFS_GZIP_ISAL_H
#define VMAFS_GZIP_ISAL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct restart_point;

/*
 * As codec_ops.decode, from inside a member or from its header (MEMBER). -ENOSYS without ISA-L;
 * -EIO where the bytes are no gzip stream of LEN bytes, or too unusual a one.
 */
#ifdef VMAFS_ISAL
int gzip_isal_decode(const struct restart_point *point, bool member, const void *history,
                     uint8_t *input, size_t size, void *out, size_t len);
#else
static inline int gzip_isal_decode(const struct restart_point *point, bool member,
                                   const void *history, uint8_t *input, size_t size, void *out,
                                   size_t len)
{
        (void)point;
        (void)member;
        (void)history;
        (void)input;
        (void)size;
        (void)out;
        (void)len;
        return -ENOSYS;
}
#endif

#endif
