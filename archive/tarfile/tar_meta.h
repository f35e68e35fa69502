/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the headers say of a member beyond its name and content: its kind, owner, links and extended
 * attributes, which a tree shows. The attributes are in pax records:
 *
 *   SCHILY.xattr.NAME=VALUE              star, GNU tar (in a name, %3D is '=' and %25 is '%')
 *   LIBARCHIVE.xattr.NAME=BASE64         bsdtar (in a name, %XX is a byte)
 *   RHT.security.selinux=LABEL           GNU tar
 *   SCHILY.acl.access=user::rwx,…        access control lists, as text; so .default
 */
#ifndef VMAFS_TAR_META_H
#define VMAFS_TAR_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        TAR_XATTR_VALUE_MAX = 65536, /* bytes of one value: Linux has no larger ones */
        TAR_XATTR_NAME_MAX = 255,
        TAR_XATTRS_MAX = 1 << 20,   /* bytes of all of a member's names and values */
        TAR_XATTR_COUNT_MAX = 1024, /* each is compared with those before it */
};

struct tar_meta {
        char type;     /* as in its header */
        uint32_t mode; /* permissions alone */
        uint32_t uid, gid;
        uint32_t major, minor; /* of a device */
        int64_t mtime;
        uint32_t mtime_ns;
        bool has_uid, has_gid, has_mtime; /* a pax record says so */
        char *link;                       /* target of a link, as it is; or NULL */
        char *xattrs;                     /* NAME NUL, 4 bytes of length, VALUE, and so on */
        size_t xattrs_len, xattrs_room, xattr_count;
        size_t dropped; /* attributes that are too large, too many, or not understood */
};

void tar_meta_fini(struct tar_meta *m);

/* Is a member of TYPE something else than a file, that a tree shows? */
bool tar_meta_is_other(char type);

/* Is KEY that of a record for tar_meta_take_record? */
bool tar_meta_is_record(const char *key);

/* Take the pax record KEY with its VALUE of LEN bytes, after which there is a NUL. 0 or -ENOMEM. */
int tar_meta_take_record(struct tar_meta *m, const char *key, const char *value, size_t len);

/* Take what HEADER, the member's block, says and no record did. 0 or -ENOMEM. */
int tar_meta_take_header(struct tar_meta *m, const unsigned char *header);

/* Add the attribute NAME. One that is too large or one too many is counted,
 * and one of the same name replaced. 0 or -ENOMEM. */
int tar_meta_add(struct tar_meta *m, const char *name, const void *value, size_t len);

/*
 * The access control list TEXT as the system has it, into *OUT, which the caller frees, and *LEN
 * bytes of it. 0; 1 where entries that name somebody without a number are left out; -EINVAL where it
 * is no such list; -ENOMEM.
 */
int tar_acl_parse(const char *text, unsigned char **out, size_t *len);

#endif
