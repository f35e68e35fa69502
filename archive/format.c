/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/format.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "archive/error.h"
#include "archive/foreign.h"
#include "archive/probe.h"
#include "archive/source/source.h"
#include "archive/stream/stream.h"

#define ENTRY(ops) &ops,
static const struct format *const formats[] = {FORMATS(ENTRY)};
#undef ENTRY

const struct format *format_find(struct probe *p, bool image)
{
        for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
                if ((!image || formats[i]->is_image) && formats[i]->probe(p))
                        return formats[i];
        return NULL;
}

const struct format *format_named(const char *name)
{
        static const char *const qemu[][2] = {{"vpc", "vhd"}, {"parallels", "hdd"}};

        for (size_t i = 0; i < sizeof qemu / sizeof *qemu; i++)
                if (strcmp(name, qemu[i][0]) == 0)
                        name = qemu[i][1];
        for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
                if (formats[i]->is_image && strcmp(formats[i]->name, name) == 0)
                        return formats[i];
        return NULL;
}

/* The format of SOURCE, by its beginning and its end, or the NAME of its file. */
static int find_format(struct source *source, const char *name, const struct format **out,
                       struct error *err)
{
        struct probe p;
        int rc = probe_init(&p, source, err);

        p.name = name;
        if (rc == 0 && p.len == 0)
                rc = error_set(err, EMEDIUMTYPE, "is empty, so it is not an archive");
        if (rc == 0)
                *out = format_find(&p, false);
        if (rc == 0 && !*out)
                rc = foreign_refuse(&p, err);
        probe_fini(&p);
        return rc;
}

int archive_open(struct source *source, const struct archive_origin *origin,
                 const struct archive_sink *sink, struct archive **out, struct error *err)
{
        const struct format *format = NULL;
        int rc = find_format(source, origin->name, &format, err);

        return format ? format->open(source, origin, sink, out, err) : rc;
}

/* LEN without EXTENSION, where the LEN bytes at NAME end in it and are more than that. */
static size_t without(const char *name, size_t len, const char *extension)
{
        size_t n = strlen(extension);

        return len > n && strncasecmp(name + len - n, extension, n) == 0 ? len - n : len;
}

char *archive_disk_name(const char *name)
{
        size_t len = strlen(name);
        const char *dot;
        char *out;

        for (const char *const *s = stream_suffixes; *s; s++)
                len = without(name, len, *s);
        dot = memrchr(name, '.', len);
        if (dot && dot != name)
                len = (size_t)(dot - name);
        if (len > INT_MAX || asprintf(&out, "disk-%.*s.raw", (int)len, name) < 0)
                return NULL;
        return out;
}

static int refuse_named(const char *says, const char *name, enum neighbour_reach reach, int code,
                        struct error *err)
{
        if (code == EXDEV)
                return error_set(err, EPERM, "%s %.200s, which is not %s", says, name,
                                 reach == NEIGHBOUR_BESIDE
                                     ? "in its own folder"
                                     : "below its own folder; backing=any allows that");
        return error_set(err, code, "%s %.200s, which cannot be opened: %s", says, name,
                         code == ELOOP && reach == NEIGHBOUR_BESIDE ? "it is a link"
                                                                    : strerror(code));
}

static int open_sibling(const struct archive_origin *origin, const char *says, const char *name,
                        enum neighbour_reach reach, struct source **out, struct error *err)
{
        int rc =
            origin->siblings ? origin->siblings->open(origin->siblings, name, reach, out) : -ENOENT;

        switch (-rc) {
        case 0:
                return 0;
        case ENOMEM:
                return error_set(err, ENOMEM, "out of memory");
        case EIO:
                return error_set(err, EIO, "%s %.60s, which is damaged", says, name);
        case EXDEV:
                return error_set(err, EPERM,
                                 "%s %.60s; of an image inside of an archive no file outside of "
                                 "its own folder is opened",
                                 says, name);
        default:
                return error_set(err, EPERM, "%s %.60s, which is not in the archive", says, name);
        }
}

static int fetch_named(const struct neighbours *n, const char *says, const char *name,
                       enum neighbour_reach reach, struct source **out, struct error *err)
{
        struct error why = {0};
        int rc = n->fetch(n, name, reach, out, &why);

        if (rc == 0)
                return 0;
        if (rc == -EXDEV && reach == NEIGHBOUR_BESIDE)
                return refuse_named(says, name, reach, EXDEV, err);
        if (rc == -EXDEV)
                return error_set(err, EPERM,
                                 "%s %.200s, which is not below its own folder; nothing else is "
                                 "read from a server",
                                 says, name);
        return error_set(err, -rc, "%s %.200s, which cannot be fetched: %s", says, name, why.text);
}

int archive_open_named(const struct archive_origin *origin, const char *says, const char *name,
                       enum neighbour_reach reach, struct source **out, struct error *err)
{
        const struct neighbours *n = origin->neighbours;
        int fd, rc;

        if (!n)
                return open_sibling(origin, says, name, reach, out, err);
        if (n->fetch)
                return fetch_named(n, says, name, reach, out, err);
        fd = n->open(n, name, reach);
        if (fd < 0)
                return refuse_named(says, name, reach, -fd, err);
        rc = source_open_fd(fd, out, err);
        if (rc == 0)
                source_watch(*out, origin->file);
        return rc;
}

void archive_close(struct archive *a)
{
        if (a)
                a->ops->close(a);
}
