/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * info of a folder: one line for each archive, from its header alone. One process reads them all,
 * since to start one for each would take longer than the reading. It has given up all rights but to
 * read the folder and the cache folder.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/format.h"
#include "archive/shared.h"
#include "archive/source/remote/remote.h"
#include "archive/source/source.h"
#include "archive/store/dir/dir.h"
#include "fs/cli/given.h"
#include "fs/cli/opening.h"
#include "fs/fetch/fetch_site.h"
#include "fs/fetch/fetchers.h"
#include "fs/folder/folder.h"
#include "fs/folder/folder_find.h"
#include "fs/print/json.h"
#include "fs/print/report.h"
#include "fs/process/sandbox.h"
#include "fs/verbs/guest.h"
#include "index/index.h"
#include "index/sidecar/catalog.h"
#include "index/sidecar/location.h"
#include "index/site.h"

enum indexed { INDEXED_NO, INDEXED_YES, INDEXED_NEEDLESS };

/* What is told of an archive. */
struct row {
        const char *name;
        char why[400]; /* it cannot be opened; "": it can */
        const char *format, *compression;
        int64_t time;
        uint64_t size, disk_size;
        size_t disks;
        bool known; /* what is in it */
        enum indexed indexed;
        struct guest guest;
};

struct listing {
        struct folder folder;
        struct shared *shared;
        struct index_options options;
        int cache;    /* the folder of indexes, or -errno */
        json_t *list; /* NULL: lines for people */
        size_t unread;
};

/* ---- reading ---- */

/* vzdump names its files vzdump-qemu-ID-TIME, vzdump-lxc-ID-TIME. 0: this is not such a name. */
static uint32_t id_of_name(const char *name)
{
        static const char start[] = "vzdump-";
        const char *leaf = strrchr(name, '/');
        unsigned long id;
        size_t kind;
        char *end;

        leaf = leaf ? leaf + 1 : name;
        if (strncmp(leaf, start, sizeof start - 1) != 0)
                return 0;
        leaf += sizeof start - 1;
        kind = strspn(leaf, "abcdefghijklmnopqrstuvwxyz");
        if (kind == 0 || leaf[kind] != '-' || !isdigit((unsigned char)leaf[kind + 1]))
                return 0;
        id = strtoul(leaf + kind + 1, &end, 10);
        return *end == '-' && id <= UINT32_MAX ? (uint32_t)id : 0;
}

static void read_content(const struct index *index, struct row *row)
{
        const struct archive_info *info = index_info(index);

        guest_find(index, &row->guest);
        if (!row->guest.id)
                row->guest.id = id_of_name(row->name);
        row->format = index_format(index);
        row->compression = index_compression(index);
        row->time = info->ctime;
        row->disks = index_disk_count(index);
        for (size_t i = 0; i < row->disks; i++)
                row->disk_size += index_disk(index, i)->size;
        row->known = true;
        if (index_scanned_always(index))
                row->indexed = INDEXED_NEEDLESS;
}

static int open_file(const struct site *site, struct source **out)
{
        int copy;

        if (site->remote)
                return remote_source(site->remote, REMOTE_ARCHIVE, out, NULL);
        copy = fcntl(site->archive, F_DUPFD_CLOEXEC, 3);
        return copy < 0 ? -errno : source_open_fd(copy, out, NULL);
}

/* Is there an index beside the object that SHELF is of? */
static bool has_object(const struct shelf *shelf)
{
        struct source *index = NULL;
        bool found = shelf->remote && remote_source(shelf->remote, REMOTE_INDEX, &index, NULL) == 0;

        source_close(index);
        return found;
}

/* Is there an index of the archive at SITE on SHELF that can be trusted? */
static bool has_index(const struct site *site, struct shelf *shelf)
{
        struct location *place = NULL;
        struct source *file = NULL;
        bool found = has_object(shelf);

        if (found || open_file(site, &file) < 0)
                return found;
        if (location_new(shelf, file, &place, NULL) == 0)
                for (enum location_where w = LOCATION_BESIDE; w < LOCATIONS && !found; w++) {
                        cleanup_close int fd = location_open(place, w, NULL);

                        found = fd >= 0 && !location_is_quarantined(fd);
                }
        location_free(place);
        source_close(file);
        return found;
}

/* An archive that is looked at. */
struct look {
        struct site *site;
        struct shelf *shelf;
};

static void look_close(struct look *look)
{
        site_close(look->site);
        shelf_free(look->shelf);
}

static int look_afar(struct listing *l, const char *archive, struct look *look, struct error *err)
{
        const char *name = folder_name(&l->folder, archive);
        struct remote *remote = NULL;
        int rc = fetchers_open(l->folder.fetchers, name, FETCH_INDEX | fetch_flags(&l->options),
                               &remote, err);

        if (rc == 0)
                rc = site_open_remote(remote, archive, &l->options, &look->site, err);
        if (rc < 0)
                return rc;
        look->shelf = shelf_to_read(-1, name, l->cache);
        if (!look->shelf)
                return error_set(err, ENOMEM, "out of memory");
        look->shelf->remote = remote;
        return 0;
}

static int look_open(struct listing *l, const char *archive, struct look *look, struct error *err)
{
        cleanup_close int dir = l->folder.fetchers ? -1 : folder_of(&l->folder, archive);
        const char *leaf = strrchr(archive, '/') + 1;
        int rc;

        if (l->folder.fetchers)
                return look_afar(l, archive, look, err);
        if (dir < 0) {
                error_fill(err, -dir, "cannot be opened: %s", strerror(-dir));
                return dir;
        }
        rc = site_open_at(dir, leaf, archive, &l->options, &look->site, err);
        if (rc < 0)
                return rc;
        look->shelf = shelf_to_read(dir, leaf, l->cache);
        return look->shelf ? 0 : error_set(err, ENOMEM, "out of memory");
}

static int read_header(const struct listing *l, struct look *look, struct row *row,
                       struct error *err)
{
        struct index_options options = l->options;
        struct index *index;
        int rc;

        /*
         * To decompress a tar only to say what is in it would take as long as to index it. With an
         * index, its headers are read where they are.
         */
        if (dir_is_compressed_tar(row->name)) {
                if (row->indexed != INDEXED_YES)
                        return 0;
                look->site->shelf = steal_ptr(&look->shelf);
                options.sidecar = INDEX_SIDECAR_USE;
        }
        rc = index_open_site(look->site, &options, &index, err);
        if (rc < 0)
                return rc;
        read_content(index, row);
        index_close(index);
        return 0;
}

static void read_size(const struct site *site, struct row *row)
{
        struct source *file;

        if (open_file(site, &file) < 0)
                return;
        row->size = file->size;
        row->time = source_mtime(file);
        source_close(file);
}

static int read_row(struct listing *l, const char *archive, struct row *row, struct error *err)
{
        struct look look = {0};
        int rc = look_open(l, archive, &look, err);

        if (rc == 0)
                read_size(look.site, row);
        if (rc == 0 && has_index(look.site, look.shelf))
                row->indexed = INDEXED_YES;
        if (rc == 0)
                rc = read_header(l, &look, row, err);
        look_close(&look);
        return rc;
}

/* ---- printing ---- */

/* A name, or another text of whoever made the file, in WIDTH columns or more. */
static void print_safe(const char *text, int width)
{
        int n = 0;

        for (; *text; text++, n++)
                putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
        for (; n < width; n++)
                putchar(' ');
}

static void print_guest(const struct row *row)
{
        char text[300];
        const char *name = row->guest.name;

        if (row->guest.id && *name)
                snprintf(text, sizeof text, "%" PRIu32 " %s", row->guest.id, name);
        else if (row->guest.id)
                snprintf(text, sizeof text, "%" PRIu32, row->guest.id);
        else
                snprintf(text, sizeof text, "%s", *name ? name : "-");
        print_safe(text, 20);
}

static void print_line(const struct row *row)
{
        static const char *const indexed[] = {"no", "yes", "-"};
        time_t t = (time_t)row->time;
        char when[32] = "-", size[32], disks[32] = "-";
        struct tm tm;

        if (gmtime_r(&t, &tm))
                strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
        if (row->known)
                snprintf(disks, sizeof disks, "%zu", row->disks);
        print_guest(row);
        printf(" %-19s %11s %5s  %-5s ", when, report_size(row->size, size), disks,
               indexed[row->indexed]);
        print_safe(row->name, 0);
        if (*row->why) {
                fputs(": ", stdout);
                print_safe(row->why, 0);
        }
        putchar('\n');
}

static json_t *row_json(const struct row *row)
{
        return json_pack(
            "{s:o, s:o, s:o, s:I, s:I, s:{s:o, s:o}, s:o, s:o, s:o, s:o}", "path",
            json_text(row->name), "format", json_text_or_null(row->format), "compression",
            json_text_or_null(row->compression), "ctime", (json_int_t)row->time, "size",
            (json_int_t)row->size, "guest", "name", json_text_or_null(row->guest.name), "id",
            json_number_or_null(row->guest.id != 0, row->guest.id), "disks",
            json_number_or_null(row->known, row->disks), "disk-size",
            json_number_or_null(row->known, row->disk_size), "indexed",
            row->indexed == INDEXED_NEEDLESS ? json_null()
                                             : json_boolean(row->indexed == INDEXED_YES),
            "error", json_text_or_null(row->why));
}

static void tell(struct listing *l, const char *archive)
{
        struct row row = {.name = folder_name(&l->folder, archive)};
        struct error err = {0};

        row.guest.id = id_of_name(row.name);
        if (read_row(l, archive, &row, &err) < 0) {
                error_format(&err, row.why, sizeof row.why);
                l->unread++;
        }
        if (l->list)
                json_array_append_new(l->list, row_json(&row));
        else
                print_line(&row);
}

/* ---- the folder ---- */

/* Whatever is missing of this is done without. */
static void confine(struct listing *l)
{
        cleanup_free char *cache = catalog_dir();
        const struct fetchers *far = l->folder.fetchers;
        struct sandbox sandbox = {.sockets = {far ? far->helper.fd : -1, -1, -1},
                                  .has_folder = !far,
                                  .folder = l->folder.fd,
                                  .archives = true,
                                  .indexes = cache};

        if (cache)
                l->cache = open(cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        sandbox_enter(&sandbox, NULL);
}

static int tell_all(struct listing *l, bool json)
{
        struct error err = {0};

        confine(l);
        if (shared_new(l->options.cache_bytes, l->options.threads, &l->shared, &err) < 0) {
                report_error(l->folder.path, &err);
                return STATUS_FAILED;
        }
        l->options.shared = l->shared;
        l->list = json ? json_array() : NULL;
        if (!json)
                printf("%-20s %-19s %11s %5s  %-5s %s\n", "GUEST", "TIME (UTC)", "SIZE", "DISKS",
                       "INDEX", "ARCHIVE");
        for (size_t i = 0; i < l->folder.archives.count; i++)
                tell(l, l->folder.archives.items[i]);
        if (json)
                return json_print(json_pack("{s:o, s:s, s:o}", "archive", json_text(l->folder.path),
                                            "format", "folder", "archives", l->list));
        printf("%zu archive%s", l->folder.archives.count, l->folder.archives.count == 1 ? "" : "s");
        if (l->unread)
                printf(", %zu cannot be read", l->unread);
        putchar('\n');
        return STATUS_OK;
}

int folder_info(struct given *g, const struct index_options *options, bool json)
{
        struct listing l = {.folder = FOLDER_NONE, .options = *options, .cache = -1};
        int status = folder_find(g, &l.folder);

        l.options.sidecar = INDEX_SIDECAR_NONE;
        l.options.unwatched = true;
        if (status == STATUS_OK)
                status = tell_all(&l, json);
        if (l.cache >= 0)
                close(l.cache);
        shared_free(l.shared);
        folder_close(&l.folder);
        return status;
}
