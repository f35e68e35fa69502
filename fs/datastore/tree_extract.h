/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Extracting a tree of a pxar archive, or one node of it. */
#ifndef VMAFS_TREE_EXTRACT_H
#define VMAFS_TREE_EXTRACT_H

#include <stdbool.h>
#include <stddef.h>

struct pxar;
struct pxar_entry;
struct tree_helper;

/*
 * Make ENTRY, with all that is below it, as NAME in the directory of HELPER; PATH is what it is
 * called in messages. Until all of it is there it is called NAME.partial; if something is lost, it
 * keeps that name. Returns the exit status; reports what is wrong.
 */
int tree_extract(struct tree_helper *helper, struct pxar *pxar, const struct pxar_entry *entry,
                 const char *name, const char *path);

#endif
