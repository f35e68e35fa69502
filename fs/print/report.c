/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/print/report.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "archive/error.h"
#include "archive/stream/restart_table.h"

static void print_line(char *line)
{
        for (char *p = line; *p; p++)
                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        *p = '?';
        fprintf(stderr, "vmafs: %s\n", line);
}

void report(const char *fmt, ...)
{
        char line[4096];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(line, sizeof line, fmt, ap);
        va_end(ap);
        print_line(line);
}

void report_error(const char *subject, const struct error *err)
{
        char text[512];

        error_format(err, text, sizeof text);
        if (subject)
                report("%s: %s", subject, text);
        else
                report("%s", text);
}

int report_status(int rc)
{
        switch (-rc) {
        case ENOENT:
        case ENOTDIR:
        case EISDIR:
        case EACCES:
        case EPERM:
        case EINVAL:
        case ELOOP:
        case ENAMETOOLONG:
        case EMEDIUMTYPE:
        case EEXIST:
                return STATUS_USAGE;
        default:
                return STATUS_FAILED;
        }
}

int report_finish_output(int status)
{
        if (fflush(stdout) == 0 && !ferror(stdout))
                return status;
        report("the output cannot be written: %s", strerror(errno));
        return STATUS_FAILED;
}

const char *report_size(uint64_t bytes, char out[32])
{
        static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
        double n = (double)bytes;
        size_t u = 0;

        while (n >= 1024 && u + 1 < sizeof units / sizeof *units) {
                n /= 1024;
                u++;
        }
        snprintf(out, 32, u ? "%.1f %s" : "%.0f %s", n, units[u]);
        return out;
}

void report_restart_points(const struct restart_stats *stats)
{
        char size[32];

        if (stats->points == 1)
                printf("restart:      1 point, at the beginning\n");
        else
                printf("restart:      %zu points, at most %s apart\n", stats->points,
                       report_size(stats->widest, size));
}
