/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmafs verify: read the archive once and name what is damaged, by byte of the archive; what is
 * lost of each disk, by byte of the disk; and what has changed since the archive was indexed or
 * recorded.
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
#include "archive/stream/stream.h"
#include "fs/cli/given.h"
#include "fs/cli/opening.h"
#include "fs/cli/several.h"
#include "fs/cli/usage.h"
#include "fs/datastore/snapshots.h"
#include "fs/datastore/store_verbs.h"
#include "fs/folder/folder.h"
#include "fs/folder/folder_find.h"
#include "fs/print/picture.h"
#include "fs/print/progress.h"
#include "fs/print/report.h"
#include "fs/verbs/manifest.h"
#include "fs/verbs/verbs.h"
#include "fs/verbs/verify.h"
#include "index/index.h"
#include "index/verify/record.h"
#include "index/verify/recorder.h"

enum { READ_SIZE = 1024 * 1024 };

struct wishes {
        bool picture;
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

static bool extends(const struct range *r, const struct range *next)
{
        return r->disk == next->disk && r->start + r->len == next->start &&
               (r->offset == UINT64_MAX ? next->offset == UINT64_MAX
                                        : r->offset + r->len == next->offset);
}

/* E, a block of DISK at POS, cannot be read: RC. */
static void note_unreadable(struct verify *v, const struct disk *disk, uint64_t pos,
                            const struct volume_extent *e, int rc)
{
        bool placed = e->kind == VOLUME_RAW && e->source == index_archive(v->index)->source;
        struct range range = {disk, pos, e->len, placed ? e->offset : UINT64_MAX, -rc};
        struct ranges *r = &v->unreadable;

        if (r->kept && extends(&r->list[r->kept - 1], &range)) {
                r->list[r->kept - 1].len += e->len;
                r->count++;
        } else {
                keep_range(r, &range);
        }
}

/* A recorder_read_fn that lists unreadable blocks, and passes on what it reads to the manifests. */
static int read_part(void *ctx, struct disk *disk, uint64_t pos, const struct volume_extent *e,
                     void *buf)
{
        struct verify *v = ctx;
        int rc = disk_fetch(disk, e, pos, 0, buf, e->len);

        if (rc == 0 && v->manifests)
                manifests_take(v->manifests, disk, pos, buf, e->len);
        if (rc == 0)
                return 0;
        for (uint64_t at = 0, n; at < e->len; at += n) {
                struct volume_extent block;
                int failed;

                n = min_u64(MAP_BLOCK - (pos + at) % MAP_BLOCK, e->len - at);
                block = volume_part(e, at, n);
                failed = disk_fetch(disk, &block, pos + at, 0, buf, n);
                if (failed < 0)
                        note_unreadable(v, disk, pos + at, &block, failed);
        }
        return rc;
}

/*
 * Was E decoded by the scan a moment ago, so that it need not be read? In the order of the disk that
 * could decode each segment many times. A manifest has digests of what the archive's own stream
 * holds, never of what is compressed in there.
 */
static bool is_checked(const struct verify *v, const struct volume_extent *e)
{
        return e->kind == VOLUME_RAW && stream_decodes_all(e->source) &&
               !(v->manifests && e->source == index_archive(v->index)->source);
}

static int read_extent(void *ctx, struct disk *disk, uint64_t pos, const struct volume_extent *e)
{
        struct verify *v = ctx;

        if (e->kind == VOLUME_ZERO || e->kind == VOLUME_LOST || is_checked(v, e))
                return 0;
        for (uint64_t at = 0; at < e->len; at += READ_SIZE) {
                struct volume_extent part = volume_part(e, at, min_u64(READ_SIZE, e->len - at));

                read_part(v, disk, pos + at, &part, v->buffer);
        }
        return 0;
}

static int hash_extent(void *ctx, struct disk *disk, uint64_t pos, const struct volume_extent *e)
{
        struct verify *v = ctx;

        /* What a volume has of a stream is hashed at the end, in the order of that. */
        if (!disk_is_scanned(disk) && is_checked(v, e))
                return 0;
        return recorder_extent(v->recorder, disk, pos, e);
}

static bool is_compressed(const struct index *index)
{
        return strcmp(index_compression(index), "none") != 0;
}

/* Does the archive itself know of any disk what it holds? Some of that may be coded. */
static bool has_volumes(const struct index *index)
{
        for (size_t i = 0; i < index_disk_count(index); i++)
                if (!disk_is_scanned(index_disk(index, i)))
                        return true;
        return false;
}

static int scan(struct verify *v, struct error *err)
{
        struct index_observer observer = {.ctx = v,
                                          .extent = v->recorder ? hash_extent : read_extent};
        struct progress *progress = progress_start(v->index, "verifying");
        /* Whoever hashes needs all bytes. Otherwise nothing needs to be read of most archives. */
        bool reads =
            !is_compressed(v->index) || v->recorder || v->manifests || has_volumes(v->index);
        int rc = index_scan(v->index, reads ? &observer : NULL, err);

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

/* ---- the record ---- */

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

static enum record_state record_state_of(int rc)
{
        switch (rc) {
        case -EBADMSG:
                return RECORD_DAMAGED;
        case -EPERM:
                return RECORD_UNTRUSTED;
        case -ESTALE:
                return RECORD_MISFIT;
        default:
                return RECORD_UNREADABLE;
        }
}

/* Whatever is wrong with the record, the archive can be verified. */
static void load_record(struct verify *v)
{
        struct error err = {0};
        int rc = index_load_record(v->index, &v->before, &err);

        if (rc < 0) {
                v->record = record_state_of(rc);
                /* What is wrong with an index is printed with the others. */
                if (rc == -EBADMSG || rc == -ENOMEM)
                        report_error(v->path, &err);
        } else if (v->before && v->before->disk_count != index_disk_count(v->index)) {
                v->record = RECORD_MISFIT;
                report("%s: what was recorded of it is not used: it does not fit", v->path);
                record_free(steal_ptr(&v->before));
        } else if (v->before) {
                v->record = RECORD_USED;
        }
}

/* Load what the archive is to be compared with, and prepare hashing. Returns the exit status. */
static int prepare(struct verify *v, const struct wishes *wishes)
{
        struct error err = {0};
        int rc;

        /* The pass may take hours: say before it that its result could not be kept. */
        if (wishes->record && index_try_keeping(v->index, &err) < 0) {
                report_error(v->path, &err);
                return STATUS_FAILED;
        }
        load_record(v);
        if (manifests_load(v->index, &v->manifests) < 0) {
                report("out of memory");
                return STATUS_FAILED;
        }
        if (!v->before && !wishes->record)
                return STATUS_OK;
        rc = recorder_new(v->index, read_part, v, &v->recorder);
        if (rc == 0)
                return STATUS_OK;
        report("%s: cannot be hashed: %s", v->path, strerror(-rc));
        return STATUS_FAILED;
}

/* ---- the verdict ---- */

enum verdict verify_verdict(const struct verify *v)
{
        size_t doubts = index_doubt_count(v->index);

        if (index_damage_count(v->index) > doubts || v->unreadable.count || v->changed.count ||
            v->unknown.count || v->audit.count || !manifests_agree(v->manifests))
                return VERDICT_DAMAGED;
        for (size_t i = 0; i < LOCATIONS; i++)
                if (v->audit.sidecars[i].differs)
                        return VERDICT_DAMAGED;
        for (size_t i = 0; i < index_disk_count(v->index); i++)
                if (index_disk(v->index, i)->totals.lost)
                        return VERDICT_DAMAGED;
        return doubts ? VERDICT_DOUBT : VERDICT_SOUND;
}

static bool is_sound(const struct verify *v)
{
        return verify_verdict(v) == VERDICT_SOUND;
}

/* ---- storing ---- */

/* Record what was found. Returns the exit status. */
static int record_now(struct verify *v)
{
        uint64_t now = (uint64_t)time(NULL);
        int rc;

        if (!is_sound(v)) {
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

/*
 * The pass has found everything that an index needs, so store one, unless that would hide
 * something.
 */
static void keep_index(struct verify *v)
{
        const struct audit_sidecar *own = &v->audit.sidecars[LOCATION_OWN];
        bool good = own->present && !own->differs && !own->problem[0];

        if (!good && index_has_streams(v->index) && is_sound(v))
                index_keep(v->index, NULL);
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

static void draw_disks(struct index *index)
{
        struct picture p = picture_for_terminal();

        for (size_t i = 0; i < index_disk_count(index); i++) {
                putchar('\n');
                picture_print(&p, index_disk(index, i));
        }
        picture_print_legend(&p);
}

static int run(struct verify *v, const struct wishes *wishes)
{
        int status = prepare(v, wishes), printed = STATUS_OK;

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
        if (wishes->picture && !wishes->json)
                draw_disks(v->index);
        if (printed != STATUS_OK)
                return printed;
        return is_sound(v) ? status : STATUS_FAILED;
}

static int verify(struct index *index, const char *path, const struct wishes *wishes)
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
        status = run(&v, wishes);
        audit_fini(&v.audit);
        manifests_free(v.manifests);
        recorder_free(v.recorder);
        record_free(v.before);
        record_free(v.made);
        return status;
}

struct request {
        struct index_options opening;
        struct datastore_words words;
        struct wishes wishes;
        struct folder folder; /* that is gone through */
};

static int verify_in_folder(void *ctx, const char *path)
{
        struct request *r = ctx;
        struct opened o = OPENED_NONE;
        int status = folder_open(&r->folder, path, &r->opening, &o);

        if (status == STATUS_OK) {
                status = verify(o.index, path, &r->wishes);
                if (!r->wishes.json)
                        putchar('\n');
        }
        opening_close(&o);
        return status;
}

static int verify_folder(struct request *r, struct given *g)
{
        int status = folder_find(g, &r->folder);

        if (r->opening.sidecar_path)
                status = usage_error("--file is the index of one archive");
        if (status == STATUS_OK)
                status = folder_run(&r->folder, r->wishes.json, "not sound", verify_in_folder, r);
        folder_close(&r->folder);
        return status;
}

static int verify_archive(struct request *r, struct given *g)
{
        struct opened o = OPENED_NONE;
        struct archive_at at;
        int status = given_archive(g, &at);

        if (status == STATUS_OK)
                status = opening_open(&at, &r->opening, &o);
        if (status == STATUS_OK)
                status = verify(o.index, g->path, &r->wishes);
        opening_close(&o);
        return status;
}

static int verify_one(void *ctx, const char *path)
{
        struct request *r = ctx;
        struct given g = GIVEN_NONE;
        int status = given_find(path, &r->opening, &g);

        if (status == STATUS_OK)
                status = snapshots_check_given(&r->words, &g);
        if (status == STATUS_OK && g.kind == GIVEN_FOLDER)
                status = verify_folder(r, &g);
        else if (status == STATUS_OK && g.kind == GIVEN_DATASTORE)
                status = store_verify(&g, &r->words, r->wishes.json);
        else if (status == STATUS_OK)
                status = verify_archive(r, &g);
        given_end(&g);
        return status;
}

int verb_verify(int argc, char **argv)
{
        static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                                {"record", no_argument, NULL, 'r'},
                                                {"picture", no_argument, NULL, 'p'},
                                                {"file", required_argument, NULL, 'f'},
                                                DATASTORE_LONG_OPTIONS,
                                                OPENING_LONG_OPTIONS,
                                                {0}};
        struct request r = {.opening = {.sidecar = INDEX_SIDECAR_LATER}, .folder = FOLDER_NONE};
        int c;

        while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
                if (c == 'j')
                        r.wishes.json = true;
                else if (c == 'p')
                        r.wishes.picture = true;
                else if (c == 'r')
                        r.wishes.record = true;
                else if (c == 'f')
                        r.opening.sidecar_path = optarg;
                else if (snapshots_option(c, &r.words))
                        continue;
                else if (opening_option(c, argv, &r.opening) != STATUS_OK)
                        return STATUS_USAGE;
        }
        r.words.cache_bytes = r.opening.cache_bytes;
        r.words.threads = r.opening.threads;
        if (argc == optind)
                return usage_error("verify needs an archive");
        if (r.opening.sidecar_path && argc - optind > 1)
                return usage_error("--file is the index of one archive");
        if (snapshots_check_words(&r.words, argv + optind, (size_t)(argc - optind)) != STATUS_OK)
                return STATUS_USAGE;
        return several_run(argv + optind, (size_t)(argc - optind), r.wishes.json, verify_one, &r);
}
