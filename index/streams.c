/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/stream.h"
#include "index/index_internal.h"
#include "index/sidecar/sidecar.h"
#include "index/sidecar/stored_table.h"

bool streams_get(const struct index *index, size_t i, struct archive_stream *out)
{
        struct archive *a = index->archive;

        return a->ops->stream && a->ops->stream(a, i, out);
}

bool streams_exist(const struct index *index)
{
        struct archive_stream s;

        return streams_get(index, 0, &s);
}

bool index_has_streams(const struct index *index)
{
        return stream_table(index->source) || streams_exist(index);
}

static struct restart_table *take(void *ctx, uint64_t at, uint64_t size, const char *codec)
{
        return sidecar_take_stream(ctx, at, size, codec);
}

struct archive_tables streams_tables(struct sidecar *sidecar, bool stored)
{
        return (struct archive_tables){
            .ctx = sidecar, .take = sidecar ? take : NULL, .stored = stored};
}

bool streams_fit(const struct index *index, const struct sidecar *sidecar)
{
        struct archive_stream s;
        size_t n = 0;

        while (streams_get(index, n, &s)) {
                if (!s.entered)
                        return false;
                n++;
        }
        return n == sidecar_stream_count(sidecar);
}

int streams_fill(struct index *index, struct sidecar *sidecar)
{
        struct archive_stream s;
        int rc = 0;

        for (size_t i = 0; rc == 0 && streams_get(index, i, &s); i++)
                for (uint32_t k = 0; k < s.disk_count && rc == 0; k++)
                        rc = sidecar_fill(sidecar, index->disks.count,
                                          index->disks.items[s.first_disk + k]);
        return rc;
}

int streams_list(const struct index *index, struct stored_stream **list, size_t *count)
{
        ARRAY(struct stored_stream) found = {0};
        struct archive_stream s;
        int rc = 0;

        for (size_t i = 0; rc == 0 && streams_get(index, i, &s); i++) {
                struct stored_stream one = {
                    .at = s.at, .size = s.size, .table = stream_table(s.source)};

                snprintf(one.codec, sizeof one.codec, "%s", s.source->ops->name);
                rc = array_add(&found, one);
        }
        *list = found.items;
        *count = found.count;
        return rc;
}

bool streams_damage(const struct index *index, struct error *err)
{
        struct archive_stream s;

        for (size_t i = 0; streams_get(index, i, &s); i++)
                if (source_damage(s.source, err) < 0)
                        return true;
        return false;
}

void streams_measure(const struct index *index, struct restart_stats *stats)
{
        struct archive_stream s;

        for (size_t i = 0; streams_get(index, i, &s); i++) {
                struct restart_stats one;

                restart_measure(stream_table(s.source), &one);
                stats->segments += one.segments;
                stats->points += one.points;
                stats->stored_bytes += one.stored_bytes;
                stats->widest = max_u64(stats->widest, one.widest);
        }
}
