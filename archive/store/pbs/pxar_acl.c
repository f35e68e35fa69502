/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * POSIX ACLs. pxar has an item for each entry; to Linux a list is one attribute:
 *
 *   version 4 | tag 2 | permissions 2 | id 4 | tag 2 | …      in the order of the tags
 *
 * The list of a node itself leaves out what its mode says: the owner's bits, the others', and in
 * the place of the group's those that the mask allows.
 */
#include "archive/store/pbs/pxar_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"

enum {
        VERSION = 2,
        ENTRY_LEN = 8,
        PERMISSIONS = 7, /* read, write, execute */
        BODY_MAX = 32,
};

enum tag {
        TAG_OWNER = 0x01,
        TAG_USER = 0x02,
        TAG_GROUP_OWNER = 0x04,
        TAG_GROUP = 0x08,
        TAG_MASK = 0x10,
        TAG_OTHERS = 0x20,
};

#define NO_ID   UINT32_MAX
#define NO_MASK UINT64_MAX

/* ---- taking items ---- */

static bool has_tag(const struct pxar_acl *acl, enum tag tag)
{
        for (size_t i = 0; i < acl->count; i++)
                if (acl->items[i].tag == tag)
                        return true;
        return false;
}

static int add(struct pxar_acl *acl, enum tag tag, uint64_t permissions, uint64_t id)
{
        const struct pxar_acl_entry entry = {
            .tag = (uint16_t)tag, .permissions = permissions & PERMISSIONS, .id = (uint32_t)id};

        return array_add(acl, entry);
}

/* One that a list has once. */
static int add_missing(struct pxar_acl *acl, enum tag tag, uint64_t permissions)
{
        return has_tag(acl, tag) ? 0 : add(acl, tag, permissions, NO_ID);
}

/* A user or a group, and what they may. */
static int add_named(struct pxar_acl *acl, enum tag tag, const uint8_t *body)
{
        uint64_t id = load_le64(body);

        return id < NO_ID ? add(acl, tag, load_le64(body + 8), id) : -EIO;
}

/* What a folder gives to the owner, the group and the others of what is made in it. */
static int add_base(struct pxar_acl *acl, const uint8_t *body)
{
        uint64_t mask = load_le64(body + 24);
        int rc = add_missing(acl, TAG_OWNER, load_le64(body));

        if (rc == 0)
                rc = add_missing(acl, TAG_GROUP_OWNER, load_le64(body + 8));
        if (rc == 0)
                rc = add_missing(acl, TAG_OTHERS, load_le64(body + 16));
        if (rc == 0 && mask != NO_MASK)
                rc = add_missing(acl, TAG_MASK, mask);
        return rc;
}

static size_t body_length(uint64_t type)
{
        if (type == PXAR_ACL_GROUP_OBJ)
                return 8;
        return type == PXAR_ACL_DEFAULT ? BODY_MAX : 16;
}

static int take(const struct pxar_item *item, const uint8_t *body, struct pxar_node *out)
{
        int rc;

        switch (item->type) {
        case PXAR_ACL_USER:
                return add_named(&out->acl, TAG_USER, body);
        case PXAR_ACL_GROUP:
                return add_named(&out->acl, TAG_GROUP, body);
        case PXAR_ACL_GROUP_OBJ:
                /* Then the group's bits of the mode are the mask. */
                rc = add_missing(&out->acl, TAG_MASK, out->entry.mode >> 3);
                return rc < 0 ? rc : add_missing(&out->acl, TAG_GROUP_OWNER, load_le64(body));
        case PXAR_ACL_DEFAULT:
                return add_base(&out->default_acl, body);
        case PXAR_ACL_DEFAULT_USER:
                return add_named(&out->default_acl, TAG_USER, body);
        default: /* PXAR_ACL_DEFAULT_GROUP */
                return add_named(&out->default_acl, TAG_GROUP, body);
        }
}

bool pxar_acl_is_item(uint64_t type)
{
        return type == PXAR_ACL_USER || type == PXAR_ACL_GROUP || type == PXAR_ACL_GROUP_OBJ ||
               type == PXAR_ACL_DEFAULT || type == PXAR_ACL_DEFAULT_USER ||
               type == PXAR_ACL_DEFAULT_GROUP;
}

int pxar_acl_take(struct pxar *p, uint64_t pos, const struct pxar_item *item, struct pxar_node *out,
                  struct error *err)
{
        uint8_t body[BODY_MAX];
        size_t len = body_length(item->type);
        int rc;

        if (item->size - PXAR_HEADER != len)
                return error_set_at(err, EIO, pos, "has an ACL of a wrong length");
        rc = pxar_read(p->meta, body, len, pos + PXAR_HEADER, err);
        if (rc < 0)
                return rc;
        rc = take(item, body, out);
        if (rc == -EIO)
                return error_set_at(err, EIO, pos, "has an ACL for an id that cannot be");
        return rc < 0 ? error_set(err, ENOMEM, "out of memory") : 0;
}

/* ---- the attributes ---- */

static int by_tag(const void *a, const void *b)
{
        const struct pxar_acl_entry *x = a, *y = b;

        if (x->tag != y->tag)
                return x->tag < y->tag ? -1 : 1;
        return x->id < y->id ? -1 : x->id > y->id;
}

/*
 * Add what MODE says of a list. Linux takes none without that, and none with named entries without
 * a mask.
 */
static int complete(struct pxar_acl *acl, mode_t mode)
{
        int rc = 0;

        if (has_tag(acl, TAG_USER) || has_tag(acl, TAG_GROUP))
                rc = add_missing(acl, TAG_MASK, mode >> 3);
        if (rc == 0)
                rc = add_missing(acl, TAG_OWNER, mode >> 6);
        if (rc == 0)
                rc = add_missing(acl, TAG_GROUP_OWNER, mode >> 3);
        return rc < 0 ? rc : add_missing(acl, TAG_OTHERS, mode);
}

/* ACL as the attribute NAME of OUT. */
static int put(struct pxar_acl *acl, const char *name, uint64_t pos, struct pxar_node *out,
               struct error *err)
{
        size_t name_len = strlen(name) + 1, len = name_len + 4 + acl->count * ENTRY_LEN;
        cleanup_free char *body = malloc(len);
        uint8_t *at;

        if (!body)
                return error_set(err, ENOMEM, "out of memory");
        memcpy(body, name, name_len);
        at = (uint8_t *)body + name_len;
        store_le32(at, VERSION);
        at += 4;
        qsort(acl->items, acl->count, sizeof *acl->items, by_tag);
        for (size_t i = 0; i < acl->count; i++, at += ENTRY_LEN) {
                store_le32(at, acl->items[i].tag | (uint32_t)acl->items[i].permissions << 16);
                store_le32(at + 4, acl->items[i].id);
        }
        return pxar_node_add_xattr(out, steal_ptr(&body), len, pos, err);
}

int pxar_acl_finish(struct pxar_node *out, uint64_t pos, struct error *err)
{
        mode_t mode = out->entry.mode;
        int rc = 0;

        if (out->acl.count && !S_ISLNK(mode)) {
                if (complete(&out->acl, mode) < 0)
                        return error_set(err, ENOMEM, "out of memory");
                rc = put(&out->acl, "system.posix_acl_access", pos, out, err);
        }
        if (rc == 0 && out->default_acl.count && S_ISDIR(mode)) {
                if (complete(&out->default_acl, 0) < 0)
                        return error_set(err, ENOMEM, "out of memory");
                rc = put(&out->default_acl, "system.posix_acl_default", pos, out, err);
        }
        return rc;
}
