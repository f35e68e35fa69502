/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The attributes and extended attributes of the nodes of a tree. Knows the index, but not FUSE. */
#ifndef VMAFS_VIEW_H
#define VMAFS_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

struct archives;
struct datastore;
struct index;
struct node;

/* The owner of nodes for which the archive records none. */
struct view_owner {
        unsigned uid;
        unsigned gid;
        unsigned umask; /* bits withheld from 0666 and 0777 */
};

/* The tree of an archive, a datastore or a folder of archives, as OWNER sees it: two are NULL. */
struct view {
        struct index *index;
        struct datastore *datastore;
        struct archives *archives;
        struct view_owner owner;
};

/*
 * Find out what view_stat says of N, as far as that has to be read: view_stat itself does not wait.
 * What cannot be read now is read next time.
 */
void view_count(const struct view *v, struct node *n);

/* Is there nothing to be found out? */
bool view_is_counted(const struct view *v, const struct node *n);

/* Attributes of N now. False where its size is not known yet: its index is not sealed. */
bool view_stat(const struct view *v, struct node *n, struct stat *st);

/* May these attributes be kept for ever? */
bool view_stat_final(const struct view *v, const struct node *n);

/* May they be kept for a second? For what others change in a folder of archives. */
bool view_stat_keeps(const struct view *v, const struct node *n);

/*
 * Before NAME is looked up in the folder N, or it is listed (NULL): take in what has changed in it.
 * 0 or -errno.
 */
int view_refresh(const struct view *v, struct node *n, const char *name);

/* May what is in the folder N, and what is not, be kept for ever? */
bool view_folder_final(const struct view *v, const struct node *n);

void view_statfs(const struct view *v, struct statvfs *st);

/*
 * Write the value of N's attribute NAME to OUT, which has SIZE bytes. Returns its length, even if
 * that is more than SIZE (then OUT is unused), -ENODATA, or -EAGAIN: it is not known yet.
 */
ssize_t view_getxattr(const struct view *v, const struct node *n, const char *name, char *out,
                      size_t size);

/* Attributes that an archive has recorded: NAME NUL, 4 bytes of length, VALUE, and so on. */
struct view_xattrs {
        const char *at;
        size_t len;
};

/* The same of those alone, and all of their names. */
ssize_t view_recorded(const struct view_xattrs *x, const char *name, char *out, size_t size);
ssize_t view_recorded_names(const struct view_xattrs *x, char *out, size_t size);

/* The names, each with its NUL. As view_getxattr. */
ssize_t view_listxattr(const struct view *v, const struct node *n, char *out, size_t size);

#endif
