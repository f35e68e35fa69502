/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/print/json.h"

#include <stdio.h>

#include "archive/cleanup.h"
#include "fs/print/report.h"

json_t *json_text(const char *text)
{
        json_t *s = json_string(text);
        cleanup_free char *ascii = NULL;

        if (s)
                return s;
        if (asprintf(&ascii, "%s", text) < 0) {
                ascii = NULL;
                return NULL;
        }
        for (char *p = ascii; *p; p++)
                if ((unsigned char)*p >= 0x80)
                        *p = '?';
        return json_string(ascii);
}

json_t *json_text_or_null(const char *text)
{
        return text && text[0] ? json_text(text) : json_null();
}

json_t *json_number_or_null(bool known, uint64_t n)
{
        return known ? json_integer((json_int_t)n) : json_null();
}

int json_print(json_t *take_root)
{
        int rc = take_root ? json_dumpf(take_root, stdout, JSON_INDENT(2)) : -1;

        json_decref(take_root);
        if (rc < 0) {
                report("the output cannot be made: out of memory");
                return STATUS_FAILED;
        }
        putchar('\n');
        return STATUS_OK;
}
