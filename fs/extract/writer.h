/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing to files on a thread of its own, so that who produces the bytes does not wait for them
 * to be written.
 *
 *   producer: writer_buffer ──> fill ──> writer_submit ──> ring ──> thread: pwrite
 *                 ^                                          │
 *                 └──────────── a free buffer ───────────────┘
 *
 * One producer. The ring is small: a producer that is faster than the disk waits in
 * writer_buffer.
 */
#ifndef VMAFS_WRITER_H
#define VMAFS_WRITER_H

#include <stddef.h>
#include <stdint.h>

struct writer;

enum { WRITER_SIZE = 256 * 1024 }; /* bytes of a buffer */

/* -ENOMEM. Where no thread can be had, writer_submit writes itself. */
int writer_new(struct writer **out);

/* What was submitted is written, or dropped after a failure. NULL is allowed. */
void writer_free(struct writer *w);

/* The buffer to fill next, the same until it is submitted. */
void *writer_buffer(struct writer *w);

/*
 * Have the first LEN bytes of it written to FD at OFFSET. Fails, and goes on failing, with what a
 * write failed with, maybe an earlier one.
 */
int writer_submit(struct writer *w, int fd, size_t len, uint64_t offset);

/* Wait until all is written. 0, or the first failure, and *FD is the file's. */
int writer_drain(struct writer *w, int *fd);

/* LEN bytes at OFFSET, at once. */
int write_all(int fd, const void *buf, size_t len, uint64_t offset);

#endif
