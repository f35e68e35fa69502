/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A folder on disk as a store (store.h). */
#ifndef VMAFS_DIR_STORE_H
#define VMAFS_DIR_STORE_H

struct store;

/* The folder TAKE_DIR, which is closed with it, and on failure. NULL: out of memory. */
struct store *dir_store_new(int take_dir);

#endif
