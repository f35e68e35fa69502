/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/format.h"
#include "archive/stream/restart_table.h"
#include "fs/cli/given.h"
#include "fs/cli/opening.h"
#include "fs/cli/several.h"
#include "fs/cli/usage.h"
#include "fs/datastore/snapshots.h"
#include "fs/datastore/store_verbs.h"
#include "fs/folder/folder.h"
#include "fs/print/info_partitions.h"
#include "fs/print/json.h"
#include "fs/print/report.h"
#include "fs/verbs/guest.h"
#include "fs/verbs/manifest.h"
#include "fs/verbs/verbs.h"
#include "index/disk_order.h"
#include "index/index.h"
#include "index/members/members.h"

static void print_time(int64_t seconds)
{
        time_t t = (time_t)seconds;
        struct tm tm;
        char text[64];

        if (gmtime_r(&t, &tm) && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm))
                printf("created:      %s\n", text);
        else
                printf("created:      %" PRId64 " seconds after 1970\n", seconds);
}

/* Of the disks of INDEX together; *CACHE is the most that one of them needs. */
static struct disk_order find_order(const struct index *index, uint64_t *cache)
{
        struct disk_order sum = {0}, one;

        *cache = 0;
        for (size_t i = 0; i < index_disk_count(index); i++) {
                struct disk *d = index_disk(index, i);

                if (!disk_is_scanned(d))
                        continue;
                disk_order_find(d, &one);
                sum.stored += one.stored;
                sum.strays += one.strays;
                *cache = max_u64(*cache, disk_order_cache(&one));
        }
        return sum;
}

/* What lies out of order costs something only where it has to be decoded. */
static void print_order(const struct index *index)
{
        uint64_t cache;
        struct disk_order o = find_order(index, &cache);
        char strays[32];

        if (o.stored == 0)
                return;
        printf("out of order: %.1f%% of the data", (double)o.strays * 100 / (double)o.stored);
        if (o.strays)
                printf(" (%s); with -o cache=%" PRIu64 "M or more, it is kept until it is read",
                       report_size(o.strays, strays), (cache >> 20) + 1);
        putchar('\n');
}

/* The stored index, if there is one; without it, restart points are not known. */
static void print_index(const struct index *index)
{
        struct index_sidecar_state state = index_sidecar_state(index);
        uint64_t archive = index_archive_size(index);
        struct restart_stats stats;
        char size[32];

        if (!state.loaded) {
                printf("index:        %s\n", index_scanned_always(index)
                                                 ? "none, and none is needed"
                                                 : "none; vmafs index builds one");
                return;
        }
        printf("index:        %s, %.2f per mille of the archive\n", report_size(state.size, size),
               archive ? (double)state.size * 1000 / (double)archive : 0);
        printf("index path:   %s\n", state.path);
        index_restart_stats(index, &stats);
        if (stats.segments)
                report_restart_points(&stats);
        if (stats.segments)
                print_order(index);
}

/* Print text from a configuration file, which may contain anything, on one line of the terminal. */
static void print_text(const char *label, const char *text, size_t len)
{
        printf("%-14s", label);
        for (size_t i = 0; i < len; i++)
                putchar((unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i]);
        putchar('\n');
}

/* They are counted by the scan, which info does not make. */
static void print_members(const struct index *index)
{
        struct members_counts c;
        char size[32];

        if (!index_members(index)) {
                printf("members:      not counted yet; vmafs index counts them\n");
                return;
        }
        members_tally(index_members(index), &c);
        printf("members:      %" PRIu64 " files with %s, %" PRIu64 " folders, %" PRIu64
               " symbolic links, %" PRIu64 " devices and pipes\n",
               c.files, report_size(c.bytes, size), c.folders, c.links, c.others);
        if (c.replaced)
                printf("replaced:     %" PRIu64 " by later members of the same name\n", c.replaced);
        if (c.unshown)
                printf("not shown:    %" PRIu64 ", where there is a folder of the same name\n",
                       c.unshown);
        if (c.dropped)
                printf("left out:     %" PRIu64
                       " attributes or ACLs that are too large, too many, or "
                       "name nobody's number\n",
                       c.dropped);
}

static void print_guest(const struct index *index)
{
        struct guest guest;
        const char *label = "notes:";

        guest_find(index, &guest);
        if (guest.name[0])
                print_text("guest:", guest.name, strlen(guest.name));
        if (guest.id)
                printf("guest id:     %u\n", guest.id);
        for (const char *at = guest.notes; *at; label = "") {
                size_t len = strcspn(at, "\n");

                print_text(label, at, len);
                at += len + (at[len] != '\0');
        }
}

static void print_human(const struct index *index, const struct manifests *manifests,
                        const char *path)
{
        const struct archive_info *info = index_info(index);
        char size[32];

        printf("archive:      %s\n", path);
        printf("format:       %s\n", index_format(index));
        printf("compression:  %s\n", index_compression(index));
        if (info->uuid[0])
                printf("uuid:         %s\n", info->uuid);
        print_time(info->ctime);
        printf("size:         %s (%" PRIu64 " bytes)\n",
               report_size(index_archive_size(index), size), index_archive_size(index));
        if (info->note[0])
                printf("note:         %s\n", info->note);
        print_guest(index);
        print_index(index);
        manifests_print_names(manifests);
        for (size_t i = 0; i < index_disk_count(index); i++) {
                const struct disk *d = index_disk(index, i);

                printf("disk:         %s, %s (%" PRIu64 " bytes%s)\n", d->name,
                       report_size(d->size, size), d->size, d->provisional_size ? " or more" : "");
                if (index_parted(index, i))
                        info_partitions_print(index_parted(index, i));
        }
        if (index_groups(index))
                info_groups_print(index_groups(index));
        if (index_is_tree(index))
                print_members(index);
        for (size_t i = 0; i < index_file_count(index); i++) {
                const struct index_file *f = index_file(index, i);

                printf("file:         %s, %s\n", f->name, report_size(f->volume->size, size));
        }
}

/* null if it is no tree, or they are not counted yet. */
static json_t *members_json(const struct index *index)
{
        struct members_counts c;

        if (!index_members(index))
                return json_null();
        members_tally(index_members(index), &c);
        return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "files", (json_int_t)c.files,
                         "folders", (json_int_t)c.folders, "links", (json_int_t)c.links, "others",
                         (json_int_t)c.others, "bytes", (json_int_t)c.bytes, "replaced",
                         (json_int_t)c.replaced, "unshown", (json_int_t)c.unshown);
}

static json_t *disks_json(const struct index *index)
{
        json_t *list = json_array();

        for (size_t i = 0; i < index_disk_count(index); i++) {
                const struct disk *d = index_disk(index, i);
                json_t *one = json_pack("{s:s, s:o, s:I, s:b, s:n, s:n}", "name", d->name, "device",
                                        json_text_or_null(d->device), "size", (json_int_t)d->size,
                                        "size-is-final", !d->provisional_size, "filesystem",
                                        "partition-table");

                if (index_parted(index, i))
                        json_object_update_new(one, info_partitions_json(index_parted(index, i)));
                json_array_append_new(list, one);
        }
        return list;
}

static json_t *files_json(const struct index *index)
{
        json_t *list = json_array();

        for (size_t i = 0; i < index_file_count(index); i++) {
                const struct index_file *f = index_file(index, i);

                json_array_append_new(list, json_pack("{s:s, s:I}", "name", f->name, "size",
                                                      (json_int_t)f->volume->size));
        }
        return list;
}

/* Each is null if the archive does not say it. */
static json_t *guest_json(const struct index *index)
{
        struct guest guest;

        guest_find(index, &guest);
        return json_pack("{s:o, s:o, s:o}", "name", json_text_or_null(guest.name), "id",
                         json_number_or_null(guest.id != 0, guest.id), "notes",
                         json_text_or_null(guest.notes));
}

/* null if there is no index. */
static json_t *index_json(const struct index *index)
{
        struct index_sidecar_state state = index_sidecar_state(index);
        struct restart_stats stats;
        struct disk_order order = {0};
        uint64_t cache = 0;

        if (!state.loaded)
                return json_null();
        index_restart_stats(index, &stats);
        if (stats.segments)
                order = find_order(index, &cache);
        return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "path", json_text(state.path), "size",
                         (json_int_t)state.size, "restart-points", (json_int_t)stats.points,
                         "widest-segment", (json_int_t)stats.widest, "out-of-order",
                         (json_int_t)order.strays, "cache-needed", (json_int_t)cache);
}

static int print_json(const struct index *index, const struct manifests *manifests,
                      const char *path)
{
        const struct archive_info *info = index_info(index);
        json_t *root =
            json_pack("{s:o, s:s, s:s, s:s, s:o, s:I, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                      "archive", json_text(path), "view", index_is_tree(index) ? "tree" : "images",
                      "format", index_format(index), "compression", index_compression(index),
                      "uuid", json_text_or_null(info->uuid), "ctime", (json_int_t)info->ctime,
                      "note", json_text_or_null(info->note), "size",
                      (json_int_t)index_archive_size(index), "guest", guest_json(index), "index",
                      index_json(index), "manifests", manifests_names_json(manifests), "disks",
                      disks_json(index), "volume-groups", info_groups_json(index_groups(index)),
                      "files", files_json(index), "members", members_json(index));

        return json_print(root);
}

static int info(struct index *index, bool json, const char *path)
{
        struct manifests *manifests;
        int status = STATUS_OK;

        if (manifests_load(index, &manifests) < 0) {
                report("out of memory");
                return STATUS_FAILED;
        }
        if (json)
                status = print_json(index, manifests, path);
        else
                print_human(index, manifests, path);
        manifests_free(manifests);
        return status;
}

struct request {
        struct index_options opening;
        struct datastore_words words;
        bool json;
};

static int refuse_partitions(const char *path)
{
        report("%s: is a folder of archives; info --partitions takes one of them", path);
        return STATUS_USAGE;
}

static int info_archive(const struct request *r, struct given *g)
{
        struct opened o = OPENED_NONE;
        struct archive_at at;
        int status = given_archive(g, &at);

        if (status == STATUS_OK)
                status = opening_open(&at, &r->opening, &o);
        /* What is inside of the disks is known once they were indexed. */
        if (status == STATUS_OK && r->opening.partitions)
                status = opening_scan(o.index, g->path);
        if (status == STATUS_OK)
                status = info(o.index, r->json, g->path);
        opening_close(&o);
        return status;
}

static int info_folder(const struct request *r, struct given *g)
{
        return r->opening.partitions ? refuse_partitions(g->path)
                                     : folder_info(g, &r->opening, r->json);
}

static int info_of(void *ctx, const char *path)
{
        const struct request *r = ctx;
        struct given g = GIVEN_NONE;
        int status = given_find(path, &r->opening, &g);

        if (status == STATUS_OK)
                status = snapshots_check_given(&r->words, &g);
        if (status == STATUS_OK && g.kind == GIVEN_FOLDER)
                status = info_folder(r, &g);
        else if (status == STATUS_OK && g.kind == GIVEN_DATASTORE)
                status = store_info(&g, &r->words, r->opening.partitions, r->json);
        else if (status == STATUS_OK)
                status = info_archive(r, &g);
        given_end(&g);
        return status;
}

int verb_info(int argc, char **argv)
{
        static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                                {"partitions", no_argument, NULL, 'p'},
                                                DATASTORE_LONG_OPTIONS,
                                                OPENING_LONG_OPTIONS,
                                                {0}};
        struct request r = {.opening = {.sidecar = INDEX_SIDECAR_USE}};
        int c;

        while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
                if (c == 'j')
                        r.json = true;
                else if (c == 'p')
                        r.opening.partitions = true;
                else if (snapshots_option(c, &r.words))
                        continue;
                else if (opening_option(c, argv, &r.opening) != STATUS_OK)
                        return STATUS_USAGE;
        }
        r.words.cache_bytes = r.opening.cache_bytes;
        r.words.threads = r.opening.threads;
        if (argc == optind)
                return usage_error("info needs an archive");
        if (snapshots_check_words(&r.words, argv + optind, (size_t)(argc - optind)) != STATUS_OK)
                return STATUS_USAGE;
        return several_run(argv + optind, (size_t)(argc - optind), r.json, info_of, &r);
}
