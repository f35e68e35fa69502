/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Objects on a server, as sources. Another process, the fetcher, has the network and the
 * credentials; this one asks it for ranges (protocol.h), and checks what it gets:
 *
 *   source_pread ──> pieces in memory ──request──> fetcher ──> server
 *                         ^────── thread ──reply──────┘
 *
 * A read asks for all that it needs at once, in several requests, which are answered in parallel,
 * and for more if it goes on from an earlier one (range_ahead.h).
 *
 * An archive may consist of several objects: those that it names are opened by the same fetcher.
 *
 * Errors: -ESTALE once one of them was replaced on the server, for ever; -EREMOTEIO if it cannot be
 * read now, which is no damage of the archive: after a pause it is tried again.
 */
#ifndef VMAFS_REMOTE_H
#define VMAFS_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "archive/source/remote/protocol.h"

struct error;
struct remote;
struct source;

/* How a server is reached, as the user has it; NULL or 0: the default. */
struct remote_options {
        const char *endpoint; /* of what speaks S3 */
        const char *cafile;   /* certificates of authorities that are trusted */
        unsigned timeout;     /* seconds */
        bool below;           /* an archive may name what is below its folder, not only beside it */
        const char *spool;    /* a folder for what was fetched: the first spool_len bytes */
        size_t spool_len;
        uint64_t spool_bytes; /* how much may be in it */
};

enum {
        REMOTE_CACHE = 64 << 20, /* bytes of all objects of an archive in memory, at most … */
        REMOTE_CACHE_SHARE = 16 << 20, /* … where it is one of many */
        REMOTE_PAUSE = 2,              /* seconds, after a failure */
};

/*
 * Wait until the fetcher PID (0: it is another process's child, one of many) at the other end of the socket TAKE_FD has opened the object, and looked
 * for its index if WITH_INDEX. Sets *OUT, which remote_close closes after the sources. 0, or -errno
 * with what the fetcher says in ERR.
 */
int remote_open(int take_fd, pid_t pid, bool with_index, struct remote **out, struct error *err);

/* End the fetcher. NULL is allowed. */
void remote_close(struct remote *r);

/*
 * A new source of OBJECT. Starts a thread. Sets *OUT. 0; -ENOENT: the server has no such object;
 * or another -errno, with ERR. Its operations are thread-safe.
 */
int remote_source(struct remote *r, enum remote_object object, struct source **out,
                  struct error *err);

/*
 * A new source of the object NAME, from the folder of the archive, which has a source. Waits until the
 * fetcher has opened it. Sets *OUT. 0, or -errno with what the fetcher says in ERR. Thread-safe.
 */
int remote_named(struct remote *r, const char *name, struct source **out, struct error *err);

/* What tells the archive from another, and from itself before it was replaced. */
void remote_identity(const struct remote *r, uint64_t *size, uint64_t *version);

/* Why the archive could not be read last, if it could not be since. False: nothing failed. */
bool remote_failure(struct remote *r, struct error *err);

#endif
