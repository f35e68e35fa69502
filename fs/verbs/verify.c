/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmafs verify: go through the archive once, and name what is damaged (by byte of the archive),
 * what is lost of each disk (by byte of the disk), and what is not what it was when it was indexed
 * or recorded.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/format.h"
#include "fs/cli/opening.h"
#include "fs/print/progress.h"
#include "fs/print/report.h"
#include "fs/process/sandbox.h"
#include "fs/verbs/manifest.h"
#include "fs/verbs/verbs.h"
#include "fs/verbs/verify.h"
#include "index/index.h"
#include "index/verify/record.h"
#include "index/verify/recorder.h"

enum { READ_SIZE = 1024 * 1024 };

struct wishes {
        bool json;
        bool record;
};

/* ---- reading ---- */

static void keep_range(struct ranges *r, const struct range *range)
{
        r->count++;
        if (r->kept < RANGES_MAX)
                r->list[r->kept++] = *range;
}

static bool extends(const struct range *r, const struct disk *disk, const struct extent *e)
{
        return r->disk == disk && r->start + r->len == e->start && r->addr + r->len == e->addr;
}

static void note_unreadable(struct verify *v, const struct disk *disk, const struct extent *e,
                            int rc)
{
        struct archive *a = index_archive(v->index);
        struct ranges *r = &v->unreadable;
        uint64_t offset = a->addr_end ? UINT64_MAX : e->addr;

        if (a->ops->locate && !a->ops->locate(a, e, &offset))
                offset = UINT64_MAX;
        if (r->kept && extends(&r->list[r->kept - 1], disk, e)) {
                r->list[r->kept - 1].len += e->len;
                r->count++;
        } else {
                keep_range(r, &(struct range){disk, e->start, e->len, e->addr, offset, -rc});
        }
}

/* A recorder_read_fn that names the blocks which cannot be read, and tells what it reads on. */
static int read_part(void *ctx, struct disk *disk, const struct extent *e, void *buf)
{
        struct verify *v = ctx;
        struct archive *a = index_archive(v->index);
        int rc = a->ops->read(a, e, 0, buf, e->len);

        if (rc == 0 && v->manifests)
                manifests_take(v->manifests, disk, e->start, buf, e->len);
        if (rc == 0)
                return 0;
        for (uint64_t at = 0; at < e->len; at += MAP_BLOCK) {
                struct extent block = {e->start + at, min_u64(MAP_BLOCK, e->len - at),
                                       e->addr + at};
                int failed = a->ops->read(a, &block, 0, buf, block.len);

                if (failed < 0)
                        note_unreadable(v, disk, &block, failed);
        }
        return rc;
}

static int read_extents(void *ctx, struct disk *disk, const struct extent *extents, size_t n)
{
        struct verify *v = ctx;

        for (size_t i = 0; i < n; i++) {
                const struct extent *e = &extents[i];

                if (e->addr == EXTENT_ZERO || e->addr == EXTENT_LOST)
                        continue;
                for (uint64_t at = 0; at < e->len; at += READ_SIZE) {
                        struct extent part = {e->start + at, min_u64(READ_SIZE, e->len - at),
                                              e->addr + at};

                        read_part(v, disk, &part, v->buffer);
                }
        }
        return 0;
}

static int hash_extents(void *ctx, struct disk *disk, const struct extent *extents, size_t n)
{
        struct verify *v = ctx;

        return recorder_extents(v->recorder, disk, extents, n);
}

static bool is_compressed(const struct index *index)
{
        return strcmp(index_compression(index), "none") != 0;
}

static int scan(struct verify *v, struct error *err)
{
        struct index_tap tap = {.ctx = v, .extents = v->recorder ? hash_extents : read_extents};
        /*
         * What was decoded and checked a moment ago is in memory: reading that proves nothing,
         * unless its reader has to make something of it.
         */
        bool decoded =
            is_compressed(v->index) && !v->recorder && !index_archive(v->index)->addr_end;
        struct progress *progress = progress_start(v->index, "verifying");
        int rc = index_scan(v->index, decoded ? NULL : &tap, err);

        if (rc == 0 && v->recorder) {
                rc = recorder_finish(v->recorder);
                if (rc < 0)
                        rc = error_set(err, -rc, "cannot be hashed: %s", strerror(-rc));
        }
        if (rc == 0 && v->manifests) {
                rc = manifests_finish(v->manifests);
                if (rc < 0)
                        rc = error_set(err, -rc, "cannot be held against its manifest: %s",
                                       strerror(-rc));
        }
        progress_stop(progress);
        return rc;
}

/* ---- what was recorded ---- */

struct comparison {
        struct verify *v;
        const struct disk *disk;
};

static void note_changed(void *ctx, uint64_t start, uint64_t len)
{
        struct comparison *c = ctx;

        keep_range(&c->v->changed, &(struct range){.disk = c->disk, .start = start, .len = len});
}

static void note_unknown(void *ctx, uint64_t start, uint64_t len)
{
        struct comparison *c = ctx;

        keep_range(&c->v->unknown, &(struct range){.disk = c->disk, .start = start, .len = len});
}

static void compare_record(struct verify *v)
{
        for (size_t i = 0; v->before && i < v->before->disk_count; i++) {
                struct comparison c = {v, index_disk(v->index, i)};
                struct record_sink sink = {&c, note_changed, note_unknown};

                record_compare(&v->before->disks[i], recorder_tree(v->recorder, i), &sink);
        }
}

/* What there is to compare with, and what that takes. Returns the exit status. */
static int prepare(struct verify *v, const struct wishes *wishes, unsigned threads)
{
        struct error err = {0};
        int rc = index_load_record(v->index, &v->before, &err);

        /* It is the index that has suffered; the archive can be looked at all the same. */
        if (rc < 0)
                report_error(v->path, &err);
        if (v->before && v->before->disk_count != index_disk_count(v->index)) {
                report("%s: what was recorded of it is not used: it does not fit", v->path);
                record_free(steal_ptr(&v->before));
        }
        if (manifests_load(v->index, &v->manifests) < 0) {
                report("out of memory");
                return STATUS_FAILED;
        }
        if (!v->before && !wishes->record)
                return STATUS_OK;
        rc = recorder_new(v->index, threads, read_part, v, &v->recorder);
        if (rc == 0)
                return STATUS_OK;
        report("%s: cannot be hashed: %s", v->path, strerror(-rc));
        return STATUS_FAILED;
}

/* ---- keeping ---- */

/* Record what was found. Returns the exit status. */
static int record_now(struct verify *v)
{
        uint64_t now = (uint64_t)time(NULL);
        int rc;

        if (!verify_is_sound(v)) {
                report("%s: is not recorded: it is not sound", v->path);
                return STATUS_FAILED;
        }
        rc = recorder_record(v->recorder, now, &v->made);
        if (rc < 0) {
                report("%s: cannot be recorded: %s", v->path, strerror(-rc));
                return STATUS_FAILED;
        }
        index_keep(v->index, v->made);
        if (!index_sidecar_state(v->index).problem)
                return STATUS_OK;
        report("%s: %s", v->path, index_sidecar_state(v->index).problem);
        record_free(steal_ptr(&v->made));
        return STATUS_FAILED;
}

/* The pass has found what an index is made of: leave one behind, unless that would hide something.
 */
static void keep_index(struct verify *v)
{
        const struct audit_sidecar *own = &v->audit.sidecars[PLACE_OWN];
        bool good = own->present && !own->differs && !own->problem[0];

        if (!good && is_compressed(v->index) && verify_is_sound(v))
                index_keep(v->index, NULL);
}

bool verify_is_sound(const struct verify *v)
{
        if (index_damage_count(v->index) || v->unreadable.count || v->changed.count ||
            v->unknown.count || v->audit.count || !manifests_agree(v->manifests))
                return false;
        for (size_t i = 0; i < PLACES; i++)
                if (v->audit.sidecars[i].differs)
                        return false;
        for (size_t i = 0; i < index_disk_count(v->index); i++)
                if (index_disk(v->index, i)->totals.lost)
                        return false;
        return true;
}

/* ---- the verb ---- */

static int look(struct verify *v)
{
        struct error err = {0};

        if (scan(v, &err) < 0) {
                report_error(v->path, &err);
                return STATUS_FAILED;
        }
        compare_record(v);
        if (audit_run(v->index, &v->audit) == 0)
                return STATUS_OK;
        report("out of memory");
        return STATUS_FAILED;
}

static int run(struct verify *v, const struct wishes *wishes, unsigned threads)
{
        int status = prepare(v, wishes, threads), printed = STATUS_OK;

        if (status == STATUS_OK)
                status = look(v);
        if (status != STATUS_OK)
                return status;
        if (wishes->record)
                status = record_now(v);
        else
                keep_index(v);
        if (wishes->json)
                printed = verify_print_json(v);
        else
                verify_print(v);
        if (printed != STATUS_OK)
                return printed;
        return verify_is_sound(v) ? status : STATUS_FAILED;
}

static int verify(struct index *index, const char *path, const struct wishes *wishes,
                  unsigned threads)
{
        cleanup_free char *buffer = malloc(READ_SIZE);
        cleanup_free struct range *ranges = calloc(3 * (size_t)RANGES_MAX, sizeof *ranges);
        struct verify v = {.index = index, .path = path, .buffer = buffer};
        int status;

        if (!buffer || !ranges) {
                report("out of memory");
                return STATUS_FAILED;
        }
        v.unreadable.list = ranges;
        v.changed.list = ranges + RANGES_MAX;
        v.unknown.list = ranges + 2 * (size_t)RANGES_MAX;
        status = run(&v, wishes, threads);
        audit_fini(&v.audit);
        manifests_free(v.manifests);
        recorder_free(v.recorder);
        record_free(v.before);
        record_free(v.made);
        return status;
}

int verb_verify(int argc, char **argv)
{
        static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                                {"record", no_argument, NULL, 'r'},
                                                {"file", required_argument, NULL, 'f'},
                                                OPENING_LONG_OPTIONS,
                                                {0}};
        struct index_options opening = {.sidecar = INDEX_SIDECAR_LATER};
        struct wishes wishes = {0};
        struct index *index;
        int c, status;

        while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
                if (c == 'j')
                        wishes.json = true;
                else if (c == 'r')
                        wishes.record = true;
                else if (c == 'f')
                        opening.sidecar_path = optarg;
                else if (opening_option(c, argv, &opening) != STATUS_OK)
                        return STATUS_USAGE;
        }
        if (argc - optind != 1)
                return usage_error("verify needs one archive");
        status = report_open(argv[optind], &opening, &index);
        if (status != STATUS_OK)
                return status;
        sandbox_verb_opened(index, -1);
        status = verify(index, argv[optind], &wishes, opening.threads);
        index_close(index);
        return report_finish_output(status);
}
