/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmafs map: one disk's extents in guest order, in the words of `qemu-img map`. In JSON an
 * offset is a byte of the archive file, so it is given only where the archive is not compressed;
 * what is lost has "lost": true besides.
 */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "archive/archive.h"
#include "archive/error.h"
#include "fs/opening.h"
#include "fs/progress.h"
#include "fs/report.h"
#include "fs/sandbox.h"
#include "fs/verbs.h"
#include "index/index.h"

enum map_output { OUTPUT_HUMAN, OUTPUT_JSON };

struct map_printer {
        enum map_output output;
        bool offsets; /* addresses are offsets of the archive file */
        bool first;
        struct archive *archive;
        const char *path; /* of the archive */
};

static bool is_data(uint64_t addr)
{
        return addr != EXTENT_ZERO && addr != EXTENT_LOST;
}

/* The byte of the archive file at which E is stored as it is; false where it is compressed. */
static bool find_offset(const struct map_printer *p, const struct extent *e, uint64_t *offset)
{
        const struct archive *a = p->archive;

        *offset = e->addr;
        if (!p->offsets || !is_data(e->addr))
                return false;
        return !a->ops->locate || a->ops->locate(p->archive, e, offset);
}

static void print_human_line(const struct map_printer *p, const struct extent *e)
{
        uint64_t offset;

        if (e->addr == EXTENT_ZERO)
                return;
        printf("%#-16" PRIx64 "%#-16" PRIx64, e->start, e->len);
        if (e->addr == EXTENT_LOST)
                printf("%-16s%s\n", "lost", p->path);
        else if (find_offset(p, e, &offset))
                printf("%#-16" PRIx64 "%s\n", offset, p->path);
        else
                printf("%-16s%s\n", "compressed", p->path);
}

static void print_json_line(const struct map_printer *p, const struct extent *e)
{
        bool zero = e->addr == EXTENT_ZERO;
        uint64_t offset;
        json_t *o =
            json_pack("{s:I, s:I, s:i, s:b, s:b, s:b}", "start", (json_int_t)e->start, "length",
                      (json_int_t)e->len, "depth", 0, "present", 1, "zero", zero, "data", !zero);

        if (o && find_offset(p, e, &offset))
                json_object_set_new(o, "offset", json_integer((json_int_t)offset));
        if (o && e->addr == EXTENT_LOST)
                json_object_set_new(o, "lost", json_true());
        fputs(p->first ? "[" : ",\n", stdout);
        json_dumpf(o, stdout, 0);
        json_decref(o);
}

static void print_extent(struct map_printer *p, const struct extent *e)
{
        if (p->output == OUTPUT_JSON)
                print_json_line(p, e);
        else
                print_human_line(p, e);
        p->first = false;
}

/* Can one line say of A and B, which follows it on the disk, where they are? */
static bool go_together(const struct map_printer *p, const struct extent *a, const struct extent *b)
{
        uint64_t offset;

        if (!p->offsets || !is_data(a->addr) || !is_data(b->addr) || find_offset(p, a, &offset) ||
            find_offset(p, b, &offset))
                return extent_continues(a, b);
        return true;
}

static void print_map(struct map_printer *p, struct disk *d)
{
        struct extent run = {0}, e;

        if (p->output == OUTPUT_HUMAN)
                printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
        for (uint64_t pos = 0; pos < d->size; pos = e.start + e.len) {
                disk_find(d, pos, &e);
                if (run.len && go_together(p, &run, &e)) {
                        run.len += e.len;
                        continue;
                }
                if (run.len)
                        print_extent(p, &run);
                run = e;
        }
        if (run.len)
                print_extent(p, &run);
        if (p->output == OUTPUT_JSON)
                puts(p->first ? "[]" : "]");
}

static struct disk *find_disk(const struct index *index, const char *name)
{
        for (size_t i = 0; i < index_disk_count(index); i++)
                if (strcmp(index_disk(index, i)->name, name) == 0)
                        return index_disk(index, i);
        return NULL;
}

static int map_disk(struct index *index, const char *path, const char *name, enum map_output output)
{
        struct map_printer p = {.output = output,
                                .offsets = strcmp(index_compression(index), "none") == 0,
                                .first = true,
                                .archive = index_archive(index),
                                .path = path};
        struct disk *d = find_disk(index, name);
        struct error err = {0};
        struct progress *progress;
        int rc;

        if (!d) {
                report("%s: holds no disk named %s; vmafs info lists what it holds", path, name);
                return STATUS_USAGE;
        }
        progress = progress_start(index, "indexing");
        rc = index_scan(index, NULL, &err);
        progress_stop(progress);
        if (rc < 0) {
                report_error(path, &err);
                return STATUS_FAILED;
        }
        print_map(&p, d);
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

int verb_map(int argc, char **argv)
{
        static const struct option options[] = {
            {"output", required_argument, NULL, 'o'}, OPENING_LONG_OPTIONS, {0}};
        struct index_options opening = {.sidecar = INDEX_SIDECAR_USE};
        enum map_output output = OUTPUT_HUMAN;
        struct index *index;
        int c, status;

        while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
                if (c == 'o')
                        status = set_output(optarg, &output);
                else
                        status = opening_option(c, argv, &opening);
                if (status != STATUS_OK)
                        return status;
        }
        if (argc - optind != 2)
                return usage_error("map needs an archive and the name of a disk in it");
        status = report_open(argv[optind], &opening, &index);
        if (status != STATUS_OK)
                return status;
        sandbox_verb_opened(index, -1);
        status = map_disk(index, argv[optind], argv[optind + 1], output);
        index_close(index);
        return report_finish_output(status);
}
