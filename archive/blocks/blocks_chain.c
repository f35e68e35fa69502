/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parents of an image: what it does not have is read from the next one.
 *
 *   image ──> parent ──> parent … at most 15
 *
 * Their names come from the image, so an image can name any file of the host: none is opened
 * without the person's word, and then only where that allows.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/blocks/blocks.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"

/*
 * The path that NAME, said by the file at PATH, stands for; both are seen from the first image's
 * folder, as long as they are not absolute. A new string, or NULL: out of memory.
 */
static char *resolve(const char *path, const char *name)
{
        const char *slash = strrchr(path, '/');
        int len = slash ? (int)(slash - path) + 1 : 0;
        char *out;

        if (name[0] == '/')
                return strdup(name);
        while (name[0] == '.' && name[1] == '/')
                name += 2;
        return asprintf(&out, "%.*s%s", len, path, name) < 0 ? NULL : out;
}

/* Open the parent of ABOVE, which is at *PATH, by the first name that leads to a file. */
static int open_file(const struct blocks_layer *above, char **path,
                     const struct archive_origin *origin, struct source **out, struct error *err)
{
        enum neighbour_reach reach =
            origin->neighbours ? origin->neighbours->farthest : NEIGHBOUR_BELOW;
        int rc = error_set(err, EIO, "has a parent, and does not say its name");

        for (unsigned i = 0; i < above->parent.count; i++) {
                cleanup_free char *next = resolve(*path, above->parent.list[i]);
                struct error why = {0};
                int tried =
                    next ? archive_open_named(origin, "has the parent", next, reach, out, &why)
                         : error_set(&why, ENOMEM, "out of memory");

                if (tried == 0) {
                        free(*path);
                        *path = steal_ptr(&next);
                        return 0;
                }
                /* What the likeliest name says is what a person wants to know. */
                if (i == 0) {
                        rc = tried;
                        if (err)
                                *err = why;
                }
        }
        return rc;
}

static int open_raw(struct blocks_layer *l)
{
        l->kind = NULL;
        l->flat = true;
        l->size = l->file_size;
        return 0;
}

static int open_layer(struct blocks *b, const struct blocks_layer *above, struct blocks_layer *l,
                      struct error *err)
{
        struct error why = {0};
        int rc;

        l->source = l->owned;
        l->number = b->count;
        l->kind = above->kind;
        l->doubted_from = l->end_byte = UINT64_MAX;
        l->file_size = min_u64(l->source->size, BLOCKS_FILE_MAX);
        b->count++;
        if (above->kind->parent_is_raw)
                return open_raw(l);
        rc = above->kind->read_header(l, &why);
        if (rc == 0 && above->kind->check_parent)
                rc = above->kind->check_parent(above, l, &why);
        return rc < 0 ? error_set(err, -rc, "its parent %.150s %.200s", above->parent.list[0],
                                  why.text)
                      : 0;
}

int blocks_open_chain(struct blocks *b, const struct archive_origin *origin, struct error *err)
{
        const struct blocks_layer *above = &b->layers[0];
        cleanup_free char *path = strdup("");
        int rc = 0;

        if (!above->has_parent)
                return 0;
        if (origin->neighbours && origin->neighbours->farthest == NEIGHBOUR_BESIDE)
                return error_set(err, EPERM,
                                 "has the parent %.200s; it is opened with backing=dir only, if it "
                                 "is below the image's folder, or with backing=any",
                                 above->parent.count ? above->parent.list[0] : "(without a name)");
        if (!path)
                return error_set(err, ENOMEM, "out of memory");
        b->base.many_files = true;
        while (rc == 0 && above->has_parent) {
                struct blocks_layer *l = &b->layers[b->count];

                if (b->count == BLOCKS_LAYERS_MAX)
                        return error_set(err, ELOOP,
                                         "has more than %d parents, or they go round in a circle",
                                         BLOCKS_LAYERS_MAX - 1);
                rc = open_file(above, &path, origin, &l->owned, err);
                if (rc == 0)
                        rc = open_layer(b, above, l, err);
                above = l;
        }
        return rc;
}
