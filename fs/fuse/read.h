/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answering reads: of a disk with as few copies as go (index/pin.h), and of a file that is none.
 */
#ifndef VMAFS_READ_H
#define VMAFS_READ_H

#include <stdbool.h>

struct ops_context;
struct request;
struct volume;

/* As struct request.answer: CONTEXT is a struct ops_context, R a read of a disk. */
bool answer_read(void *context, struct request *r);

/* The same for a file that is no disk. */
bool answer_file(void *context, struct request *r);

/* The same for R of V, the content of a file or of a member of the archive of C. */
bool answer_volume(struct ops_context *c, const struct request *r, struct volume *v);

/* As struct request.ready, for a read of a disk. */
bool read_ready(void *context, struct request *r);

#endif
