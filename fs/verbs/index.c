/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmafs index: scan now, keep what was found, and say what it is good for. */
#include <getopt.h>
#include <inttypes.h>

#include "archive/error.h"
#include "archive/stream/restart.h"
#include "fs/cli/opening.h"
#include "fs/print/progress.h"
#include "fs/print/report.h"
#include "fs/process/sandbox.h"
#include "fs/verbs/verbs.h"
#include "index/index.h"

static void print_summary(const struct index *index)
{
        struct index_sidecar_state state = index_sidecar_state(index);
        uint64_t archive = index_archive_size(index);
        struct restart_stats stats;
        char size[32];

        printf("index:        %s\n", state.path);
        printf("size:         %s, %.2f per mille of the archive\n", report_size(state.size, size),
               archive ? (double)state.size * 1000 / (double)archive : 0);
        index_restart_stats(index, &stats);
        if (stats.segments)
                printf("restart:      %zu points, at most %s apart\n", stats.points,
                       report_size(stats.widest, size));
}

static int build(struct index *index, const char *path)
{
        struct progress *progress = progress_start(index, "indexing");
        struct error err = {0};
        int rc = index_scan(index, NULL, &err);

        progress_stop(progress);
        if (rc < 0) {
                report_error(path, &err);
                return STATUS_FAILED;
        }
        if (index_sidecar_state(index).problem) {
                report("%s: %s%s", path, index_sidecar_state(index).problem,
                       index_damage_count(index) ? "; vmafs verify names the damage" : "");
                return STATUS_FAILED;
        }
        print_summary(index);
        return STATUS_OK;
}

int verb_index(int argc, char **argv)
{
        static const struct option options[] = {
            {"file", required_argument, NULL, 'f'}, OPENING_LONG_OPTIONS, {0}};
        struct index_options opening = {.sidecar = INDEX_SIDECAR_BUILD};
        struct index *index;
        int c, status;

        while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
                if (c == 'f')
                        opening.sidecar_path = optarg;
                else if (opening_option(c, argv, &opening) != STATUS_OK)
                        return STATUS_USAGE;
        }
        if (argc - optind != 1)
                return usage_error("index needs one archive");
        status = report_open(argv[optind], &opening, &index);
        if (status != STATUS_OK)
                return status;
        sandbox_verb_opened(index, -1);
        status = build(index, argv[optind]);
        index_close(index);
        return report_finish_output(status);
}
