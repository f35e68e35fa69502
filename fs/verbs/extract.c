/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmafs extract: restore without a mount, out of an archive, a folder of them, or a datastore. */
#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "archive/cleanup.h"
#include "fs/cli/archive_path.h"
#include "fs/cli/given.h"
#include "fs/cli/opening.h"
#include "fs/cli/several.h"
#include "fs/cli/usage.h"
#include "fs/datastore/snapshots.h"
#include "fs/datastore/store_extract.h"
#include "fs/extract/extraction.h"
#include "fs/extract/output.h"
#include "fs/print/report.h"
#include "fs/verbs/verbs.h"

struct request {
        struct given given;
        struct extraction what;
        struct datastore_words words;
        bool to_stdout;
        const struct archive_parts *parts; /* of a folder */
};

static int extract_stored(struct request *r)
{
        const struct extraction *x = &r->what;
        struct store_extract stored = {.given = &r->given,
                                       .words = r->words,
                                       .dir = x->dir,
                                       .wanted = x->wanted,
                                       .wanted_count = x->wanted_count,
                                       .force = x->force,
                                       .to_stdout = r->to_stdout};

        stored.words.cache_bytes = x->opening.cache_bytes;
        stored.words.threads = x->opening.threads;
        return store_extract(&stored);
}

static int extract_archive(const struct request *r)
{
        const struct extraction *x = &r->what;

        if (!r->to_stdout)
                return extraction_run(x);
        return x->wanted_count == 1 ? output_file(&x->archive, x->wanted[0], &x->opening)
                                    : usage_error("extract -O needs one file");
}

/* ---- out of a folder ---- */

static int extract_from_one(void *ctx, const char *archive)
{
        struct request *r = ctx;

        r->what.archive = given_at(&r->given, archive);
        for (size_t i = 0; i < r->parts->list.count; i++) {
                const struct archive_part *part = &r->parts->list.items[i];

                if (strcmp(part->archive, archive) != 0)
                        continue;
                r->what.wanted = part->insides.items;
                r->what.wanted_count = part->whole ? 0 : (int)part->insides.count;
        }
        return extract_archive(r);
}

/* One archive in this process; each of several in one of its own, as it can open no other. */
static int extract_each(struct request *r, const struct archive_parts *parts)
{
        size_t count = parts->list.count;
        cleanup_free char **archives = calloc(count + 1, sizeof *archives);
        struct several_counts counts;

        if (!archives) {
                report("out of memory");
                return STATUS_FAILED;
        }
        for (size_t i = 0; i < count; i++)
                archives[i] = parts->list.items[i].archive;
        if (r->to_stdout && count > 1)
                return usage_error("extract -O needs one file");
        r->parts = parts;
        return count == 1 ? extract_from_one(r, archives[0])
                          : several_run_list(archives, count, false, extract_from_one, r, &counts);
}

static int extract_from_folder(struct request *r)
{
        const struct extraction *x = &r->what;
        struct archive_parts parts;
        int status = given_parts(&r->given, x->wanted, (size_t)x->wanted_count, &parts);

        if (status == STATUS_OK)
                status = extract_each(r, &parts);
        archive_parts_fini(&parts);
        return status;
}

static int extract_given(struct request *r, const char *path)
{
        int status = given_find(path, &r->what.opening, &r->given);

        if (status == STATUS_OK)
                status = snapshots_check_given(&r->words, &r->given);
        if (status == STATUS_OK && r->given.kind == GIVEN_DATASTORE)
                status = extract_stored(r);
        else if (status == STATUS_OK && given_has_parts(&r->given))
                status = extract_from_folder(r);
        else if (status == STATUS_OK)
                status = extract_archive(r);
        given_end(&r->given);
        return status;
}

int verb_extract(int argc, char **argv)
{
        static const struct option options[] = {
            {"force", no_argument, NULL, 'f'}, DATASTORE_LONG_OPTIONS, OPENING_LONG_OPTIONS, {0}};
        struct request r = {
            .given = GIVEN_NONE,
            .what = {.dir = ".", .opening = {.sidecar = INDEX_SIDECAR_ENTER, .thorough = true}}};
        struct extraction *x = &r.what;
        int c;

        while ((c = getopt_long(argc, argv, ":C:O", options, NULL)) != -1) {
                if (c == 'C')
                        x->dir = optarg;
                else if (c == 'O')
                        r.to_stdout = true;
                else if (c == 'f')
                        x->force = true;
                else if (snapshots_option(c, &r.words))
                        continue;
                else if (opening_option(c, argv, &x->opening) != STATUS_OK)
                        return STATUS_USAGE;
        }
        if (argc - optind < 1)
                return usage_error("extract needs an archive");
        x->archive.path = argv[optind];
        x->wanted = argv + optind + 1;
        x->wanted_count = argc - optind - 1;
        if (snapshots_check_words(&r.words, argv + optind, 1) != STATUS_OK)
                return STATUS_USAGE;
        return extract_given(&r, argv[optind]);
}
