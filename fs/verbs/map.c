/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmafs map: the extents of a disk in guest order, as `qemu-img map` prints them. In JSON, an
 * offset is a byte of the archive file, so it is null if the archive is compressed.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <string.h>

#include "archive/error.h"
#include "archive/format.h"
#include "fs/cli/archive_path.h"
#include "fs/cli/given.h"
#include "fs/cli/opening.h"
#include "fs/cli/selection.h"
#include "fs/cli/usage.h"
#include "fs/datastore/snapshots.h"
#include "fs/datastore/store_map.h"
#include "fs/print/map_lines.h"
#include "fs/print/picture.h"
#include "fs/print/report.h"
#include "fs/verbs/verbs.h"
#include "index/index.h"
#include "index/inside/parts.h"

enum map_output { OUTPUT_HUMAN, OUTPUT_JSON, OUTPUT_PICTURE };

/*
 * What the disk holds from POS on. An offset is one of the archive's file, or of a backing file; of
 * another one that the archive consists of nobody could tell which.
 */
static int find_line(const struct map_lines *m, struct disk *d, uint64_t pos, struct map_line *out)
{
        struct volume_extent e;
        int rc = disk_extent(d, pos, d->size - pos, &e);

        *out = (struct map_line){
            .start = pos,
            .len = e.len,
            .kind = e.kind,
            .allocated = e.allocated || e.kind == VOLUME_LOST,
            .has_offset = e.source && (e.kind == VOLUME_RAW || e.kind == VOLUME_ZERO) &&
                          (e.depth || e.source == index_archive(d->index)->source),
            .depth = e.depth,
            .offset = e.offset,
        };
        if (m->compressed)
                out->has_offset = false;
        return rc;
}

static int print_map(struct map_lines *m, struct disk *d)
{
        struct map_line line;
        int rc = 0;

        map_lines_begin(m);
        for (uint64_t pos = 0; pos < d->size && rc == 0; pos += line.len) {
                rc = find_line(m, d, pos, &line);
                if (rc == 0)
                        map_lines_add(m, &line);
        }
        map_lines_end(m);
        return rc;
}

static void draw(struct disk *d)
{
        struct picture p = picture_for_terminal();

        picture_print(&p, d);
        picture_print_legend(&p);
}

static int report_unnamed(const char *path, const char *name)
{
        report("%s: holds no disk named %s; vmafs info lists what it holds", path, name);
        return STATUS_USAGE;
}

/* The partition called NAME, of which what is stored is counted; or NULL. */
static struct disk *find_part(const struct index *index, const char *name)
{
        struct selection_walk walk = {.index = index};
        struct disk *d;

        while ((d = selection_next_part(&walk, (char *const[]){(char *)(uintptr_t)name}, 1)))
                if (strcmp(d->name, name) == 0)
                        break;
        if (d)
                part_count(part_of(d));
        return d;
}

static int map_disk(struct index *index, const char *path, const char *name, enum map_output output)
{
        struct map_lines lines = {.json = output == OUTPUT_JSON,
                                  .compressed = strcmp(index_compression(index), "none") != 0,
                                  .archive = path};
        struct disk *d = selection_find_disk(name, index);
        struct error err = {0};
        int rc = 0;

        if (!d && !selection_is_inside(name))
                return report_unnamed(path, name);
        if (opening_scan(index, path) != STATUS_OK)
                return STATUS_FAILED;
        d = d ? d : find_part(index, name);
        if (!d)
                return report_unnamed(path, name);
        if (output == OUTPUT_PICTURE)
                draw(d);
        else
                rc = print_map(&lines, d);
        if (rc < 0) {
                if (index_read_failure(index, &err))
                        report_error(path, &err);
                else
                        report("%s: cannot be read: %s", path, strerror(-rc));
                return STATUS_FAILED;
        }
        if (d->totals.lost == 0)
                return STATUS_OK;
        report("%s: parts of %s are lost; vmafs verify names the causes", path, name);
        return STATUS_FAILED;
}

static int set_output(const char *word, enum map_output *output)
{
        if (strcmp(word, "json") == 0)
                *output = OUTPUT_JSON;
        else if (strcmp(word, "human") == 0)
                *output = OUTPUT_HUMAN;
        else
                return usage_error("--output is human or json");
        return STATUS_OK;
}

struct request {
        struct given given;
        enum map_output output;
        struct index_options opening;
        struct datastore_words words;
        struct store_map stored;
};

static int map_stored(struct request *r, const char *file)
{
        if (r->output == OUTPUT_PICTURE)
                return usage_error("--picture is not for disks of a datastore");
        r->stored.given = &r->given;
        r->stored.disk = file ? file : "";
        r->stored.json = r->output == OUTPUT_JSON;
        return store_map(&r->stored, &r->words);
}

/* FILE of the archive that was given; the archive may be in a folder, and both may be one path. */
static int map_archive(struct request *r, const char *file)
{
        struct index_options opening = r->opening;
        struct archive_path in_folder = {0};
        const char *path = r->given.path;
        struct archive_at at = {.path = path};
        struct opened o = OPENED_NONE;
        int status = STATUS_OK;

        if (r->stored.since)
                return usage_error("--changed-since is for disks of a datastore");
        if (!file || given_has_parts(&r->given)) {
                status = given_split(&r->given, file, &in_folder);
                path = in_folder.archive;
                file = in_folder.inside;
        }
        if (status == STATUS_OK && !*file)
                status = usage_error("map needs an archive and the name of a disk in it");
        opening.partitions = status == STATUS_OK && selection_is_inside(file);
        if (status == STATUS_OK) {
                at = given_at(&r->given, path);
                status = opening_open(&at, &opening, &o);
        }
        if (status == STATUS_OK)
                status = map_disk(o.index, path, file, r->output);
        opening_close(&o);
        archive_path_fini(&in_folder);
        return report_finish_output(status);
}

static int map_given(struct request *r, const char *path, const char *file)
{
        int status = given_find(path, &r->opening, &r->given);

        if (status == STATUS_OK)
                status = snapshots_check_given(&r->words, &r->given);
        if (status == STATUS_OK)
                status =
                    r->given.kind == GIVEN_DATASTORE ? map_stored(r, file) : map_archive(r, file);
        given_end(&r->given);
        return status;
}

int verb_map(int argc, char **argv)
{
        static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                                {"picture", no_argument, NULL, 'p'},
                                                {"changed-since", required_argument, NULL, 's'},
                                                DATASTORE_LONG_OPTIONS,
                                                OPENING_LONG_OPTIONS,
                                                {0}};
        struct request r = {
            .given = GIVEN_NONE, .output = OUTPUT_HUMAN, .opening = {.sidecar = INDEX_SIDECAR_USE}};
        const char *path, *file;
        int c, status;

        while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
                status = STATUS_OK;
                if (c == 'o')
                        status = set_output(optarg, &r.output);
                else if (c == 'p')
                        r.output = OUTPUT_PICTURE;
                else if (c == 's')
                        r.stored.since = optarg;
                else if (snapshots_option(c, &r.words))
                        continue;
                else
                        status = opening_option(c, argv, &r.opening);
                if (status != STATUS_OK)
                        return status;
        }
        if (argc - optind != 1 && argc - optind != 2)
                return usage_error("map needs an archive and the name of a disk in it");
        path = argv[optind];
        file = argc - optind == 2 ? argv[optind + 1] : NULL;
        if (snapshots_check_words(&r.words, argv + optind, 1) != STATUS_OK)
                return STATUS_USAGE;
        return map_given(&r, path, file);
}
