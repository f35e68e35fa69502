/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as an archive that is not compressed: header and extents. What the reader emits must
 * be what format.h promises, whatever the archive says.
 */
#include <errno.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/format.h"
#include "archive/source/source.h"
#include "tests/fixtures/stream_fixture.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate_vma.h"

enum { DISKS_MAX = 256, FILES_MAX = 256, BLOCK = 4096 };

struct seen {
        size_t disks, files, extents;
        uint64_t size[DISKS_MAX], progress;
        bool late[DISKS_MAX];
        struct extent last; /* one with a real address */
        uint64_t stream_size;
};

static void see_disk(struct seen *s, const struct entry *e)
{
        fuzz_require(s->disks < DISKS_MAX);
        fuzz_require(strlen(e->name) < 65536 + 16 && strlen(e->disk->device) < 65536);
        s->size[s->disks] = e->size;
        s->late[s->disks++] = e->disk->provisional_size;
}

static void see_file(struct seen *s, const struct entry *e)
{
        cleanup_free void *copy = malloc(e->size + 1);

        fuzz_require(s->files++ < FILES_MAX);
        fuzz_require(strlen(e->name) < 65536 && e->size < 65536);
        fuzz_require(copy != NULL);
        memcpy(copy, e->data, e->size); /* all of it is there */
}

static int see_entry(void *ctx, const struct entry *e)
{
        if (e->disk)
                see_disk(ctx, e);
        else
                see_file(ctx, e);
        return 0;
}

static void check_extent(struct seen *s, uint32_t disk, const struct extent *e)
{
        fuzz_require(e->start % BLOCK == 0 && e->len > 0 && e->len % BLOCK == 0);
        if (!s->late[disk])
                fuzz_require(range_within(e->start, e->len, round_up(s->size[disk], BLOCK)));
        if (e->addr == EXTENT_ZERO || e->addr == EXTENT_LOST)
                return;
        fuzz_require(range_within(e->addr, e->len, s->stream_size));
        s->last = *e;
}

static int see_extents(void *ctx, uint32_t disk, const struct extent *extents, size_t n,
                       uint64_t origin)
{
        struct seen *s = ctx;

        fuzz_require(disk < s->disks && n > 0 && origin < s->stream_size);
        for (size_t i = 0; i < n; i++)
                check_extent(s, disk, &extents[i]);
        s->extents += n;
        /* 16 blocks a slot, 59 slots in 512 bytes. */
        fuzz_require(s->extents <= (s->stream_size / 512 + 1) * 59 * 16);
        return 0;
}

static int see_size(void *ctx, uint32_t disk, uint64_t size)
{
        struct seen *s = ctx;

        fuzz_require(disk < s->disks && s->late[disk]);
        s->size[disk] = size;
        return 0;
}

static int see_damage(void *ctx, const struct damage *damage)
{
        const struct seen *s = ctx;

        fuzz_require(damage->disk == DISK_NONE || damage->disk < s->disks);
        fuzz_require(strlen(damage->text) > 0);
        return 0;
}

/* Other formats are told by the same first bytes. */
static int see_incomplete(void *ctx, uint32_t disk)
{
        const struct seen *s = ctx;

        fuzz_require(disk < s->disks);
        return 0;
}

static int see_totals(void *ctx, uint32_t disk, uint64_t stored, uint64_t lost)
{
        const struct seen *s = ctx;

        (void)stored;
        (void)lost;
        fuzz_require(disk < s->disks);
        return 0;
}

static int see_progress(void *ctx, uint64_t done)
{
        struct seen *s = ctx;

        fuzz_require(done >= s->progress);
        s->progress = done;
        return 0;
}

/* What was emitted can be read: all of it is there. */
static void read_last(struct source *in, const struct seen *s)
{
        uint8_t block[BLOCK];

        if (!s->last.len)
                return;
        fuzz_require(source_pread_all(in, block, BLOCK, s->last.addr + s->last.len - BLOCK) == 0);
        fuzz_require(source_pread_all(in, block, 1, s->last.addr) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct seen s = {.stream_size = size};
        const struct archive_sink sink = {
            .ctx = &s,
            .entry = see_entry,
            .extents = see_extents,
            .incomplete = see_incomplete,
            .size = see_size,
            .totals = see_totals,
            .damage = see_damage,
            .progress = see_progress,
        };
        const struct archive_origin origin = {.name = "fuzzed.vma"};
        struct source *in = fixture_source(data, size);
        struct archive *a = NULL;
        struct error err = {0};
        int rc = archive_open(in, &origin, &sink, &a, &err);

        if (rc < 0) {
                fuzz_require(err.code == -rc && err.text[0]);
        } else {
                rc = a->ops->scan(a, &sink, &err);
                fuzz_require(rc == 0);
                read_last(in, &s);
        }
        archive_close(a);
        source_close(in);
        return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
        return vma_mutate(data, size, max_size, seed);
}
