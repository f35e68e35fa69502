/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMAFS_BUCKET_FIND_H
#define VMAFS_BUCKET_FIND_H

struct fetchers;
struct folder;

/*
 * Find the archives in the folder PATH, which is that of F, and below it, as folder_find. *OUT has no
 * descriptor, and has F, which outlives it. Returns the exit status; reports what is wrong.
 */
int bucket_find(const char *path, struct fetchers *f, struct folder *out);

#endif
