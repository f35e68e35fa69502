/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/datastore/tree_source.h"

#include "archive/entry.h"
#include "archive/store/pbs/pxar.h"

_Static_assert(sizeof(struct entry_xattr) == sizeof(struct pxar_xattr), "attributes are alike");

struct tree_entry pxar_tree_entry(const struct pxar_entry *e)
{
        return (struct tree_entry){.name = e->name,
                                   .mode = e->mode,
                                   .uid = e->uid,
                                   .gid = e->gid,
                                   .mtime = e->mtime,
                                   .rdev = e->rdev,
                                   .target = e->target,
                                   .xattrs = (const struct entry_xattr *)e->xattrs,
                                   .xattr_count = e->xattr_count,
                                   .folder = {e->folder.start, e->folder.end},
                                   .same_as = e->same_as,
                                   .same_name = e->same_name,
                                   .own = e};
}

/* Whom an entry is passed on to. */
struct passing {
        int (*each)(void *ctx, const struct tree_entry *e);
        void *ctx;
};

static int pass(void *ctx, const struct pxar_entry *e)
{
        const struct passing *p = ctx;
        const struct tree_entry entry = pxar_tree_entry(e);

        return p->each(p->ctx, &entry);
}

static int list(const struct tree_source *s, const struct tree_range *folder,
                int (*each)(void *ctx, const struct tree_entry *e), void *ctx, uint64_t *damaged,
                struct error *err)
{
        const struct pxar_tree *t = (const struct pxar_tree *)s;
        const struct pxar_folder range = {folder->start, folder->end};
        struct passing p = {each, ctx};

        return pxar_list(t->pxar, &range, pass, &p, damaged, err);
}

static int describe_folder(const struct tree_source *s, const struct tree_range *folder,
                           int (*each)(void *ctx, const struct tree_entry *e), void *ctx,
                           struct error *err)
{
        const struct pxar_tree *t = (const struct pxar_tree *)s;
        const struct pxar_folder range = {folder->start, folder->end};
        struct passing p = {each, ctx};

        return pxar_root(t->pxar, &range, pass, &p, err);
}

static int content(const struct tree_source *s, const struct tree_entry *e, struct volume **out)
{
        return pxar_content(((const struct pxar_tree *)s)->pxar, e->own, out);
}

struct pxar_tree pxar_tree_of(struct pxar *pxar)
{
        return (struct pxar_tree){{.list = list, .folder = describe_folder, .content = content},
                                  pxar};
}
