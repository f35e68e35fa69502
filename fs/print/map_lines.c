/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/print/map_lines.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "fs/print/json.h"

static void print_human(const struct map_lines *m, const struct map_line *l)
{
        const char *file = l->depth ? "(a backing file)" : m->archive;

        if (l->kind == VOLUME_ZERO)
                return;
        printf("%#-16" PRIx64 "%#-16" PRIx64, l->start, l->len);
        if (l->kind == VOLUME_LOST)
                printf("%-16s%s\n", "lost", file);
        else if (l->has_offset)
                printf("%#-16" PRIx64 "%s\n", l->offset, file);
        else
                printf("%-16s%s\n",
                       l->kind == VOLUME_RAW && !m->compressed ? "stored" : "compressed", file);
}

static void print_json(const struct map_lines *m, const struct map_line *l)
{
        bool zero = l->kind == VOLUME_ZERO;
        json_t *o = json_pack("{s:I, s:I, s:i, s:b, s:b, s:b, s:o, s:b}", "start",
                              (json_int_t)l->start, "length", (json_int_t)l->len, "depth",
                              (int)l->depth, "present", l->allocated, "zero", zero, "data", !zero,
                              "offset", json_number_or_null(l->has_offset, l->offset), "lost",
                              l->kind == VOLUME_LOST);

        fputs(m->any ? ",\n" : "[", stdout);
        json_dumpf(o, stdout, 0);
        json_decref(o);
}

static void print_run(struct map_lines *m)
{
        if (m->run.len == 0)
                return;
        if (m->json)
                print_json(m, &m->run);
        else
                print_human(m, &m->run);
        m->any = true;
}

/* Can B be printed as one line with A? */
static bool goes_on(const struct map_line *a, const struct map_line *b)
{
        return a->start + a->len == b->start && a->kind == b->kind && a->depth == b->depth &&
               a->allocated == b->allocated && a->has_offset == b->has_offset &&
               (!a->has_offset || a->offset + a->len == b->offset);
}

void map_lines_begin(struct map_lines *m)
{
        m->any = false;
        m->run.len = 0;
        if (!m->json)
                printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
}

void map_lines_add(struct map_lines *m, const struct map_line *line)
{
        if (m->run.len && goes_on(&m->run, line)) {
                m->run.len += line->len;
                return;
        }
        print_run(m);
        m->run = *line;
}

void map_lines_end(struct map_lines *m)
{
        print_run(m);
        if (m->json)
                puts(m->any ? "]" : "[]");
}
