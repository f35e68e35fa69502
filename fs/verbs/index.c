/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmafs index: scan now, store the index, and print its figures. */
#include <getopt.h>
#include <inttypes.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/stream/restart_table.h"
#include "fs/cli/given.h"
#include "fs/cli/opening.h"
#include "fs/cli/several.h"
#include "fs/cli/usage.h"
#include "fs/folder/folder.h"
#include "fs/folder/folder_find.h"
#include "fs/print/progress.h"
#include "fs/print/report.h"
#include "fs/verbs/verbs.h"
#include "index/index.h"

static void print_summary(const struct index *index, const char *path)
{
        struct index_sidecar_state state = index_sidecar_state(index);
        uint64_t archive = index_archive_size(index);
        struct restart_stats stats;
        char size[32];

        printf("archive:      %s\n", path);
        printf("index:        %s\n", state.path);
        printf("size:         %s, %.2f per mille of the archive\n", report_size(state.size, size),
               archive ? (double)state.size * 1000 / (double)archive : 0);
        index_restart_stats(index, &stats);
        if (stats.segments)
                report_restart_points(&stats);
}

static void print_line(const struct index *index, const char *path)
{
        struct index_sidecar_state state = index_sidecar_state(index);
        char size[32];

        printf("%s: indexed, %s\n", path, report_size(state.size, size));
}

static int build(struct index *index, const char *path,
                 void (*print)(const struct index *index, const char *path))
{
        struct error err = {0};
        struct progress *progress;
        int rc = index_try_keeping(index, &err);

        if (rc == 0) {
                progress = progress_start(index, "indexing");
                rc = index_scan(index, NULL, &err);
                progress_stop(progress);
        }
        /* What is not compressed was only scanned. */
        if (rc == 0 && index_sidecar_state(index).size == 0 && !index_sidecar_state(index).problem)
                index_keep(index, NULL);
        if (rc < 0) {
                report_error(path, &err);
                return STATUS_FAILED;
        }
        if (index_sidecar_state(index).problem) {
                report("%s: %s%s", path, index_sidecar_state(index).problem,
                       index_damage_count(index) ? "; vmafs verify names the damage" : "");
                return STATUS_FAILED;
        }
        print(index, path);
        return STATUS_OK;
}

struct request {
        struct index_options opening;
        struct folder folder; /* that is gone through */
};

/* The index that there is of *O cannot be used. */
static int build_anew(const struct request *r, struct opened *o, const char *path)
{
        struct index_options options = r->opening;
        struct error err = {0};
        int rc;

        options.sidecar = INDEX_SIDECAR_BUILD;
        options.shared = o->shared;
        index_close(steal_ptr(&o->index));
        rc = index_open_site(o->site, &options, &o->index, &err);
        if (rc == 0)
                return build(o->index, path, print_line);
        report_error(path, &err);
        return report_status(rc);
}

/* Of a folder, only what has no index yet, and is of use with one. */
static int index_in_folder(void *ctx, const char *path)
{
        struct request *r = ctx;
        struct opened o = OPENED_NONE;
        int status;

        r->opening.sidecar = INDEX_SIDECAR_USE;
        status = folder_open(&r->folder, path, &r->opening, &o);
        if (status == STATUS_OK && index_sidecar_state(o.index).loaded)
                printf("%s: has an index\n", path);
        else if (status == STATUS_OK && index_scanned_always(o.index))
                printf("%s: needs no index\n", path);
        else if (status == STATUS_OK && index_sidecar_state(o.index).problem)
                status = build_anew(r, &o, path);
        else if (status == STATUS_OK)
                status = build(o.index, path, print_line);
        opening_close(&o);
        return status;
}

static int index_folder_of(struct request *r, struct given *g)
{
        int status = folder_find(g, &r->folder);

        if (r->opening.sidecar_path)
                status = usage_error("--file is the index of one archive");
        if (status == STATUS_OK)
                status = folder_run(&r->folder, false, "not indexed", index_in_folder, r);
        folder_close(&r->folder);
        return status;
}

static int index_given_archive(const struct request *r, struct given *g)
{
        struct opened o = OPENED_NONE;
        struct archive_at at;
        int status = given_archive(g, &at);

        if (status == STATUS_OK)
                status = opening_open(&at, &r->opening, &o);
        if (status == STATUS_OK)
                status = build(o.index, g->path, print_summary);
        opening_close(&o);
        return status;
}

static int refuse_datastore(const struct given *g)
{
        report("%s: is a datastore, which needs no index", g->path);
        return STATUS_USAGE;
}

static int index_one(void *ctx, const char *path)
{
        struct request *r = ctx;
        struct given g = GIVEN_NONE;
        int status = given_find(path, &r->opening, &g);

        if (status == STATUS_OK && g.kind == GIVEN_FOLDER)
                status = index_folder_of(r, &g);
        else if (status == STATUS_OK && g.kind == GIVEN_DATASTORE)
                status = refuse_datastore(&g);
        else if (status == STATUS_OK)
                status = index_given_archive(r, &g);
        given_end(&g);
        return status;
}

int verb_index(int argc, char **argv)
{
        static const struct option options[] = {
            {"file", required_argument, NULL, 'f'}, OPENING_LONG_OPTIONS, {0}};
        struct request r = {.opening = {.sidecar = INDEX_SIDECAR_BUILD}, .folder = FOLDER_NONE};
        int c;

        while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
                if (c == 'f')
                        r.opening.sidecar_path = optarg;
                else if (opening_option(c, argv, &r.opening) != STATUS_OK)
                        return STATUS_USAGE;
        }
        if (argc == optind)
                return usage_error("index needs an archive");
        if (r.opening.sidecar_path && argc - optind > 1)
                return usage_error("--file is the index of one archive");
        return several_run(argv + optind, (size_t)(argc - optind), false, index_one, &r);
}
