/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A volume as a source: what is inside of a disk is read from it. */
#ifndef VMAFS_VOLUME_SOURCE_H
#define VMAFS_VOLUME_SOURCE_H

struct source;
struct volume;

/*
 * V as a source, whose bytes lie in BELOW, of which it has the state and the times; both stay the
 * caller's, and outlive *OUT. What is lost fails with -EIO, what is unknown with -EAGAIN. 0 or
 * -ENOMEM.
 */
int source_open_volume(struct volume *v, struct source *below, struct source **out);

#endif
