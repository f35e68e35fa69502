/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/process/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

#include "fs/print/report.h"

void log_open(struct log *log, bool to_stderr)
{
        log->to_stderr = to_stderr;
        if (!to_stderr)
                openlog(NULL, LOG_NDELAY, LOG_DAEMON);
}

void log_line(const struct log *log, int priority, const char *fmt, ...)
{
        char line[1024];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(line, sizeof line, fmt, ap);
        va_end(ap);
        if (log->to_stderr)
                report("%s", line);
        else
                syslog(LOG_DAEMON | priority, "%s", line);
}
