/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parent of a snapshot or a linked clone: what no part of the disk has is read from it. It is a
 * VMDK image whose CID is the one that the child remembers: a program that writes to an image gives
 * it another.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/backing.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/vmdk/vmdk.h"

/* ---- its name ---- */

/*
 * What follows the last slash or backslash of HINT: to a copy of a machine's folder the absolute
 * path of the parent, or one of Windows, leads nowhere. NULL: HINT is neither.
 */
static const char *leaf(const char *hint)
{
        const char *slash = strrchr(hint, '/'), *backslash = strrchr(hint, '\\');
        const char *last = backslash && (!slash || backslash > slash) ? backslash : slash;

        if (!last || (hint[0] != '/' && !backslash) || last[1] == '\0')
                return NULL;
        return last + 1;
}

static int open_by_name(const struct vmdk_descriptor *d, const struct archive_origin *origin,
                        struct backing **out, struct error *err)
{
        const char *hint = d->hint, *other = leaf(hint);
        int rc;

        while (hint[0] == '.' && hint[1] == '/')
                hint += 2;
        rc = backing_open(origin, "parent", hint, out, err);
        /* What the hint itself says is what a person wants to know. */
        if (rc < 0 && other && backing_open(origin, "parent", other, out, NULL) == 0)
                return 0;
        return rc;
}

/* ---- is it the right one? ---- */

/* The number that TEXT, a CID, stands for. */
static bool parse_cid(const char *text, unsigned long *out)
{
        char *end;

        *out = strtoul(text, &end, 16);
        return end != text && *end == '\0';
}

static int check_cid(const struct vmdk *v, const struct vmdk_descriptor *d, struct error *err)
{
        const struct archive *parent = backing_archive(v->parent);
        const struct vmdk *p = (const struct vmdk *)parent;
        unsigned long wanted, found;

        if (parent->ops != &vmdk_format)
                return error_set(err, EIO, "has the parent %.200s, which is of another format (%s)",
                                 d->hint, parent->ops->name);
        if (parse_cid(d->parent, &wanted) && parse_cid(p->cid, &found) && wanted == found)
                return 0;
        return error_set(err, EIO,
                         "was made on a parent with the CID %s; its parent %.200s has the CID %s: "
                         "it was changed since, or is another image",
                         d->parent[0] ? d->parent : "(none)", d->hint,
                         p->cid[0] ? p->cid : "(none)");
}

int vmdk_open_parent(struct vmdk *v, const struct vmdk_descriptor *d,
                     const struct archive_origin *origin, struct error *err)
{
        const char *above;
        int rc;

        if (!d->hint[0])
                return error_set(err, EIO,
                                 "is a snapshot or a linked clone, and does not say the name of "
                                 "its parent (parentFileNameHint)");
        v->base.many_files = true;
        rc = open_by_name(d, origin, &v->parent, err);
        if (rc == 0)
                rc = check_cid(v, d, err);
        if (rc < 0)
                return rc;
        above = backing_archive(v->parent)->info.note;
        snprintf(v->base.info.note, sizeof v->base.info.note, "made on %.100s%s%.120s", d->hint,
                 above[0] ? ", which was " : "", above);
        return 0;
}

/* ---- has anything changed? ---- */

int vmdk_check(struct archive *a)
{
        const struct vmdk *v = (const struct vmdk *)a;
        int rc = source_check(v->base.source, NULL);

        for (size_t i = 0; i < v->parts.count && rc == 0; i++)
                if (v->parts.items[i].owned)
                        rc = source_check(v->parts.items[i].owned, NULL);
        return rc == 0 && v->parent ? backing_check(v->parent) : rc;
}
