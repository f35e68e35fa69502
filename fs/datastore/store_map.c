/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/datastore/store_map.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/store/pbs/pbs_volume.h"
#include "archive/volume.h"
#include "fs/cli/given.h"
#include "fs/datastore/member.h"
#include "fs/datastore/snapshots.h"
#include "fs/print/map_lines.h"
#include "fs/print/report.h"
#include "index/collection/snapshot_inside.h"
#include "index/index.h"

struct mapping {
        const struct store_map *m;
        struct snapshots s;
        struct map_lines lines;
        struct volume *disk, *before; /* BEFORE: NULL, or what DISK is compared with */
        struct member now;            /* that DISK is */
        uint64_t lost;
};

/* What the disk holds from POS on. */
static int find_line(struct mapping *p, uint64_t pos, struct map_line *out)
{
        struct volume_extent e;
        int rc = volume_find(p->disk, pos, p->disk->size - pos, &e);

        if (rc < 0)
                return rc;
        *out =
            (struct map_line){.start = pos, .len = e.len, .kind = e.kind, .allocated = e.allocated};
        return 0;
}

static int print_all(struct mapping *p)
{
        struct map_line line;
        int rc = 0;

        for (uint64_t pos = 0; pos < p->disk->size && rc == 0; pos += line.len) {
                rc = find_line(p, pos, &line);
                if (rc < 0)
                        return rc;
                if (p->before)
                        rc = pbs_volume_same(p->disk, p->before, pos, &line.len);
                /* Of what a table cannot say, nobody can say that it is the same. */
                if (rc == -EIO)
                        rc = 0;
                if (rc < 0)
                        return rc;
                p->lost += line.kind == VOLUME_LOST ? line.len : 0;
                if (rc == 0)
                        map_lines_add(&p->lines, &line);
                rc = 0;
        }
        map_lines_end(&p->lines);
        return 0;
}

/* Are the indexes the right ones that tell of the disk, or of those that the partition may be on? */
static int prove(const struct mapping *p)
{
        const struct index *within = p->now.part ? p->now.within : NULL;
        int rc = within ? 0 : pbs_volume_prove(p->disk);

        for (size_t i = 0; within && i < index_disk_count(within) && rc == 0; i++)
                rc = pbs_volume_prove(index_disk(within, i)->volume);
        return rc;
}

static bool failure(const struct mapping *p, struct error *err)
{
        if (!p->now.part && pbs_volume_failure(p->disk, err))
                return true;
        if (p->now.part &&
            snapshot_inside_why(p->now.within, p->now.part->node, err->text, sizeof err->text))
                return true;
        return p->before && pbs_volume_failure(p->before, err);
}

static int print_map(struct mapping *p)
{
        struct error err = {0};
        int rc;

        rc = prove(p);
        if (rc == 0 && p->before)
                rc = pbs_volume_prove(p->before);
        if (rc == 0) {
                map_lines_begin(&p->lines);
                rc = print_all(p);
        }
        if (rc < 0) {
                if (!failure(p, &err))
                        error_fill(&err, -rc, "%s", strerror(-rc));
                report_error(p->m->disk, &err);
                return STATUS_FAILED;
        }
        if (p->lost == 0)
                return STATUS_OK;
        report("%s: parts of %s are lost; vmafs verify names the causes", p->m->given->path,
               p->m->disk);
        return STATUS_FAILED;
}

/* The disk at PATH, the same as FIRST has if that is not NULL. */
static int open_disk(struct mapping *p, const char *path, struct member *m)
{
        struct error err = {0};
        int rc = member_find(&p->s, path, m, &err);

        if (rc == 0 && m->part && p->m->since)
                rc =
                    error_set(&err, ENOENT, "is a part of disks; --changed-since takes whole ones");
        if (rc == 0 && !m->part && (!m->item || m->item->kind != PBS_ITEM_DISK))
                rc = error_set(&err, ENOENT, "is no disk");
        if (rc == 0 && m->item && !m->item->content)
                rc = error_set(&err, m->item->error, "%s", m->item->why);
        if (rc == 0)
                return STATUS_OK;
        report_error(path, &err);
        return rc == -ENOENT ? STATUS_USAGE : STATUS_FAILED;
}

/* SINCE, a path or the time of a snapshot in the group of PATH, and the disk's name there. */
static char *path_of_since(const char *path, const char *since, const char *name)
{
        enum pbs_level level;
        size_t group = pbs_store_split(path, &level);
        int64_t time;
        char *out;

        while (group > 0 && path[group - 1] != '/')
                group--;
        if (!pbs_snapshot_time(since, &time))
                group = 0;
        return asprintf(&out, "%.*s%s/%s", (int)group, path, since, name) < 0 ? NULL : out;
}

static int map_since(struct mapping *p, const char *path)
{
        cleanup_free char *since = path_of_since(path, p->m->since, p->now.item->name);
        struct member before = {0};
        int status;

        if (!since) {
                report("out of memory");
                return STATUS_FAILED;
        }
        status = open_disk(p, since, &before);
        if (status == STATUS_OK) {
                p->before = before.item->content;
                status = print_map(p);
        }
        member_fini(&before);
        return status;
}

static int map(struct mapping *p)
{
        const char *below = p->s.place.below ? p->s.place.below : "";
        cleanup_free char *path = NULL;
        int status;

        if (asprintf(&path, "%s%s%s", below, *below ? "/" : "", p->m->disk) < 0) {
                path = NULL;
                report("out of memory");
                return STATUS_FAILED;
        }
        status = open_disk(p, path, &p->now);
        if (status == STATUS_OK) {
                p->disk = p->now.part ? p->now.part->volume : p->now.item->content;
                status = p->m->since ? map_since(p, path) : print_map(p);
        }
        member_fini(&p->now);
        return status;
}

int store_map(const struct store_map *m, const struct datastore_words *words)
{
        struct mapping p = {
            .m = m, .s = SNAPSHOTS_NONE, .lines = {.json = m->json, .archive = m->given->path}};
        int status = snapshots_open(m->given, words, NULL, &p.s);

        if (status == STATUS_OK)
                status = map(&p);
        snapshots_close(&p.s);
        return report_finish_output(status);
}
