/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/extent.h"
#include "archive/source/source.h"
#include "archive/stream/restart.h"
#include "archive/stream/stream.h"
#include "index/index_internal.h"
#include "index/sidecar/location.h"
#include "index/sidecar/sidecar.h"

enum { STREAM_SHARE = 4 };

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

void index_kept_failed(struct index *index, int rc)
{
        /*
         * What was cut or written to is found out when it is opened again; this is not. Two threads
         * may do it twice, so that neither goes on before it is done.
         */
        if (rc == -EBADMSG && index->condemned == 0) {
                int failed = place_condemn(index->kept_fd);

                index->condemned = failed < 0 ? failed : 1;
        }
        index->kept_error = rc;
}

static const char *scan_problem(int rc)
{
        switch (rc) {
        case -E2BIG:
                return "too much is stored a second time";
        case -EFBIG:
                return "it decompresses to more than 256 TiB";
        default:
                return strerror(-rc);
        }
}

int index_scan(struct index *index, const struct index_tap *tap, struct error *err)
{
        struct archive_sink sink = intake_sink(index);
        int rc, change;

        stream_release(index->source);
        if (index->from_sidecar)
                return tap ? -EINVAL : 0;
        index->tap = tap;
        rc = index->archive->ops->scan(index->archive, &sink, err);
        index->tap = NULL;
        /* What a scan of two archives has found is neither's, and no loss. */
        change = source_check(index->file, rc == -ECANCELED ? NULL : err);
        if (change < 0 && rc != -ECANCELED)
                rc = change;
        if (rc < 0 && rc != -ECANCELED && err && !err->code)
                error_fill_at(err, -rc, index->scanned, "indexing failed: %s", scan_problem(rc));
        index->incomplete = rc < 0;
        intake_seal(index);
        if (rc == 0)
                persist_save(index);
        return rc;
}

/* ---- opening and closing ---- */

/*
 * Is the scan for whoever reads everything in it, or to name whatever is lost? What becomes zeros
 * has to be known to be lost.
 */
static bool wants_all(const struct index *index)
{
        return index->options.sidecar == INDEX_SIDECAR_ENTER ||
               index->options.sidecar == INDEX_SIDECAR_LATER || index->options.recover_zero;
}

/* Open TAKE_FILE as what it is, and fill in what SIDECAR (NULL: none) knows. */
static int open_archive(struct index *index, const struct archive_origin *origin,
                        struct source *take_file, struct sidecar *sidecar, struct error *err)
{
        struct stream_options options = {
            .cache_bytes = index->options.cache_bytes,
            .threads = index->options.threads,
            .window = index->options.window,
            .late_proofs = index->options.sidecar == INDEX_SIDECAR_NONE,
            .walk = !wants_all(index),
            .take_table = sidecar ? sidecar_take_table(sidecar) : NULL};
        struct archive_sink sink = intake_sink(index);
        struct archive_origin here = *origin;
        int rc = stream_probe(take_file, &options, &index->source, err);

        here.cache_bytes = options.cache_bytes ? options.cache_bytes : STREAM_CACHE_DEFAULT;
        /* What an image decodes of what a stream has decoded comes on top of that. */
        if (rc == 0 && stream_table(index->source))
                here.cache_bytes /= STREAM_SHARE;
        if (rc == 0)
                rc = archive_open(index->source, &here, &sink, &index->archive, err);
        if (rc == 0 && sidecar && index->options.sidecar == INDEX_SIDECAR_ENTER)
                rc = persist_enter(index, sidecar);
        else if (rc == 0 && sidecar)
                rc = persist_use(index, sidecar);
        return rc;
}

/* A file that holds addresses no map can keep. What a stream decodes to shows only in the scan. */
static int check_size(const struct source *file, struct error *err)
{
        if (file->size <= EXTENT_ADDR_MAX)
                return 0;
        return error_set(err, EFBIG, "has %" PRIu64 " bytes; an archive has at most 256 TiB",
                         file->size);
}

/* The same, of the file PATH. */
static int open_file(struct index *index, const char *path, struct source *take_file,
                     struct sidecar *sidecar, struct error *err)
{
        const char *slash = strrchr(path, '/');
        struct archive_origin origin = {.name = slash ? slash + 1 : path,
                                        .backing = index->options.backing,
                                        .mtime = source_mtime(take_file)};
        cleanup_free char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");

        if (!dir) {
                source_close(take_file);
                return error_set(err, ENOMEM, "out of memory");
        }
        origin.dir = dir;
        return open_archive(index, &origin, take_file, sidecar, err);
}

static struct index *index_new(const struct index_options *options)
{
        struct index *index = calloc(1, sizeof *index);

        if (!index)
                return NULL;
        index->options = *options;
        index->kept_fd = -1;
        pthread_mutex_init(&index->lock, NULL);
        pthread_cond_init(&index->changed, NULL);
        return index;
}

/* With the first sidecar from FROM on that can be read. *WHERE is its place; PLACES: there is none.
 */
static int open_once(struct index *index, const char *path, enum place_where from,
                     enum place_where *where, struct error *err)
{
        struct sidecar *sidecar = NULL;
        struct source *file;
        int rc = source_open_file(path, &file, err);

        *where = PLACES;
        if (rc < 0)
                return rc;
        index->file = file;
        index->archive_size = file->size;
        rc = check_size(file, err);
        if (rc == 0 && index->options.sidecar != INDEX_SIDECAR_NONE)
                rc = place_new(path, file, index->options.sidecar_path, &index->place, err);
        if (rc < 0) {
                source_close(file);
                return rc;
        }
        if (from < PLACES)
                *where = persist_load(index, from, &sidecar);
        rc = open_file(index, path, file, sidecar, err);
        sidecar_free(sidecar);
        return rc;
}

int index_open(const char *path, const struct index_options *options, struct index **out,
               struct error *err)
{
        bool reads =
            options->sidecar == INDEX_SIDECAR_USE || options->sidecar == INDEX_SIDECAR_ENTER;
        enum place_where from = reads ? PLACE_BESIDE : PLACES;
        struct error unfit = {0}, failure = {0};

        /* Whatever is wrong with a sidecar, the archive may be sound. */
        for (;;) {
                struct index *index = index_new(options);
                enum place_where where;
                int rc;

                if (!index)
                        return error_set(err, ENOMEM, "out of memory");
                failure = (struct error){0};
                rc = open_once(index, path, from, &where, &failure);
                if (rc == 0) {
                        if (unfit.code)
                                index->sidecar_err = unfit;
                        *out = index;
                        return 0;
                }
                if (where < PLACES)
                        error_fill(&unfit, EINVAL,
                                   "its index %s is not used: it does not fit the archive",
                                   place_path(index->place, where));
                index_close(index);
                if (where == PLACES) {
                        if (err)
                                *err = failure;
                        return rc;
                }
                from = where + 1;
        }
}

void index_close(struct index *index)
{
        if (!index)
                return;
        archive_close(index->archive);
        source_close(index->source);
        place_free(index->place);
        for (size_t i = 0; i < index->disk_count; i++)
                disk_free(index->disks[i]);
        source_close(index->kept_file);
        if (index->kept_fd >= 0)
                close(index->kept_fd);
        for (size_t i = 0; i < index->file_count; i++) {
                free(index->files[i].name);
                free(index->files[i].data);
        }
        for (size_t i = 0; i < index->folder_count; i++)
                free(index->folders[i].name);
        free(index->folders);
        free(index->disks);
        free(index->files);
        free(index->damages);
        free(index->gone);
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
        uint64_t size = index->archive_size;
        uint64_t done = index->scanned;

        if (index_sealed(index))
                return 100;
        if (index->entered)
                size = index->source->size;
        else if (stream_table(index->source))
                done = stream_consumed(index->source);
        return size ? (unsigned)min_u64(99, (uint64_t)((double)done / (double)size * 100)) : 0;
}

uint64_t index_archive_size(const struct index *index)
{
        return index->archive_size;
}

uint64_t index_scanned(const struct index *index)
{
        return index->scanned;
}

struct index_sidecar_state index_sidecar_state(const struct index *index)
{
        return (struct index_sidecar_state){
            .loaded = index->from_sidecar,
            .size = index->sidecar_size,
            .path = index->place ? place_path(index->place, PLACE_OWN) : NULL,
            .problem = index->sidecar_err.code ? index->sidecar_err.text : NULL,
        };
}

void index_restart_stats(const struct index *index, struct restart_stats *out)
{
        struct restart_table *table = stream_table(index->source);

        *out = (struct restart_stats){0};
        if (table)
                restart_measure(table, out);
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

size_t index_folder_count(const struct index *index)
{
        return index->folder_count;
}

const struct index_folder *index_folder(const struct index *index, size_t i)
{
        return &index->folders[i];
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

static void tell_contradiction(const struct index *index, struct error *err)
{
        int condemned = index->condemned;

        if (condemned < 0)
                error_fill(err, EBADMSG,
                           "its index %s cannot be used any more, delete it: it contradicts "
                           "itself, and cannot be marked: %s",
                           index->kept_path, strerror(-condemned));
        else
                error_fill(err, EBADMSG,
                           "its index %s cannot be used any more: it contradicts itself, and is "
                           "marked so that it is not used again",
                           index->kept_path);
}

/* It is told once, so that it does not stand in front of what fails later for another reason. */
static bool kept_failure(struct index *index, struct error *err)
{
        int rc = atomic_exchange(&index->kept_error, 0);

        if (rc == -ENOMEM)
                error_fill(err, ENOMEM, "out of memory");
        else if (rc == -EBADMSG)
                tell_contradiction(index, err);
        else if (rc == -ESTALE)
                error_fill(err, ESTALE,
                           "its index %s cannot be used any more: it was written to, and is "
                           "looked at anew the next time",
                           index->kept_path);
        else if (rc < 0)
                error_fill(err, -rc, "its index %s cannot be read: %s", index->kept_path,
                           strerror(-rc));
        return rc < 0;
}

bool index_read_failure(struct index *index, struct error *err)
{
        return source_check(index->file, err) != 0 || kept_failure(index, err) ||
               stream_damage(index->source, err) != 0;
}

struct archive *index_archive(const struct index *index)
{
        return index->archive;
}

bool index_recover_zero(const struct index *index)
{
        /* What was not even looked for is not lost: it must not become zeros. */
        return index->options.recover_zero && !index->incomplete;
}
