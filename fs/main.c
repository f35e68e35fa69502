/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/cli/advice.h"
#include "fs/cli/usage.h"
#include "fs/print/report.h"
#include "fs/process/descriptors.h"
#include "fs/verbs/mount_helper.h"
#include "fs/verbs/verbs.h"

static const struct verb {
        const char *name;
        int (*run)(int argc, char **argv);
} verbs[] = {
    {"mount", verb_mount}, {"info", verb_info},     {"map", verb_map},
    {"index", verb_index}, {"verify", verb_verify}, {"extract", verb_extract},
    {"cache", verb_cache},
};

static bool wants_help(int argc, char **argv)
{
        for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
                if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
                        return true;
        return false;
}

/* Only mount has -o. mount(8) calls `vmafs info DIR -o ro` to mount an archive named info. */
static bool has_mount_options(int argc, char **argv)
{
        for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
                if (strncmp(argv[i], "-o", 2) == 0)
                        return true;
        return false;
}

static const struct verb *find_verb(const char *name)
{
        for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
                if (strcmp(verbs[i].name, name) == 0)
                        return &verbs[i];
        return NULL;
}

/* mount(8)'s helper for the type fuse.vmafs calls `vmafs ARCHIVE MOUNTPOINT -o WORDS`. */
static bool may_be_called_by_mount(int argc, char **argv)
{
        return argc == 5 && strcmp(argv[3], "-o") == 0;
}

/* If WORD is a mistyped verb, say so. */
static bool report_no_verb(const char *word)
{
        const char *names[sizeof verbs / sizeof *verbs];
        char text[160];

        for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
                names[i] = verbs[i].name;
        if (!advice_on_verb(word, names, sizeof verbs / sizeof *verbs, text, sizeof text))
                return false;
        report("%s", text);
        return true;
}

static int report_no_archive(const char *name)
{
        report("%s takes no -o, and there is no archive named %s to mount; see vmafs --help", name,
               name);
        return STATUS_USAGE;
}

/*
 * When a large buffer is freed, malloc raises its threshold and keeps later ones for each thread. A
 * dozen decoding threads would then hold some 80 MiB of compressed input that nobody uses.
 */
static void return_large_buffers(void)
{
        mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
}

int main(int argc, char **argv)
{
        const struct verb *verb;

        descriptors_claim(argc, argv);
        return_large_buffers();
        opterr = 0; /* usage_option reports wrong options */
        if (mount_helper_is_called(argv[0]))
                return mount_helper_run(argc, argv);
        if (argc < 2)
                return usage_error("an archive and a mount point are needed");
        if (wants_help(argc, argv)) {
                usage();
                return report_finish_output(STATUS_OK);
        }
        if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
                puts("vmafs " VMAFS_VERSION);
                return report_finish_output(STATUS_OK);
        }
        verb = find_verb(argv[1]);
        if (verb && verb->run != verb_mount && !has_mount_options(argc, argv))
                return verb->run(argc - 1, argv + 1);
        if (verb && verb->run == verb_mount)
                return verb_mount(argc - 1, argv + 1);
        if (verb && access(verb->name, F_OK) < 0)
                return report_no_archive(verb->name);
        if (!verb && !may_be_called_by_mount(argc, argv) && report_no_verb(argv[1]))
                return STATUS_USAGE;
        return verb_mount(argc, argv);
}
