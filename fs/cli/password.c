/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/cli/password.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

bool password_can_ask(void)
{
        return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

/* What ends a program, or stops it. */
static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};

enum { SIGNALS = sizeof signals / sizeof signals[0] };

static void wake(int sig)
{
        (void)sig;
}

/* Any of them makes a read fail, so that the terminal is not left without echo. */
static void catch_signals(struct sigaction before[SIGNALS])
{
        const struct sigaction act = {.sa_handler = wake};

        for (size_t i = 0; i < SIGNALS; i++)
                sigaction(signals[i], &act, &before[i]);
}

static void restore_signals(const struct sigaction before[SIGNALS])
{
        for (size_t i = 0; i < SIGNALS; i++)
                sigaction(signals[i], &before[i], NULL);
}

static int read_line(char *out, size_t size)
{
        size_t len = 0;

        for (;;) {
                char c;
                ssize_t n = read(STDIN_FILENO, &c, 1);

                if (n < 0)
                        return -errno;
                if (n == 0 || c == '\n' || c == '\r')
                        break;
                if (len + 1 >= size)
                        return -E2BIG;
                out[len++] = c;
        }
        out[len] = '\0';
        return (int)len;
}

int password_ask(const char *file, char *out, size_t size)
{
        struct sigaction actions[SIGNALS];
        struct termios before, quiet;
        int rc;

        if (tcgetattr(STDIN_FILENO, &before) < 0)
                return -errno;
        catch_signals(actions);
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        rc = tcsetattr(STDIN_FILENO, TCSANOW, &quiet) < 0 ? -errno : 0;
        if (rc == 0) {
                fprintf(stderr, "vmafs: password of %s: ", file);
                rc = read_line(out, size);
                tcsetattr(STDIN_FILENO, TCSANOW, &before);
                fputc('\n', stderr);
        }
        restore_signals(actions);
        return rc;
}
