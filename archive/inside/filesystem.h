/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which file system a volume has, by the marks in its first blocks.
 *
 * Not with libblkid: it wants a file descriptor, and reads both ends of the device and more, but a
 * disk of an archive that is still being indexed has only those blocks that are known. It would be
 * one more library that parses hostile bytes, for a word that is only shown.
 */
#ifndef VMAFS_FILESYSTEM_H
#define VMAFS_FILESYSTEM_H

struct volume;

/*
 * Sets *OUT to the name, as blkid has it ("ext4", "LVM2_member"); NULL: it is none that is known.
 * 0; -EAGAIN where what is needed is not known yet, or as volume_read.
 */
int filesystem_look(struct volume *v, const char **out);

#endif
