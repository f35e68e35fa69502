/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/inside/groups.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/array.h"
#include "archive/cleanup.h"
#include "archive/inside/lvm.h"
#include "index/index_internal.h"
#include "index/names.h"
#include "index/tree/node.h"

/* A volume that may be a physical one. */
struct found {
        struct volume *volume;
        struct lvm_label label;
};

struct search {
        struct groups *g;
        ARRAY(struct found) list;
};

static void free_group(struct group *g)
{
        for (size_t i = 0; g->volumes && i < g->count; i++)
                free(g->volumes[i].part.disk.name);
        free(g->volumes);
        lvm_group_free(g->lvm);
        *g = (struct group){0};
}

static void free_groups(struct groups *g)
{
        while (g->count)
                free_group(&g->list[--g->count]);
}

int groups_new(struct index *index, const struct index_folder *folder, struct groups **out)
{
        struct groups *g = calloc(1, sizeof *g);

        if (!g)
                return -ENOMEM;
        g->index = index;
        g->folder = folder;
        pthread_mutex_init(&g->lock, NULL);
        *out = g;
        return 0;
}

void groups_free(struct groups *g)
{
        if (!g)
                return;
        free_groups(g);
        pthread_mutex_destroy(&g->lock);
        free(g);
}

/* ---- physical volumes ---- */

/* Is D one? */
static int look_at(struct search *s, struct disk *d)
{
        bool sealed = index_sealed(d->index);
        struct asked a = ask(d->volume);
        struct found f = {.volume = d->volume};
        int rc = lvm_label_read(&a.base, &f.label);

        rc = asked_judge(d->index, &a, sealed, rc, &s->g->wanted);
        if (rc == -EAGAIN)
                s->g->wanted_disk = d;
        if (rc == 0 && f.label.found)
                rc = array_add(&s->list, f);
        if (rc < 0 || !f.label.found)
                lvm_label_fini(&f.label);
        /* One that cannot be read is missing. */
        return rc == -EIO ? 0 : rc;
}

static int look_at_disk(struct search *s, struct parted *p)
{
        int rc = parted_load(p, NULL);

        if (rc == -EAGAIN) {
                s->g->wanted = p->wanted;
                s->g->wanted_disk = p->disk;
        }
        if (rc < 0)
                return rc == -EIO ? 0 : rc;
        if (p->count == 0)
                return look_at(s, p->disk);
        for (size_t i = 0; i < p->count && rc == 0; i++)
                rc = look_at(s, &p->parts[i].disk);
        return rc;
}

/* ---- groups ---- */

/* Keep the group of F's text, unless a newer one of it is there. */
static int take_text(struct groups *g, struct found *f)
{
        struct lvm_group *lvm;
        int rc = lvm_group_parse(steal_ptr(&f->label.text), f->label.len, &lvm);
        size_t i = 0;

        if (rc < 0)
                return rc == -EBADMSG ? 0 : rc;
        while (i < g->count && strcmp(g->list[i].lvm->id, lvm->id) != 0)
                i++;
        if (i == GROUPS_MAX || (i < g->count && g->list[i].lvm->seqno >= lvm->seqno)) {
                lvm_group_free(lvm);
                return 0;
        }
        lvm_group_free(g->list[i].lvm);
        g->list[i].lvm = lvm;
        g->count += i == g->count;
        return 0;
}

static void give_physical(struct lvm_physical *p, const struct search *s)
{
        for (size_t i = 0; i < s->list.count; i++) {
                const struct found *f = &s->list.items[i];

                if (!p->id[0] || strcmp(p->id, f->label.id) != 0)
                        continue;
                p->twice = p->volume != NULL;
                p->volume = f->volume;
        }
}

/* A safe name for group number N that no other one before it has. */
static char *group_name(const struct groups *g, size_t n)
{
        char *safe = name_make_safe(g->list[n].lvm->name);
        unsigned twin = 1;

        for (size_t i = 0; safe && i < n; i++)
                twin += strcmp(g->list[i].lvm->name, g->list[n].lvm->name) == 0;
        if (safe && twin > 1) {
                char *numbered = name_number(safe, twin);

                free(safe);
                return numbered;
        }
        return safe;
}

/* The folder of group number N, which the index owns. */
static int make_folder(struct groups *g, size_t n)
{
        struct index *index = g->index;
        struct index_folder *f = calloc(1, sizeof *f);
        cleanup_free char *name = group_name(g, n);
        int rc = f && name ? array_reserve(&index->folders, 1) : -ENOMEM;

        if (rc < 0 || asprintf(&f->name, "%s/%s", g->folder->name, name) < 0) {
                free(f);
                return -ENOMEM;
        }
        f->kind = CONTENT_FOLDER;
        f->number = (uint32_t)index->folders.count + 1;
        f->parent = g->folder->number;
        f->leaf = strrchr(f->name, '/') + 1;
        g->list[n].folder = f;
        return array_add(&index->folders, f);
}

/* Has another one before number N of G the name of that? Only a hostile text has. */
static bool is_twin(const struct lvm_group *g, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(g->logical.items[i].name, g->logical.items[n].name) == 0)
                        return true;
        return false;
}

static int make_volume(struct groups *g, struct group *group, struct lvm_logical *l)
{
        struct logical *v = &group->volumes[group->count];
        cleanup_free char *safe = name_make_safe(l->name), *name = NULL;
        int rc = 0;

        if (!safe || asprintf(&name, "%s.raw", safe) < 0) {
                name = NULL;
                return -ENOMEM;
        }
        lvm_volume_init(&v->volume, group->lvm, l);
        v->part.logical = l;
        /* All disks of an archive are alike in that. */
        v->part.disk.in_stream = disk_is_scanned(index_disk(g->index, 0));
        rc = part_init(&v->part, g->index, &v->volume.base, group->folder, name, &g->lock);
        group->count += rc == 0;
        return rc;
}

static int make_volumes(struct groups *g, struct group *group)
{
        struct lvm_group *lvm = group->lvm;
        int rc = lvm_group_lay_out(lvm);

        group->volumes = calloc(lvm->logical.count + 1, sizeof *group->volumes);
        if (!group->volumes)
                return -ENOMEM;
        for (size_t i = 0; i < lvm->logical.count && rc == 0; i++) {
                struct lvm_logical *l = &lvm->logical.items[i];

                if (l->visible && !l->problem[0] && !is_twin(lvm, i))
                        rc = make_volume(g, group, l);
        }
        return rc;
}

/* Under lock: all physical volumes are in S. */
static int make_groups(struct groups *g, const struct search *s)
{
        int rc = 0;

        for (size_t i = 0; i < s->list.count && rc == 0; i++)
                if (s->list.items[i].label.text)
                        rc = take_text(g, &s->list.items[i]);
        for (size_t i = 0; i < g->count && rc == 0; i++) {
                struct lvm_group *lvm = g->list[i].lvm;

                for (size_t k = 0; k < lvm->physical.count; k++)
                        give_physical(&lvm->physical.items[k], s);
                rc = make_folder(g, i);
                if (rc == 0)
                        rc = make_volumes(g, &g->list[i]);
        }
        return rc;
}

static int load(struct groups *g)
{
        struct search s = {.g = g};
        int rc = 0;

        for (size_t i = 0; i < g->index->parted.count && rc == 0; i++)
                /* A snapshot has what its disk has: the same ids. */
                if (index_parted(g->index, i)->disk->folder == FOLDER_ROOT)
                        rc = look_at_disk(&s, index_parted(g->index, i));
        if (rc == 0)
                rc = make_groups(g, &s);
        if (rc < 0)
                free_groups(g);
        for (size_t i = 0; i < s.list.count; i++)
                lvm_label_fini(&s.list.items[i].label);
        array_free(&s.list);
        g->loaded = rc == 0;
        return rc;
}

int groups_load(struct groups *g)
{
        scoped_lock(&g->lock);

        return g->loaded ? 0 : load(g);
}

bool groups_ready(struct groups *g)
{
        struct disk *d = g->wanted_disk;

        return !d || asked_known(d, g->wanted);
}

size_t groups_count(struct groups *g)
{
        scoped_lock(&g->lock);

        return g->loaded ? g->count : 0;
}

/* ---- what is not shown ---- */

static void tell(const struct lvm_group *lvm, char *out, size_t size)
{
        size_t len = 0;

        for (size_t i = 0; i < lvm->logical.count && len < size; i++) {
                const struct lvm_logical *l = &lvm->logical.items[i];

                if (l->visible && l->problem[0])
                        len += (size_t)snprintf(out + len, size - len, "%s%s %s", len ? "; " : "",
                                                l->name, l->problem);
        }
}

bool groups_why(const struct index *index, const struct node *n, char *out, size_t size)
{
        struct groups *g = index->groups;

        if (!g)
                return false;
        scoped_lock(&g->lock);
        out[0] = '\0';
        for (size_t i = 0; g->loaded && i < g->count; i++)
                if (n->content == g->list[i].folder)
                        tell(g->list[i].lvm, out, size);
        return out[0] != '\0';
}
