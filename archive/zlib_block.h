/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMAFS_ZLIB_BLOCK_H
#define VMAFS_ZLIB_BLOCK_H

#include <stddef.h>

/*
 * Inflate the zlib stream that IN begins with into OUT, which has room for *LEN bytes; *LEN is then
 * what it held. -EIO where it is damaged, cut off, or larger than that; -ENOMEM. With ISA-L, where
 * the build has found it, in half the time; what that cannot decode is zlib's to judge.
 */
int zlib_block(const void *in, size_t in_len, void *out, size_t *len);

/*
 * The first LEN bytes of the raw deflate stream that IN begins with, into OUT; nothing in it refers
 * farther back than 2^WINDOW_BITS. -EIO where it is damaged, or holds fewer; -ENOMEM.
 */
int deflate_block(const void *in, size_t in_len, int window_bits, void *out, size_t len);

#endif
