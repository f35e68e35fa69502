/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verbs, each in a process of its own, and a mount: what they make of a damaged archive. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "fs/verbs/verbs.h"
#include "tests/damage/trial.h"

/* What is run in a process of its own: a program, or one of ours, which gives up rights. */
typedef int (*verb_fn)(int argc, char **argv);

/* ARGV has the program's name first, and then the verb's. */
static pid_t start(const struct trial *t, verb_fn verb, char **argv)
{
        pid_t child = fork();
        int argc = 0;

        sound_require(child >= 0, "fork");
        if (child == 0) {
                int null = open("/dev/null", O_RDWR | O_CLOEXEC);

                dup2(null, STDOUT_FILENO);
                dup2(null, STDERR_FILENO);
                if (t->program)
                        execv(t->program, argv);
                while (argv[argc + 1])
                        argc++;
                optind = 0;
                _exit(verb ? verb(argc, argv + 1) : 127);
        }
        return child;
}

/* Its status, or -1. */
static int await(pid_t child)
{
        int status;

        while (waitpid(child, &status, 0) < 0)
                sound_require(errno == EINTR, "waitpid");
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run(const struct trial *t, verb_fn verb, char **argv)
{
        return await(start(t, verb, argv));
}

enum trial_verify trial_verify(const struct trial *t)
{
        char index[TRIAL_PATH];
        int status;

        trial_path(t, "verify.index", index);
        status = run(t, verb_verify,
                     (char *[]){"vmafs", "verify", "--threads=2", "--file", index,
                                (char *)t->archive, NULL});
        unlink(index);
        switch (status) {
        case 0:
                return TRIAL_SOUND;
        case 1:
                return TRIAL_DAMAGED;
        case 2:
                return TRIAL_REFUSED;
        default:
                return TRIAL_DIED;
        }
}

/* What `extract` has left of a content below DIR: whole, partial, or nothing. */
static struct serving find_extracted(const char *dir, const struct content *c)
{
        char path[300];
        struct serving s = {0};
        struct bytes b;

        snprintf(path, sizeof path, "%s/%s", dir, c->name);
        b = fixture_file(path);
        if (!b.data) {
                snprintf(path, sizeof path, "%s/%s.partial", dir, c->name);
                b = fixture_file(path);
                s.partial = true;
        }
        if (!b.data)
                return s;
        s.present = true;
        s.bytes = b;
        s.size = b.len;
        s.failed = calloc(b.len / JUDGE_BLOCK + 2, 1);
        sound_require(s.failed != NULL, "out of memory");
        return s;
}

void trial_extract(const struct trial *t, struct harmed *h, struct verdict *v)
{
        char dir[TRIAL_PATH];
        int status;

        trial_path(t, "out", dir);
        sound_require(mkdir(dir, 0700) == 0, dir);
        status =
            run(t, verb_extract,
                (char *[]){"vmafs", "extract", "--threads=2", "-C", dir, (char *)t->archive, NULL});
        v->refused = status == 2;
        for (unsigned i = 0; i < t->sound->content_count; i++) {
                struct serving s = find_extracted(dir, &t->sound->contents[i]);

                judge_content(h, i, &s, false, v);
                serving_free(&s);
        }
        trial_remove(dir);
}

/* ---- a mount ---- */

static struct serving read_mounted(const char *dir, const struct content *c)
{
        char path[300];
        struct serving s = {0};
        struct stat st;
        cleanup_close int fd = -1;

        snprintf(path, sizeof path, "%s/%s", dir, c->name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return s;
        s = serving_new((size_t)st.st_size, c->bytes.len);
        for (size_t at = 0; at < s.bytes.len;) {
                ssize_t n = pread(fd, s.bytes.data + at, JUDGE_BLOCK - at % JUDGE_BLOCK, (off_t)at);

                if (n <= 0)
                        s.failed[at / JUDGE_BLOCK] = 1;
                at = n > 0 ? at + (size_t)n : (at / JUDGE_BLOCK + 1) * JUDGE_BLOCK;
        }
        return s;
}

/* Wait until DIR, in T's folder, is a mount of CHILD's. False: that has ended instead. */
static bool is_mounted(const struct trial *t, const char *dir, pid_t child)
{
        struct stat above, here;
        siginfo_t end;

        sound_require(stat(t->dir, &above) == 0, t->dir);
        for (;;) {
                end.si_pid = 0;
                sound_require(waitid(P_PID, (id_t)child, &end, WEXITED | WNOHANG | WNOWAIT) == 0,
                              "waitid");
                if (end.si_pid)
                        return false;
                if (stat(dir, &here) == 0 && here.st_dev != above.st_dev)
                        return true;
                usleep(1000);
        }
}

static void unmount(const char *dir)
{
        pid_t child;
        int status;

        if (umount2(dir, 0) == 0)
                return;
        child = fork();
        sound_require(child >= 0, "fork");
        if (child == 0) {
                execlp("fusermount3", "fusermount3", "-u", dir, NULL);
                _exit(127);
        }
        sound_require(waitpid(child, &status, 0) == child && status == 0, "fusermount3 -u");
}

void trial_mount(const struct trial *t, struct harmed *h, struct verdict *v)
{
        char dir[TRIAL_PATH], option[TRIAL_PATH + 8];
        pid_t child;

        trial_path(t, "mnt", dir);
        snprintf(option, sizeof option, "index=%s/mount.index", t->dir);
        sound_require(mkdir(dir, 0700) == 0, dir);
        /* In the foreground, to know when it has ended: until then it may keep its index. */
        child =
            start(t, NULL,
                  (char *[]){"vmafs", "mount", "-f", (char *)t->archive, dir, "-o", option, NULL});
        v->refused = !is_mounted(t, dir, child);
        if (!v->refused) {
                for (unsigned i = 0; i < t->sound->content_count; i++) {
                        struct serving s = read_mounted(dir, &t->sound->contents[i]);

                        judge_content(h, i, &s, false, v);
                        serving_free(&s);
                }
                unmount(dir);
        }
        await(child);
        trial_path(t, "mount.index", option);
        unlink(option);
        trial_path(t, "mount.index.partial", option);
        unlink(option);
        rmdir(dir);
}
