/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SipHash-2-4: whoever does not know the key cannot choose names that collide. */
#ifndef VMAFS_SIPHASH_H
#define VMAFS_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* Of a message that consists of WORD, little-endian, and LEN bytes of DATA. */
uint64_t siphash(const uint64_t key[2], uint64_t word, const void *data, size_t len);

/* A random key. It cannot fail: at worst it is the process's own, the same each time. */
void siphash_key(uint64_t key[2]);

#endif
