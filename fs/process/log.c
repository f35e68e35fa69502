/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/process/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "fs/print/report.h"

int log_open(struct log *log, bool to_stderr, const char *archive)
{
        log->to_stderr = to_stderr;
        /* A relative path would mean nothing to a reader of syslog. */
        log->archive = to_stderr ? NULL : realpath(archive, NULL);
        if (!log->archive)
                log->archive = strdup(archive);
        if (!log->archive)
                return -ENOMEM;
        if (!to_stderr)
                openlog("vmafs", LOG_NDELAY | LOG_PID, LOG_DAEMON);
        return 0;
}

void log_close(struct log *log)
{
        free(log->archive);
        log->archive = NULL;
}

/* A path may contain anything, even a line that looks like another program's. */
static void make_printable(char *line)
{
        for (char *p = line; *p; p++)
                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        *p = '?';
}

void log_line(const struct log *log, int priority, const char *fmt, ...)
{
        char text[1024], line[4096];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        /* If the line is too long, cut the path, not the text. */
        snprintf(line, sizeof line, "%.2048s: %s", log->archive, text);
        make_printable(line);
        if (log->to_stderr)
                report("%s", line);
        else
                syslog(LOG_DAEMON | priority, "%s", line);
}
