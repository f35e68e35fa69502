/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/shared_source.h"
#include "archive/source/source.h"
#include "archive/stream/restart_table.h"
#include "index/sidecar/stored_table.h"
#include "index/sidecar/writer.h"

/* Of a member's head in the tables. */
enum {
        AT_BEGIN = 0,
        AT_SIZE = 8,
        AT_STREAM_SIZE = 16,
        AT_CODEC = 24,
        AT_SEGMENTS = 32,
        AT_ZERO = 36,
        HEAD = 40,
};

void stored_streams_write(struct writer *w, const struct stored_stream *list, size_t count,
                          uint64_t *at)
{
        for (size_t i = 0; i < count && w->error == 0; i++) {
                const struct stored_stream *s = &list[i];
                size_t segments = restart_count(s->table);
                uint8_t head[HEAD] = {0};

                store_le64(head + AT_BEGIN, s->at);
                store_le64(head + AT_SIZE, s->size);
                store_le64(head + AT_STREAM_SIZE, restart_end(s->table));
                memcpy(head + AT_CODEC, s->codec, strnlen(s->codec, STORED_NAME));
                store_le32(head + AT_SEGMENTS, (uint32_t)segments);
                fwrite(head, sizeof head, 1, w->tables);
                stored_table_write(w, s->table, at);
                at += segments;
        }
}

size_t stored_streams_segments(const struct stored_stream *list, size_t count)
{
        size_t sum = 0;

        for (size_t i = 0; i < count; i++)
                sum += restart_count(list[i].table);
        return sum;
}

static int load_stream(struct stored_tables *in, struct stored_stream *out)
{
        const uint8_t *head = in->bytes + in->at;

        if (!range_within(in->at, HEAD, in->len) || load_le32(head + AT_ZERO) != 0 ||
            !stored_name_load(head + AT_CODEC, out->codec))
                return -EINVAL;
        in->at += HEAD;
        out->at = load_le64(head + AT_BEGIN);
        out->size = load_le64(head + AT_SIZE);
        return stored_table_load(in, load_le32(head + AT_SEGMENTS),
                                 load_le64(head + AT_STREAM_SIZE), out->size, &out->table);
}

int stored_streams_load(struct stored_tables *in, struct stored_stream **list, size_t *count)
{
        ARRAY(struct stored_stream) streams = {0};
        int rc = 0;

        while (in->at < in->len && rc == 0) {
                struct stored_stream s = {0};

                if (streams.count == STORED_STREAMS_MAX)
                        rc = -EINVAL;
                if (rc == 0)
                        rc = array_reserve(&streams, 1);
                if (rc == 0)
                        rc = load_stream(in, &s);
                /* One member has one table. */
                if (rc == 0 &&
                    stored_streams_find(streams.items, streams.count, s.at, s.size, s.codec))
                        rc = -EINVAL;
                if (rc == 0)
                        array_add(&streams, s);
                else
                        restart_table_free(s.table);
        }
        *list = streams.items;
        *count = streams.count;
        return rc;
}

int stored_streams_use_store(const struct stored_stream *list, size_t count,
                             struct source *take_store, const uint64_t *at)
{
        struct shared_source *shared;
        int rc = shared_source_new(take_store, &shared);

        if (rc < 0)
                return rc;
        for (size_t i = 0; i < count && rc == 0; i++) {
                struct source *store;

                rc = shared_source_open(shared, &store);
                if (rc < 0)
                        break;
                restart_use_store(list[i].table, store, at);
                at += at ? restart_count(list[i].table) : 0;
        }
        shared_source_leave(shared);
        return rc;
}

void stored_streams_free(struct stored_stream *list, size_t count)
{
        for (size_t i = 0; i < count; i++)
                restart_table_free(steal_ptr(&list[i].table));
}

struct stored_stream *stored_streams_find(struct stored_stream *list, size_t count, uint64_t at,
                                          uint64_t size, const char *codec)
{
        for (size_t i = 0; i < count; i++)
                if (list[i].at == at && list[i].size == size && strcmp(list[i].codec, codec) == 0)
                        return &list[i];
        return NULL;
}
