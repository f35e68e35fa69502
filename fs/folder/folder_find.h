/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMAFS_FOLDER_FIND_H
#define VMAFS_FOLDER_FIND_H

struct folder;
struct given;

/*
 * Find the archives in the folder G, which outlives *F, and below it. Returns the exit status; reports
 * what is wrong. folder_close closes *F in any case.
 */
int folder_find(struct given *g, struct folder *f);

#endif
