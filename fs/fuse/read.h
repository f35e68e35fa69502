/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answering a read of a disk, by the first way that goes:
 *
 *   lent      decoded bytes and zeros from where they lie
 *   gathered  what is stored in as few reads as can be, zeros from where they lie
 *   read      piece by piece, which finds out about each block that cannot be had
 */
#ifndef VMAFS_READ_H
#define VMAFS_READ_H

#include <stdbool.h>

struct request;

/* As struct request.answer: CONTEXT is a struct ops_context, R a read of a disk. */
bool answer_read(void *context, struct request *r);

#endif
