/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How libfuse reads from the FUSE device and writes to it: as it would by itself, but the answer to
 * the kernel's first request also says what libfuse leaves out of it.
 *
 * libfuse before 3.17 takes FUSE_CAP_PARALLEL_DIROPS in conn->want, and never tells the kernel. Then
 * the kernel sends one lookup or readdir of a folder at a time, and whoever waits for the others
 * cannot even be killed.
 */
#ifndef VMAFS_DEVICE_H
#define VMAFS_DEVICE_H

struct fuse_session;

/*
 * Use the open FUSE device TAKE_FD, which fuse_session_destroy closes. SE's userdata is a struct
 * ops_context. 0; or -errno, and the caller keeps the descriptor.
 */
int device_use(struct fuse_session *se, int take_fd);

#endif
