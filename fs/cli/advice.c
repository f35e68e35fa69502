/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/cli/advice.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { WORD_MAX = 16 }; /* a longer word is not a mistyped verb */

static const struct {
        const char *word, *instead;
} hints[] = {
    {"umount", "umount MOUNTPOINT or fusermount3 -u MOUNTPOINT ends a mount"},
    {"unmount", "umount MOUNTPOINT or fusermount3 -u MOUNTPOINT ends a mount"},
    {"list", "vmafs info ARCHIVE lists what an archive holds"},
    {"ls", "vmafs info ARCHIVE lists what an archive holds"},
    {"show", "vmafs info ARCHIVE lists what an archive holds"},
    {"check", "vmafs verify ARCHIVE checks an archive"},
    {"test", "vmafs verify ARCHIVE checks an archive"},
    {"fsck", "vmafs verify ARCHIVE checks an archive"},
    {"restore", "vmafs extract ARCHIVE restores its disks as files"},
    {"unpack", "vmafs extract ARCHIVE restores its disks as files"},
    {"cat", "vmafs extract -O ARCHIVE FILE writes a file to standard output"},
    {"config", "vmafs extract -O ARCHIVE qemu-server.conf prints the configuration"},
    {"convert", "mount the archive, and have qemu-img convert read the disk"},
    {"create", "vmafs only reads archives; vzdump makes them"},
    {"prune", "vmafs cache prune removes kept indexes"},
    {"scan", "vmafs index ARCHIVE scans an archive and keeps its index"},
    {"help", "vmafs --help explains all verbs"},
    {"version", "vmafs --version prints the version"},
};

static size_t smaller(size_t a, size_t b)
{
        return a < b ? a : b;
}

/*
 * How many letters must be inserted, removed, replaced or swapped with their neighbour to turn A
 * into B. Both are shorter than WORD_MAX.
 */
static size_t distance(const char *a, const char *b)
{
        size_t d[WORD_MAX][WORD_MAX], m = strlen(a), n = strlen(b);

        for (size_t i = 0; i <= m; i++)
                d[i][0] = i;
        for (size_t j = 0; j <= n; j++)
                d[0][j] = j;
        for (size_t i = 1; i <= m; i++)
                for (size_t j = 1; j <= n; j++) {
                        d[i][j] = smaller(d[i - 1][j - 1] + (a[i - 1] != b[j - 1]),
                                          smaller(d[i - 1][j], d[i][j - 1]) + 1);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                d[i][j] = smaller(d[i][j], d[i - 2][j - 2] + 1);
                }
        return d[m][n];
}

/*
 * The verb closest to WORD, or NULL if none is close. In a short word, two wrong letters are too
 * many.
 */
static const char *nearest(const char *word, const char *const *verbs, size_t count)
{
        size_t best = strlen(word) < 5 ? 2 : 3;
        const char *found = NULL;

        for (size_t i = 0; i < count; i++) {
                size_t d = distance(word, verbs[i]);

                if (d < best) {
                        best = d;
                        found = verbs[i];
                }
        }
        return found;
}

static bool is_file(const char *word)
{
        struct stat st;

        return lstat(word, &st) == 0;
}

const char *advice_on_verb(const char *word, const char *const *verbs, size_t count, char *out,
                           size_t size)
{
        const char *near;

        if (word[0] == '-' || strpbrk(word, "./") || strlen(word) >= WORD_MAX || is_file(word))
                return NULL;
        for (size_t i = 0; i < sizeof hints / sizeof *hints; i++) {
                if (strcmp(word, hints[i].word) == 0) {
                        snprintf(out, size, "'%s' is no verb: %s", word, hints[i].instead);
                        return out;
                }
        }
        near = nearest(word, verbs, count);
        if (!near)
                return NULL;
        snprintf(out, size, "'%s' is no verb; did you mean %s?", word, near);
        return out;
}
