/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A pxar archive as what a tree is extracted from (tree_extract.h). */
#ifndef VMAFS_TREE_SOURCE_H
#define VMAFS_TREE_SOURCE_H

#include "fs/extract/tree_extract.h"

struct pxar;
struct pxar_entry;

struct pxar_tree {
        struct tree_source base;
        struct pxar *pxar;
};

/* PXAR stays the caller's. */
struct pxar_tree pxar_tree_of(struct pxar *pxar);

/* E as an entry, which points into it. */
struct tree_entry pxar_tree_entry(const struct pxar_entry *e);

#endif
