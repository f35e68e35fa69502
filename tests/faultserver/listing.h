/* SPDX-License-Identifier: GPL-2.0-or-later */
/* S3's ListObjectsV2 of the files in a folder, and lists that are wrong in ways that are known. */
#ifndef VMAFS_LISTING_H
#define VMAFS_LISTING_H

#include <stdbool.h>

enum { LISTING_PAGE = 3 }; /* names */

/*
 * The answer to QUERY, "list-type=2&…", on the files below FOLDER, a new string. MODE says what is
 * wrong with it. NULL: it is no such query.
 */
char *listing_page(const char *folder, const char *query, const char *mode);

#endif
