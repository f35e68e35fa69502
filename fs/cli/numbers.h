/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers as people type them. If TEXT is NULL, because the option was not given, these return true
 * and leave *OUT unchanged.
 */
#ifndef VMAFS_NUMBERS_H
#define VMAFS_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

/* Parse a whole number in BASE, at most MAX. */
bool parse_number(const char *text, int base, unsigned long max, unsigned *out);

/* Parse a size in bytes, from 1 to MAX, with an optional suffix K, M, G or T. */
bool parse_size(const char *text, uint64_t max, uint64_t *out);

#endif
