/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "index/index_internal.h"
#include "index/names.h"
#include "index/sidecar/stored_map.h"

/* ---- what the archive's header emits ---- */

static bool name_taken(const struct index *index, const char *name)
{
        for (size_t i = 0; i < index->disk_count; i++)
                if (strcmp(index->disks[i]->name, name) == 0)
                        return true;
        for (size_t i = 0; i < index->file_count; i++)
                if (strcmp(index->files[i].name, name) == 0)
                        return true;
        for (size_t i = 0; i < index->folder_count; i++)
                if (strcmp(index->folders[i].name, name) == 0)
                        return true;
        return false;
}

/* LEAF behind the name of FOLDER. A new string, or NULL: out of memory. */
static char *join(const struct index *index, uint32_t folder, const char *leaf)
{
        const char *above = folder ? index->folders[folder - 1].name : "";
        char *name;

        if (!leaf || asprintf(&name, "%s%s%s", above, folder ? "/" : "", leaf) < 0)
                return NULL;
        return name;
}

/*
 * A safe name in FOLDER that no other disk, file or folder has, and *LEAF, its last part. NULL: out
 * of memory.
 */
static char *unique_name(const struct index *index, uint32_t folder, const char *raw,
                         const char **leaf)
{
        cleanup_free char *safe = name_make_safe(raw);
        char *name = join(index, folder, safe);

        for (unsigned n = 2; name && name_taken(index, name); n++) {
                cleanup_free char *numbered = name_number(safe, n);

                free(name);
                name = join(index, folder, numbered);
        }
        if (name)
                *leaf = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
        return name;
}

void disk_free(struct disk *d)
{
        if (!d)
                return;
        kept_free(d->kept);
        map_free(d->map);
        free(d->name);
        free(d->device);
        free(d);
}

static void cleanup_disk_fn(struct disk **d)
{
        disk_free(*d);
}

/* Room for one more element of SIZE bytes behind the COUNT there are. */
static int grow(void *array, size_t count, size_t size)
{
        void **at = array;
        void *grown = reallocarray(*at, count + 1, size);

        if (!grown)
                return -ENOMEM;
        *at = grown;
        return 0;
}

static int take_folder(void *ctx, const struct archive_folder *folder)
{
        struct index *index = ctx;
        struct index_folder f = {.parent = folder->parent};
        int rc;

        f.name = unique_name(index, f.parent, folder->name, &f.leaf);
        if (!f.name)
                return -ENOMEM;
        rc = grow(&index->folders, index->folder_count, sizeof *index->folders);
        if (rc == 0)
                index->folders[index->folder_count++] = f;
        else
                free(f.name);
        return rc;
}

static int take_disk(void *ctx, const struct archive_disk *disk)
{
        struct index *index = ctx;
        __attribute__((cleanup(cleanup_disk_fn))) struct disk *d = calloc(1, sizeof *d);
        int rc;

        if (!d)
                return -ENOMEM;
        rc = map_new(disk->size, disk->sparse ? MAP_GAP_ZERO : MAP_GAP_LOST, &d->map);
        if (rc < 0)
                return rc;
        d->folder = disk->folder;
        d->name = unique_name(index, d->folder, disk->name, &d->leaf);
        d->device = name_make_safe(disk->device);
        d->size = disk->size;
        d->late_size = disk->late_size;
        d->index = index;
        d->number = (uint32_t)index->disk_count;
        if (!d->name || !d->device)
                return -ENOMEM;
        rc = grow(&index->disks, index->disk_count, sizeof(*index->disks));
        if (rc == 0)
                index->disks[index->disk_count++] = steal_ptr(&d);
        return rc;
}

static int take_file(void *ctx, const struct archive_file *file)
{
        struct index *index = ctx;
        const char *leaf;
        cleanup_free char *name = unique_name(index, file->folder, file->name, &leaf);
        cleanup_free void *data = malloc(file->len + 1);
        int rc;

        if (!name || !data)
                return -ENOMEM;
        if (file->len)
                memcpy(data, file->data, file->len);
        rc = grow(&index->files, index->file_count, sizeof *index->files);
        if (rc == 0)
                index->files[index->file_count++] = (struct index_file){.name = steal_ptr(&name),
                                                                        .folder = file->folder,
                                                                        .leaf = leaf,
                                                                        .data = steal_ptr(&data),
                                                                        .len = file->len};
        return rc;
}

/* ---- what its scan emits ---- */

/* Under lock. */
static int keep_damage(struct index *index, const struct damage *damage)
{
        struct index_damage *kept;

        index->damage_count++;
        if (index->damages_kept == INDEX_DAMAGE_MAX)
                return 0;
        if (grow(&index->damages, index->damages_kept, sizeof *index->damages) < 0)
                return -ENOMEM;
        kept = &index->damages[index->damages_kept++];
        *kept = (struct index_damage){.offset = damage->offset,
                                      .disk = damage->disk,
                                      .start = damage->start,
                                      .len = damage->len};
        snprintf(kept->text, sizeof kept->text, "%s", damage->text);
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
                ssize_t added = map_add(d->map, extents, n, &twice);

                if (added < 0)
                        return (int)added;
                /* Each may cost 2 KiB of memory, for 16 bytes of the archive. */
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
        struct disk *d = index->disks[disk];
        int rc;

        {
                scoped_lock(&index->lock);
                rc = add_extents(index, d, extents, n, origin);
        }
        if (rc == 0 && index->tap)
                rc = index->tap->extents(index->tap->ctx, d, extents, n);
        return rc;
}

static int take_gone(void *ctx, uint64_t start, uint64_t end)
{
        struct index *index = ctx;

        while (index->gone_count && index->gone[index->gone_count - 1].end >= start)
                start = min_u64(start, index->gone[--index->gone_count].start);
        if (grow(&index->gone, index->gone_count, sizeof *index->gone) < 0)
                return -ENOMEM;
        index->gone[index->gone_count++] = (struct gone){start, end};
        return 0;
}

static int take_size(void *ctx, uint32_t disk, uint64_t size)
{
        struct index *index = ctx;
        struct disk *d = index->disks[disk];
        scoped_lock(&index->lock);
        int rc = map_resize(d->map, size);

        if (rc == 0)
                d->size = size;
        return rc;
}

static int take_incomplete(void *ctx, uint32_t disk)
{
        struct index *index = ctx;
        scoped_lock(&index->lock);

        map_set_gap(index->disks[disk]->map, MAP_GAP_LOST);
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

struct archive_sink intake_sink(struct index *index)
{
        return (struct archive_sink){
            .ctx = index,
            .folder = take_folder,
            .disk = take_disk,
            .file = take_file,
            .extents = take_extents,
            .gone = take_gone,
            .size = take_size,
            .incomplete = take_incomplete,
            .damage = take_damage,
            .progress = take_progress,
        };
}

/* Where the scan has ended: of an archive without a single extent nothing was told of. */
static uint64_t scanned_to(const struct index *index)
{
        uint64_t size = index->source->size;

        return index->scanned || size == SOURCE_SIZE_UNKNOWN ? index->scanned : size;
}

/* The part of E that is lost first, by what is gone of the stream, in whole blocks. */
static bool first_gone(const struct index *index, const struct extent *e, struct extent *lost)
{
        size_t low = 0, high = index->gone_count;
        uint64_t start, end;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (index->gone[middle].end > e->addr)
                        high = middle;
                else
                        low = middle + 1;
        }
        if (low == index->gone_count || index->gone[low].start >= e->addr + e->len)
                return false;
        start = max_u64(index->gone[low].start, e->addr) - e->addr;
        end = min_u64(index->gone[low].end - e->addr, e->len);
        lost->start = e->start + start / MAP_BLOCK * MAP_BLOCK;
        lost->len = min_u64(e->start + round_up(end, MAP_BLOCK), e->start + e->len) - lost->start;
        lost->addr = EXTENT_LOST;
        return true;
}

/*
 * Under lock, before the map of D is sealed: what is gone of the archive's stream is lost, whatever
 * extents say. Without the memory to note it, reading it still fails.
 */
static void drop_gone(const struct index *index, struct disk *d)
{
        struct map_twice twice;
        struct extent e, lost;

        for (uint64_t at = 0; index->gone_count && at < d->size; at = e.start + e.len) {
                map_find(d->map, at, &e);
                if (e.addr > EXTENT_ADDR_MAX || !first_gone(index, &e, &lost))
                        continue;
                if (map_add(d->map, &lost, 1, &twice) < 0)
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

        damage.len = map_totals(d->map).absent;
        if (!damage.len || map_gap(d->map) == MAP_GAP_ZERO)
                return;
        do
                map_find(d->map, e.start + e.len, &e);
        while (e.addr != MAP_UNKNOWN);
        damage.start = e.start;
        keep_damage(index, &damage);
}

void intake_seal(struct index *index)
{
        scoped_lock(&index->lock);

        for (size_t i = 0; i < index->disk_count; i++) {
                drop_gone(index, index->disks[i]);
                /* What was not looked for is not zeros. */
                if (index->incomplete)
                        map_set_gap(index->disks[i]->map, MAP_GAP_LOST);
                note_missing(index, index->disks[i]);
                map_seal(index->disks[i]->map);
                index->disks[i]->totals = map_totals(index->disks[i]->map);
                /* Nothing of what is kept is lost. */
                if (index->disks[i]->kept)
                        index->disks[i]->totals.stored = kept_stored(index->disks[i]->kept);
        }
        index->generation++;
        atomic_store_explicit(&index->sealed, true, memory_order_release);
        pthread_cond_broadcast(&index->changed);
}
