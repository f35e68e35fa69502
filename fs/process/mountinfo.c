/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/process/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/cleanup.h"

enum { UNIQUE_ID = 0x4000 }; /* STATX_MNT_ID_UNIQUE, which older headers do not have */

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
        char *id = NULL, *device = NULL, *point = NULL;

        for (int i = 0; word && strcmp(word, "-") != 0; i++) {
                if (i == 0)
                        id = word;
                if (i == 2)
                        device = word;
                if (i == 4)
                        point = word;
                word = strtok_r(NULL, " \n", &save);
        }
        word = word ? strtok_r(NULL, " \n", &save) : NULL;
        if (!id || !device || !point || !word)
                return false;
        unescape(point);
        if (strcmp(point, path) != 0 || !parse_device(device, out))
                return false;
        out->id = (unsigned)strtoul(id, NULL, 10);
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

uint64_t mountinfo_unique_id(const char *path)
{
        struct statx stx;

        if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
                  UNIQUE_ID, &stx) < 0)
                return 0;
        return stx.stx_mask & UNIQUE_ID ? stx.stx_mnt_id : 0;
}
