/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmafs map: one disk's extents in guest order, in the words of `qemu-img map`. In JSON an
 * offset is a byte of the archive file, so it is given only where the archive is not compressed;
 * what is lost has "lost": true besides.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "archive/error.h"
#include "archive/format.h"
#include "fs/cli/opening.h"
#include "fs/print/progress.h"
#include "fs/print/report.h"
#include "fs/process/sandbox.h"
#include "fs/verbs/verbs.h"
#include "index/index.h"

enum map_output { OUTPUT_HUMAN, OUTPUT_JSON };

struct map_printer {
        enum map_output output;
        bool compressed; /* the archive is: no place in it is a place in the file */
        bool first;
        const char *archive;
};

/* A line of the map. */
struct line {
        uint64_t start;
        bool lost;
        struct archive_detail detail;
};

static void print_human_line(const struct map_printer *p, const struct line *l)
{
        const char *file = l->detail.depth ? "(a backing file)" : p->archive;

        if (l->detail.zero)
                return;
        printf("%#-16" PRIx64 "%#-16" PRIx64, l->start, l->detail.len);
        if (l->lost)
                printf("%-16s%s\n", "lost", file);
        else if (l->detail.has_offset)
                printf("%#-16" PRIx64 "%s\n", l->detail.offset, file);
        else
                printf("%-16s%s\n", "compressed", file);
}

static void print_json_line(const struct map_printer *p, const struct line *l)
{
        const struct archive_detail *d = &l->detail;
        json_t *o = json_pack("{s:I, s:I, s:i, s:b, s:b, s:b}", "start", (json_int_t)l->start,
                              "length", (json_int_t)d->len, "depth", (int)d->depth, "present",
                              d->present, "zero", d->zero, "data", !d->zero);

        if (o && d->has_offset)
                json_object_set_new(o, "offset", json_integer((json_int_t)d->offset));
        if (o && l->lost)
                json_object_set_new(o, "lost", json_true());
        fputs(p->first ? "[" : ",\n", stdout);
        json_dumpf(o, stdout, 0);
        json_decref(o);
}

static void print_line(struct map_printer *p, const struct line *l)
{
        if (l->detail.len == 0)
                return;
        if (p->output == OUTPUT_JSON)
                print_json_line(p, l);
        else
                print_human_line(p, l);
        p->first = false;
}

/* Is B, which starts where A ends, told together with it? */
static bool goes_on(const struct line *a, const struct line *b)
{
        const struct archive_detail *x = &a->detail, *y = &b->detail;

        return a->lost == b->lost && x->depth == y->depth && x->present == y->present &&
               x->zero == y->zero && x->has_offset == y->has_offset &&
               (!x->has_offset || x->offset + x->len == y->offset);
}

/* What the disk holds from POS on, in the format's words or, where it has none, in the map's. */
static int find_line(const struct map_printer *p, struct disk *d, uint64_t pos, struct line *out)
{
        struct archive *a = index_archive(d->index);
        struct extent e;
        int rc = -ENOTSUP;

        disk_find(d, pos, &e);
        *out = (struct line){.start = pos, .lost = e.addr == EXTENT_LOST};
        out->detail = (struct archive_detail){.len = e.start + e.len - pos, .present = true};
        if (out->lost)
                return 0;
        if (e.addr == MAP_KEPT)
                return -EIO;
        if (a->ops->detail)
                rc = a->ops->detail(a, d->number, pos, out->detail.len, &out->detail);
        if (rc == -ENOTSUP) {
                out->detail.zero = e.addr == EXTENT_ZERO;
                out->detail.offset = e.addr;
                out->detail.has_offset =
                    !out->detail.zero &&
                    (!a->ops->locate || a->ops->locate(a, &e, &out->detail.offset));
                out->detail.offset += pos - e.start;
                rc = 0;
        }
        if (p->compressed)
                out->detail.has_offset = false;
        return rc;
}

static int print_map(struct map_printer *p, struct disk *d)
{
        struct line run = {0}, line;
        int rc = 0;

        if (p->output == OUTPUT_HUMAN)
                printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
        for (uint64_t pos = 0; pos < d->size && rc == 0; pos += line.detail.len) {
                rc = find_line(p, d, pos, &line);
                if (rc < 0)
                        break;
                if (run.detail.len && goes_on(&run, &line)) {
                        run.detail.len += line.detail.len;
                        continue;
                }
                print_line(p, &run);
                run = line;
        }
        print_line(p, &run);
        if (p->output == OUTPUT_JSON)
                puts(p->first ? "[]" : "]");
        return rc;
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
                                .compressed = strcmp(index_compression(index), "none") != 0,
                                .first = true,
                                .archive = path};
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
        rc = print_map(&p, d);
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
