/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading a file of a datastore, and finding its data and holes. All of it is known from the start:
 * nothing is parked. What is lost is answered as read.h says.
 */
#ifndef VMAFS_CONTENT_H
#define VMAFS_CONTENT_H

struct ops_context;
struct request;
struct volume;

/* Answer R, which has OFFSET and SIZE of a read. */
void content_read(const struct ops_context *c, const struct request *r);

/* Answer R, which has OFFSET and WHENCE: SEEK_DATA or SEEK_HOLE. */
void content_seek(const struct request *r);

/* The same for a file that holds V; NULL: what it holds cannot be read. */
void content_seek_in(const struct request *r, struct volume *v);

#endif
