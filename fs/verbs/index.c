/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmafs index: scan now, store the index, and print its figures. */
#include <getopt.h>
#include <inttypes.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/stream/restart_table.h"
#include "fs/cli/opening.h"
#include "fs/cli/several.h"
#include "fs/cli/usage.h"
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
                printf("restart:      %zu point%s, at most %s apart\n", stats.points,
                       stats.points == 1 ? "" : "s", report_size(stats.widest, size));
}

static int build(struct index *index, const char *path)
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
        print_summary(index, path);
        return STATUS_OK;
}

struct request {
        struct index_options opening;
};

static int index_one(void *ctx, const char *path)
{
        const struct request *r = ctx;
        struct opened o = OPENED_NONE;
        int status;

        status = opening_open(path, &r->opening, -1, &o);
        if (status == STATUS_OK)
                status = build(o.index, path);
        opening_close(&o);
        return status;
}

int verb_index(int argc, char **argv)
{
        static const struct option options[] = {
            {"file", required_argument, NULL, 'f'}, OPENING_LONG_OPTIONS, {0}};
        struct request r = {.opening = {.sidecar = INDEX_SIDECAR_BUILD}};
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
