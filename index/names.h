/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names from an archive cannot be trusted. These functions turn them into file names that are safe
 * to show, to create and to put into JSON:
 *
 *   '/'  NUL  control bytes  bytes that are not UTF-8   %XX for each byte
 *   ""  "."  ".."                                       "%", "%2E", "%2E%2E"
 *   longer than 255 bytes                               cut, with "~" at the end
 *   the same name again                                 "~2", "~3" … at the end
 *
 * The same archive always gives the same names, and an ordinary name stays as it is.
 */
#ifndef VMAFS_NAMES_H
#define VMAFS_NAMES_H

#include <stdbool.h>
#include <stddef.h>

enum { NAME_LEN_MAX = 255 };

/* The safe form of RAW as a new string, or NULL (out of memory). */
char *name_make_safe(const char *raw);

/* Is RAW its own safe form? */
bool name_is_safe(const char *raw);

/* NAME with "~N" at its end, cut where that would be too long. A new string, or NULL. */
char *name_number(const char *name, unsigned n);

#endif
