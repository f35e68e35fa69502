/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/tar/tar_siblings.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/tar/tar_file.h"

/* ---- names ---- */

/* NAME without what names the same folder: "./" and double slashes at its beginning. */
static const char *skip_dots(const char *name)
{
        while (name[0] == '.' && name[1] == '/')
                name += 2 + strspn(name + 2, "/");
        return name;
}

/* Is NAME a path that stays in the folder it is seen from? */
static bool stays_inside(const char *name, enum neighbour_reach reach)
{
        const char *part = name;

        if (!name[0] || name[0] == '/' || (reach == NEIGHBOUR_BESIDE && strchr(name, '/')))
                return false;
        while (part) {
                size_t len = strcspn(part, "/");

                if (len == 2 && memcmp(part, "..", 2) == 0)
                        return false;
                part = part[len] ? part + len + 1 : NULL;
        }
        return true;
}

static const char *leaf_of(const char *name)
{
        const char *slash = strrchr(name, '/');

        return slash ? slash + 1 : name;
}

/* Take parts that are empty or "." out of PATH, since members are found by how they are spelt. */
static void simplify(char *path)
{
        char *out = path;

        while (*path) {
                size_t len = strcspn(path, "/"), next = len + (path[len] == '/');

                if (len > 0 && !(len == 1 && path[0] == '.')) {
                        memmove(out, path, next);
                        out += next;
                }
                path += next;
        }
        *out = '\0';
}

/* NAME as seen from the folder of the member ASKING. A new string; NULL: out of memory. */
static char *full_name(const char *asking, const char *name)
{
        size_t len = (size_t)(leaf_of(asking) - asking);
        char *out;

        if (len > INT_MAX || asprintf(&out, "%.*s%s", (int)len, asking, name) < 0)
                return NULL;
        simplify(out + len);
        return out;
}

static int compare(const void *a, const void *b)
{
        const struct tar_name *x = a, *y = b;
        int rc = strcmp(x->name, y->name);

        return rc ? rc : (x->number > y->number) - (x->number < y->number);
}

/* 0 or -ENOMEM. */
static int sort_names(struct tar_siblings *s)
{
        const char *name = s->names;

        if (s->sorted.count || !s->count)
                return 0;
        if (array_reserve(&s->sorted, s->count) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < s->count; i++, name += strlen(name) + 1)
                array_add(&s->sorted, ((struct tar_name){.name = name, .number = i}));
        qsort(s->sorted.items, s->sorted.count, sizeof *s->sorted.items, compare);
        return 0;
}

/* The last member called NAME: tar's extract has it overwrite those before. NULL: there is none. */
static struct tar_file *find_member(const struct tar_siblings *s, const char *name)
{
        const struct tar_name *list = s->sorted.items;
        size_t after = search_first(s->sorted.count, i, strcmp(list[i].name, name) > 0);

        if (!after || strcmp(list[after - 1].name, name) != 0)
                return NULL;
        return &s->files[list[after - 1].number];
}

/* ---- opening ---- */

static int open_member(struct tar_siblings *s, struct tar_file *f, struct source **out)
{
        const struct tar_member *m = tar_file_unusual(f);
        int rc;

        if (m && (m->lost || m->broken))
                return -EIO;
        rc = array_add(&s->opened, f);
        return rc < 0 ? rc : tar_file_open(f, s->end, out);
}

int tar_siblings_find(struct tar_siblings *s, const char *name, enum neighbour_reach reach,
                      struct tar_file **out)
{
        cleanup_free char *full = NULL;

        name = skip_dots(name);
        if (!stays_inside(name, reach))
                return -EXDEV;
        full = full_name(s->asking, name);
        if (!full || sort_names(s) < 0)
                return -ENOMEM;
        *out = find_member(s, full);
        return *out ? 0 : -ENOENT;
}

const char *tar_siblings_after(const struct tar_siblings *s, const char *name)
{
        const struct tar_name *list = s->sorted.items;
        cleanup_free char *full = full_name(s->asking, skip_dots(name));
        size_t folder = (size_t)(leaf_of(s->asking) - s->asking), i;

        if (!full)
                return NULL;
        i = search_first(s->sorted.count, k, strcmp(list[k].name, full) > 0);
        if (i == s->sorted.count || strncmp(list[i].name, full, folder) != 0)
                return NULL;
        return list[i].name + folder;
}

static int open_sibling(struct siblings *base, const char *name, enum neighbour_reach reach,
                        struct source **out)
{
        struct tar_siblings *s = (struct tar_siblings *)base;
        struct tar_file *f;
        int rc = tar_siblings_find(s, name, reach, &f);

        return rc < 0 ? rc : open_member(s, f, out);
}

void tar_siblings_init(struct tar_siblings *s, struct source *stream, struct tar_file *files,
                       size_t count, const char *names, uint64_t end)
{
        *s = (struct tar_siblings){.base.open = open_sibling,
                                   .stream = stream,
                                   .files = files,
                                   .count = count,
                                   .names = names,
                                   .end = end};
}

void tar_siblings_fini(struct tar_siblings *s)
{
        array_free(&s->sorted);
        array_free(&s->opened);
}

bool tar_siblings_has_opened(const struct tar_siblings *s, const struct tar_file *f)
{
        for (size_t i = 0; i < s->opened.count; i++)
                if (s->opened.items[i] == f)
                        return true;
        return false;
}
