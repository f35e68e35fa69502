/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests for what is in a folder of archives. A file that is open keeps its archive open; others
 * that need it open it for as long as they take. What has to wait waits in the park of its archive,
 * which is scanned then.
 */
#ifndef VMAFS_MEMBER_H
#define VMAFS_MEMBER_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <stdbool.h>

struct node;
struct open_archive;
struct ops_context;
struct request;

/* For open_archives_ops: CTX is the session's struct ops_context. */
void *member_opened(void *ctx, struct open_archive *a);
void member_closing(void *ctx, void *attached);

/* R, about a node in the tree of C, could not be answered yet: wait for the scan of its archive. */
void member_park(struct ops_context *c, struct request *r);

/* Answer R with the context of the archive that its node is or is below, or park it. */
void member_ask(struct ops_context *c, struct request *r);

/* Keep the archive open whose context C is, until member_let_go of what is returned; or 0. */
uint64_t member_keep(const struct ops_context *c);
void member_let_go(uint64_t kept);

/* Answer these for N, which is no folder. */
void member_open(fuse_req_t req, struct ops_context *c, const struct node *n,
                 struct fuse_file_info *fi);
void member_release(struct ops_context *c, const struct node *n, const struct fuse_file_info *fi);
void member_read(struct ops_context *c, struct request *r, const struct fuse_file_info *fi);
void member_lseek(struct ops_context *c, struct request *r, const struct fuse_file_info *fi,
                  bool (*answer)(void *ctx, struct request *r));

#endif
