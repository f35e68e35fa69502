/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VMAFS_MOUNT_LOG_H
#define VMAFS_MOUNT_LOG_H

struct index;
struct log;

/* Say what a tree's scan has found that is not shown, if anything. */
void mount_log_note(const struct log *log, const struct index *index);

/* Say what the scan of INDEX has found to be damaged or lost, if anything. */
void mount_log_damage(const struct log *log, struct index *index);

#endif
