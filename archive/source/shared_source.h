/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One source in the hands of several owners: each closes its own handle, and the last one closes it. */
#ifndef VMAFS_SHARED_SOURCE_H
#define VMAFS_SHARED_SOURCE_H

struct shared_source;
struct source;

/* Share TAKE_SOURCE, which is closed on failure, too. shared_source_leave frees *OUT. 0 or -ENOMEM. */
int shared_source_new(struct source *take_source, struct shared_source **out);

/*
 * One more handle in *OUT, for reading alone. It may outlive S: source_close gives it back. 0 or
 * -ENOMEM. Thread-safe, as closing handles is.
 */
int shared_source_open(struct shared_source *s, struct source **out);

/* No more handles will be opened. NULL is allowed. */
void shared_source_leave(struct shared_source *s);

#endif
