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

/* "36 35 98:0 /root /mount/point options [fields] - type source options" */
static bool parse_line(char *line, struct mountinfo *out)
{
        char *save = NULL, *word = strtok_r(line, " \n", &save);
        char *id = NULL, *device = NULL;

        for (int i = 0; word && strcmp(word, "-") != 0; i++) {
                if (i == 0)
                        id = word;
                if (i == 2)
                        device = word;
                word = strtok_r(NULL, " \n", &save);
        }
        word = word ? strtok_r(NULL, " \n", &save) : NULL;
        if (!id || !device || !word || !parse_device(device, out))
                return false;
        out->id = (unsigned)strtoul(id, NULL, 10);
        snprintf(out->type, sizeof out->type, "%s", word);
        return true;
}

unsigned mountinfo_id(int fd)
{
        static const char word[] = "mnt_id:";
        cleanup_fclose FILE *f = NULL;
        char path[48], line[128];

        snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
        f = fopen(path, "re");
        while (f && fgets(line, sizeof line, f))
                if (strncmp(line, word, sizeof word - 1) == 0)
                        return (unsigned)strtoul(line + sizeof word - 1, NULL, 10);
        return 0;
}

int mountinfo_find(int fd, struct mountinfo *out)
{
        unsigned id = mountinfo_id(fd);
        cleanup_fclose FILE *f = fopen("/proc/self/mountinfo", "re");
        cleanup_free char *line = NULL;
        size_t size = 0;

        while (f && id && getline(&line, &size, f) > 0)
                if (parse_line(line, out) && out->id == id)
                        return 0;
        return -ENOENT;
}

uint64_t mountinfo_unique_id(int fd)
{
        struct statx stx;

        if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, UNIQUE_ID, &stx) <
            0)
                return 0;
        return stx.stx_mask & UNIQUE_ID ? stx.stx_mnt_id : 0;
}
