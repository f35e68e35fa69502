/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The items that a pxar archive consists of, and one node of them. For the files of the reader
 * alone; pxar.h has the picture.
 *
 *   item   type 8 | full size 8 | body
 *   node   FILENAME, then ENTRY, attributes, and what it is:  PAYLOAD | PAYLOAD_REF | SYMLINK | …
 *          FILENAME, then HARDLINK
 */
#ifndef VMAFS_PXAR_INTERNAL_H
#define VMAFS_PXAR_INTERNAL_H

#include <stdint.h>

#include "archive/array.h"
#include "archive/store/pbs/pxar.h"

enum { PXAR_HEADER = 16 };

#define PXAR_FORMAT_VERSION UINT64_C(0x730f6c75df16a40d)
#define PXAR_PRELUDE        UINT64_C(0xe309d79d9f7b771b)
#define PXAR_ENTRY          UINT64_C(0xd5956474e588acef)
#define PXAR_ENTRY_V1       UINT64_C(0x11da850a1c1cceff)
#define PXAR_FILENAME       UINT64_C(0x16701121063917b3)
#define PXAR_SYMLINK        UINT64_C(0x27f971e7dbf5dc5f)
#define PXAR_HARDLINK       UINT64_C(0x51269c8422bd7275)
#define PXAR_DEVICE         UINT64_C(0x9fc9e906586d5ce9)
#define PXAR_XATTR          UINT64_C(0x0dab0229b57dcd03)
#define PXAR_FCAPS          UINT64_C(0x2da9dd9db5f7fb67)
#define PXAR_PAYLOAD        UINT64_C(0x28147a1b0b7c1a25)
#define PXAR_PAYLOAD_REF    UINT64_C(0x419d3d6bc4ba977e)
#define PXAR_GOODBYE        UINT64_C(0x2fec4fa642d5731d)

#define PXAR_ACL_USER          UINT64_C(0x2ce8540a457d55b8)
#define PXAR_ACL_GROUP         UINT64_C(0x136e3eceb04c03ab)
#define PXAR_ACL_GROUP_OBJ     UINT64_C(0x10868031e9582876)
#define PXAR_ACL_DEFAULT       UINT64_C(0xbbbb13415a6896f5)
#define PXAR_ACL_DEFAULT_USER  UINT64_C(0xc89357b40532cd1f)
#define PXAR_ACL_DEFAULT_GROUP UINT64_C(0xf90a8a5816038ffe)

struct pxar {
        struct volume *meta;
        struct volume *payload; /* NULL: version 1 */
};

struct pxar_item {
        uint64_t type;
        uint64_t size; /* with its header */
};

/*
 * Read LEN bytes at POS of V, whatever they are stored as. 0; -EIO past the end and for what is
 * lost; and what V gave.
 */
int pxar_read(struct volume *v, void *buf, size_t len, uint64_t pos, struct error *err);

/* The header of the item at POS, all of which is before END. 0 or -EIO, with ERR. */
int pxar_read_item(struct volume *v, uint64_t pos, uint64_t end, struct pxar_item *out,
                   struct error *err);

/* An access control list; its entries are as Linux has them. */
struct pxar_acl_entry {
        uint16_t tag, permissions;
        uint32_t id;
};

struct pxar_acl {
        struct pxar_acl_entry *items;
        size_t count, room;
};

/* A node, and the memory that its entry points into. */
struct pxar_node {
        struct pxar_entry entry;
        uint64_t entry_start; /* of its ENTRY */
        char *name, *same_name, *target;
        struct pxar_xattr
            *xattrs; /* as many as the entry says; a name and its value are one piece of memory */
        size_t attribute_bytes;
        struct pxar_acl acl, default_acl; /* collected while the node is parsed */
};

/*
 * The node whose FILENAME is at START, all but a folder's children before END. 0, -EIO with the
 * reason in ERR where it cannot be, -ENOMEM, and what reading gave. pxar_node_fini in any case.
 */
int pxar_parse_node(struct pxar *p, uint64_t start, uint64_t end, struct pxar_node *out,
                    struct error *err);

/* The same of the root, which has no name, and its ENTRY at START. */
int pxar_parse_root(struct pxar *p, uint64_t start, uint64_t end, struct pxar_node *out,
                    struct error *err);

void pxar_node_fini(struct pxar_node *node);

/*
 * Give the node at POS an attribute: TAKE_BODY, LEN bytes, is a name, NUL, and a value. 0, -EIO
 * where it cannot be, -ENOMEM.
 */
int pxar_node_add_xattr(struct pxar_node *node, char *take_body, size_t len, uint64_t pos,
                        struct error *err);

/* Is an item of TYPE an entry of an access control list? */
bool pxar_acl_is_item(uint64_t type);

/* Take such an item at POS for OUT. 0, -EIO where it cannot be, -ENOMEM, and what reading gave. */
int pxar_acl_take(struct pxar *p, uint64_t pos, const struct pxar_item *item, struct pxar_node *out,
                  struct error *err);

/* All items of OUT, the node at POS, were taken: give it its lists as attributes. 0 or -ENOMEM. */
int pxar_acl_finish(struct pxar_node *out, uint64_t pos, struct error *err);

#endif
