/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/extent.h"
#include "archive/shared.h"
#include "archive/source/remote/remote.h"
#include "archive/source/source.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/stream.h"
#include "archive/volume.h"
#include "index/ahead.h"
#include "index/index_internal.h"
#include "index/names.h"
#include "index/sidecar/journal.h"
#include "index/sidecar/location.h"
#include "index/sidecar/sidecar.h"
#include "index/site.h"
#include "index/tree/tree.h"

struct shared *index_shared(const struct index *index)
{
        return index->options.shared;
}

struct ahead *index_ahead(const struct index *index)
{
        return index->ahead;
}

size_t index_cache_bytes(const struct index *index)
{
        return blockcache_bound(index->options.shared->cache);
}

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

void index_stored_part_failed(struct index *index, int rc)
{
        /*
         * What was cut or written to is found out when it is opened again; this is not. Two threads
         * may do it twice, so that neither goes on before it is done.
         */
        if (rc == -EBADMSG && index->quarantined == 0) {
                int failed = location_quarantine(index->location, index->stored_where);

                index->quarantined = failed < 0 ? failed : 1;
        }
        index->stored_error = rc;
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

/*
 * A complete pass has hashed each segment, and every later decode is compared with that. So even a
 * file that cannot be watched may be renamed or removed while it is in use.
 */
static void trust_hashes(struct index *index)
{
        if (stream_table(index->source) && index->damage_count == 0)
                source_set_verified(index->file);
}

int index_scan(struct index *index, const struct index_observer *observer, struct error *err)
{
        struct archive_sink sink = intake_sink(index);
        struct error why = {0};
        int rc, change;

        shared_release(index->options.shared);
        if (index->from_sidecar)
                return observer ? -EINVAL : 0;
        index->observer = observer;
        sink.thorough = observer != NULL || index->options.thorough;
        rc = index->archive->ops->scan(index->archive, &sink, err);
        if (rc == 0)
                rc = observe_finish(index);
        index->observer = NULL;
        /* What a scan of two archives has found is neither's, and no loss. */
        change = source_check(index->file, rc == -ECANCELED ? NULL : err);
        if (change < 0 && rc != -ECANCELED)
                rc = change;
        if (rc < 0 && rc != -ECANCELED && err && !err->code)
                error_fill_at(err, -rc, index->scanned, "indexing failed: %s", scan_problem(rc));
        if (rc == -EREMOTEIO && source_damage(index->file, &why) < 0)
                error_fill(err, EREMOTEIO, "%s", why.text);
        index->incomplete = rc < 0;
        if (rc == 0)
                trust_hashes(index);
        intake_seal(index);
        if (rc == 0)
                persist_save(index);
        persist_end_progress(index, rc);
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

/*
 * Open TAKE_FILE as what it is, and fill in what SIDECAR knows, or go on with a pass as RESUME says
 * (NULL: there is none).
 */
static int open_archive(struct index *index, const struct archive_origin *origin,
                        struct source *take_file, struct sidecar *sidecar,
                        struct stream_resume *resume, struct error *err)
{
        struct stream_options options = {.shared = index->options.shared,
                                         .window = index->options.window,
                                         .late_proofs =
                                             index->options.sidecar == INDEX_SIDECAR_NONE,
                                         .skip = !wants_all(index),
                                         .take_table = sidecar ? sidecar_take_table(sidecar) : NULL,
                                         .resume = resume,
                                         .keep = index->journal ? persist_progress : NULL,
                                         .keep_ctx = index};
        const struct archive_tables tables =
            streams_tables(sidecar, index->options.sidecar != INDEX_SIDECAR_NONE);
        struct archive_origin known = *origin;
        struct archive_sink sink = intake_sink(index);
        int rc = stream_probe(take_file, &options, &index->source, err);

        known.tables = &tables;
        if (rc == 0) {
                intake_observe(index);
                rc = intake_begin(index) < 0 ? error_set(err, ENOMEM, "out of memory") : 0;
        }
        if (rc == 0)
                rc = archive_open(index->source, &known, &sink, &index->archive, err);
        if (rc == 0)
                error_make_printable(index->archive->info.note);
        if (rc == 0 && intake_settle(index) < 0)
                rc = error_set(err, ENOMEM, "out of memory");
        if (rc == 0 && sidecar && index->options.sidecar == INDEX_SIDECAR_ENTER)
                rc = persist_enter(index, sidecar);
        else if (rc == 0 && sidecar) {
                rc = persist_use(index, sidecar);
                if (rc == 0)
                        trust_hashes(index);
        }
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

/* The same, of the file at SITE. */
static int open_file(struct index *index, const struct site *site, struct source *take_file,
                     struct sidecar *sidecar, struct stream_resume *resume, struct error *err)
{
        const char *slash = strrchr(site->path, '/');
        struct archive_origin origin = {.name = slash ? slash + 1 : site->path,
                                        .neighbours = &site->neighbours,
                                        .shared = index->options.shared,
                                        .mtime = source_mtime(take_file),
                                        .file = take_file,
                                        .view =
                                            index->stored_view ? VIEW_TREE : index->options.view};

        return open_archive(index, &origin, take_file, sidecar, resume, err);
}

static struct index *index_new(const struct index_options *options)
{
        struct index *index = calloc(1, sizeof *index);

        if (!index)
                return NULL;
        index->options = *options;
        if (!options->shared) {
                if (shared_new(options->cache_bytes, options->threads, &index->own, NULL) < 0) {
                        free(index);
                        return NULL;
                }
                index->options.shared = index->own;
        }
        if (ahead_new(index, &index->ahead) < 0) {
                shared_free(index->own);
                free(index);
                return NULL;
        }
        backlog_init(&index->backlog);
        pthread_mutex_init(&index->lock, NULL);
        pthread_cond_init(&index->changed, NULL);
        return index;
}

static int open_source(const struct site *site, struct source **out, struct error *err)
{
        int fd;

        if (site->remote)
                return remote_source(site->remote, REMOTE_ARCHIVE, out, err);
        fd = fcntl(site->archive, F_DUPFD_CLOEXEC, 3);
        return fd < 0 ? error_set(err, errno, "cannot be opened: %s", strerror(errno))
                      : source_open_fd(fd, out, err);
}

/*
 * With the first sidecar from FROM on that can be read. *WHERE is its place; LOCATIONS: there is
 * none. Then the pass goes on where it was interrupted, unless FRESH.
 */
static int open_once(struct index *index, struct site *site, enum location_where from, bool fresh,
                     enum location_where *where, struct error *err)
{
        struct stream_resume resume = {0};
        bool resumed = false;
        struct sidecar *sidecar = NULL;
        struct source *file = NULL;
        int rc = open_source(site, &file, err);

        *where = LOCATIONS;
        if (rc < 0 || !file)
                return rc;
        if (!index->options.unwatched)
                source_watch(file, NULL);
        index->file = file;
        index->archive_size = file->size;
        rc = check_size(file, err);
        if (rc == 0 && site->shelf)
                rc = location_new(site->shelf, file, &index->location, err);
        if (rc < 0) {
                source_close(file);
                return rc;
        }
        if (from < LOCATIONS)
                *where = persist_load(index, from, &sidecar);
        if (sidecar && persist_members(index, sidecar) < 0) {
                sidecar_free(steal_ptr(&sidecar));
                source_close(file);
                return -EINVAL;
        }
        if (!sidecar)
                resumed = persist_resume(index, fresh, &resume);
        rc = open_file(index, site, file, sidecar, resumed ? &resume : NULL, err);
        stream_resume_fini(&resume);
        sidecar_free(sidecar);
        return rc;
}

int index_open_site(struct site *site, const struct index_options *options, struct index **out,
                    struct error *err)
{
        bool reads =
            options->sidecar == INDEX_SIDECAR_USE || options->sidecar == INDEX_SIDECAR_ENTER;
        enum location_where from = reads ? LOCATION_BESIDE : LOCATIONS;
        struct error unfit = {0}, failure = {0}, why = {0};
        bool fresh = false;

        /* Whatever is wrong with a sidecar, the archive may be sound. */
        for (;;) {
                struct index *index = index_new(options);
                enum location_where where;
                int rc;

                if (!index)
                        return error_set(err, ENOMEM, "out of memory");
                failure = (struct error){0};
                rc = open_once(index, site, from, fresh, &where, &failure);
                if (rc == 0) {
                        if (unfit.code)
                                index->sidecar_err = unfit;
                        *out = index;
                        return 0;
                }
                /* Its hashes say that the archive is not what it was: a scan would not know. */
                if (where < LOCATIONS && rc == -EIO && source_damage(index->source, &why) < 0) {
                        error_fill_at(
                            err, EIO, why.offset,
                            "%.200s; to read what is wrong all the same, delete its index "
                            "%.150s",
                            failure.text, location_path(index->location, where));
                        index_close(index);
                        return rc;
                }
                if (where < LOCATIONS)
                        error_fill(&unfit, EINVAL,
                                   "its index %s is not used: it does not fit the archive",
                                   location_path(index->location, where));
                /* What was kept of a pass may not be the archive's, so begin at its beginning. */
                fresh = index->resumed_at > 0;
                index_close(index);
                if (where == LOCATIONS && fresh) {
                        from = LOCATIONS;
                        continue;
                }
                if (where == LOCATIONS) {
                        if (site->remote && (rc == -EREMOTEIO || rc == -EIO))
                                remote_failure(site->remote, &failure);
                        if (err)
                                *err = failure;
                        return rc;
                }
                from = where + 1;
        }
}

int index_open(const char *path, const struct index_options *options, struct index **out,
               struct error *err)
{
        struct site *site;
        int rc = site_open(path, options, &site, err);

        if (rc < 0)
                return rc;
        rc = index_open_site(site, options, out, err);
        if (rc < 0)
                site_close(site);
        else
                (*out)->site = site;
        return rc;
}

/* What index_of_volumes has for an archive. */
static int given_check(struct archive *a)
{
        (void)a;
        return 0;
}

static void given_close(struct archive *a)
{
        free(a);
}

static const struct format given_format = {
    .name = "given", .check = given_check, .close = given_close};

static int take_given(struct index *index, const struct index_given *list, size_t count)
{
        struct archive_sink sink = intake_sink(index);
        int rc = intake_begin(index);

        for (size_t i = 0; i < count && rc == 0; i++) {
                const struct entry_disk disk = {.device = list[i].device, .volume = list[i].volume};
                const struct entry e = {
                    .name = list[i].name, .size = list[i].volume->size, .disk = &disk};

                rc = sink.entry(sink.ctx, &e);
        }
        return rc == 0 ? intake_settle(index) : rc;
}

int index_of_volumes(const struct index_given *list, size_t count, struct shared *shared,
                     struct index **out)
{
        const struct index_options options = {.shared = shared, .partitions = true};
        struct index *index = index_new(&options);
        int rc;

        if (!index)
                return -ENOMEM;
        index->archive = calloc(1, sizeof *index->archive);
        rc = index->archive ? 0 : -ENOMEM;
        if (rc == 0) {
                index->archive->ops = &given_format;
                rc = take_given(index, list, count);
        }
        if (rc < 0) {
                index_close(index);
                return rc;
        }
        intake_seal(index);
        *out = index;
        return 0;
}

void index_close(struct index *index)
{
        if (!index)
                return;
        ahead_free(index->ahead);
        intake_free(index); /* before the archive that owns the volumes of its files */
        archive_close(index->archive);
        source_close(index->source);
        journal_close(index->journal);
        location_free(index->location);
        site_close(index->site);
        source_close(index->stored_file);
        array_free(&index->damages);
        backlog_clear(&index->backlog);
        pthread_cond_destroy(&index->changed);
        pthread_mutex_destroy(&index->lock);
        shared_free(index->own);
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

void index_wake(struct index *index)
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

uint64_t index_resumed(const struct index *index)
{
        return index->resumed_at;
}

uint64_t index_scanned(const struct index *index)
{
        return index->scanned;
}

struct index_sidecar_state index_sidecar_state(const struct index *index)
{
        const char *own = index->location ? location_path(index->location, LOCATION_OWN) : NULL;

        return (struct index_sidecar_state){
            .loaded = index->from_sidecar || index->streams_from_sidecar,
            .size = index->sidecar_size,
            .path = index->from_sidecar || index->streams_from_sidecar ? index->stored_path : own,
            .problem = index->sidecar_err.code ? index->sidecar_err.text : NULL,
        };
}

void index_restart_stats(const struct index *index, struct restart_stats *out)
{
        struct restart_table *table = stream_table(index->source);

        *out = (struct restart_stats){0};
        if (table)
                restart_measure(table, out);
        streams_measure(index, out);
}

uint64_t index_decoded(const struct index *index)
{
        return stream_work(index->source);
}

const struct archive_info *index_info(const struct index *index)
{
        return &index->archive->info;
}

const char *index_config(const struct index *index)
{
        return index->archive->config;
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

struct tree *index_tree(const struct index *index)
{
        return index->tree;
}

/* The node in FOLDER whose name is the LEN bytes of NAME. As tree_lookup. */
static int find_in(struct node *folder, const char *name, size_t len, struct node **out)
{
        char leaf[NAME_LEN_MAX + 1];
        int rc;

        if (len > NAME_LEN_MAX)
                return -ENOENT;
        memcpy(leaf, name, len);
        leaf[len] = '\0';
        rc = tree_lookup(folder, leaf, out);
        /* Of this tree all nodes stay. */
        if (rc == 0)
                tree_release(*out, 1);
        return rc;
}

int index_look_up(const struct index *index, const char *path, struct node **out)
{
        struct node *n = tree_root(index->tree);

        for (;;) {
                const char *end = strchrnul(path, '/');
                int rc = find_in(n, path, (size_t)(end - path), &n);

                if (rc < 0)
                        return rc;
                if (!*end) {
                        *out = n;
                        return 0;
                }
                path = end + 1;
        }
}

const struct node *index_find(const struct index *index, const char *path)
{
        struct node *n;

        return index_look_up(index, path, &n) == 0 ? n : NULL;
}

struct disk *index_disk_of(const struct node *n)
{
        const struct disk *d = n->content;

        return d && d->kind == CONTENT_DISK ? n->content : NULL;
}

const struct index_file *index_file_of(const struct node *n)
{
        const struct index_file *f = n->content;

        return f && f->kind == CONTENT_FILE ? f : NULL;
}

struct parted *index_parted_of(const struct node *n)
{
        const struct index_folder *f = node_is_folder(n) ? n->content : NULL;

        return f && f->kind == CONTENT_FOLDER ? f->parted : NULL;
}

struct parted *index_parted(const struct index *index, size_t i)
{
        return i < index->parted.count ? index->parted.items[i] : NULL;
}

struct groups *index_groups(const struct index *index)
{
        return index->groups;
}

size_t index_folder_count(const struct index *index)
{
        return index->folders.count;
}

const struct index_folder *index_folder(const struct index *index, size_t i)
{
        return index->folders.items[i];
}

size_t index_disk_count(const struct index *index)
{
        return index->disks.count;
}

struct disk *index_disk(const struct index *index, size_t i)
{
        return index->disks.items[i];
}

size_t index_file_count(const struct index *index)
{
        return index->file_count;
}

size_t index_damage_count(const struct index *index)
{
        return index->damage_count;
}

const struct index_damage *index_hiding_damage(const struct index *index, bool any)
{
        for (size_t i = 0; i < index->damages.count; i++) {
                const struct index_damage *d = &index->damages.items[i];

                if (d->hides || (any && d->disk == DISK_NONE && !d->doubt))
                        return d;
        }
        return NULL;
}

size_t index_doubt_count(const struct index *index)
{
        return index->doubt_count;
}

size_t index_damages(const struct index *index, const struct index_damage **list)
{
        *list = index->damages.items;
        return index->damages.count;
}

static void tell_contradiction(const struct index *index, struct error *err)
{
        int quarantined = index->quarantined;

        if (quarantined < 0)
                error_fill(err, EBADMSG,
                           "its index %s cannot be used any more, delete it: it contradicts "
                           "itself, and cannot be marked: %s",
                           index->stored_path, strerror(-quarantined));
        else
                error_fill(err, EBADMSG,
                           "its index %s cannot be used any more: it contradicts itself, and is "
                           "marked so that it is not used again",
                           index->stored_path);
}

/* Why the server does not give a part of the index, which is in use. */
static bool stored_failure(const struct index *index, struct error *err)
{
        struct error why = {0};

        if (!index->stored_file || source_damage(index->stored_file, &why) == 0)
                return false;
        error_fill(err, EREMOTEIO, "its index %s cannot be read: %s", index->stored_path, why.text);
        return true;
}

/* It is told once, so that it does not stand before what fails later for another reason. */
static bool kept_failure(struct index *index, struct error *err)
{
        int rc = atomic_exchange(&index->stored_error, 0);

        if (rc == -ENOMEM)
                error_fill(err, ENOMEM, "out of memory");
        else if (rc == -EBADMSG)
                tell_contradiction(index, err);
        else if (rc == -ESTALE)
                error_fill(err, ESTALE,
                           "its index %s cannot be used any more: it was written to, and is "
                           "looked at anew the next time",
                           index->stored_path);
        else if (rc < 0 && !stored_failure(index, err))
                error_fill(err, -rc, "its index %s cannot be read: %s", index->stored_path,
                           strerror(-rc));
        return rc < 0;
}

bool index_read_failure(struct index *index, struct error *err)
{
        return source_check(index->file, err) != 0 || source_damage(index->file, err) != 0 ||
               kept_failure(index, err) || stored_failure(index, err) ||
               source_damage(index->source, err) != 0 || streams_damage(index, err);
}

struct archive *index_archive(const struct index *index)
{
        return index->archive;
}

int index_check(const struct index *index)
{
        struct archive *a = index->archive;

        return a->ops->check ? a->ops->check(a) : source_check(index->file, NULL);
}

bool index_recover_zero(const struct index *index)
{
        /* What was not even looked for is not lost: it must not become zeros. */
        return index->options.recover_zero && !index->incomplete;
}
