/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes to files on a thread of its own, so that the producer of the bytes does not wait for the
 * disk.
 *
 *   producer: writer_buffer ──> fill ──> writer_submit ──> ring ──> thread: pwrite
 *                 ^                                          │
 *                 └──────────── a free buffer ───────────────┘
 *
 * There is one producer. The ring is small: a producer that is faster than the disk waits in
 * writer_buffer.
 */
#ifndef VMAFS_WRITER_H
#define VMAFS_WRITER_H

#include <stddef.h>
#include <stdint.h>

struct writer;

enum { WRITER_SIZE = 256 * 1024 }; /* bytes of a buffer */

/* 0 or -ENOMEM. If no thread can be started, writer_submit writes by itself. */
int writer_new(struct writer **out);

/* Writes what was submitted, or drops it after a failure. NULL is allowed. */
void writer_free(struct writer *w);

/* The buffer to fill next; the same one until it is submitted. */
void *writer_buffer(struct writer *w);

/*
 * Queue the first LEN bytes of the buffer to be written to FD at OFFSET. Once a write has failed,
 * this and all later calls return its -errno.
 */
int writer_submit(struct writer *w, int fd, size_t len, uint64_t offset);

/*
 * Wait until everything is written. Returns 0, or the first failure, and sets *FD to the file that
 * it was for.
 */
int writer_drain(struct writer *w, int *fd);

/* Write LEN bytes at OFFSET now, without the queue. */
int write_all(int fd, const void *buf, size_t len, uint64_t offset);

#endif
