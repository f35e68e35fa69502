/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a mount has to say after the command has returned: stderr with -f, syslog otherwise. */
#ifndef VMAFS_LOG_H
#define VMAFS_LOG_H

#include <stdbool.h>

struct log {
        bool to_stderr;
        char *archive; /* what each line begins with */
};

/*
 * Connect to syslog, unless the lines go to stderr; call it before the sandbox, where connecting is
 * impossible. Each line begins with the path ARCHIVE; lines in syslog have its absolute path and
 * the process id. log_close frees *LOG. Returns 0 or -ENOMEM.
 */
int log_open(struct log *log, bool to_stderr, const char *archive);
void log_close(struct log *log);

/* PRIORITY is syslog's. One line, without a newline at the end. Thread-safe. */
__attribute__((format(printf, 3, 4))) void log_line(const struct log *log, int priority,
                                                    const char *fmt, ...);

#endif
