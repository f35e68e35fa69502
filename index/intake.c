/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "index/index_internal.h"
#include "index/inside/inside.h"
#include "index/members/index_members.h"
#include "index/members/members.h"
#include "index/names.h"
#include "index/sidecar/stored_map.h"
#include "index/tree/builder.h"
#include "index/tree/tree.h"

/* ---- what the archive's header emits ---- */

/* The number of the folder that N is in. */
static uint32_t folder_of(const struct node *n)
{
        const struct index_folder *f = n->parent->content;

        return f ? f->number : FOLDER_ROOT;
}

/* The path of N. In the root that is its name, of which there may be millions: no copy is made. */
static char *name_of(struct node *n)
{
        return folder_of(n) == FOLDER_ROOT ? n->name : tree_path(n);
}

static void free_name(char *name, uint32_t folder)
{
        if (folder != FOLDER_ROOT)
                free(name);
}

static void folder_free(struct index_folder *f)
{
        if (!f)
                return;
        free(f->name);
        free(f);
}

static void file_fini(struct index_file *f)
{
        free_name(f->name, f->folder);
        if (f->volume->ops->close)
                f->volume->ops->close(f->volume);
}

static void disk_free(struct disk *d)
{
        if (!d)
                return;
        map_volume_fini(&d->own);
        free_name(d->name, d->folder);
        free(d->device);
        free(d);
}

static struct index_file *file_at(const struct index *index, size_t i)
{
        return &(*array_at(&index->file_blocks, i / FILES_PER_BLOCK))[i % FILES_PER_BLOCK];
}

const struct index_file *index_file(const struct index *index, size_t i)
{
        return file_at(index, i);
}

bool index_folder_ready(const struct index *index, const struct node *folder)
{
        return inside_ready(index, folder) && index_members_ready(index, folder);
}

void intake_free(struct index *index)
{
        inside_free(index);
        for (size_t i = 0; i < index->disks.count; i++)
                disk_free(index->disks.items[i]);
        for (size_t i = 0; i < index->file_count; i++)
                file_fini(file_at(index, i));
        for (size_t i = 0; i < index->file_blocks.count; i++)
                free(index->file_blocks.items[i]);
        for (size_t i = 0; i < index->folders.count; i++)
                folder_free(index->folders.items[i]);
        array_free(&index->disks);
        array_free(&index->file_blocks);
        array_free(&index->folders);
        builder_free(index->builder);
        tree_free(index->tree);
        members_free(index->members);
}

static void cleanup_disk_fn(struct disk **d)
{
        disk_free(*d);
}

static void cleanup_folder_fn(struct index_folder **f)
{
        folder_free(*f);
}

int intake_place_folder(struct index *index, struct node *n)
{
        __attribute__((cleanup(cleanup_folder_fn))) struct index_folder *f = calloc(1, sizeof *f);
        int rc;

        if (!f)
                return -ENOMEM;
        *f = (struct index_folder){.kind = CONTENT_FOLDER,
                                   .node = n,
                                   .name = tree_path(n),
                                   .number = (uint32_t)index->folders.count + 1,
                                   .parent = folder_of(n),
                                   .leaf = n->name};
        if (!f->name)
                return -ENOMEM;
        rc = array_add(&index->folders, f);
        if (rc == 0)
                n->content = steal_ptr(&f);
        return rc;
}

/* N has come into the tree: tell its content. */
static int placed(void *ctx, struct node *n)
{
        struct disk *d = n->content;
        struct index_file *f = n->content;

        if (node_is_folder(n))
                return intake_place_folder(ctx, n);
        if (!n->content)
                return 0;
        if (d->kind == CONTENT_DISK) {
                d->node = n;
                d->folder = folder_of(n);
                d->leaf = n->name;
                d->name = name_of(n);
                return d->name ? 0 : -ENOMEM;
        }
        f->folder = folder_of(n);
        f->name = name_of(n);
        return f->name ? 0 : -ENOMEM;
}

int intake_begin(struct index *index)
{
        static const struct tree_ops later = {.fill = inside_fill};

        index->tree = tree_new(index->options.partitions ? &later : NULL, index, false);
        if (!index->tree)
                return -ENOMEM;
        index->builder = builder_new(tree_root(index->tree), TREE_ROOT_INO + 1, placed, index);
        return index->builder ? 0 : -ENOMEM;
}

int intake_settle(struct index *index)
{
        int rc = builder_finish(index->builder);

        builder_free(steal_ptr(&index->builder));
        if (rc == 0 && index->archive->is_tree)
                return index_members_begin(index);
        return rc == 0 && index->options.partitions ? inside_begin(index) : rc;
}

/* A disk of E. 0, -ENOMEM, or -EFBIG: no map is so large. */
static int disk_new(struct index *index, const struct entry *e, struct disk **out)
{
        __attribute__((cleanup(cleanup_disk_fn))) struct disk *d = calloc(1, sizeof *d);
        struct extent_map *map;
        int rc;

        if (!d)
                return -ENOMEM;
        d->kind = CONTENT_DISK;
        d->size = e->size;
        d->provisional_size = e->disk->provisional_size;
        d->index = index;
        d->number = (uint32_t)index->disks.count;
        rc = map_new(e->size, e->disk->sparse ? MAP_GAP_ZERO : MAP_GAP_LOST, &map);
        if (rc < 0)
                return rc;
        map_volume_init(&d->own, index, map);
        d->volume = e->disk->volume ? e->disk->volume : &d->own.base;
        d->device = name_make_safe(e->disk->device);
        if (!d->device)
                return -ENOMEM;
        *out = steal_ptr(&d);
        return 0;
}

static int take_disk(struct index *index, const struct entry *e)
{
        __attribute__((cleanup(cleanup_disk_fn))) struct disk *d = NULL;
        int rc = disk_new(index, e, &d);

        if (rc == 0)
                rc = array_add(&index->disks, d);
        return rc < 0 ? rc : builder_add(index->builder, e, steal_ptr(&d));
}

/* Room for one more file. 0 or -ENOMEM. */
static int reserve_file(struct index *index)
{
        struct index_file *block;

        if (index->file_count < index->file_blocks.count * FILES_PER_BLOCK)
                return 0;
        if (array_reserve(&index->file_blocks, 1) < 0)
                return -ENOMEM;
        block = calloc(FILES_PER_BLOCK, sizeof *block);
        return block ? array_add(&index->file_blocks, block) : -ENOMEM;
}

/* A file of E's data or volume. */
static int take_file(struct index *index, const struct entry *e)
{
        struct index_file *f;

        if (reserve_file(index) < 0)
                return -ENOMEM;
        f = file_at(index, index->file_count);
        f->kind = CONTENT_FILE;
        f->volume = e->volume ? e->volume : file_volume_new(e->data, e->size);
        if (!f->volume)
                return -ENOMEM;
        index->file_count++;
        return builder_add(index->builder, e, f);
}

static int take_entry(void *ctx, const struct entry *e)
{
        struct index *index = ctx;

        if (e->disk)
                return take_disk(index, e);
        return e->data || e->volume ? take_file(index, e) : builder_add(index->builder, e, NULL);
}

/* ---- what its scan emits ---- */

/* Under lock. */
static int keep_damage(struct index *index, const struct damage *damage)
{
        struct index_damage kept = {.offset = damage->offset,
                                    .disk = damage->disk,
                                    .start = damage->start,
                                    .len = damage->len,
                                    .doubt = damage->doubt,
                                    .hides = damage->hides};

        index->damage_count++;
        index->doubt_count += damage->doubt;
        snprintf(kept.text, sizeof kept.text, "%s", damage->text);
        error_make_printable(kept.text);
        if (index->damages.count < INDEX_DAMAGE_MAX)
                return array_add(&index->damages, kept);
        /* That something is hidden must be known, whatever else is damaged. */
        if (kept.hides)
                *array_last(&index->damages) = kept;
        return 0;
}

static int take_damage(void *ctx, const struct damage *damage)
{
        struct index *index = ctx;
        scoped_lock(&index->lock);

        return keep_damage(index, damage);
}

enum { TWICE_MAX = 65536 };

/* Under lock. -E2BIG: the archive stores so much twice that it is hostile. */
static int add_extents(struct index *index, struct disk *d, const struct extent *extents, size_t n,
                       uint64_t origin)
{
        struct damage damage = {
            .offset = origin, .disk = d->number, .text = "clusters are stored a second time"};

        while (n) {
                struct map_twice twice;
                ssize_t added = map_add(d->own.map, extents, n, &twice);

                if (added < 0)
                        return (int)added;
                /* Each may cost 2 KiB of memory for 16 bytes of the archive. */
                if (twice.len && ++index->twice_count > TWICE_MAX)
                        return -E2BIG;
                if (twice.len && damage.len && damage.start + damage.len == twice.first) {
                        damage.len += twice.len;
                } else if (twice.len) {
                        if (damage.len && keep_damage(index, &damage) < 0)
                                return -ENOMEM;
                        damage.start = twice.first;
                        damage.len = twice.len;
                }
                extents += added;
                n -= (size_t)added;
        }
        return damage.len ? keep_damage(index, &damage) : 0;
}

static int take_extents(void *ctx, uint32_t disk, const struct extent *extents, size_t n,
                        uint64_t origin)
{
        struct index *index = ctx;
        struct disk *d = index->disks.items[disk];
        int rc = 0;

        d->told |= !disk_is_scanned(d);
        if (disk_is_scanned(d)) {
                scoped_lock(&index->lock);
                rc = add_extents(index, d, extents, n, origin);
        }
        return rc == 0 && index->observer ? observe_extents(index, d, extents, n) : rc;
}

static int take_totals(void *ctx, uint32_t disk, uint64_t stored, uint64_t lost)
{
        const struct index *index = ctx;
        struct disk *d = index->disks.items[disk];

        d->counted = !disk_is_scanned(d);
        d->totals = (struct map_totals){.stored = stored, .lost = lost};
        return 0;
}

/* The archive's source is damaged. What it has lost by that is asked for when all is sealed. */
static int take_damaged(void *ctx, uint64_t at, const struct error *why)
{
        struct damage d = {
            .offset = why->has_offset ? why->offset : at, .disk = DISK_NONE, .text = why->text};

        return take_damage(ctx, &d);
}

void intake_observe(struct index *index)
{
        struct source_observer o = {.ctx = index, .damaged = take_damaged};

        source_observe(index->source, &o);
}

static int take_size(void *ctx, uint32_t disk, uint64_t size)
{
        struct index *index = ctx;
        struct disk *d = index->disks.items[disk];
        scoped_lock(&index->lock);
        int rc = map_resize(d->own.map, size);

        if (rc == 0)
                d->size = d->own.base.size = size;
        return rc;
}

static int take_incomplete(void *ctx, uint32_t disk)
{
        struct index *index = ctx;
        scoped_lock(&index->lock);

        map_set_gap(index->disks.items[disk]->own.map, MAP_GAP_LOST);
        return 0;
}

static int take_progress(void *ctx, uint64_t done)
{
        struct index *index = ctx;

        if (index->stopping)
                return -ECANCELED;
        index->scanned = done;
        {
                scoped_lock(&index->lock);
                index->generation++;
                if (index->waiters)
                        pthread_cond_broadcast(&index->changed);
        }
        return 0;
}

static int take_member(void *ctx, const struct member *member)
{
        return index_members_take(ctx, member);
}

struct archive_sink intake_sink(struct index *index)
{
        return (struct archive_sink){
            .ctx = index,
            .entry = take_entry,
            .extents = take_extents,
            .size = take_size,
            .totals = take_totals,
            .incomplete = take_incomplete,
            .damage = take_damage,
            .progress = take_progress,
            .member = take_member,
        };
}

/* Where the scan has ended: of an archive without a single extent nothing was told of. */
static uint64_t scanned_to(const struct index *index)
{
        uint64_t size = index->source->size;

        return index->scanned || size == SOURCE_SIZE_UNKNOWN ? index->scanned : size;
}

/*
 * Under lock, before the map of D is sealed: what is lost of the archive's source is lost, whatever
 * extents say. Without the memory to note it, reading it still fails.
 */
static void drop_gone(const struct index *index, struct disk *d)
{
        struct source_lost_range gap;
        bool any = source_find_lost(index->source, 0, &gap);
        struct map_twice twice;
        struct extent e, lost;

        for (uint64_t at = 0; any && at < d->size; at = e.start + e.len) {
                map_find(d->own.map, at, &e);
                if (!observe_first_gone(index, &e, &lost))
                        continue;
                if (map_add(d->own.map, &lost, 1, &twice) < 0)
                        return;
                e.len = lost.start + lost.len - e.start;
        }
}

/* Under lock, before the map of D is sealed: name what the archive should have held. */
static void note_missing(struct index *index, struct disk *d)
{
        struct damage damage = {.offset = scanned_to(index),
                                .disk = d->number,
                                .text = "the archive ends here, and clusters are missing from it"};
        struct extent e = {0};

        damage.len = map_totals(d->own.map).absent;
        if (!damage.len || map_gap(d->own.map) == MAP_GAP_ZERO)
                return;
        do
                map_find(d->own.map, e.start + e.len, &e);
        while (e.addr != MAP_UNKNOWN);
        damage.start = e.start;
        keep_damage(index, &damage);
}

/* Under lock. */
static void seal_disk(struct index *index, struct disk *d)
{
        if (!disk_is_scanned(d)) {
                map_seal(d->own.map);
                /* What was not examined must not be skipped. */
                if (!d->counted)
                        d->totals = (struct map_totals){.lost = round_up(d->size, MAP_BLOCK)};
                return;
        }
        drop_gone(index, d);
        /* What was not searched must not read as zeros. */
        if (index->incomplete)
                map_set_gap(d->own.map, MAP_GAP_LOST);
        note_missing(index, d);
        map_seal(d->own.map);
        d->totals = map_totals(d->own.map);
        /* Nothing in a stored index is lost. */
        if (d->own.stored_map)
                d->totals.stored = stored_map_stored(d->own.stored_map);
}

void intake_seal(struct index *index)
{
        if (index->archive->is_tree && !index->from_sidecar)
                index_members_seal(index);
        scoped_lock(&index->lock);
        for (size_t i = 0; i < index->disks.count; i++)
                seal_disk(index, index->disks.items[i]);
        index->generation++;
        atomic_store_explicit(&index->sealed, true, memory_order_release);
        pthread_cond_broadcast(&index->changed);
}
