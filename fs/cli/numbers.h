/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers as people type them. TEXT NULL is what was not given: true, and *OUT stays as it is. */
#ifndef VMAFS_NUMBERS_H
#define VMAFS_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

/* A whole number in BASE, at most MAX. */
bool parse_number(const char *text, int base, unsigned long max, unsigned *out);

/* A size in bytes, from 1 to MAX, with a suffix K, M, G or T or none. */
bool parse_size(const char *text, uint64_t max, uint64_t *out);

#endif
