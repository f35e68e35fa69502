/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/stream.h"
#include "index/index_internal.h"
#include "index/members/members.h"
#include "index/sidecar/journal.h"
#include "index/sidecar/location.h"
#include "index/sidecar/sidecar.h"
#include "index/sidecar/stored_table.h"
#include "index/verify/record.h"

static bool wants_saving(const struct index *index)
{
        bool slow = index_has_streams(index) || index->members;

        switch (index->options.sidecar) {
        case INDEX_SIDECAR_NONE:
        case INDEX_SIDECAR_LATER:
                return false;
        case INDEX_SIDECAR_USE:
        case INDEX_SIDECAR_WRITE:
                return slow && !index->streams_from_sidecar;
        case INDEX_SIDECAR_ENTER:
                return slow && !index->entered;
        case INDEX_SIDECAR_BUILD:
                return true;
        }
        return false;
}

/*
 * Read the record of the sidecar that is about to be replaced. Making one takes a pass over a sound
 * archive, so it could not be made again if the archive was damaged since. False: leave the sidecar
 * alone.
 */
static bool carry_record(struct index *index, struct record **out)
{
        struct error err = {0};
        int rc = sidecar_load_record(index->location, LOCATION_OWN, out, &err);

        /* A file that is not a sidecar of this archive has no record for us. */
        if (rc != -EBADMSG && rc != -ENOMEM && rc != -EIO)
                return true;
        error_fill(&index->sidecar_err, -rc, "its index %s is not replaced: %s",
                   location_path(index->location, LOCATION_OWN),
                   err.code ? err.text : strerror(-rc));
        return false;
}

/*
 * A write into an image changes neither its size nor its ends, by which archives are identified.
 * Nobody writes into a compressed one.
 */
static bool may_change(const struct index *index)
{
        return index->archive->mutable_image && !stream_table(index->source);
}

const char *index_unkept(const struct index *index)
{
        if (may_change(index))
                return "such an image may be written to in place, and is scanned quickly";
        if (index->archive->many_files)
                return "it would be of one of its files alone";
        return NULL;
}

/* Does the archive itself know of any disk what it holds? */
static bool has_volumes(const struct index *index)
{
        for (size_t i = 0; i < index->disks.count; i++)
                if (!disk_is_scanned(index->disks.items[i]))
                        return true;
        return false;
}

/*
 * The tables by which volumes answer may have rotten since they were judged. Hashes show that where
 * the archive is compressed; where it is not, they are judged each time.
 */
static bool is_scanned_again(const struct index *index)
{
        return has_volumes(index) && !stream_table(index->source);
}

bool index_scanned_always(const struct index *index)
{
        return index_unkept(index) || (is_scanned_again(index) && !streams_exist(index));
}

/* Write the sidecar, with RECORD or with that of the current sidecar. The folder is locked. */
static void save(struct index *index, const struct record *record)
{
        struct sidecar_contents contents = {
            .stamp = stamp_of(index->file),
            .compression = index_compression(index),
            .format = index_format(index),
            .stream_size = index->source->size,
            .table = stream_table(index->source),
            .disks = index->disks.items,
            .disk_count = index->disks.count,
            .members = index->members,
            .chosen = index->options.view == VIEW_AUTO,
            .record = record,
        };
        cleanup_free struct stored_stream *streams = NULL;
        struct record *carried = NULL;
        uint64_t size;
        int rc = streams_list(index, &streams, &contents.stream_count);

        if (rc < 0) {
                error_fill(&index->sidecar_err, -rc, "its index is not kept: out of memory");
                return;
        }
        contents.streams = streams;
        if (!record && !carry_record(index, &carried))
                return;
        if (carried)
                contents.record = carried;
        if (sidecar_save(index->location, &contents, &size, &index->sidecar_err) == 0)
                index->sidecar_size = size;
        record_free(carried);
}

void index_keep(struct index *index, const struct record *record)
{
        int rc;

        /* A damaged archive is scanned each time, since the medium may be at fault. */
        if (index->damage_count) {
                error_fill(&index->sidecar_err, EIO, "its index is not kept: %s",
                           index->damage_count > index->doubt_count
                               ? "it is damaged"
                               : "it cannot be proven to be whole");
                return;
        }
        if (index_unkept(index)) {
                error_fill(&index->sidecar_err, ENOTSUP, "its index is not kept: %s",
                           index_unkept(index));
                return;
        }
        /*
         * Without a lock, another process may add a record after we looked for one and before we
         * replace the sidecar. If the folder cannot be locked, that is too rare to fail for.
         */
        rc = location_lock(index->location);
        if (rc == -ETIMEDOUT) {
                error_fill(&index->sidecar_err, ETIMEDOUT,
                           "its index %s is not kept: another process has been keeping one in "
                           "that folder for a minute",
                           location_path(index->location, LOCATION_OWN));
                return;
        }
        save(index, record);
        location_unlock(index->location);
}

void persist_save(struct index *index)
{
        if (index->location && wants_saving(index))
                index_keep(index, NULL);
}

int index_try_keeping(struct index *index, struct error *err)
{
        bool wanted = index->options.sidecar == INDEX_SIDECAR_LATER ||
                      index->options.sidecar == INDEX_SIDECAR_ENTER || wants_saving(index);
        int fd;

        if (!index->location || index_sidecar_state(index).loaded || !wanted || index_unkept(index))
                return 0;
        fd = location_create(index->location, err);
        if (fd < 0)
                return fd;
        location_abandon(index->location, fd);
        return 0;
}

int index_load_record(struct index *index, struct record **out, struct error *err)
{
        int problem = 0;

        *out = NULL;
        for (enum location_where where = LOCATION_BESIDE; where < LOCATIONS; where++) {
                struct error failure = {0};
                int rc = sidecar_load_record(index->location, where, out, &failure);

                if (*out)
                        return 0;
                /* It cannot be trusted: somebody may have put it there as an obstacle. */
                if (rc == -EPERM)
                        error_fill(&index->sidecar_err, EPERM, "its index %s is not used: %s",
                                   location_path(index->location, where), failure.text);
                if (rc == -ENOMEM || rc == -EBADMSG)
                        return error_set(err, -rc, "its index %s is not used: %s",
                                         location_path(index->location, where), failure.text);
                if (rc < 0 && rc != -ENOENT && rc != -ENOTDIR && problem == 0) {
                        problem = rc;
                        error_fill(err, -rc, "its index %s is not used: %s",
                                   location_path(index->location, where),
                                   failure.code ? failure.text : strerror(-rc));
                }
        }
        return problem;
}

/*
 * With recover=zero, it has to be known what is lost. But an index may exist of a damaged archive,
 * if the damage is in a part that its scan did not decompress.
 */
static bool may_hide_losses(const struct index *index, const struct sidecar *sidecar)
{
        struct restart_segment segment;
        bool by_sums = false;

        if (!index->options.recover_zero || !sidecar_table(sidecar))
                return false;
        for (size_t i = 0; !by_sums && restart_get(sidecar_table(sidecar), i, &segment); i++)
                by_sums = segment.point.by_sums;
        return by_sums;
}

static bool is_compressed(const struct sidecar *sidecar)
{
        return strcmp(sidecar_compression(sidecar), "none") != 0;
}

static uint64_t window_of(const struct index *index)
{
        return index->options.window ? index->options.window : STREAM_WINDOW_DEFAULT;
}

enum location_where persist_load(struct index *index, enum location_where from,
                                 struct sidecar **out)
{
        uint64_t window = window_of(index);
        enum location_where where;

        for (where = from; where < LOCATIONS; where++) {
                struct error err = {0};
                int rc = sidecar_load(index->location, where, window, out, &err);

                if (rc == 0 && may_hide_losses(index, *out))
                        rc = -ENOENT;
                else if (rc == 0)
                        rc = stamp_check(sidecar_stamp(*out), is_compressed(*out), index->file,
                                         &err);
                if (rc == 0) {
                        index->stored_path = location_path(index->location, where);
                        break;
                }
                sidecar_free(steal_ptr(out));
                if (rc != -ENOENT && rc != -ENOTDIR)
                        error_fill(&index->sidecar_err, -rc, "its index %s is not used: %s",
                                   location_path(index->location, where),
                                   err.code ? err.text : strerror(-rc));
        }
        return where;
}

/*
 * A complete archive names each of its clusters, at most 59 of them in 512 bytes. Disks larger than
 * that are a hostile sidecar's attempt to use up memory. For a sparse disk, only what is stored
 * takes memory.
 */
static bool plausible(const struct index *index)
{
        uint64_t clusters = 0, limit = (index->source->size / 512 + 1) * 59;

        for (size_t i = 0; i < index->disks.count; i++)
                if (map_gap(index->disks.items[i]->own.map) == MAP_GAP_LOST)
                        clusters += index->disks.items[i]->size / 65536;
        return clusters <= limit;
}

static void members_failed(void *ctx, int rc)
{
        index_stored_part_failed(ctx, rc);
}

int persist_members(struct index *index, struct sidecar *sidecar)
{
        struct members_source from = {
            .whole = !index->options.piecemeal, .failed = members_failed, .ctx = index};
        struct error err = {0};
        bool chosen;
        int rc;

        if (index->options.view == VIEW_IMAGES || index->options.sidecar == INDEX_SIDECAR_LATER)
                return 0;
        rc = sidecar_load_members(sidecar, &from, &index->members, &chosen, &err);
        if (rc < 0)
                error_fill(&index->sidecar_err, -rc, "its index %s is not used: %s",
                           index->stored_path, err.text);
        if (rc < 0 || !index->members)
                return rc;
        /* What it was shown as because somebody said so is asked for again. */
        if (index->options.view == VIEW_AUTO && !chosen) {
                members_free(steal_ptr(&index->members));
                return 0;
        }
        index->stored_view = true;
        if (index->options.sidecar == INDEX_SIDECAR_ENTER)
                index->options.sidecar = INDEX_SIDECAR_USE;
        return 0;
}

int persist_enter(struct index *index, const struct sidecar *sidecar)
{
        if (strcmp(sidecar_compression(sidecar), index_compression(index)) != 0 ||
            !streams_fit(index, sidecar))
                return -EINVAL;
        index->entered = index_has_streams(index);
        index->sidecar_size = sidecar_size(sidecar);
        return 0;
}

/* Of a plain archive, what its compressed members hold is all that need not be scanned. */
static int use_streams(struct index *index, struct sidecar *sidecar)
{
        int rc = streams_fill(index, sidecar);

        index->streams_from_sidecar = rc == 0;
        index->sidecar_size = rc == 0 ? sidecar_size(sidecar) : 0;
        return rc;
}

int persist_use(struct index *index, struct sidecar *sidecar)
{
        int rc = 0;

        if (strcmp(sidecar_compression(sidecar), index_compression(index)) != 0 ||
            strcmp(sidecar_format(sidecar), index_format(index)) != 0)
                return -EINVAL;
        if (index->archive->is_tree != index->stored_view ||
            (index->stored_view && sidecar_disk_count(sidecar)))
                return -EINVAL;
        if (!plausible(index) || index_unkept(index))
                return -EINVAL;
        if (index_scanned_always(index))
                return 0;
        if (!streams_fit(index, sidecar))
                return -EINVAL;
        if (is_scanned_again(index))
                return use_streams(index, sidecar);
        for (size_t i = 0; i < index->disks.count && rc == 0; i++)
                rc = sidecar_fill(sidecar, index->disks.count, index->disks.items[i]);
        if (rc < 0)
                return rc;
        index->stored_file = sidecar_take_file(sidecar);
        index->stored_where = sidecar_where(sidecar);
        index->from_sidecar = true;
        index->sidecar_size = sidecar_size(sidecar);
        if (index->archive->ops->skip_scan)
                index->archive->ops->skip_scan(index->archive);
        rc = observe_finish(index);
        if (rc < 0)
                return rc;
        intake_seal(index);
        return 0;
}

/* ---- a pass that is interrupted ---- */

/*
 * Is what the pass finds kept? With recover=zero it has to be known what is lost, and who verifies
 * looks at everything himself.
 */
static bool wants_partial(const struct index *index)
{
        switch (index->options.sidecar) {
        case INDEX_SIDECAR_NONE:
        case INDEX_SIDECAR_LATER:
                return false;
        case INDEX_SIDECAR_USE:
        case INDEX_SIDECAR_WRITE:
        case INDEX_SIDECAR_ENTER:
        case INDEX_SIDECAR_BUILD:
                return index->location && !index->options.recover_zero;
        }
        return false;
}

/*
 * One pass goes over two archives if the file has changed between its parts, which no hash of what
 * was passed shows. So it must not have been touched. Its inode may be another one after each mount
 * of a network file system.
 */
static struct journal_key key_of(const struct index *index, const char *compression)
{
        struct journal_key key = {.identity = location_identity(index->location),
                                  .compression = compression,
                                  .stamp = stamp_of(index->file)};

        key.stamp.file.inode = 0;
        return key;
}

bool persist_resume(struct index *index, bool fresh, struct stream_resume *resume)
{
        const char *compression = stream_name(index->file);
        struct restart_segment here;
        struct journal_key key;
        int rc;

        *resume = (struct stream_resume){0};
        if (!wants_partial(index) || !compression)
                return false;
        key = key_of(index, compression);
        rc = fresh ? -ENOENT
                   : journal_load(index->location, &key, window_of(index), resume, &index->journal);
        if (rc == 0 && restart_growing(resume->take_table, &here)) {
                index->resumed_at = here.point.in_bit / 8;
                return true;
        }
        /* Without the memory for it, nothing is kept. */
        if (rc != -EBUSY)
                index->journal = journal_new();
        return false;
}

void persist_progress(void *ctx, struct source *source)
{
        struct index *index = ctx;
        struct journal_key key;

        if (!index->journal)
                return;
        key = key_of(index, source->ops->name);
        journal_write(index->journal, index->location, &key, source);
}

void persist_end_progress(struct index *index, int rc)
{
        bool kept = index->journal && (rc == -ECANCELED || rc == -ENOMEM);

        if (index->journal && !kept)
                location_drop_partial(index->location);
        journal_close(steal_ptr(&index->journal));
}
