/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/cli/several.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/print/report.h"
#include "fs/process/descriptors.h"

struct several {
        char *const *paths;
        size_t count;
        bool json;
        bool separated; /* by blank lines */
        several_work *work;
        void *ctx;
        bool printed; /* an element of the array has been printed */
        struct several_counts counts;
};

/* Runs in the child. With JSON, output goes to OUT, the pipe's write end; otherwise OUT is -1. */
static int work_alone(const struct several *s, size_t i, int out)
{
        /* Close the other archives, which may be given as /dev/fd/N. */
        for (size_t j = 0; j < s->count; j++)
                if (strcmp(s->paths[j], s->paths[i]) != 0)
                        descriptors_release(s->paths[j]);
        if (out >= 0 && (dup2(out, STDOUT_FILENO) < 0 || close(out) < 0))
                return STATUS_FAILED;
        return report_finish_output(s->work(s->ctx, s->paths[i]));
}

/* Copy the element that the child writes to IN, if it writes one. */
static void copy_element(struct several *s, int in)
{
        char buf[65536];
        bool begun = false;
        ssize_t n;

        while ((n = read(in, buf, sizeof buf)) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        break;
                if (!begun)
                        fputs(s->printed ? ",\n" : "[\n", stdout);
                begun = s->printed = true;
                fwrite(buf, 1, (size_t)n, stdout);
        }
        s->counts.silent += !begun;
}

static int wait_for(pid_t pid, const char *path)
{
        int status;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return STATUS_FAILED;
        if (WIFEXITED(status))
                return WEXITSTATUS(status);
        report("%s: the process that read it was ended by signal %d", path, WTERMSIG(status));
        return STATUS_FAILED;
}

static int run_one(struct several *s, size_t i)
{
        int ends[2] = {-1, -1};
        pid_t pid, parent = getpid();

        fflush(stdout);
        if (s->json && pipe2(ends, O_CLOEXEC) < 0)
                pid = -1;
        else
                pid = fork();
        if (pid == 0) {
                if (ends[0] >= 0)
                        close(ends[0]);
                prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
                _exit(getppid() == parent ? work_alone(s, i, ends[1]) : STATUS_FAILED);
        }
        if (pid < 0)
                report("%s: a process for it cannot be started: %s", s->paths[i], strerror(errno));
        if (ends[1] >= 0)
                close(ends[1]);
        if (pid > 0 && s->json)
                copy_element(s, ends[0]);
        if (ends[0] >= 0)
                close(ends[0]);
        return pid < 0 ? STATUS_FAILED : wait_for(pid, s->paths[i]);
}

/* Runs all of S. Returns the largest exit status. */
static int run_all(struct several *s)
{
        int worst = STATUS_OK;

        for (size_t i = 0; i < s->count; i++) {
                int status;

                if (i > 0 && s->separated)
                        putchar('\n');
                status = run_one(s, i);
                s->counts.failed += status != STATUS_OK;
                if (status > worst)
                        worst = status;
        }
        if (s->json)
                puts(s->printed ? "]" : "[]");
        return report_finish_output(worst);
}

int several_run(char *const *paths, size_t count, bool json, several_work *work, void *ctx)
{
        struct several s = {.paths = paths,
                            .count = count,
                            .json = json,
                            .separated = !json,
                            .work = work,
                            .ctx = ctx};

        return count == 1 ? report_finish_output(work(ctx, paths[0])) : run_all(&s);
}

int several_run_list(char *const *paths, size_t count, bool json, several_work *work, void *ctx,
                     struct several_counts *out)
{
        struct several s = {.paths = paths, .count = count, .json = json, .work = work, .ctx = ctx};
        int worst = run_all(&s);

        *out = s.counts;
        return worst;
}
