/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Headers of a plain tar that lie close together. With small members, a call of the kernel for each
 * header takes longer than all that is done with it. So they are read with what is between them,
 * a window at a time, and the next window by another thread meanwhile.
 *
 *   | window, being looked at | window, being read |
 *        ^ header  ^ header                           of the file, 1 MiB each
 *
 * For one thread.
 */
#ifndef VMAFS_TAR_WINDOW_H
#define VMAFS_TAR_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct shared;
struct source;
struct tar_window;

/*
 * Windows of SOURCE, with the threads of SHARED; NULL: with none. Both must outlive them. NULL where
 * windows are of no use, since what a stream has decoded needs no call, or without memory.
 */
struct tar_window *tar_window_new(struct source *source, struct shared *shared);
void tar_window_free(struct tar_window *w); /* NULL is allowed */

static inline void cleanup_window_fn(struct tar_window **w)
{
        tar_window_free(*w);
}

#define cleanup_window __attribute__((cleanup(cleanup_window_fn)))

/*
 * The header at byte POS of the source, into the TAR_BLOCK bytes of BLOCK. False if it is not close
 * to the last one, or cannot be read: then it has to be read alone.
 */
bool tar_window_get(struct tar_window *w, uint64_t pos, unsigned char *block);

/* The next header is at byte POS: bring it into the processor's cache, if it is at hand. */
void tar_window_expect(const struct tar_window *w, uint64_t pos);

#endif
