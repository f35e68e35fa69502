/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMAFS_JSON_H
#define VMAFS_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* TEXT as a JSON string. Bytes that are not UTF-8, which a path may contain, become '?'. */
json_t *json_text(const char *text);

/* The same, or null if TEXT is NULL or empty. */
json_t *json_text_or_null(const char *text);

/* N, or null unless it is KNOWN. */
json_t *json_number_or_null(bool known, uint64_t n);

/*
 * Print TAKE_ROOT, indented, to stdout. NULL means that there was no memory to build it. Returns
 * the exit status.
 */
int json_print(json_t *take_root);

#endif
