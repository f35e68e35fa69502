/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/store/pbs/pbs_manifest.h"
#include "archive/store/pbs/pbs_snapshot.h"
#include "archive/store/pbs/pbs_store.h"
#include "fs/cli/given.h"
#include "fs/datastore/additions.h"
#include "fs/datastore/snapshots.h"
#include "fs/datastore/store_verbs.h"
#include "fs/print/info_partitions.h"
#include "fs/print/json.h"
#include "fs/print/report.h"
#include "index/collection/snapshot_inside.h"
#include "index/index.h"

struct listing {
        struct snapshots *s;
        json_t *list; /* NULL: lines for people */
        size_t count;
        bool counts;     /* says what each snapshot adds */
        bool partitions; /* and what is inside of its disks */
        struct additions additions;
};

/* What the manifest tells of a snapshot's content. */
struct content {
        unsigned disks, trees, files;
        uint64_t bytes; /* of disks and trees */
        bool encrypted;
};

static bool ends_with(const char *name, const char *ending)
{
        size_t len = strlen(name), end = strlen(ending);

        return len > end && strcmp(name + len - end, ending) == 0;
}

static struct content count_content(const struct pbs_manifest *m)
{
        struct content c = {0};

        for (size_t i = 0; i < m->count; i++) {
                const struct pbs_manifest_file *f = &m->files[i];

                c.encrypted |= f->crypt == PBS_FILE_ENCRYPTED;
                if (ends_with(f->name, ".blob")) {
                        c.files++;
                        continue;
                }
                c.bytes += f->size;
                c.disks += ends_with(f->name, ".img.fidx");
                c.trees += ends_with(f->name, ".pxar.didx") || ends_with(f->name, ".mpxar.didx");
        }
        return c;
}

/* The first line of the notes, printable. */
static void print_notes(const char *notes)
{
        if (!notes || !*notes)
                return;
        fputs("  ", stdout);
        for (; *notes && *notes != '\n'; notes++)
                putchar((unsigned char)*notes < 0x20 || *notes == 0x7f ? '?' : *notes);
}

static void print_count(unsigned count, const char *what)
{
        if (count)
                printf("  %u %s%s", count, what, count == 1 ? "" : "s");
}

/* A is NULL where that was not counted. */
static void print_addition(const struct addition *a)
{
        char size[32];

        if (a)
                printf("  adds %s in %" PRIu64 " of %" PRIu64 " chunk%s",
                       report_size(a->bytes, size), a->own, a->chunks, a->chunks == 1 ? "" : "s");
}

static void print_line(const char *path, const struct pbs_manifest *m, const struct addition *a)
{
        struct content c = count_content(m);
        char size[32];

        printf("%-40s %10s", path, report_size(c.bytes, size));
        print_count(c.disks, "disk");
        print_count(c.trees, "tree");
        print_count(c.files, "file");
        if (c.encrypted)
                fputs("  encrypted", stdout);
        print_addition(a);
        print_notes(m->notes);
        putchar('\n');
}

/* Of the snapshot PATH of L, into *S and *INSIDE, which the caller closes. 0 or -errno. */
static int look_inside(const struct listing *l, const char *path, struct pbs_snapshot **s,
                       struct index **inside)
{
        int rc = pbs_snapshot_open(l->s->store, path, s, NULL);

        return rc < 0 ? rc : snapshot_inside(*s, l->s->shared, inside);
}

static void print_inside(const struct index *inside)
{
        for (size_t i = 0; i < index_disk_count(inside); i++) {
                const struct disk *d = index_disk(inside, i);
                char size[32];

                printf("disk:         %s, %s (%" PRIu64 " bytes)\n", d->name,
                       report_size(d->size, size), d->size);
                info_partitions_print(index_parted(inside, i));
        }
        if (index_groups(inside))
                info_groups_print(index_groups(inside));
}

static json_t *inside_json(const struct index *inside)
{
        json_t *disks = json_array();

        for (size_t i = 0; i < index_disk_count(inside); i++) {
                const struct disk *d = index_disk(inside, i);
                json_t *one = json_pack("{s:s, s:o, s:I}", "name", d->name, "device",
                                        json_text_or_null(d->device), "size", (json_int_t)d->size);

                json_object_update_new(one, info_partitions_json(index_parted(inside, i)));
                json_array_append_new(disks, one);
        }
        return json_pack("{s:o, s:o}", "disks", disks, "volume-groups",
                         info_groups_json(index_groups(inside)));
}

/* What is inside of the disks of the snapshot PATH: printed, or put into ONE if that is not NULL. */
static int tell_inside(const struct listing *l, const char *path, json_t *one)
{
        struct pbs_snapshot *s = NULL;
        struct index *inside = NULL;
        int rc = look_inside(l, path, &s, &inside);

        if (rc == 0 && one)
                json_object_set_new(one, "inside", inside_json(inside));
        else if (rc == 0)
                print_inside(inside);
        index_close(inside);
        pbs_snapshot_close(s);
        return rc;
}

static json_t *snapshot_json(const char *path, const struct pbs_manifest *m, const char *why,
                             const struct addition *a)
{
        struct content c = {0};

        if (m)
                c = count_content(m);
        return json_pack(
            "{s:o, s:o, s:b, s:I, s:i, s:i, s:i, s:b, s:o, s:o, s:o, s:o, s:n}", "path",
            json_text(path), "ctime", json_number_or_null(m != NULL, m ? (uint64_t)m->time : 0),
            "finished", m != NULL, "size", (json_int_t)c.bytes, "disks", (int)c.disks, "trees",
            (int)c.trees, "files", (int)c.files, "encrypted", c.encrypted, "error",
            json_text_or_null(why), "chunks", json_number_or_null(a, a ? a->chunks : 0), "own",
            json_number_or_null(a, a ? a->own : 0), "adds",
            json_number_or_null(a, a ? a->bytes : 0), "inside");
}

static int read_manifest(const struct snapshots *s, const char *path, struct pbs_manifest **out,
                         struct error *err)
{
        cleanup_free void *blob = NULL;
        ssize_t n = pbs_store_read(s->store, path, PBS_MANIFEST_NAME, PBS_MANIFEST_MAX, &blob, err);

        if (n == -ENOENT)
                return error_set(err, ENOENT, "is not finished");
        return n < 0 ? (int)n : pbs_manifest_parse(blob, (size_t)n, s->key, out, err);
}

static int print_snapshot(void *ctx, const char *path)
{
        struct listing *l = ctx;
        struct pbs_manifest *m = NULL;
        struct error err = {0};
        struct addition addition, *a = NULL;
        json_t *one = NULL;
        int rc = read_manifest(l->s, path, &m, &err);

        l->count++;
        if (m && l->counts && additions_next(&l->additions, l->s, path, &addition) == 0)
                a = &addition;
        if (l->list)
                json_array_append_new(l->list,
                                      one = snapshot_json(path, m, rc < 0 ? err.text : NULL, a));
        else if (m)
                print_line(path, m, a);
        else
                printf("%-40s %s\n", path, err.text);
        if (m && l->partitions)
                rc = tell_inside(l, path, one);
        pbs_manifest_free(m);
        return rc == -ENOMEM ? rc : 0;
}

int store_info(struct given *g, const struct datastore_words *words, bool partitions, bool json)
{
        const char *path = g->path;
        struct snapshots s;
        struct error err = {0};
        struct listing l = {.s = &s, .list = json ? json_array() : NULL, .partitions = partitions};
        int status = snapshots_open(g, words, NULL, &s), rc = 0;

        if (status == STATUS_OK)
                status = snapshots_need_folder(&s, path);
        l.counts = s.level == PBS_GROUP || s.level == PBS_SNAPSHOT;
        if (status == STATUS_OK)
                rc = snapshots_each(&s, print_snapshot, &l, &err);
        if (rc < 0) {
                report("%s: %s", path, err.code == -rc ? err.text : strerror(-rc));
                status = STATUS_FAILED;
        }
        if (status == STATUS_OK && json)
                status = json_print(json_pack("{s:o, s:s, s:O}", "archive", json_text(path),
                                              "format", "pbs", "snapshots", l.list));
        else if (status == STATUS_OK)
                printf("%zu snapshot%s\n", l.count, l.count == 1 ? "" : "s");
        json_decref(l.list);
        additions_fini(&l.additions);
        snapshots_close(&s);
        return status;
}
