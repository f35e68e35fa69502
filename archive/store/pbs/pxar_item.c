/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/store/pbs/pxar_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/volume.h"

enum {
        ENTRY_BODY = 40,
        ENTRY_V1_BODY = 32,
        ITEMS_MAX = 4096, /* of one node */
        XATTR_NAME_MAX = 255,
        TARGET_MAX = 4096,
        CAPABILITIES_MAX = 1024,
        NANOSECONDS = 1000 * 1000 * 1000,
};

/* ---- bytes and items ---- */

int pxar_read(struct volume *v, void *buf, size_t len, uint64_t pos, struct error *err)
{
        int rc;

        if (!range_within(pos, len, v->size))
                return error_set_at(err, EIO, pos, "ends where more should follow");
        rc = volume_read(v, buf, len, pos);
        return rc < 0 ? error_set_at(err, -rc, pos, "cannot be read: %s", strerror(-rc)) : 0;
}

int pxar_read_item(struct volume *v, uint64_t pos, uint64_t end, struct pxar_item *out,
                   struct error *err)
{
        uint8_t header[PXAR_HEADER];
        int rc;

        if (!range_within(pos, PXAR_HEADER, end))
                return error_set_at(err, EIO, pos, "ends where an item should follow");
        rc = pxar_read(v, header, sizeof header, pos, err);
        if (rc < 0)
                return rc;
        *out = (struct pxar_item){load_le64(header), load_le64(header + 8)};
        if (out->size < PXAR_HEADER || out->size > end - pos)
                return error_set_at(err, EIO, pos, "has an item that reaches past its folder");
        return 0;
}

/* The body of ITEM at POS, which has from MIN to MAX bytes, with a NUL after it. */
static int read_body(struct pxar *p, uint64_t pos, const struct pxar_item *item, size_t min,
                     size_t max, char **out, size_t *len, struct error *err)
{
        uint64_t bytes = item->size - PXAR_HEADER;
        cleanup_free char *body = NULL;
        int rc;

        if (bytes < min || bytes > max)
                return error_set_at(err, EIO, pos, "has an item of a length that cannot be");
        body = malloc((size_t)bytes + 1);
        if (!body)
                return error_set(err, ENOMEM, "out of memory");
        rc = pxar_read(p->meta, body, (size_t)bytes, pos + PXAR_HEADER, err);
        if (rc < 0)
                return rc;
        body[bytes] = '\0';
        *len = (size_t)bytes;
        *out = steal_ptr(&body);
        return 0;
}

/* ---- what a node consists of ---- */

static bool is_name(const char *name, size_t len)
{
        return len > 1 && strlen(name) == len - 1 && !strchr(name, '/') && strcmp(name, ".") != 0 &&
               strcmp(name, "..") != 0;
}

static int parse_name(struct pxar *p, uint64_t pos, const struct pxar_item *item,
                      struct pxar_node *out, struct error *err)
{
        size_t len;
        int rc;

        if (item->type != PXAR_FILENAME)
                return error_set_at(err, EIO, pos, "has no name where a folder says");
        rc = read_body(p, pos, item, 2, PXAR_NAME_MAX, &out->name, &len, err);
        if (rc < 0)
                return rc;
        out->entry.name = out->name;
        return is_name(out->name, len) ? 0
                                       : error_set_at(err, EIO, pos, "has a name that cannot be");
}

static int parse_stat(struct pxar *p, uint64_t pos, const struct pxar_item *item,
                      struct pxar_entry *e, struct error *err)
{
        size_t wanted = item->type == PXAR_ENTRY ? ENTRY_BODY : ENTRY_V1_BODY;
        uint8_t body[ENTRY_BODY];
        int rc;

        if (item->size - PXAR_HEADER != wanted)
                return error_set_at(err, EIO, pos, "has an entry of a wrong length");
        rc = pxar_read(p->meta, body, wanted, pos + PXAR_HEADER, err);
        if (rc < 0)
                return rc;
        e->mode = (mode_t)load_le64(body);
        e->uid = load_le32(body + 16);
        e->gid = load_le32(body + 20);
        e->mtime.tv_sec = (time_t)load_le64(body + 24);
        if (item->type == PXAR_ENTRY) {
                e->mtime.tv_nsec = load_le32(body + 32) % NANOSECONDS;
        } else {
                e->mtime.tv_nsec = (long)(load_le64(body + 24) % NANOSECONDS);
                e->mtime.tv_sec = (time_t)(load_le64(body + 24) / NANOSECONDS);
        }
        return 0;
}

int pxar_node_add_xattr(struct pxar_node *out, char *take_body, size_t len, uint64_t pos,
                        struct error *err)
{
        cleanup_free char *body = take_body;
        size_t name_len = strlen(body) + 1;
        struct pxar_xattr *grown;

        if (name_len > len || name_len == 1 || name_len > XATTR_NAME_MAX + 1)
                return error_set_at(err, EIO, pos, "has an attribute whose name cannot be");
        out->attribute_bytes += len;
        if (out->attribute_bytes > PXAR_ATTRIBUTES_MAX)
                return error_set_at(err, EIO, pos, "has more attributes than can be");
        grown = reallocarray(out->xattrs, out->entry.xattr_count + 1, sizeof *grown);
        if (!grown)
                return error_set(err, ENOMEM, "out of memory");
        out->xattrs = grown;
        out->entry.xattrs = grown;
        grown[out->entry.xattr_count++] =
            (struct pxar_xattr){.name = body, .value = body + name_len, .len = len - name_len};
        steal_ptr(&body);
        return 0;
}

/* A file's capabilities have an item of their own, which is the value alone. */
static int parse_capabilities(struct pxar *p, uint64_t pos, const struct pxar_item *item,
                              struct pxar_node *out, struct error *err)
{
        static const char name[] = "security.capability";
        cleanup_free char *value = NULL, *body = NULL;
        size_t len;
        int rc = read_body(p, pos, item, 0, CAPABILITIES_MAX, &value, &len, err);

        if (rc < 0)
                return rc;
        body = malloc(sizeof name + len);
        if (!body)
                return error_set(err, ENOMEM, "out of memory");
        memcpy(body, name, sizeof name);
        memcpy(body + sizeof name, value, len);
        return pxar_node_add_xattr(out, steal_ptr(&body), sizeof name + len, pos, err);
}

static int parse_xattr(struct pxar *p, uint64_t pos, const struct pxar_item *item,
                       struct pxar_node *out, struct error *err)
{
        char *body;
        size_t len;
        int rc = read_body(p, pos, item, 1, PXAR_ATTRIBUTES_MAX, &body, &len, err);

        return rc < 0 ? rc : pxar_node_add_xattr(out, body, len, pos, err);
}

static int parse_target(struct pxar *p, uint64_t pos, const struct pxar_item *item,
                        struct pxar_node *out, struct error *err)
{
        size_t len;
        int rc = read_body(p, pos, item, 2, TARGET_MAX, &out->target, &len, err);

        if (rc < 0)
                return rc;
        out->entry.target = out->target;
        return strlen(out->target) == len - 1
                   ? 0
                   : error_set_at(err, EIO, pos, "has a link whose target cannot be");
}

static int parse_device(struct pxar *p, uint64_t pos, const struct pxar_item *item,
                        struct pxar_entry *e, struct error *err)
{
        uint8_t body[16];
        int rc;

        if (item->size - PXAR_HEADER != sizeof body)
                return error_set_at(err, EIO, pos, "has a device of a wrong length");
        rc = pxar_read(p->meta, body, sizeof body, pos + PXAR_HEADER, err);
        if (rc == 0)
                e->rdev = makedev((unsigned)load_le64(body), (unsigned)load_le64(body + 8));
        return rc;
}

static int parse_reference(struct pxar *p, uint64_t pos, const struct pxar_item *item,
                           struct pxar_entry *e, struct error *err)
{
        uint8_t body[16];
        int rc;

        if (item->size - PXAR_HEADER != sizeof body || !p->payload)
                return error_set_at(err, EIO, pos, "has a reference that cannot be");
        rc = pxar_read(p->meta, body, sizeof body, pos + PXAR_HEADER, err);
        if (rc < 0)
                return rc;
        e->in_payload = true;
        e->offset = load_le64(body);
        e->size = load_le64(body + 8);
        return 0;
}

/* ---- a node ---- */

/* What must follow a mode's attributes; 0: nothing of its own. */
static uint64_t wanted_item(const struct pxar_entry *e)
{
        if (S_ISLNK(e->mode))
                return PXAR_SYMLINK;
        if (S_ISBLK(e->mode) || S_ISCHR(e->mode))
                return PXAR_DEVICE;
        return S_ISREG(e->mode) ? PXAR_PAYLOAD : 0;
}

/* Take the item if it is the one after the attributes that says what the node is. */
static int parse_kind(struct pxar *p, uint64_t pos, const struct pxar_item *item,
                      struct pxar_node *out, struct error *err)
{
        struct pxar_entry *e = &out->entry;

        switch (item->type) {
        case PXAR_SYMLINK:
                return parse_target(p, pos, item, out, err);
        case PXAR_DEVICE:
                return parse_device(p, pos, item, e, err);
        case PXAR_PAYLOAD_REF:
                return parse_reference(p, pos, item, e, err);
        default: /* PXAR_PAYLOAD */
                e->offset = pos + PXAR_HEADER;
                e->size = item->size - PXAR_HEADER;
                return 0;
        }
}

/* From AT on, after the ENTRY: the attributes, and what the node is. */
static int parse_rest(struct pxar *p, uint64_t at, uint64_t end, struct pxar_node *out,
                      struct error *err)
{
        uint64_t wanted = wanted_item(&out->entry);

        for (unsigned n = 0; n < ITEMS_MAX; n++) {
                struct pxar_item item;
                int rc = pxar_read_item(p->meta, at, end, &item, err);
                uint64_t kind;

                if (rc < 0)
                        return wanted ? rc : 0;
                kind = item.type == PXAR_PAYLOAD_REF ? PXAR_PAYLOAD : item.type;
                if (wanted && kind == wanted)
                        return parse_kind(p, at, &item, out, err);
                if (kind == PXAR_FILENAME || kind == PXAR_GOODBYE || kind == PXAR_PAYLOAD)
                        return wanted ? error_set_at(err, EIO, at, "does not say what a node is")
                                      : 0;
                if (item.type == PXAR_XATTR)
                        rc = parse_xattr(p, at, &item, out, err);
                else if (item.type == PXAR_FCAPS)
                        rc = parse_capabilities(p, at, &item, out, err);
                else if (pxar_acl_is_item(item.type))
                        rc = pxar_acl_take(p, at, &item, out, err);
                if (rc < 0)
                        return rc;
                at += item.size;
        }
        return error_set_at(err, EIO, at, "has more attributes than can be");
}

static bool is_known_kind(mode_t mode)
{
        return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISBLK(mode) || S_ISCHR(mode) ||
               S_ISFIFO(mode) || S_ISSOCK(mode);
}

/* From its ENTRY at AT on. */
static int parse_entry(struct pxar *p, uint64_t at, uint64_t end, struct pxar_node *out,
                       struct error *err)
{
        struct pxar_item item;
        int rc = pxar_read_item(p->meta, at, end, &item, err);

        if (rc < 0)
                return rc;
        if (item.type != PXAR_ENTRY && item.type != PXAR_ENTRY_V1)
                return error_set_at(err, EIO, at, "has a name without an entry");
        out->entry_start = at;
        rc = parse_stat(p, at, &item, &out->entry, err);
        if (rc < 0)
                return rc;
        if (!is_known_kind(out->entry.mode))
                return error_set_at(err, EIO, at, "has a node of an unknown kind");
        rc = parse_rest(p, at + item.size, end, out, err);
        return rc < 0 ? rc : pxar_acl_finish(out, at, err);
}

/*
 * Another name of the regular file whose FILENAME lies before START by as much as the item at POS
 * says: all but the name is that one's.
 */
static int parse_hard_link(struct pxar *p, uint64_t pos, uint64_t start, struct pxar_node *out,
                           struct error *err)
{
        struct pxar_item item;
        uint64_t distance, target;
        uint8_t body[8];
        size_t len;
        int rc = pxar_read(p->meta, body, sizeof body, pos + PXAR_HEADER, err);

        if (rc < 0)
                return rc;
        distance = load_le64(body);
        if (distance == 0 || distance > start)
                return error_set_at(err, EIO, pos,
                                    "has a hard link to what does not come before it");
        target = start - distance;
        rc = pxar_read_item(p->meta, target, start, &item, err);
        if (rc < 0)
                return rc;
        if (item.type != PXAR_FILENAME)
                return error_set_at(err, EIO, pos, "has a hard link to no file");
        rc = read_body(p, target, &item, 2, PXAR_NAME_MAX, &out->same_name, &len, err);
        if (rc < 0)
                return rc;
        if (!is_name(out->same_name, len))
                return error_set_at(err, EIO, target, "has a name that cannot be");
        out->entry.same_name = out->same_name;
        rc = parse_entry(p, target + item.size, start, out, err);
        if (rc == 0 && !S_ISREG(out->entry.mode))
                return error_set_at(err, EIO, pos, "has a hard link to no file");
        out->entry.same_as = target;
        return rc;
}

int pxar_parse_node(struct pxar *p, uint64_t start, uint64_t end, struct pxar_node *out,
                    struct error *err)
{
        struct pxar_item item;
        uint64_t at;
        int rc;

        *out = (struct pxar_node){.entry = {.id = start}};
        rc = pxar_read_item(p->meta, start, end, &item, err);
        if (rc == 0)
                rc = parse_name(p, start, &item, out, err);
        if (rc < 0)
                return rc;
        at = start + item.size;
        rc = pxar_read_item(p->meta, at, end, &item, err);
        if (rc < 0)
                return rc;
        return item.type == PXAR_HARDLINK ? parse_hard_link(p, at, start, out, err)
                                          : parse_entry(p, at, end, out, err);
}

int pxar_parse_root(struct pxar *p, uint64_t start, uint64_t end, struct pxar_node *out,
                    struct error *err)
{
        int rc;

        *out = (struct pxar_node){.entry = {.name = ""}};
        rc = parse_entry(p, start, end, out, err);
        if (rc == 0 && !S_ISDIR(out->entry.mode))
                return error_set_at(err, EIO, start, "has a root that is no folder");
        return rc;
}

void pxar_node_fini(struct pxar_node *node)
{
        for (size_t i = 0; i < node->entry.xattr_count; i++)
                free((void *)(uintptr_t)node->xattrs[i].name);
        array_free(&node->acl);
        array_free(&node->default_acl);
        free(node->xattrs);
        free(node->name);
        free(node->same_name);
        free(node->target);
}
