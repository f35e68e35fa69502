/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/cli/archive_path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/cleanup.h"
#include "fs/fetch/url.h"
#include "fs/print/report.h"

/* ---- one path ---- */

static bool is_file(const char *path)
{
        struct stat st;

        return stat(path, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
}

/* How many bytes of PATH name the file that it is, or that it leads into; 0: there is none. */
static size_t file_length(const char *path)
{
        cleanup_free char *copy = strdup(path);
        size_t len = 0;

        while (copy && path[len]) {
                len += strspn(path + len, "/");
                len += strcspn(path + len, "/");
                copy[len] = '\0';
                if (is_file(copy))
                        return len;
                copy[len] = path[len];
        }
        return 0;
}

bool archive_path_has_parts(const char *path)
{
        struct stat st;

        if (stat(path, &st) == 0)
                return S_ISDIR(st.st_mode);
        return errno == ENOTDIR && file_length(path) > 0;
}

void archive_path_refuse_folder(const char *path)
{
        report("%s: is a directory, not an archive; vmafs info lists the archives in it", path);
}

static int refuse(const char *path)
{
        struct stat st;

        if (stat(path, &st) < 0)
                report("%s: %s", path, strerror(errno));
        else
                archive_path_refuse_folder(path);
        return STATUS_USAGE;
}

int archive_path_find(const char *path, const char *word, struct archive_path *out)
{
        cleanup_free char *joined = NULL;
        size_t len;

        *out = (struct archive_path){0};
        /* An address is an archive's, and nothing but the server knows how far it leads. */
        if (url_is(path)) {
                out->archive = strdup(path);
                out->inside = strdup(word ? word : "");
        } else if (asprintf(&joined, "%s%s%s", path, word ? "/" : "", word ? word : "") < 0) {
                joined = NULL;
        }
        if (joined) {
                len = file_length(joined);
                if (len == 0)
                        return refuse(joined);
                out->archive = strndup(joined, len);
                out->inside = strdup(joined + len + strspn(joined + len, "/"));
        }
        if (out->archive && out->inside)
                return STATUS_OK;
        report("out of memory");
        return STATUS_FAILED;
}

void archive_path_fini(struct archive_path *p)
{
        free(steal_ptr(&p->archive));
        free(steal_ptr(&p->inside));
}

/* ---- several ---- */

/* The part of PARTS for ARCHIVE, which is new if there is none yet. NULL: out of memory. */
static struct archive_part *part_for(struct archive_parts *parts, const char *archive)
{
        struct archive_part part = {0};

        for (size_t i = 0; i < parts->list.count; i++)
                if (strcmp(parts->list.items[i].archive, archive) == 0)
                        return &parts->list.items[i];
        part.archive = strdup(archive);
        if (part.archive && array_add(&parts->list, part) == 0)
                return array_last(&parts->list);
        free(part.archive);
        return NULL;
}

static int gather(struct archive_parts *parts, struct archive_path *p)
{
        struct archive_part *part = part_for(parts, p->archive);

        if (!part)
                return -ENOMEM;
        if (!*p->inside)
                part->whole = true;
        else if (array_reserve(&part->insides, 1) < 0)
                return -ENOMEM;
        else
                return array_add(&part->insides, steal_ptr(&p->inside));
        return 0;
}

static int add(struct archive_parts *parts, struct archive_path *p)
{
        if (gather(parts, p) == 0)
                return STATUS_OK;
        report("out of memory");
        return STATUS_FAILED;
}

int archive_parts_find(int (*find)(void *ctx, const char *word, struct archive_path *out),
                       void *ctx, char *const *words, size_t count, struct archive_parts *out)
{
        size_t i = 0;
        int status;

        *out = (struct archive_parts){0};
        do {
                struct archive_path p = {0};

                status = find(ctx, count ? words[i] : NULL, &p);
                if (status == STATUS_OK)
                        status = add(out, &p);
                archive_path_fini(&p);
        } while (status == STATUS_OK && ++i < count);
        return status;
}

void archive_parts_fini(struct archive_parts *parts)
{
        for (size_t i = 0; i < parts->list.count; i++) {
                struct archive_part *part = &parts->list.items[i];

                for (size_t j = 0; j < part->insides.count; j++)
                        free(part->insides.items[j]);
                array_free(&part->insides);
                free(part->archive);
        }
        array_free(&parts->list);
}
