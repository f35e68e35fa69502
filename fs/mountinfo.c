/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/mountinfo.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/cleanup.h"

static bool is_octal(const char *s)
{
        return strspn(s, "01234567") >= 3;
}

/* "0:53" */
static bool parse_device(const char *s, struct mountinfo *out)
{
        char *end;

        out->major = (unsigned)strtoul(s, &end, 10);
        if (end == s || *end != ':')
                return false;
        s = end + 1;
        out->minor = (unsigned)strtoul(s, &end, 10);
        return end != s && *end == '\0';
}

/* Undo \040 and the like, in place. */
static void unescape(char *s)
{
        char *out = s;

        while (*s) {
                if (*s == '\\' && is_octal(s + 1)) {
                        *out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
                        s += 4;
                } else {
                        *out++ = *s++;
                }
        }
        *out = '\0';
}

/* Parse "36 35 98:0 /root /mount/point options [fields] - type source options". */
static bool parse_line(char *line, const char *path, struct mountinfo *out)
{
        char *save = NULL, *word = strtok_r(line, " \n", &save);
        char *device = NULL, *point = NULL;

        for (int i = 0; word && strcmp(word, "-") != 0; i++) {
                if (i == 2)
                        device = word;
                if (i == 4)
                        point = word;
                word = strtok_r(NULL, " \n", &save);
        }
        word = word ? strtok_r(NULL, " \n", &save) : NULL;
        if (!device || !point || !word)
                return false;
        unescape(point);
        if (strcmp(point, path) != 0 || !parse_device(device, out))
                return false;
        snprintf(out->type, sizeof out->type, "%s", word);
        return true;
}

int mountinfo_find(const char *path, struct mountinfo *out)
{
        cleanup_fclose FILE *f = fopen("/proc/self/mountinfo", "re");
        cleanup_free char *line = NULL;
        size_t size = 0;
        int rc = -ENOENT;

        /* The last line for a path is the topmost mount. */
        while (f && getline(&line, &size, f) > 0)
                if (parse_line(line, path, out))
                        rc = 0;
        return rc;
}
