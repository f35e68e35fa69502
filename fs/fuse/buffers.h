/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reply buffers, kept for reuse: a fresh megabyte from malloc costs more in page faults than
 * copying it does. Thread-safe.
 */
#ifndef VMAFS_BUFFERS_H
#define VMAFS_BUFFERS_H

#include <stddef.h>

struct buffers;

enum { BUFFER_SIZE = 1024 * 1024 }; /* FUSE asks for no more in one request */

struct buffers *buffers_new(void);    /* NULL: out of memory */
void buffers_free(struct buffers *b); /* all buffers must be back; NULL is allowed */
void *buffers_get(struct buffers *b); /* BUFFER_SIZE bytes, or NULL: out of memory */
void buffers_put(struct buffers *b, void *take_buffer);

#endif
