/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "archive/source/source.h"
#include "archive/stream/restart.h"
#include "archive/stream/stream.h"
#include "index/index_internal.h"
#include "index/sidecar/location.h"
#include "index/sidecar/sidecar.h"
#include "index/verify/record.h"

static bool wants_saving(const struct index *index)
{
        bool compressed = stream_table(index->source) != NULL;

        switch (index->options.sidecar) {
        case INDEX_SIDECAR_NONE:
        case INDEX_SIDECAR_LATER:
                return false;
        case INDEX_SIDECAR_USE:
        case INDEX_SIDECAR_WRITE:
                return compressed;
        case INDEX_SIDECAR_ENTER:
                return compressed && !index->entered;
        case INDEX_SIDECAR_BUILD:
                return true;
        }
        return false;
}

int index_sidecar_folder(const struct index *index)
{
        bool later = index->options.sidecar == INDEX_SIDECAR_LATER;

        if (!index->place || !(later || (!index->from_sidecar && wants_saving(index))))
                return -1;
        return place_folder(index->place);
}

/*
 * The record in the sidecar that is about to be replaced: it takes a pass over a sound archive to
 * make, and cannot be made again of one that has suffered since. False: leave the sidecar alone.
 */
static bool carry_record(struct index *index, struct record **out)
{
        struct error err = {0};
        int rc = sidecar_load_record(index->place, PLACE_OWN, out, &err);

        /* From what is no sidecar of this archive nothing is to be had. */
        if (rc != -EBADMSG && rc != -ENOMEM && rc != -EIO)
                return true;
        error_fill(&index->sidecar_err, -rc, "its index %s is not replaced: %s",
                   place_path(index->place, PLACE_OWN), err.code ? err.text : strerror(-rc));
        return false;
}

/*
 * An archive is known by its size and its ends, which are all the same after a write to an image.
 * One that is compressed is not written to.
 */
static bool may_change(const struct index *index)
{
        return index->archive->in_place && !stream_table(index->source);
}

/* Write the sidecar, with RECORD or that of the one that is there. Under the folder's lock. */
static void save(struct index *index, const struct record *record)
{
        struct sidecar_contents contents = {
            .compression = index_compression(index),
            .format = index_format(index),
            .stream_size = index->source->size,
            .table = stream_table(index->source),
            .disks = index->disks,
            .disk_count = index->disk_count,
            .record = record,
        };
        struct record *carried = NULL;
        uint64_t size;

        if (!record && !carry_record(index, &carried))
                return;
        if (carried)
                contents.record = carried;
        if (sidecar_save(index->place, &contents, &size, &index->sidecar_err) == 0)
                index->sidecar_size = size;
        record_free(carried);
}

void index_keep(struct index *index, const struct record *record)
{
        int lock;

        /* What is damaged is scanned each time: it may be the medium that is at fault. */
        if (index->damage_count) {
                error_fill(&index->sidecar_err, EIO, "its index is not kept: it is damaged");
                return;
        }
        if (may_change(index)) {
                error_fill(&index->sidecar_err, ENOTSUP,
                           "its index is not kept: such an image may be written to in place, and "
                           "is scanned quickly");
                return;
        }
        if (index->archive->many_files) {
                error_fill(&index->sidecar_err, ENOTSUP,
                           "its index is not kept: it would be of one of its files alone");
                return;
        }
        /*
         * Another process may give the sidecar a record between our look for one and our own
         * sidecar. Where folders cannot be locked, that is so rare that it is not worth a failure.
         */
        lock = place_lock(index->place);
        if (lock == -ETIMEDOUT) {
                error_fill(&index->sidecar_err, ETIMEDOUT,
                           "its index %s is not kept: another process has been keeping one in "
                           "that folder for a minute",
                           place_path(index->place, PLACE_OWN));
                return;
        }
        save(index, record);
        place_unlock(lock);
}

void persist_save(struct index *index)
{
        if (index->place && wants_saving(index))
                index_keep(index, NULL);
}

int index_load_record(struct index *index, struct record **out, struct error *err)
{
        *out = NULL;
        for (enum place_where where = PLACE_BESIDE; where < PLACES; where++) {
                struct error failure = {0};
                int rc = sidecar_load_record(index->place, where, out, &failure);

                if (*out)
                        return 0;
                if (rc == -ENOMEM || rc == -EBADMSG)
                        return error_set(err, -rc, "its index %s is not used: %s",
                                         place_path(index->place, where), failure.text);
        }
        return 0;
}

/*
 * What becomes zeros has to be known to be lost. An index is kept of a damaged archive as well if
 * the damage is in what its scan did not decompress.
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

enum place_where persist_load(struct index *index, enum place_where from, struct sidecar **out)
{
        uint64_t window = index->options.window ? index->options.window : STREAM_WINDOW_DEFAULT;
        enum place_where where;

        for (where = from; where < PLACES; where++) {
                struct error err = {0};
                int rc = sidecar_load(index->place, where, window, out, &err);

                if (rc == 0 && !may_hide_losses(index, *out)) {
                        index->kept_path = place_path(index->place, where);
                        break;
                }
                if (rc == 0) {
                        sidecar_free(*out);
                        *out = NULL;
                        continue;
                }
                if (rc != -ENOENT && rc != -ENOTDIR)
                        error_fill(&index->sidecar_err, -rc, "its index %s is not used: %s",
                                   place_path(index->place, where),
                                   err.code ? err.text : strerror(-rc));
        }
        return where;
}

/*
 * A complete archive names each of its clusters, 59 of them in 512 bytes at most: disks that are
 * larger than it can name are a hostile sidecar's way to take memory. Of a sparse disk only what is
 * stored takes memory.
 */
static bool plausible(const struct index *index)
{
        uint64_t clusters = 0, limit = (index->source->size / 512 + 1) * 59;

        for (size_t i = 0; i < index->disk_count; i++)
                if (map_gap(index->disks[i]->map) == MAP_GAP_LOST)
                        clusters += index->disks[i]->size / 65536;
        return clusters <= limit;
}

int persist_enter(struct index *index, const struct sidecar *sidecar)
{
        if (strcmp(sidecar_compression(sidecar), index_compression(index)) != 0)
                return -EINVAL;
        index->entered = stream_table(index->source) != NULL;
        index->sidecar_size = sidecar_size(sidecar);
        return 0;
}

int persist_use(struct index *index, struct sidecar *sidecar)
{
        int rc = 0;

        if (strcmp(sidecar_compression(sidecar), index_compression(index)) != 0 ||
            strcmp(sidecar_format(sidecar), index_format(index)) != 0)
                return -EINVAL;
        if (!plausible(index) || index->archive->many_files || may_change(index))
                return -EINVAL;
        for (size_t i = 0; i < index->disk_count && rc == 0; i++)
                rc = sidecar_fill(sidecar, index->disk_count, index->disks[i]);
        if (rc < 0)
                return rc;
        index->kept_file = sidecar_take_file(sidecar, &index->kept_fd);
        index->from_sidecar = true;
        index->sidecar_size = sidecar_size(sidecar);
        intake_seal(index);
        return 0;
}
