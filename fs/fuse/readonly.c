/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fuse/readonly.h"

#include <errno.h>

void readonly_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                      struct fuse_file_info *fi)
{
        (void)ino;
        (void)attr;
        (void)to_set;
        (void)fi;
        fuse_reply_err(req, EROFS);
}

void readonly_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
        (void)parent;
        (void)name;
        (void)mode;
        (void)rdev;
        fuse_reply_err(req, EROFS);
}

void readonly_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
        (void)parent;
        (void)name;
        (void)mode;
        fuse_reply_err(req, EROFS);
}

void readonly_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        (void)parent;
        (void)name;
        fuse_reply_err(req, EROFS);
}

void readonly_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
        (void)target;
        (void)parent;
        (void)name;
        fuse_reply_err(req, EROFS);
}

void readonly_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
                     const char *newname, unsigned int flags)
{
        (void)parent;
        (void)name;
        (void)newparent;
        (void)newname;
        (void)flags;
        fuse_reply_err(req, EROFS);
}

void readonly_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
        (void)ino;
        (void)newparent;
        (void)newname;
        fuse_reply_err(req, EROFS);
}

void readonly_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                     struct fuse_file_info *fi)
{
        (void)parent;
        (void)name;
        (void)mode;
        (void)fi;
        fuse_reply_err(req, EROFS);
}

void readonly_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
        (void)ino;
        (void)buf;
        (void)size;
        (void)offset;
        (void)fi;
        fuse_reply_err(req, EROFS);
}

void readonly_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                        struct fuse_file_info *fi)
{
        (void)ino;
        (void)mode;
        (void)offset;
        (void)length;
        (void)fi;
        fuse_reply_err(req, EROFS);
}

void readonly_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                       size_t size, int flags)
{
        (void)ino;
        (void)name;
        (void)value;
        (void)size;
        (void)flags;
        fuse_reply_err(req, EROFS);
}

void readonly_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
        (void)ino;
        (void)name;
        fuse_reply_err(req, EROFS);
}
