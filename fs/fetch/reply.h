/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a process that fetches says to the one that reads (protocol.h). */
#ifndef VMAFS_REPLY_H
#define VMAFS_REPLY_H

#include <stddef.h>

struct error;
struct remote_reply;

/*
 * Send HEAD, whose length is set, with LEN and MORE_LEN bytes after it. If nobody is at the other end
 * of SOCKET any more, this process ends.
 */
void reply_send(int socket, struct remote_reply *head, const void *bytes, size_t len,
                const void *more, size_t more_len);

/* The same of a failure RC, -errno, for WHY. */
void reply_failure(int socket, struct remote_reply *head, int rc, const struct error *why);

#endif
