/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answering reads: of a disk with as few copies as go (index/pin.h), and of a file that is none.
 */
#ifndef VMAFS_READ_H
#define VMAFS_READ_H

#include <stdbool.h>

struct ops_context;
struct request;

/* As struct request.answer: CONTEXT is a struct ops_context, R a read of a disk. */
bool answer_read(void *context, struct request *r);

/* The same for a file that is no disk. */
bool answer_file(void *context, struct request *r);

/* Answer R, which has OFFSET and WHENCE, for a member of an archive. */
void seek_member(const struct ops_context *c, const struct request *r);

/* As struct request.ready, for a read of a disk. */
bool read_ready(void *context, struct request *r);

#endif
