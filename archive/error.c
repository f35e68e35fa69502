/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/error.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void error_make_printable(char *text)
{
        for (char *p = text; *p; p++)
                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        *p = '?';
}

__attribute__((format(printf, 3, 0))) static void fill(struct error *err, int code, const char *fmt,
                                                       va_list ap)
{
        err->code = code;
        err->has_offset = false;
        err->offset = 0;
        vsnprintf(err->text, sizeof err->text, fmt, ap);
        error_make_printable(err->text);
}

void error_fill(struct error *err, int code, const char *fmt, ...)
{
        va_list ap;

        if (!err)
                return;
        va_start(ap, fmt);
        fill(err, code, fmt, ap);
        va_end(ap);
}

void error_fill_at(struct error *err, int code, uint64_t offset, const char *fmt, ...)
{
        va_list ap;

        if (!err)
                return;
        va_start(ap, fmt);
        fill(err, code, fmt, ap);
        va_end(ap);
        err->has_offset = true;
        err->offset = offset;
}

void error_format(const struct error *err, char *out, size_t size)
{
        const char *text = err->text[0] ? err->text : strerror(err->code);

        if (err->has_offset)
                snprintf(out, size, "%s, at byte %" PRIu64, text, err->offset);
        else
                snprintf(out, size, "%s", text);
        error_make_printable(out);
}
