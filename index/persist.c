/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "archive/source.h"
#include "archive/stream.h"
#include "index/index_internal.h"
#include "index/place.h"
#include "index/sidecar.h"

static bool wants_saving(const struct index *index)
{
        bool compressed = stream_table(index->source) != NULL;

        switch (index->options.sidecar) {
        case INDEX_SIDECAR_NONE:
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

/* What is damaged is scanned each time: it may be the medium that is at fault. */
void persist_save(struct index *index)
{
        struct sidecar_contents contents = {
            .compression = index_compression(index),
            .format = index_format(index),
            .stream_size = index->source->size,
            .table = stream_table(index->source),
            .disks = index->disks,
            .disk_count = index->disk_count,
        };
        uint64_t size;

        if (!index->place || !wants_saving(index))
                return;
        if (index->damage_count) {
                error_fill(&index->sidecar_err, EIO, "its index is not kept: it is damaged");
                return;
        }
        if (sidecar_save(index->place, &contents, &size, &index->sidecar_err) == 0)
                index->sidecar_size = size;
}

enum place_where persist_load(struct index *index, enum place_where from, struct sidecar **out)
{
        uint64_t window = index->options.window ? index->options.window : STREAM_WINDOW_DEFAULT;
        enum place_where where;

        for (where = from; where < PLACES; where++) {
                struct error err = {0};
                int rc = sidecar_load(index->place, where, window, out, &err);

                if (rc == 0)
                        break;
                if (rc != -ENOENT && rc != -ENOTDIR)
                        error_fill(&index->sidecar_err, -rc, "its index %s is not used: %s",
                                   place_path(index->place, where),
                                   err.code ? err.text : strerror(-rc));
        }
        return where;
}

/*
 * A complete archive names each of its clusters, 59 of them in 512 bytes at most: disks that are
 * larger than it can name are a hostile sidecar's way to take memory.
 */
static bool plausible(const struct index *index)
{
        uint64_t clusters = 0, limit = (index->source->size / 512 + 1) * 59;

        for (size_t i = 0; i < index->disk_count; i++)
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

int persist_use(struct index *index, const struct sidecar *sidecar)
{
        int rc = 0;

        if (strcmp(sidecar_compression(sidecar), index_compression(index)) != 0 ||
            strcmp(sidecar_format(sidecar), index_format(index)) != 0)
                return -EINVAL;
        if (!plausible(index))
                return -EINVAL;
        for (size_t i = 0; i < index->disk_count && rc == 0; i++)
                rc = sidecar_fill(sidecar, index->disk_count, index->disks[i]);
        if (rc < 0)
                return rc;
        index->from_sidecar = true;
        index->sidecar_size = sidecar_size(sidecar);
        intake_seal(index);
        return 0;
}
