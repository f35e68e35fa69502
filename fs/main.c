/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/print/report.h"
#include "fs/process/sandbox.h"
#include "fs/process/unmounter.h"
#include "fs/verbs/verbs.h"

static const struct verb {
        const char *name;
        int (*run)(int argc, char **argv);
} verbs[] = {
    {"mount", verb_mount}, {"info", verb_info},     {"map", verb_map},
    {"index", verb_index}, {"verify", verb_verify}, {"extract", verb_extract},
};

static bool wants_help(int argc, char **argv)
{
        for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
                if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
                        return true;
        return false;
}

/* Only mounting knows -o: `vmafs info DIR -o ro`, as mount(8) calls it, mounts an archive. */
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

/*
 * malloc learns from a large buffer that is freed to keep the next ones, for each thread: decoding
 * on a dozen threads would hold some 80 MiB of compressed input that nobody uses any more.
 */
static void return_large_buffers(void)
{
        mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
}

/* Descriptors 0 to 2 are standard ones, also where whoever ran us had closed them. */
static void open_standard_descriptors(void)
{
        int fd;

        do
                fd = open("/dev/null", O_RDWR);
        while (fd >= 0 && fd <= STDERR_FILENO);
        if (fd > STDERR_FILENO)
                close(fd);
}

int main(int argc, char **argv)
{
        const struct verb *verb;

        open_standard_descriptors();
        if (unmounter_is_called(argv[0]))
                return unmounter_run();
        return_large_buffers();
        opterr = 0; /* wrong options are reported by usage_option */
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
        if (verb && verb->run != verb_mount && !has_mount_options(argc, argv)) {
                sandbox_verb();
                return verb->run(argc - 1, argv + 1);
        }
        return verb && verb->run == verb_mount ? verb_mount(argc - 1, argv + 1)
                                               : verb_mount(argc, argv);
}
