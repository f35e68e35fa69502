/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/inside/parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/format.h"
#include "archive/inside/filesystem.h"
#include "index/index.h"
#include "index/index_internal.h"

#define KNOWN UINT64_MAX /* nothing is wanted that was not known */

static int asked_extent(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        struct asked *a = (struct asked *)v;

        a->last = pos;
        return a->below->ops->extent(a->below, pos, len, out);
}

static int asked_read(struct volume *v, void *buf, size_t len, uint64_t pos)
{
        struct asked *a = (struct asked *)v;

        return a->below->ops->read(a->below, buf, len, pos);
}

struct asked ask(struct volume *below)
{
        static const struct volume_ops ops = {.extent = asked_extent, .read = asked_read};

        return (struct asked){.base = {.ops = &ops, .size = below->size, .anchor = below->anchor},
                              .below = below};
}

int asked_judge(struct index *index, const struct asked *a, bool sealed, int rc,
                _Atomic uint64_t *wanted)
{
        *wanted = rc == -EAGAIN && !sealed ? a->last : KNOWN;
        if (rc == -EAGAIN && sealed)
                return -EIO;
        /* What was answered without reading, such as zeros, is right only if nothing has changed. */
        return rc == 0 ? index_check(index) : rc;
}

bool asked_known(struct disk *d, uint64_t wanted)
{
        return wanted == KNOWN || index_sealed(d->index) ||
               (!d->provisional_size && disk_first_unknown(d, wanted, wanted + 1) > wanted);
}

/* ---- the table ---- */

int parted_new(struct disk *d, const struct index_folder *folder, struct parted **out)
{
        struct parted *p = calloc(1, sizeof *p);

        if (!p)
                return -ENOMEM;
        p->disk = d;
        p->folder = folder;
        p->wanted = p->look.wanted = KNOWN;
        pthread_mutex_init(&p->lock, NULL);
        *out = p;
        return 0;
}

static void free_parts(struct parted *p)
{
        for (size_t i = 0; i < p->count; i++)
                free(p->parts[i].disk.name);
        free(p->parts);
        p->parts = NULL;
        p->count = 0;
}

void parted_free(struct parted *p)
{
        if (!p)
                return;
        free_parts(p);
        partition_table_free(&p->table);
        pthread_mutex_destroy(&p->lock);
        free(p);
}

int part_init(struct part *p, struct index *index, struct volume *v,
              const struct index_folder *folder, const char *name, pthread_mutex_t *lock)
{
        struct disk *d = &p->disk;

        if (asprintf(&d->name, "%s/%s", folder->name, name) < 0) {
                d->name = NULL;
                return -ENOMEM;
        }
        p->look.wanted = KNOWN;
        p->lock = lock;
        d->kind = CONTENT_DISK;
        d->is_part = true;
        d->folder = folder->number;
        d->leaf = strrchr(d->name, '/') + 1;
        d->number = DISK_NONE;
        d->size = v->size;
        d->index = index;
        d->volume = v;
        return 0;
}

static int init_partition(struct parted *p, struct part *part, const struct partition *entry)
{
        char name[32];

        snprintf(name, sizeof name, "%u.raw", entry->number);
        part_volume_init(&part->volume, p->disk->volume, entry->start, entry->len);
        part->entry = entry;
        part->disk.in_stream = disk_is_scanned(p->disk);
        return part_init(part, p->disk->index, &part->volume.base, p->folder, name, &p->lock);
}

/* Under lock: the table was read. */
static int make_parts(struct parted *p)
{
        p->parts = calloc(p->table.list.count + 1, sizeof *p->parts);
        if (!p->parts)
                return -ENOMEM;
        for (size_t i = 0; i < p->table.list.count; i++) {
                const struct partition *entry = array_at(&p->table.list, i);

                if (entry->len == 0 || entry->extended)
                        continue;
                if (init_partition(p, &p->parts[p->count], entry) < 0)
                        return -ENOMEM;
                p->count++;
        }
        return 0;
}

/* Under lock. */
static int load(struct parted *p)
{
        struct disk *d = p->disk;
        bool sealed = index_sealed(d->index);
        struct asked a = ask(d->volume);
        int rc;

        p->failure = (struct error){0};
        if (d->provisional_size && !sealed) {
                p->wanted = 0;
                return -EAGAIN;
        }
        rc = partition_table_read(&a.base, &p->table, &p->failure);
        rc = asked_judge(d->index, &a, sealed, rc, &p->wanted);
        if (rc == 0)
                rc = make_parts(p);
        if (rc < 0) {
                free_parts(p);
                partition_table_free(&p->table);
        }
        p->loaded = rc == 0;
        return rc;
}

int parted_load(struct parted *p, struct error *err)
{
        scoped_lock(&p->lock);
        int rc = p->loaded ? 0 : load(p);

        if (rc < 0 && !p->failure.code)
                error_fill(&p->failure, -rc, "its partition table cannot be read: %s",
                           strerror(-rc));
        if (rc == -EAGAIN)
                p->failure = (struct error){0};
        if (rc < 0 && err)
                *err = p->failure;
        return rc;
}

bool parted_ready(struct parted *p)
{
        return asked_known(p->disk, p->wanted);
}

bool parted_why(struct parted *p, char *out, size_t size)
{
        scoped_lock(&p->lock);

        if (p->failure.code)
                snprintf(out, size, "%s", p->failure.text);
        else if (p->loaded && p->table.problem)
                snprintf(out, size, "%s", p->table.problem);
        else
                return false;
        return true;
}

/* ---- file systems ---- */

/* Is L done? Then *OUT is what was found. */
static bool was_looked(pthread_mutex_t *lock, const struct inside_look *l, const char **out)
{
        scoped_lock(lock);

        *out = l->name;
        return l->done;
}

static void keep_look(pthread_mutex_t *lock, struct inside_look *l, const char *name)
{
        scoped_lock(lock);

        l->name = name;
        l->done = true;
}

/*
 * What D has. Without the lock, which guards L: reading may take its time, and others only want to
 * know the size.
 */
static int look(pthread_mutex_t *lock, struct disk *d, struct inside_look *l, const char **out)
{
        bool sealed = index_sealed(d->index);
        struct asked a = ask(d->volume);
        int rc;

        if (was_looked(lock, l, out))
                return 0;
        rc = filesystem_look(&a.base, out);
        rc = asked_judge(d->index, &a, sealed, rc, &l->wanted);
        if (rc == 0)
                keep_look(lock, l, *out);
        else
                *out = NULL;
        return rc;
}

int parted_filesystem(struct parted *p, const char **out)
{
        return look(&p->lock, p->disk, &p->look, out);
}

int part_filesystem(struct part *p, const char **out)
{
        return look(p->lock, &p->disk, &p->look, out);
}

bool part_ready(struct part *p)
{
        return asked_known(&p->disk, p->look.wanted);
}

/* ---- what is stored ---- */

void part_count(struct part *p)
{
        if (p->counted || !index_sealed(p->disk.index))
                return;
        scoped_lock(p->lock);
        if (!p->counted)
                observe_count(p->disk.index, &p->disk);
        p->counted = true;
}

/* ---- nodes ---- */

size_t parted_count(struct parted *p)
{
        scoped_lock(&p->lock);

        return p->count;
}

void part_set_node(struct part *p, struct node *n)
{
        scoped_lock(p->lock);

        p->disk.node = n;
}

struct node *part_node(struct part *p)
{
        scoped_lock(p->lock);

        return p->disk.node;
}
