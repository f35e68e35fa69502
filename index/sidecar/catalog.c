/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/sidecar/catalog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/array.h"
#include "archive/cleanup.h"

#define INDEX_SUFFIX ".vmafs"
#define NOTE_SUFFIX  ".seen"

enum { HEX_MIN = 16 };

char *catalog_dir(void)
{
        const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
        char *dir = NULL;
        int rc;

        if (geteuid() == 0)
                rc = asprintf(&dir, "/var/cache/vmafs");
        else if (xdg && xdg[0] == '/')
                rc = asprintf(&dir, "%s/vmafs", xdg);
        else if (home && home[0] == '/')
                rc = asprintf(&dir, "%s/.cache/vmafs", home);
        else
                return NULL;
        return rc < 0 ? NULL : dir;
}

static bool ends_in(const char *name, size_t len, const char *suffix)
{
        size_t n = strlen(suffix);

        return len > n && memcmp(name + len - n, suffix, n) == 0;
}

/* The length of NAME without what is after an index's name if it is of a pass that was interrupted. */
static size_t index_len(const char *name)
{
        size_t len = strlen(name);

        return ends_in(name, len, PARTIAL_SUFFIX) ? len - strlen(PARTIAL_SUFFIX) : len;
}

/*
 * Is NAME the name of an index in a cache folder, or of what is to become one? Such a name begins
 * with the digest of the archive's ends.
 */
static bool is_index(const char *name)
{
        return ends_in(name, index_len(name), INDEX_SUFFIX) &&
               strspn(name, "0123456789abcdef") >= HEX_MIN;
}

/* The size of the archive that the index NAME is for, by that name; 0: unknown. */
static uint64_t archive_size(const char *name)
{
        const char *dash = strchr(name, '-');

        return dash ? strtoull(dash + 1, NULL, 10) : 0;
}

/* The name of NAME's note. False: too long. */
static bool note_name(const char *name, char out[NAME_MAX + 1])
{
        int len = snprintf(out, NAME_MAX + 1, "%.*s" NOTE_SUFFIX,
                           (int)(index_len(name) - strlen(INDEX_SUFFIX)), name);

        return len > 0 && len <= NAME_MAX;
}

void catalog_note(int dir, const char *name, const char *path)
{
        char note[NAME_MAX + 1];
        cleanup_close int fd = -1;
        size_t len = strlen(path);

        if (!is_index(name) || !note_name(name, note))
                return;
        fd = openat(dir, note, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
                    0600);
        /* A truncated path is useless. */
        if (fd >= 0 && write(fd, path, len) != (ssize_t)len)
                unlinkat(dir, note, 0);
}

/* Read the note of E. */
static void read_note(int dir, struct catalog_entry *e)
{
        char note[NAME_MAX + 1], path[PATH_MAX];
        cleanup_close int fd = -1;
        struct stat st, archive;
        ssize_t n;

        if (!note_name(e->name, note))
                return;
        fd = openat(dir, note, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return;
        n = read(fd, path, sizeof path - 1);
        if (n <= 0 || path[0] != '/' || memchr(path, '\0', (size_t)n))
                return;
        path[n] = '\0';
        e->archive = strdup(path);
        if (st.st_mtime > e->used)
                e->used = st.st_mtime;
        /* If stat fails for another reason than a missing file, the archive may exist. */
        if (stat(path, &archive) == 0)
                e->missing =
                    S_ISREG(archive.st_mode) && (uint64_t)archive.st_size != archive_size(e->name);
        else
                e->missing = errno == ENOENT || errno == ENOTDIR;
}

static int take(int dir, const char *name, struct catalog *c)
{
        struct catalog_entry e = {0};
        struct stat st;

        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
                return 0;
        if (array_reserve(c, 1) < 0)
                return -ENOMEM;
        e.name = strdup(name);
        if (!e.name)
                return -ENOMEM;
        e.size = (uint64_t)st.st_size;
        e.used = st.st_mtime;
        e.partial = index_len(name) < strlen(name);
        read_note(dir, &e);
        return array_add(c, e);
}

static int used_last_first(const void *a, const void *b)
{
        const struct catalog_entry *x = a, *y = b;

        if (x->used != y->used)
                return x->used > y->used ? -1 : 1;
        return strcmp(x->name, y->name);
}

int catalog_read(int dir, struct catalog *out)
{
        struct catalog c = {0};
        int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd < 0 ? NULL : fdopendir(fd);
        const struct dirent *e;
        int rc = 0;

        if (!d) {
                rc = -errno;
                if (fd >= 0)
                        close(fd);
                return rc;
        }
        while (rc == 0 && (e = readdir(d)))
                if (is_index(e->d_name))
                        rc = take(dir, e->d_name, &c);
        closedir(d);
        if (rc < 0) {
                catalog_fini(&c);
                return rc;
        }
        if (c.count)
                qsort(c.items, c.count, sizeof *c.items, used_last_first);
        *out = c;
        return 0;
}

void catalog_fini(struct catalog *c)
{
        for (size_t i = 0; i < c->count; i++) {
                free(c->items[i].name);
                free(c->items[i].archive);
        }
        array_free(c);
}

static bool drops_alone(const struct catalog_entry *e, const struct catalog_limits *limits)
{
        return (limits->missing && e->missing) || e->used < limits->older;
}

bool catalog_drops(const struct catalog *c, size_t number, const struct catalog_limits *limits)
{
        uint64_t kept = 0;

        if (drops_alone(&c->items[number], limits))
                return true;
        for (size_t i = 0; i <= number; i++)
                if (!drops_alone(&c->items[i], limits) &&
                    __builtin_add_overflow(kept, c->items[i].size, &kept))
                        return true;
        return kept > limits->size_max;
}

int catalog_remove(int dir, const struct catalog_entry *e)
{
        char note[NAME_MAX + 1];

        if (unlinkat(dir, e->name, 0) < 0 && errno != ENOENT)
                return -errno;
        /* The note is the index's, too. */
        if (!e->partial && note_name(e->name, note))
                unlinkat(dir, note, 0);
        return 0;
}
