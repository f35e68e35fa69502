/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/index.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/archive.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source.h"
#include "archive/stream.h"
#include "index/names.h"

struct index {
        struct index_options options;
        struct source *source;
        struct archive *archive;
        uint64_t archive_size; /* bytes of the file */

        /* Fixed once index_open has returned. */
        struct disk **disks;
        size_t disk_count;
        struct index_file *files;
        size_t file_count;

        const struct index_tap *tap; /* of the running scan */
        atomic_bool stopping;
        atomic_bool sealed; /* stored with release, after the last change of any map */
        _Atomic uint64_t scanned;

        pthread_mutex_t lock;
        pthread_cond_t changed; /* with lock: generation moved or sealed */
        uint64_t generation;    /* lock */
        unsigned waiters;       /* lock */

        /* Every map and the damages: lock, until sealed. */
        struct index_damage *damages;
        size_t damages_kept;
        size_t damage_count;
};

bool index_sealed(const struct index *index)
{
        return atomic_load_explicit(&index->sealed, memory_order_acquire);
}

bool index_lock_unless_sealed(struct index *index)
{
        if (index_sealed(index))
                return false;
        pthread_mutex_lock(&index->lock);
        return true;
}

void index_unlock(struct index *index)
{
        pthread_mutex_unlock(&index->lock);
}

/* ---- what the archive's header emits ---- */

static bool name_taken(const struct index *index, const char *name)
{
        for (size_t i = 0; i < index->disk_count; i++)
                if (strcmp(index->disks[i]->name, name) == 0)
                        return true;
        for (size_t i = 0; i < index->file_count; i++)
                if (strcmp(index->files[i].name, name) == 0)
                        return true;
        return false;
}

/* A safe name that no other disk or file has. NULL: out of memory. */
static char *unique_name(const struct index *index, const char *raw)
{
        char *safe = name_make_safe(raw);
        char *name = safe;

        for (unsigned n = 2; name && name_taken(index, name); n++) {
                if (name != safe)
                        free(name);
                name = name_number(safe, n);
        }
        if (name != safe)
                free(safe);
        return name;
}

static void disk_free(struct disk *d)
{
        if (!d)
                return;
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

static int take_disk(void *ctx, const struct archive_disk *disk)
{
        struct index *index = ctx;
        __attribute__((cleanup(cleanup_disk_fn))) struct disk *d = calloc(1, sizeof *d);
        int rc;

        if (!d)
                return -ENOMEM;
        rc = map_new(disk->size, MAP_GAP_LOST, &d->map);
        if (rc < 0)
                return rc;
        d->name = unique_name(index, disk->name);
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
        cleanup_free char *name = unique_name(index, file->name);
        cleanup_free void *data = malloc(file->len + 1);
        int rc;

        if (!name || !data)
                return -ENOMEM;
        if (file->len)
                memcpy(data, file->data, file->len);
        rc = grow(&index->files, index->file_count, sizeof *index->files);
        if (rc == 0)
                index->files[index->file_count++] = (struct index_file){
                    .name = steal_ptr(&name), .data = steal_ptr(&data), .len = file->len};
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

static int take_extents(void *ctx, uint32_t disk, const struct extent *extents, size_t n,
                        uint64_t origin)
{
        struct index *index = ctx;
        struct disk *d = index->disks[disk];
        int rc;

        {
                struct map_twice twice = {0};
                scoped_lock(&index->lock);

                rc = map_add(d->map, extents, n, &twice);
                if (rc == 0 && twice.len) {
                        struct damage damage = {.offset = origin,
                                                .disk = disk,
                                                .start = twice.first,
                                                .len = twice.len,
                                                .text = "clusters are stored a second time"};

                        rc = keep_damage(index, &damage);
                }
        }
        if (rc == 0 && index->tap)
                rc = index->tap->extents(index->tap->ctx, d, extents, n);
        return rc;
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

static struct archive_sink sink_of(struct index *index)
{
        return (struct archive_sink){
            .ctx = index,
            .disk = take_disk,
            .file = take_file,
            .extents = take_extents,
            .size = take_size,
            .damage = take_damage,
            .progress = take_progress,
        };
}

/* Under lock, before the map of D is sealed: name what the archive should have held. */
static void note_missing(struct index *index, struct disk *d)
{
        struct damage damage = {.offset = index->scanned,
                                .disk = d->number,
                                .text = "the archive ends here, and clusters are missing from it"};
        struct extent e = {0};

        damage.len = map_totals(d->map).absent;
        if (!damage.len)
                return;
        do
                map_find(d->map, e.start + e.len, &e);
        while (e.addr != MAP_UNKNOWN);
        damage.start = e.start;
        keep_damage(index, &damage);
}

static void seal(struct index *index)
{
        scoped_lock(&index->lock);

        for (size_t i = 0; i < index->disk_count; i++) {
                note_missing(index, index->disks[i]);
                map_seal(index->disks[i]->map);
                index->disks[i]->totals = map_totals(index->disks[i]->map);
        }
        index->generation++;
        atomic_store_explicit(&index->sealed, true, memory_order_release);
        pthread_cond_broadcast(&index->changed);
}

int index_scan(struct index *index, const struct index_tap *tap, struct error *err)
{
        struct archive_sink sink = sink_of(index);
        int rc;

        index->tap = tap;
        rc = index->archive->ops->scan(index->archive, &sink, err);
        index->tap = NULL;
        if (rc < 0 && rc != -ECANCELED && err && !err->code)
                error_fill_at(err, -rc, index->scanned, "indexing failed: %s", strerror(-rc));
        seal(index);
        return rc;
}

/* ---- the rest ---- */

/* The file, or what it holds where it is compressed. */
static int open_source(struct index *index, const char *path, struct error *err)
{
        struct stream_options options = {.cache_bytes = index->options.cache_bytes,
                                         .threads = index->options.threads,
                                         .window = index->options.window};
        struct source *file;
        int rc = source_open_file(path, &file, err);

        if (rc < 0)
                return rc;
        index->archive_size = file->size;
        return stream_probe(file, &options, &index->source, err);
}

int index_open(const char *path, const struct index_options *options, struct index **out,
               struct error *err)
{
        struct index *index = calloc(1, sizeof *index);
        struct archive_sink sink = sink_of(index);
        int rc;

        if (!index)
                return error_set(err, ENOMEM, "out of memory");
        index->options = *options;
        pthread_mutex_init(&index->lock, NULL);
        pthread_cond_init(&index->changed, NULL);
        rc = open_source(index, path, err);
        if (rc == 0) {
                rc = archive_open(index->source, &sink, &index->archive, err);
        }
        if (rc < 0) {
                index_close(index);
                return rc;
        }
        *out = index;
        return 0;
}

void index_close(struct index *index)
{
        if (!index)
                return;
        archive_close(index->archive);
        source_close(index->source);
        for (size_t i = 0; i < index->disk_count; i++)
                disk_free(index->disks[i]);
        for (size_t i = 0; i < index->file_count; i++) {
                free(index->files[i].name);
                free(index->files[i].data);
        }
        free(index->disks);
        free(index->files);
        free(index->damages);
        pthread_cond_destroy(&index->changed);
        pthread_mutex_destroy(&index->lock);
        free(index);
}

void index_stop(struct index *index)
{
        scoped_lock(&index->lock);

        index->stopping = true;
        pthread_cond_broadcast(&index->changed);
}

void index_wait(struct index *index, uint64_t *seen)
{
        scoped_lock(&index->lock);

        index->waiters++;
        while (index->generation == *seen && !index_sealed(index) && !index->stopping)
                pthread_cond_wait(&index->changed, &index->lock);
        index->waiters--;
        *seen = index->generation;
}

void index_nudge(struct index *index)
{
        scoped_lock(&index->lock);

        index->generation++;
        pthread_cond_broadcast(&index->changed);
}

unsigned index_percent(const struct index *index)
{
        uint64_t size = index->source->size;

        if (index_sealed(index))
                return 100;
        if (size == 0 || size == SOURCE_SIZE_UNKNOWN)
                return 0;
        return (unsigned)min_u64(99, (uint64_t)((double)index->scanned / (double)size * 100));
}

uint64_t index_archive_size(const struct index *index)
{
        return index->archive_size;
}

uint64_t index_scanned(const struct index *index)
{
        return index->scanned;
}

const struct archive_info *index_info(const struct index *index)
{
        return &index->archive->info;
}

const char *index_format(const struct index *index)
{
        return index->archive->ops->name;
}

const char *index_compression(const struct index *index)
{
        const char *name = index->source->ops->name;

        return strcmp(name, "file") == 0 ? "none" : name;
}

size_t index_disk_count(const struct index *index)
{
        return index->disk_count;
}

struct disk *index_disk(const struct index *index, size_t i)
{
        return index->disks[i];
}

size_t index_file_count(const struct index *index)
{
        return index->file_count;
}

const struct index_file *index_file(const struct index *index, size_t i)
{
        return &index->files[i];
}

size_t index_damage_count(const struct index *index)
{
        return index->damage_count;
}

size_t index_damages(const struct index *index, const struct index_damage **list)
{
        *list = index->damages;
        return index->damages_kept;
}

struct archive *index_archive(const struct index *index)
{
        return index->archive;
}

bool index_recover_zero(const struct index *index)
{
        return index->options.recover_zero;
}
