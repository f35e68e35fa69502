/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that are no archives of ours, but that people have lying beside theirs. */
#ifndef VMAFS_FOREIGN_H
#define VMAFS_FOREIGN_H

struct error;
struct probe;

enum foreign_what {
        FOREIGN_UNKNOWN, /* nothing says */
        FOREIGN_DISK,    /* it has a partition table, a boot sector or a file system */
        FOREIGN_OTHER,   /* what holds something else, or is encrypted */
};

/* What is P of? By the thread that scans. */
enum foreign_what foreign_look(struct probe *p);

/*
 * No format has known what P is of, which is not empty: say in ERR what it is, as far as its first
 * 68 KiB and its end tell, and what to do with it. -EMEDIUMTYPE, or -ENOMEM. By the thread that
 * scans, as source_look_ahead.
 */
int foreign_refuse(struct probe *p, struct error *err);

#endif
