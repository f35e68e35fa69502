/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/folder/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "archive/store/dir/dir.h"
#include "fs/cli/opening.h"
#include "fs/print/json.h"
#include "fs/print/report.h"

/* What one folder cannot tell does not hide what the others hold. */
void folder_leave_out(struct folder *f, const char *path, const char *why)
{
        report("%s: is left out: %s", path, why ? why : "it is a datastore, give it by itself");
        f->left_out++;
}

void folder_close(struct folder *f)
{
        for (size_t i = 0; i < f->archives.count; i++)
                free(f->archives.items[i]);
        array_free(&f->archives);
        if (f->fd >= 0)
                close(f->fd);
        *f = FOLDER_NONE;
}

/* ---- one of them ---- */

const char *folder_name(const struct folder *f, const char *archive)
{
        size_t len = strlen(f->path);

        while (len > 1 && f->path[len - 1] == '/')
                len--;
        return archive + len + 1;
}

int folder_of(const struct folder *f, const char *archive)
{
        const char *name = folder_name(f, archive), *slash = strrchr(name, '/');
        cleanup_free char *path = strndup(name, slash ? (size_t)(slash - name) : 0);

        return path ? dir_open_below(f->fd, path) : -ENOMEM;
}

int folder_open(struct folder *f, const char *archive, const struct index_options *options,
                struct opened *o)
{
        const struct archive_at at = {archive, f->fetchers, folder_name(f, archive)};
        int dir;

        if (f->fetchers)
                return opening_open(&at, options, o);
        dir = folder_of(f, archive);
        close(steal_fd(&f->fd));
        if (dir < 0) {
                report("%s: cannot be opened: %s", archive, strerror(-dir));
                return report_status(dir);
        }
        return opening_open_at(dir, strrchr(archive, '/') + 1, archive, options, o);
}

/* ---- all of them ---- */

/* What is not looked at may be damaged. */
static int worse_of(const struct folder *f, int status)
{
        return status == STATUS_OK && f->left_out ? STATUS_FAILED : status;
}

static int run_json(const struct folder *f, several_work *work, void *ctx)
{
        json_t *text = json_text(f->path);
        cleanup_free char *path = json_dumps(text, JSON_ENCODE_ANY);
        struct several_counts counts;
        int status;

        json_decref(text);
        printf("{\"archive\": %s, \"format\": \"folder\", \"archives\": ", path ? path : "null");
        status = worse_of(
            f, several_run_list(f->archives.items, f->archives.count, true, work, ctx, &counts));
        printf(", \"unread\": %zu, \"sound\": %s}\n", counts.silent + f->left_out,
               status == STATUS_OK ? "true" : "false");
        return report_finish_output(status);
}

int folder_run(const struct folder *f, bool json, const char *word, several_work *work, void *ctx)
{
        struct several_counts counts;
        int status;

        if (json)
                return run_json(f, work, ctx);
        status = worse_of(
            f, several_run_list(f->archives.items, f->archives.count, false, work, ctx, &counts));
        printf("%s: %zu archive%s", f->path, f->archives.count, f->archives.count == 1 ? "" : "s");
        if (counts.failed)
                printf(", %zu %s", counts.failed, word);
        putchar('\n');
        return report_finish_output(status);
}
