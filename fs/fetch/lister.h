/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists a folder in an S3 bucket: the names that begin with a prefix, up to the next '/'. */
#ifndef VMAFS_LISTER_H
#define VMAFS_LISTER_H

struct transfer_server;

/*
 * List by SERVER what is in the bucket at BUCKET, an address that ends in '/', below PREFIX, and say it
 * on SOCKET (protocol.h). Then the process ends. Left out are names that no folder can have: an
 * empty one, "." and "..", and one with a NUL.
 */
_Noreturn void lister_serve(struct transfer_server *server, const char *bucket, const char *prefix,
                            int socket);

#endif
