/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/print/info_partitions.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/error.h"
#include "archive/inside/lvm.h"
#include "archive/inside/partitions.h"
#include "fs/print/json.h"
#include "fs/print/report.h"
#include "index/inside/groups.h"
#include "index/inside/parts.h"

/* The partition of P's ENTRY, or NULL: it is none that is shown as a file. */
static struct part *find_part(const struct parted *p, const struct partition *entry)
{
        for (size_t i = 0; i < p->count; i++)
                if (p->parts[i].entry == entry)
                        return &p->parts[i];
        return NULL;
}

/* What the first blocks of the partition show, or NULL. */
static const char *filesystem_of(struct part *part)
{
        const char *name = NULL;

        if (part)
                part_filesystem(part, &name);
        return name;
}

/* The same of a disk that has no partitions. */
static const char *whole_of(struct parted *p)
{
        const char *name = NULL;

        if (p->table.list.count == 0)
                parted_filesystem(p, &name);
        return name;
}

/* What of G is shown as a file of L, or NULL. */
static struct logical *find_logical(const struct group *g, const struct lvm_logical *l)
{
        for (size_t i = 0; i < g->count; i++)
                if (g->volumes[i].part.logical == l)
                        return &g->volumes[i];
        return NULL;
}

/* ---- for a person ---- */

/* A name from the disk, which may contain anything, on one line of the terminal. */
static void print_name(const char *name)
{
        for (const char *c = name; *c; c++)
                putchar((unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c);
}

static void print_partition(const struct parted *p, const struct partition *e)
{
        const char *filesystem = e->extended ? "extended" : filesystem_of(find_part(p, e));
        char size[32];

        printf("%14s%-4u %12" PRIu64 " %12" PRIu64 " %10s  %-11s %-36s %s", "", e->number,
               e->start / p->table.sector, e->len / p->table.sector, report_size(e->len, size),
               filesystem ? filesystem : "-", e->type, e->uuid);
        if (e->bootable)
                printf(", bootable");
        if (e->name[0]) {
                printf(", \"");
                print_name(e->name);
                putchar('"');
        }
        if (e->problem)
                printf("; it %s", e->problem);
        if (e->overlaps)
                printf("; it overlaps partition %u", e->overlaps);
        putchar('\n');
}

static void print_table(struct parted *p)
{
        const struct partition_table *t = &p->table;
        const char *whole = whole_of(p);

        if (t->label == PARTITIONS_NONE)
                printf("no partition table");
        else
                printf("%s %s, sectors of %u bytes", partition_label_name(t->label), t->id,
                       t->sector);
        if (t->from_backup)
                printf(", from its backup");
        if (t->problem)
                printf("; %s", t->problem);
        if (t->left_out)
                printf("; %zu more are not shown", t->left_out);
        if (whole)
                printf("; on the whole disk: %s", whole);
        putchar('\n');
        if (t->list.count)
                printf("%14s%-4s %12s %12s %10s  %-11s %-36s %s\n", "", "no.", "start", "sectors",
                       "size", "file system", "type", "uuid, name");
        for (size_t i = 0; i < t->list.count; i++)
                print_partition(p, &t->list.items[i]);
}

void info_partitions_print(struct parted *p)
{
        struct error err = {0};

        printf("%-14s", "  partitions:");
        if (parted_load(p, &err) == 0)
                print_table(p);
        else
                printf("unknown: %s\n", err.text);
}

static void print_logical(const struct group *g, const struct lvm_logical *l)
{
        struct logical *v = find_logical(g, l);
        const char *filesystem = v ? filesystem_of(&v->part) : NULL;
        char size[32];

        printf("%14s", "");
        print_name(l->name);
        printf(" %s", report_size(l->size, size));
        if (l->problem[0])
                printf("; it %s\n", l->problem);
        else
                printf(", %s\n", filesystem ? filesystem : "-");
}

void info_groups_print(struct groups *g)
{
        if (groups_load(g) < 0)
                return;
        for (size_t i = 0; i < g->count; i++) {
                const struct lvm_group *lvm = g->list[i].lvm;

                printf("%-14s", "volume group:");
                print_name(lvm->name);
                if (lvm->left_out)
                        printf("; %zu more volumes are not shown", lvm->left_out);
                putchar('\n');
                for (size_t k = 0; k < lvm->logical.count; k++)
                        if (lvm->logical.items[k].visible)
                                print_logical(&g->list[i], &lvm->logical.items[k]);
        }
}

/* ---- for a script ---- */

static json_t *partition_json(const struct parted *p, const struct partition *e)
{
        struct part *part = find_part(p, e);

        return json_pack("{s:i, s:o, s:I, s:I, s:s, s:o, s:o, s:b, s:b, s:o, s:o, s:o}", "number",
                         (int)e->number, "file", json_text_or_null(part ? part->disk.name : NULL),
                         "start", (json_int_t)e->start, "size", (json_int_t)e->len, "type", e->type,
                         "uuid", json_text_or_null(e->uuid), "name", json_text_or_null(e->name),
                         "bootable", e->bootable, "extended", e->extended, "filesystem",
                         json_text_or_null(filesystem_of(part)), "problem",
                         json_text_or_null(e->problem), "overlaps",
                         json_number_or_null(e->overlaps != 0, e->overlaps));
}

static json_t *table_json(const struct parted *p)
{
        const struct partition_table *t = &p->table;
        json_t *list = json_array();

        for (size_t i = 0; i < t->list.count; i++)
                json_array_append_new(list, partition_json(p, &t->list.items[i]));
        return json_pack("{s:s, s:o, s:i, s:b, s:o, s:I, s:o}", "label",
                         partition_label_name(t->label), "id", json_text_or_null(t->id),
                         "sector-size", (int)t->sector, "from-backup", t->from_backup, "problem",
                         json_text_or_null(t->problem), "left-out", (json_int_t)t->left_out,
                         "partitions", list);
}

/* Of a table that cannot be read. */
static json_t *unknown_json(const struct error *why)
{
        return json_pack("{s:s, s:n, s:n, s:b, s:o, s:i, s:[]}", "label", "unknown", "id",
                         "sector-size", "from-backup", false, "problem", json_text(why->text),
                         "left-out", 0, "partitions");
}

json_t *info_partitions_json(struct parted *p)
{
        struct error err = {0};
        bool loaded = parted_load(p, &err) == 0;

        return json_pack("{s:o, s:o}", "partition-table",
                         loaded ? table_json(p) : unknown_json(&err), "filesystem",
                         json_text_or_null(loaded ? whole_of(p) : NULL));
}

static json_t *logical_json(const struct group *g, const struct lvm_logical *l)
{
        struct logical *v = find_logical(g, l);

        return json_pack("{s:o, s:o, s:I, s:o, s:o, s:o}", "name", json_text(l->name), "file",
                         json_text_or_null(v ? v->part.disk.name : NULL), "size",
                         (json_int_t)l->size, "uuid", json_text_or_null(l->id), "filesystem",
                         json_text_or_null(v ? filesystem_of(&v->part) : NULL), "problem",
                         json_text_or_null(l->problem));
}

static json_t *group_json(const struct group *g)
{
        json_t *list = json_array();

        for (size_t i = 0; i < g->lvm->logical.count; i++)
                if (g->lvm->logical.items[i].visible)
                        json_array_append_new(list, logical_json(g, &g->lvm->logical.items[i]));
        return json_pack("{s:o, s:o, s:I, s:o}", "name", json_text(g->lvm->name), "uuid",
                         json_text_or_null(g->lvm->id), "left-out", (json_int_t)g->lvm->left_out,
                         "volumes", list);
}

json_t *info_groups_json(struct groups *g)
{
        json_t *list = json_array();

        for (size_t i = 0; g && groups_load(g) == 0 && i < g->count; i++)
                json_array_append_new(list, group_json(&g->list[i]));
        return list;
}
