/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tree of an index whose archive is one of files (archive.is_tree). It has a root alone until
 * the scan has found all members; then each folder is filled when it is entered, and dropped when
 * nobody uses it.
 */
#ifndef VMAFS_INDEX_MEMBERS_H
#define VMAFS_INDEX_MEMBERS_H

#include <stdbool.h>

struct index;
struct member;
struct node;

/* The archive of INDEX is open: such a tree takes the place of the one there is. 0 or -ENOMEM. */
int index_members_begin(struct index *index);

/* The scan has found a member. As archive_sink.member. */
int index_members_take(struct index *index, const struct member *member);

/* The scan is over, or there is none; before INDEX is sealed. */
void index_members_seal(struct index *index);

/* May FOLDER be filled, or refused for good? */
bool index_members_ready(const struct index *index, const struct node *folder);

#endif
