/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fetcher: a helper that has the network and the credentials, which the process that reads the
 * archive has not, and gives it ranges of the archive, and of the index beside it (protocol.h).
 *
 *   reader    fetcher_start ── confine ── request ────────────> … ─── ends, or is killed
 *   fetcher     └─ open ── four threads, a connection each ─ data ┘     └─ the socket's end: ends
 *
 * It writes to no file but those of its spool (spool.h), runs nothing, and leaves no memory in a
 * core.
 */
#ifndef VMAFS_FETCHER_H
#define VMAFS_FETCHER_H

#include <stdbool.h>

struct error;
struct remote;
struct remote_options;

enum { FETCHER_TIMEOUT = 60 }; /* seconds, where no other is given */

/*
 * Start one for the archive at URL, which url_check has found right, and for its index if
 * WITH_INDEX; wait until they are open; and overwrite what secrets this process's environment has.
 * Call it before any thread is started. Sets *OUT, of which remote_close ends it. 0 or -errno with
 * ERR, as transfer_open; -ENOTSUP: this build has none.
 */
int fetcher_start(const char *url, const struct remote_options *options, bool with_index,
                  struct remote **out, struct error *err);

#endif
