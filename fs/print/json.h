/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMAFS_JSON_H
#define VMAFS_JSON_H

#include <jansson.h>

/* TEXT as a JSON string; bytes that are not UTF-8, as a path may have, become '?'. */
json_t *json_text(const char *text);

/*
 * Print TAKE_ROOT, indented, to stdout. NULL is allowed and means that it could not be built.
 * Returns the exit status.
 */
int json_print(json_t *take_root);

#endif
