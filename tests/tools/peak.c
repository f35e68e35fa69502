/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * peak: run a command and say how much memory it took at most.
 *
 * That is its resident set, as getrusage has it: it needs no right and no cgroup, and address space
 * that was only reserved is not counted. So that a bomb that goes off takes the command and not the
 * machine, its address space is limited, too.
 */
#include <errno.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Far over what any command reserves, and under what a small machine has. */
#define SPACE_MAX (UINT64_C(6) << 30)

static const char usage_text[] =
    "usage: peak FILE COMMAND [ARGUMENT]...\n"
    "Runs COMMAND and writes the most memory that it, or a process it waited for, had at a time "
    "to\n"
    "FILE, in KiB. Its address space is limited to 6 GiB.\n"
    "Exit status: the command's, 128 and the signal that it died of, 127 where it cannot be run.\n";

static int run(char **command)
{
        struct rlimit space = {.rlim_cur = SPACE_MAX, .rlim_max = SPACE_MAX};
        int rc, status;
        pid_t child;

        if (setrlimit(RLIMIT_AS, &space) < 0) {
                fprintf(stderr, "peak: the address space cannot be limited: %s\n", strerror(errno));
                return 127;
        }
        /* Not by a fork, which would count what this process has as the command's. */
        rc = posix_spawnp(&child, command[0], NULL, NULL, command, environ);
        if (rc != 0) {
                fprintf(stderr, "peak: %s: %s\n", command[0], strerror(rc));
                return 127;
        }
        while (waitpid(child, &status, 0) < 0)
                if (errno != EINTR)
                        return 127;
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
        struct rusage usage;
        int status;
        FILE *out;

        if (argc < 3) {
                fputs(usage_text, stderr);
                return 2;
        }
        status = run(argv + 2);
        out = fopen(argv[1], "w");
        if (!out || getrusage(RUSAGE_CHILDREN, &usage) < 0 ||
            fprintf(out, "%ld\n", usage.ru_maxrss) < 0 || fclose(out) != 0) {
                fprintf(stderr, "peak: %s: %s\n", argv[1], strerror(errno));
                return 127;
        }
        return status;
}
