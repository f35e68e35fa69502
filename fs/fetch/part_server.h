/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fetches parts of many objects in an S3 bucket by one connection that is kept (remote_part.h). */
#ifndef VMAFS_PART_SERVER_H
#define VMAFS_PART_SERVER_H

struct transfer_server;

/*
 * Give by SERVER what is asked for on SOCKET of objects in the bucket at BUCKET, an address that ends
 * in '/', whose keys begin with PREFIX. The process ends with whoever asks.
 */
_Noreturn void part_serve(struct transfer_server *server, const char *bucket, const char *prefix,
                          int socket);

#endif
