/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checksums of formats and of kept indexes, by the fastest code that the machine and the
 * libraries have for them: XXH3 with the processor's widest registers where libxxhash was built to
 * choose at run time, as Debian's is, Adler-32 and CRC-32 with ISA-L where the build has it.
 * Whichever code it is, the sums are the same.
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

#endif
