/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/cli/opening.h"

#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "fs/cli/numbers.h"
#include "fs/print/report.h"
#include "fs/verbs/verbs.h"
#include "index/index.h"

#define WINDOW_MAX  (UINT64_C(1) << 31)
#define THREADS_MAX 1024

static int refuse(const char *dashes, const char *what)
{
        char text[80];

        snprintf(text, sizeof text, "%s%s", dashes, what);
        return usage_error(text);
}

static bool parse_backing(const char *value, enum archive_backing *out)
{
        if (!value)
                return true;
        *out = strcmp(value, "any") == 0 ? ARCHIVE_BACKING_ANY : ARCHIVE_BACKING_DIR;
        return strcmp(value, "any") == 0 || strcmp(value, "dir") == 0;
}

int opening_set(enum opening_word word, const char *dashes, const char *value,
                struct index_options *o)
{
        uint64_t cache = o->cache_bytes;

        switch (word) {
        case OPENING_CACHE:
                if (!parse_size(value, SIZE_MAX / 2, &cache))
                        return refuse(dashes, "cache is a size, such as 512M");
                o->cache_bytes = cache;
                break;
        case OPENING_THREADS:
                if (!parse_number(value, 10, THREADS_MAX, &o->threads))
                        return refuse(dashes, "threads is a number of at most 1024");
                break;
        case OPENING_WINDOW:
                if (!parse_size(value, WINDOW_MAX, &o->window))
                        return refuse(dashes, "window is a size of at most 2G");
                break;
        case OPENING_BACKING:
                if (!parse_backing(value, &o->backing))
                        return refuse(dashes, "backing is dir or any");
                break;
        }
        return STATUS_OK;
}

int opening_option(int c, char **argv, struct index_options *o)
{
        switch (c) {
        case OPENING_CACHE:
        case OPENING_THREADS:
        case OPENING_WINDOW:
        case OPENING_BACKING:
                return opening_set((enum opening_word)c, "--", optarg, o);
        default:
                return usage_option(argv);
        }
}
