/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/entry.h"
#include "archive/source/source.h"
#include "index/members/members_internal.h"

size_t members_count(const struct members *m)
{
        return m->nodes.count;
}

const struct members_node *members_get(const struct members *m, uint32_t number)
{
        return m->stored ? stored_node(m, number) : array_at(&m->nodes, number);
}

uint32_t members_number(const struct members *m, const struct members_node *n)
{
        return (uint32_t)(n - m->nodes.items);
}

const struct members_node *members_child(const struct members *m, const struct members_node *folder,
                                         uint64_t position)
{
        return m->stored ? stored_child(m, folder, position)
                         : array_at(&m->nodes, m->children[folder->first + position]);
}

const char *members_name(const struct members *m, const struct members_node *n)
{
        return m->names.items + n->name;
}

const char *members_target(const struct members *m, const struct members_node *n)
{
        return m->names.items + n->target;
}

/* ---- entries ---- */

static const struct members_extra *extra_of(const struct members *m, const struct members_node *n)
{
        return n->extra ? array_at(&m->extras, n->extra - 1) : NULL;
}

const char *members_xattrs(const struct members *m, const struct members_node *n, size_t *len)
{
        const struct members_extra *x = extra_of(m, n);

        *len = x ? x->xattrs_len : 0;
        return *len ? m->blob.items + x->xattrs : "";
}

/* The attribute at AT, and where the next one is. */
static const char *unpack(const char *at, struct entry_xattr *out)
{
        uint32_t len;

        out->name = at;
        at += strlen(at) + 1;
        memcpy(&len, at, sizeof len);
        out->value = at + sizeof len;
        out->len = len;
        return at + sizeof len + len;
}

/* A list of N's attributes, which the caller frees. */
static int list_xattrs(const struct members *m, const struct members_node *n,
                       struct entry_xattr **out, size_t *count)
{
        size_t len;
        const char *at = members_xattrs(m, n, &len), *end = at + len;
        ARRAY(struct entry_xattr) list = {0};

        *out = NULL;
        *count = 0;
        while (at < end) {
                struct entry_xattr one;

                at = unpack(at, &one);
                if (array_add(&list, one) < 0) {
                        array_free(&list);
                        return -ENOMEM;
                }
        }
        *out = list.items;
        *count = list.count;
        return 0;
}

int members_entry(const struct members *m, const struct members_node *n, struct entry *out,
                  struct entry_xattr **xattrs)
{
        *out = (struct entry){.name = members_name(m, n),
                              .mode = n->mode,
                              .recorded = true,
                              .uid = n->uid,
                              .gid = n->gid,
                              .has_mtime = true,
                              .mtime = {n->mtime, n->mtime_ns},
                              .links = n->links,
                              .same_as = n->flags & MEMBERS_BROKEN ? 1 : 0,
                              .later = S_ISDIR(n->mode)};
        if (S_ISREG(n->mode))
                out->size = n->size;
        else if (S_ISLNK(n->mode))
                out->target = members_target(m, n);
        else if (S_ISCHR(n->mode) || S_ISBLK(n->mode))
                out->rdev = n->rdev;
        if (list_xattrs(m, n, xattrs, &out->xattr_count) < 0)
                return -ENOMEM;
        out->xattrs = *xattrs;
        return 0;
}

void members_count_all(const struct members *m, struct members_counts *out)
{
        *out = (struct members_counts){.unshown = out->unshown, .dropped = out->dropped};
        for (size_t i = 1; i < m->nodes.count; i++) {
                const struct members_node *n = &m->nodes.items[i];

                if (n->flags & MEMBERS_GONE)
                        out->replaced++;
                if (n->flags & (MEMBERS_GONE | MEMBERS_ADDED))
                        continue;
                if (S_ISDIR(n->mode))
                        out->folders++;
                else if (S_ISREG(n->mode))
                        out->files++;
                else if (S_ISLNK(n->mode))
                        out->links++;
                else
                        out->others++;
                if (S_ISREG(n->mode) && n->same == i)
                        out->bytes += n->size;
        }
}

void members_tally(const struct members *m, struct members_counts *out)
{
        *out = (struct members_counts){.unshown = m->unshown, .dropped = m->dropped};
        if (m->stored)
                stored_tally(m, out);
        else
                members_count_all(m, out);
}

/* ---- content ---- */

/* The runs of N, and how many; none where all of it is stored. */
static const struct member_run *runs_of(const struct members *m, const struct members_node *n,
                                        size_t *count)
{
        const struct members_extra *x = extra_of(m, n);

        *count = x ? x->run_count : 0;
        return *count ? array_at(&m->runs, x->runs) : NULL;
}

static void find_in_runs(const struct members_volume *v, uint64_t pos, uint64_t len,
                         struct volume_extent *out)
{
        size_t count, i;
        const struct member_run *runs = runs_of(v->members, v->node, &count);

        i = search_first(count, k, runs[k].start + runs[k].len > pos);
        *out = (struct volume_extent){.len = len, .kind = VOLUME_ZERO};
        if (i == count)
                return;
        if (runs[i].start > pos) {
                out->len = min_u64(len, runs[i].start - pos);
                return;
        }
        *out = (struct volume_extent){.len = min_u64(len, runs[i].start + runs[i].len - pos),
                                      .kind = VOLUME_RAW,
                                      .allocated = true,
                                      .source = v->source,
                                      .offset = runs[i].offset + (pos - runs[i].start)};
}

static int find_extent(struct volume *base, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        const struct members_volume *v = (const struct members_volume *)base;

        *out = (struct volume_extent){.len = len, .kind = VOLUME_LOST, .allocated = true};
        if (v->node->flags & MEMBERS_LOST)
                return 0;
        if (v->node->flags & MEMBERS_SPARSE) {
                find_in_runs(v, pos, len, out);
                return 0;
        }
        out->kind = VOLUME_RAW;
        out->source = v->source;
        out->offset = v->node->data + pos;
        return 0;
}

struct volume *members_open(const struct members *m, const struct members_node *n,
                            struct source *source, struct members_volume *out)
{
        static const struct volume_ops ops = {.extent = find_extent};

        *out = (struct members_volume){
            .base = {.ops = &ops, .size = S_ISREG(n->mode) ? n->size : 0, .anchor = n->data},
            .members = m,
            .node = n,
            .source = source};
        return &out->base;
}

uint64_t members_stored(const struct members *m, const struct members_node *n)
{
        uint64_t sum = 0, end = 0;
        size_t count;
        const struct member_run *runs = runs_of(m, n, &count);

        if (!(n->flags & MEMBERS_SPARSE))
                return round_up(n->size, VOLUME_BLOCK);
        for (size_t i = 0; i < count; i++) {
                uint64_t from = max_u64(end, runs[i].start / VOLUME_BLOCK * VOLUME_BLOCK);
                uint64_t to = round_up(runs[i].start + runs[i].len, VOLUME_BLOCK);

                sum += to > from ? to - from : 0;
                end = max_u64(end, to);
        }
        return sum;
}
