/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmafs cache: list the indexes in the cache folder, and remove those that are not needed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "fs/cli/numbers.h"
#include "fs/cli/usage.h"
#include "fs/print/json.h"
#include "fs/print/report.h"
#include "fs/verbs/verbs.h"
#include "index/sidecar/catalog.h"

enum { DAY = 86400 };

struct cache {
        char *path; /* of the folder */
        int dir;    /* -1: there is none yet */
        struct catalog catalog;
};

static int report_folder(const struct cache *c, int error)
{
        report("%s: cannot be read: %s", c->path ? c->path : "the cache folder", strerror(error));
        return STATUS_FAILED;
}

/* A cache folder that does not exist yet is empty. */
static int cache_open(struct cache *c)
{
        int rc;

        c->path = catalog_dir();
        c->dir = c->path ? open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (c->dir < 0)
                return c->path && errno == ENOENT ? STATUS_OK
                                                  : report_folder(c, c->path ? errno : ENOENT);
        rc = catalog_read(c->dir, &c->catalog);
        return rc < 0 ? report_folder(c, -rc) : STATUS_OK;
}

static void cache_close(struct cache *c)
{
        catalog_fini(&c->catalog);
        if (c->dir >= 0)
                close(c->dir);
        free(c->path);
}

/* A path may contain anything, even escape sequences for a terminal. */
static void print_path(const char *path)
{
        for (const char *p = path; *p; p++)
                putchar((unsigned char)*p < ' ' || *p == 127 ? '?' : *p);
}

static void print_entry(const struct catalog_entry *e)
{
        char size[32], day[16] = "?";
        struct tm tm;
        time_t used = (time_t)e->used;

        if (localtime_r(&used, &tm))
                strftime(day, sizeof day, "%Y-%m-%d", &tm);
        printf("%10s  %s  ", report_size(e->size, size), day);
        if (!e->archive)
                printf("(its archive is not known) %s", e->name);
        else
                print_path(e->archive);
        if (e->partial)
                fputs("  INCOMPLETE", stdout);
        puts(e->missing ? "  MISSING" : "");
}

static void print_list(const struct cache *c)
{
        uint64_t total = 0;
        char size[32];

        for (size_t i = 0; i < c->catalog.count; i++) {
                print_entry(&c->catalog.items[i]);
                total += c->catalog.items[i].size;
        }
        printf("%s: %zu %s, %s\n", c->path, c->catalog.count,
               c->catalog.count == 1 ? "index" : "indexes", report_size(total, size));
}

static json_t *entry_json(const struct catalog_entry *e)
{
        return json_pack("{s:o, s:o, s:I, s:I, s:b, s:b}", "index", json_text(e->name), "archive",
                         e->archive ? json_text(e->archive) : json_null(), "size",
                         (json_int_t)e->size, "used", (json_int_t)e->used, "missing", e->missing,
                         "partial", e->partial);
}

static int print_json(const struct cache *c)
{
        json_t *list = json_array();

        for (size_t i = 0; i < c->catalog.count; i++)
                json_array_append_new(list, entry_json(&c->catalog.items[i]));
        return json_print(json_pack("{s:o, s:o}", "folder", json_text(c->path), "indexes", list));
}

static int list(int argc, char **argv)
{
        static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
        struct cache c = {.dir = -1};
        bool json = false;
        int option, status;

        while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
                if (option != 'j')
                        return usage_option(option, argv);
                json = true;
        }
        if (argc != optind)
                return usage_error("cache lists what is kept, or prunes: vmafs cache prune");
        status = cache_open(&c);
        if (status == STATUS_OK && json)
                status = print_json(&c);
        else if (status == STATUS_OK)
                print_list(&c);
        cache_close(&c);
        return report_finish_output(status);
}

/* ---- pruning ---- */

static int prune_entries(struct cache *c, const struct catalog_limits *limits, bool dry)
{
        uint64_t freed = 0;
        size_t removed = 0;
        char size[32];

        for (size_t i = 0; i < c->catalog.count; i++) {
                const struct catalog_entry *e = &c->catalog.items[i];
                int rc;

                if (!catalog_drops(&c->catalog, i, limits))
                        continue;
                rc = dry ? 0 : catalog_remove(c->dir, e);
                if (rc < 0) {
                        report("%s/%s: cannot be removed: %s", c->path, e->name, strerror(-rc));
                        return STATUS_FAILED;
                }
                print_entry(e);
                removed++;
                freed += e->size;
        }
        printf("%zu %s %s, %s\n", removed, removed == 1 ? "index" : "indexes",
               dry ? "would be removed" : "removed", report_size(freed, size));
        return STATUS_OK;
}

static int parse_limit(int option, const char *value, struct catalog_limits *limits)
{
        unsigned days = UINT_MAX;

        switch (option) {
        case 'm':
                limits->missing = true;
                return STATUS_OK;
        case 'u':
                if (!parse_number(value, 10, 100000, &days) || days == UINT_MAX)
                        return usage_error("--unused is a number of days");
                limits->older = (int64_t)time(NULL) - (int64_t)days * DAY;
                return STATUS_OK;
        default:
                return parse_size(value, UINT64_MAX, &limits->size_max)
                           ? STATUS_OK
                           : usage_error("--max-size is a number, K, M, G or T may follow");
        }
}

static int prune(int argc, char **argv)
{
        static const struct option options[] = {{"missing", no_argument, NULL, 'm'},
                                                {"unused", required_argument, NULL, 'u'},
                                                {"max-size", required_argument, NULL, 's'},
                                                {"dry-run", no_argument, NULL, 'n'},
                                                {0}};
        struct catalog_limits limits = {.size_max = UINT64_MAX};
        struct cache c = {.dir = -1};
        bool dry = false, limited = false;
        int option, status;

        while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
                if (option == '?' || option == ':')
                        return usage_option(option, argv);
                if (option == 'n') {
                        dry = true;
                        continue;
                }
                if (parse_limit(option, optarg, &limits) != STATUS_OK)
                        return STATUS_USAGE;
                limited = true;
        }
        if (argc != optind || !limited)
                return usage_error("cache prune needs --missing, --unused=DAYS or --max-size=SIZE");
        status = cache_open(&c);
        if (status == STATUS_OK)
                status = prune_entries(&c, &limits, dry);
        cache_close(&c);
        return report_finish_output(status);
}

int verb_cache(int argc, char **argv)
{
        if (argc > 1 && strcmp(argv[1], "prune") == 0)
                return prune(argc - 1, argv + 1);
        return list(argc, argv);
}
