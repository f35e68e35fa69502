/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/mountinfo.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/cleanup.h"

/* Undo \040 and the like, in place. */
static void unescape(char *s)
{
        char *out = s;

        while (*s) {
                unsigned byte;

                if (*s == '\\' && sscanf(s + 1, "%3o", &byte) == 1) {
                        *out++ = (char)byte;
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
        if (strcmp(point, path) != 0 || sscanf(device, "%u:%u", &out->major, &out->minor) != 2)
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
