/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/names.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Is p[0..n) the continuation of a UTF-8 sequence? */
static bool continuation(const unsigned char *p, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return false;
        return true;
}

/*
 * Length of the well-formed UTF-8 character at P (RFC 3629: shortest form, no surrogates), 0
 * where there is none, or where it is a control character. P ends in NUL.
 */
static size_t printable(const unsigned char *p)
{
        if (p[0] < 0x80)
                return p[0] >= 0x20 && p[0] != 0x7f && p[0] != '/';
        if (p[0] >= 0xc2 && p[0] <= 0xdf && continuation(p + 1, 1))
                return p[0] == 0xc2 && p[1] < 0xa0 ? 0 : 2;
        if (p[0] >= 0xe0 && p[0] <= 0xef && continuation(p + 1, 2)) {
                bool shortest = p[0] != 0xe0 || p[1] >= 0xa0;
                bool surrogate = p[0] == 0xed && p[1] >= 0xa0;

                return shortest && !surrogate ? 3 : 0;
        }
        if (p[0] >= 0xf0 && p[0] <= 0xf4 && continuation(p + 1, 3)) {
                bool shortest = p[0] != 0xf0 || p[1] >= 0x90;
                bool in_range = p[0] != 0xf4 || p[1] < 0x90;

                return shortest && in_range ? 4 : 0;
        }
        return 0;
}

/* Cut NAME to at most MAX bytes, not inside a character. Returns its length. */
static size_t cut(char *name, size_t max)
{
        size_t len = strlen(name);

        if (len <= max)
                return len;
        while (max > 0 && ((unsigned char)name[max] & 0xc0) == 0x80)
                max--;
        name[max] = '\0';
        return max;
}

bool name_is_safe(const char *raw)
{
        const unsigned char *p = (const unsigned char *)raw;
        size_t n;

        if (!*raw || strcmp(raw, ".") == 0 || strcmp(raw, "..") == 0)
                return false;
        for (; *p; p += n) {
                n = printable(p);
                if (n == 0)
                        return false;
        }
        return p - (const unsigned char *)raw <= NAME_LEN_MAX;
}

char *name_make_safe(const char *raw)
{
        const unsigned char *p = (const unsigned char *)raw;
        bool dots = strcmp(raw, ".") == 0 || strcmp(raw, "..") == 0;
        size_t len = strnlen(raw, 65536);
        char *name = malloc(3 * len + 2), *out = name;

        if (!name)
                return NULL;
        for (const unsigned char *end = p + len; p < end;) {
                size_t n = dots ? 0 : printable(p);

                if (n == 0) {
                        out += sprintf(out, "%%%02X", *p++);
                        continue;
                }
                memcpy(out, p, n);
                out += n;
                p += n;
        }
        if (out == name)
                *out++ = '%';
        *out = '\0';
        if (strlen(name) > NAME_LEN_MAX) {
                size_t kept = cut(name, NAME_LEN_MAX - 1);

                memcpy(name + kept, "~", 2);
        }
        return name;
}

char *name_number(const char *name, unsigned n)
{
        char suffix[16];
        char *out = malloc(NAME_LEN_MAX + 1);
        size_t kept;

        if (!out)
                return NULL;
        snprintf(suffix, sizeof suffix, "~%u", n);
        snprintf(out, NAME_LEN_MAX + 1, "%s", name);
        kept = cut(out, NAME_LEN_MAX - strlen(suffix));
        memcpy(out + kept, suffix, strlen(suffix) + 1);
        return out;
}
