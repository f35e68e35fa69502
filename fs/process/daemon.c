/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/process/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "fs/print/report.h"

/* The exit status that the child sends; it may die without a word. */
static int wait_for_child(int fd)
{
        unsigned char status;
        ssize_t n;

        do
                n = read(fd, &status, 1);
        while (n < 0 && errno == EINTR);
        if (n == 1)
                return status;
        report("the mount's process ended before the mount was ready");
        return STATUS_FAILED;
}

int daemon_start(struct daemon *d)
{
        int fds[2];
        pid_t pid;

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
        setsid();
        if (chdir("/") < 0)
                return -errno;
        d->fd = fds[1];
        d->null = steal_fd(&null);
        return 0;
}

static void let_go(int null)
{
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
}

void daemon_finish(struct daemon *d, int status)
{
        unsigned char byte = (unsigned char)status;
        ssize_t n;

        if (d->fd < 0)
                return;
        if (status == STATUS_OK)
                let_go(d->null);
        do
                n = write(d->fd, &byte, 1);
        while (n < 0 && errno == EINTR);
        close(steal_fd(&d->fd));
        close(steal_fd(&d->null));
}
