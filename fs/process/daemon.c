/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/process/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "fs/print/report.h"

/* A byte that the child sends is its exit status, or how many percent of the index there are. */
enum { PERCENT = 100 };

/* How far the child is, in one line of the terminal, if there is one. */
static void show(unsigned percent)
{
        if (isatty(STDERR_FILENO))
                fprintf(stderr, "\r\033[Kvmafs: indexing %u%%", percent);
}

static void clear(void)
{
        if (isatty(STDERR_FILENO))
                fputs("\r\033[K", stderr);
}

/* The exit status that the child sends, or STATUS_FAILED if it died without sending one. */
static int wait_for_child(int fd)
{
        unsigned char byte;
        bool shown = false;
        ssize_t n;

        for (;;) {
                n = read(fd, &byte, 1);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n != 1 || byte < PERCENT)
                        break;
                show(byte - PERCENT);
                shown = true;
        }
        if (shown)
                clear();
        if (n == 1)
                return byte;
        report("the mount's process ended before the mount was ready");
        return STATUS_FAILED;
}

int daemon_start(struct daemon *d)
{
        int fds[2];
        pid_t pid, parent = getpid();

        cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null < 0 || pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid < 0) {
                int rc = -errno;

                close(fds[0]);
                close(fds[1]);
                return rc;
        }
        if (pid > 0) {
                close(fds[1]);
                _exit(wait_for_child(fds[0]));
        }
        close(fds[0]);
        /* Until the mount is ready, killing the parent, for instance with ^C, kills us, too. */
        prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
        if (getppid() != parent)
                _exit(STATUS_FAILED);
        setsid();
        if (chdir("/") < 0)
                return -errno;
        d->fd = fds[1];
        d->null = steal_fd(&null);
        return 0;
}

static void send_byte(const struct daemon *d, unsigned char byte)
{
        ssize_t n;

        do
                n = write(d->fd, &byte, 1);
        while (n < 0 && errno == EINTR);
}

void daemon_outlive(const struct daemon *d)
{
        if (d->fd >= 0)
                prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
}

void daemon_tell(const struct daemon *d, unsigned percent)
{
        if (d->fd >= 0)
                send_byte(d, (unsigned char)(PERCENT + percent));
}

static void let_go(int null)
{
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
}

void daemon_finish(struct daemon *d, int status)
{
        if (d->fd < 0)
                return;
        if (status == STATUS_OK) {
                prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
                let_go(d->null);
        }
        send_byte(d, (unsigned char)status);
        close(steal_fd(&d->fd));
        close(steal_fd(&d->null));
}
