/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/process/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "fs/process/descriptors.h"

enum { KEEP_MAX = 8 };

/* Room for one descriptor in a message. */
union control {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
};

/* ---- in the helper ---- */

static bool receive(int socket, struct helper_request *in)
{
        ssize_t n;

        do
                n = recv(socket, in, sizeof *in, 0);
        while (n < 0 && errno == EINTR);
        in->name[sizeof in->name - 1] = '\0';
        return n == sizeof *in;
}

static void reply(int socket, struct helper_reply *out, int fd)
{
        struct iovec part = {.iov_base = out, .iov_len = sizeof *out};
        union control control = {.bytes = {0}};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

        if (fd >= 0) {
                struct cmsghdr *head;

                message.msg_control = control.bytes;
                message.msg_controllen = sizeof control.bytes;
                head = CMSG_FIRSTHDR(&message);
                head->cmsg_level = SOL_SOCKET;
                head->cmsg_type = SCM_RIGHTS;
                head->cmsg_len = CMSG_LEN(sizeof fd);
                memcpy(CMSG_DATA(head), &fd, sizeof fd);
        }
        /* If the worker is gone, the next request shows it. */
        while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0 && errno == EINTR)
                ;
}

static void play(const struct helper_role *role, void *ctx, int socket)
{
        struct helper_request in;

        role->begin(ctx);
        if (role->serve) {
                role->serve(ctx, socket);
                return;
        }
        while (receive(socket, &in)) {
                struct helper_reply out = {0};
                cleanup_close int fd = -1;

                out.rc = role->handle(ctx, &in, &out, &fd);
                reply(socket, &out, fd);
        }
        if (role->end)
                role->end(ctx);
}

/* ps(1) reads the command line from where it was when the program started. */
static void rename_command_line(const char *name)
{
        cleanup_close int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
        char *line = program_invocation_name;
        char old[4096];
        ssize_t n = fd < 0 ? -1 : read(fd, old, sizeof old);
        size_t len;

        if (n <= 1 || memcmp(old, line, strnlen(line, (size_t)n)) != 0)
                return;
        len = strnlen(name, (size_t)n - 1);
        memset(line, 0, (size_t)n);
        memcpy(line, name, len);
}

static void take_name(const char *role, pid_t worker)
{
        char name[64];

        prctl(PR_SET_NAME, role);
        snprintf(name, sizeof name, "%s: for process %d", role, (int)worker);
        rename_command_line(name);
}

void helper_detach(void)
{
        cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null < 0)
                return;
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
}

/* ---- in the worker ---- */

int helper_start(struct helper *h, const struct helper_role *role, void *ctx, const int *keep,
                 size_t n)
{
        int kept[KEEP_MAX + 1], fds[2];
        sigset_t all, before;
        pid_t worker = getpid();

        if (n > KEEP_MAX)
                return -EINVAL;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, &before);
        h->pid = fork();
        if (h->pid == 0) {
                /* Ignore ^C and all other signals: the helper ends when the worker does. */
                setsid();
                take_name(role->name, worker);
                if (n > 0)
                        memcpy(kept, keep, n * sizeof *keep);
                kept[n] = fds[1];
                descriptors_close_others(kept, n + 1);
                if (chdir("/") == 0)
                        play(role, ctx, fds[1]);
                _exit(0);
        }
        sigprocmask(SIG_SETMASK, &before, NULL);
        close(fds[1]);
        if (h->pid < 0) {
                int rc = -errno;

                close(fds[0]);
                return rc;
        }
        h->fd = fds[0];
        return 0;
}

/* The descriptor that came with MESSAGE, or -1. */
static int received_fd(struct msghdr *message)
{
        const struct cmsghdr *head = CMSG_FIRSTHDR(message);
        int fd;

        if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS ||
            head->cmsg_len != CMSG_LEN(sizeof fd))
                return -1;
        memcpy(&fd, CMSG_DATA(head), sizeof fd);
        return fd;
}

static int receive_reply(int socket, struct helper_reply *out, int *fd)
{
        struct iovec part = {.iov_base = out, .iov_len = sizeof *out};
        union control control;
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = sizeof control.bytes};
        ssize_t n;

        do
                n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n != sizeof *out)
                return n < 0 && errno != ECONNRESET ? -errno : -EPIPE;
        *fd = received_fd(&message);
        /* A descriptor came, but the process has no number left for it. */
        return message.msg_flags & MSG_CTRUNC ? -EMFILE : 0;
}

static bool send_request(int socket, const struct helper_request *in)
{
        ssize_t n;

        do
                n = send(socket, in, sizeof *in, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n == sizeof *in;
}

int helper_call(struct helper *h, const struct helper_request *in, uint32_t *number, int *fd)
{
        struct helper_reply out;
        cleanup_close int received = -1;
        scoped_lock(&h->lock);
        int rc;

        if (fd)
                *fd = -1;
        if (h->fd < 0 || !send_request(h->fd, in))
                return -EPIPE;
        rc = receive_reply(h->fd, &out, &received);
        if (rc < 0)
                return rc;
        if (fd)
                *fd = steal_fd(&received);
        if (number)
                *number = out.number;
        return out.rc;
}

void helper_tell(struct helper *h, const struct helper_request *in)
{
        scoped_lock(&h->lock);

        send_request(h->fd, in);
}

void helper_end(struct helper *h)
{
        scoped_lock(&h->lock);

        if (h->fd < 0)
                return;
        close(steal_fd(&h->fd));
        while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
                ;
}
