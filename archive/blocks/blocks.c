/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/blocks/blocks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cache/blockcache.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/shared.h"
#include "archive/source/source.h"

/* ---- for read_header ---- */

void blocks_fix(struct blocks_layer *l, uint64_t offset, uint64_t len)
{
        uint64_t end = UINT64_MAX;

        checked_add(offset, len, &end);
        if (len && l->fixed_count < BLOCKS_FIXED_MAX)
                l->fixed[l->fixed_count++] = (struct blocks_range){offset, end};
}

void blocks_fault(struct blocks_layer *l, const char *text, uint64_t at)
{
        if (l->fault_count < BLOCKS_FAULTS_MAX)
                l->faults[l->fault_count++] = (struct blocks_fault){text, at};
}

int blocks_name_parent(struct blocks_layer *l, char *take_name)
{
        if (!take_name)
                return -ENOMEM;
        if (l->parent.count < BLOCKS_NAMES_MAX)
                l->parent.list[l->parent.count++] = take_name;
        else
                free(take_name);
        return 0;
}

int blocks_check_table(const struct blocks_layer *l, struct error *err)
{
        uint64_t bytes, end;
        uint8_t last[8];

        if (l->size > BLOCKS_DISK_MAX)
                return error_set(err, EFBIG,
                                 "claims a disk of %" PRIu64 " bytes; vmafs reads up to 128 TiB",
                                 l->size);
        if (l->flat || l->size == 0)
                return 0;
        bytes = blocks_entry_count(l) * l->entry;
        if (bytes > BLOCKS_TABLE_MAX)
                return error_set(
                    err, EFBIG, "has a table of %" PRIu64 " bytes; vmafs reads up to 1 GiB", bytes);
        if (l->table % l->entry || !checked_add(l->table, bytes, &end) || end > BLOCKS_FILE_MAX)
                return error_set(err, EIO, "its table cannot be where the header says it is");
        return source_fetch(l->source, last, l->entry, end - l->entry, "the end of its table", err);
}

/* ---- the archive ---- */

static void layer_fini(struct blocks_layer *l)
{
        if (l->kind && l->kind->fini)
                l->kind->fini(l);
        for (unsigned i = 0; i < l->parent.count; i++)
                free(l->parent.list[i]);
        blocks_slots_fini(&l->slots);
        blocks_slots_fini(&l->bitmap_slots);
        source_close(l->owned);
}

void blocks_close(struct archive *a)
{
        struct blocks *b = (struct blocks *)a;

        blockcache_leave(b->tables);
        for (unsigned i = 0; i < b->count; i++)
                layer_fini(&b->layers[i]);
        free(b);
}

static void cleanup_blocks_fn(struct blocks **b)
{
        if (*b)
                blocks_close(&(*b)->base);
}

static int emit_disk(struct blocks *b, const struct archive_origin *origin,
                     const struct archive_sink *sink, struct error *err)
{
        cleanup_free char *name = archive_disk_name(origin->name);
        const struct entry_disk disk = {.device = "disk", .sparse = true, .volume = &b->volume};
        const struct entry e = {.name = name, .size = b->volume.size, .disk = &disk};
        int rc = name ? sink->entry(sink->ctx, &e) : -ENOMEM;

        return rc < 0 ? error_set(err, -rc, "the disk cannot be shown: %s", strerror(-rc)) : 0;
}

static int open_image(struct blocks *b, const struct blocks_kind *kind, struct source *source,
                      const struct archive_origin *origin, struct error *err)
{
        struct blocks_layer *l = &b->layers[0];
        int rc = blockcache_join(origin->shared->cache, CACHE_TABLES, &b->tables);

        if (rc < 0)
                return error_set(err, -rc, "out of memory");
        l->kind = kind;
        l->source = source;
        l->doubted_from = l->end_byte = UINT64_MAX;
        l->file_size = min_u64(min_u64(source->size, source_straight(source, 0)), BLOCKS_FILE_MAX);
        b->count = 1;
        rc = kind->read_header(l, err);
        if (rc == 0)
                rc = blocks_open_chain(b, origin, err);
        return rc;
}

int blocks_open(const struct blocks_kind *kind, struct source *source,
                const struct archive_origin *origin, const struct archive_sink *sink,
                struct archive **out, struct error *err)
{
        __attribute__((cleanup(cleanup_blocks_fn))) struct blocks *b = calloc(1, sizeof *b);
        int rc;

        if (!b)
                return error_set(err, ENOMEM, "out of memory");
        b->base.ops = kind->format;
        b->base.source = source;
        b->base.info.ctime = origin->mtime;
        b->base.mutable_image = true;
        rc = open_image(b, kind, source, origin, err);
        if (rc < 0)
                return rc;
        b->volume = (struct volume){.ops = &blocks_volume_ops, .size = b->layers[0].size};
        memcpy(b->base.info.uuid, b->layers[0].uuid, sizeof b->layers[0].uuid);
        snprintf(b->base.info.note, sizeof b->base.info.note, "%s", b->layers[0].note);
        rc = emit_disk(b, origin, sink, err);
        if (rc < 0)
                return rc;
        *out = &steal_ptr(&b)->base;
        return 0;
}

int blocks_check(struct archive *a)
{
        return blocks_check_files((const struct blocks *)a);
}
