/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a mount has to say after the command has returned: stderr with -f, syslog otherwise. */
#ifndef VMAFS_LOG_H
#define VMAFS_LOG_H

#include <stdbool.h>

struct log {
        bool to_stderr;
};

/* Connect to syslog, unless the lines go to stderr: a sandboxed process cannot any more. */
void log_open(struct log *log, bool to_stderr);

/* PRIORITY is syslog's. One line, without a newline at the end. Thread-safe. */
__attribute__((format(printf, 3, 4))) void log_line(const struct log *log, int priority,
                                                    const char *fmt, ...);

#endif
