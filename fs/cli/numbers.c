/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/cli/numbers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"

bool parse_number(const char *text, int base, unsigned long max, unsigned *out)
{
        unsigned long n;
        char *end;

        if (!text)
                return true;
        errno = 0;
        n = strtoul(text, &end, base);
        if (errno || *end || end == text || text[0] == '-' || n > max)
                return false;
        *out = (unsigned)n;
        return true;
}

bool parse_size(const char *text, uint64_t max, uint64_t *out)
{
        static const char units[] = "KMGT";
        uint64_t n;
        const char *unit;
        char *end;

        if (!text)
                return true;
        errno = 0;
        n = strtoull(text, &end, 10);
        if (errno || end == text || text[0] == '-')
                return false;
        unit = *end ? strchr(units, *end) : NULL;
        if (*end && (!unit || end[1]))
                return false;
        for (const char *u = units; unit && u <= unit; u++)
                if (!checked_mul(n, 1024, &n))
                        return false;
        if (n == 0 || n > max)
                return false;
        *out = n;
        return true;
}
