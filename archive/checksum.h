/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checksums of formats and of stored indexes, by the fastest available code: XXH3 with the
 * processor's widest registers, if libxxhash was built to choose at run time, as Debian's is;
 * Adler-32 and CRC-32 with ISA-L, if the build has it. The sums are the same whatever the code.
 */
#ifndef VMAFS_CHECKSUM_H
#define VMAFS_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h> /* XXH3_… mean these from here on */
#endif

uint32_t checksum_adler32(const void *data, size_t len); /* RFC 1950 */
uint32_t checksum_crc32(const void *data, size_t len);   /* RFC 1952 */
uint32_t checksum_crc32c(const void *data, size_t len);  /* Castagnoli's, RFC 3720 */

#endif
