/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/extract/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "fs/cli/opening.h"
#include "fs/cli/selection.h"
#include "fs/extract/archive_tree.h"
#include "fs/print/report.h"
#include "index/index.h"

enum { PIECE = 1024 * 1024 };

/* Find the disk or file that WORD means; sets *DISK or *FILE. Returns how many match. */
static size_t find(const struct index *index, const char *word, struct disk **disk,
                   const struct index_file **file)
{
        size_t count = 0;

        for (size_t i = 0; i < index_disk_count(index); i++) {
                if (!selection_has_disk(word, index_disk(index, i)))
                        continue;
                *disk = index_disk(index, i);
                count++;
        }
        for (size_t i = 0; i < index_file_count(index); i++) {
                if (!selection_has_file(word, index_file(index, i)))
                        continue;
                *file = index_file(index, i);
                count++;
        }
        return count;
}

static int report_lost(struct index *index, const char *path, const struct disk *d, uint64_t at,
                       ssize_t rc)
{
        struct error err = {0};

        if (rc != -EIO && index_read_failure(index, &err))
                report_error(path, &err);
        else
                report("%s: %s cannot be read from byte %" PRIu64
                       " on: %s; vmafs verify names what is "
                       "lost",
                       path, d->name, at, strerror(rc < 0 ? (int)-rc : EIO));
        return STATUS_FAILED;
}

static int write_disk(struct index *index, const char *path, struct disk *d)
{
        cleanup_free char *piece = malloc(PIECE);

        if (!piece) {
                report("out of memory");
                return STATUS_FAILED;
        }
        for (uint64_t at = 0; at < d->size;) {
                ssize_t n = disk_read(d, piece, PIECE, at);

                if (n <= 0)
                        return report_lost(index, path, d, at, n);
                /* report_finish_output reports an error of this. */
                if (fwrite(piece, 1, (size_t)n, stdout) != (size_t)n)
                        return STATUS_FAILED;
                at += (size_t)n;
        }
        return STATUS_OK;
}

static int scan_and_write(struct index *index, const char *path, struct disk *d)
{
        int status = opening_scan(index, path);

        return status == STATUS_OK ? write_disk(index, path, d) : status;
}

static int write_file(const struct index *index, const char *path, const struct index_file *f)
{
        cleanup_free char *text = index_file_load(index, f, f->volume->size);

        if (text)
                return fwrite(text, 1, f->volume->size, stdout) == f->volume->size ? STATUS_OK
                                                                                   : STATUS_FAILED;
        report("%s: %s: cannot be read: %s", path, f->name, strerror(errno));
        return STATUS_FAILED;
}

/* WORD means COUNT files, which is not 1. */
static int report_count(const char *path, const char *word, size_t count)
{
        if (count == 0)
                report("%s: holds no file named %s; vmafs info lists what it holds", path, word);
        else
                report("%s: %s means %zu files; -O takes one", path, word, count);
        return STATUS_USAGE;
}

/* What partitions there are is known once the archive is indexed. */
static int write_part(struct index *index, const char *path, const char *word)
{
        char *words[] = {(char *)(uintptr_t)word};
        struct selection_walk walk = {.index = index};
        struct disk *d, *found = NULL;
        int status = opening_scan(index, path);
        size_t count = 0;

        if (status != STATUS_OK)
                return status;
        for (; (d = selection_next_part(&walk, words, 1)); count++)
                found = d;
        return count == 1 ? write_disk(index, path, found) : report_count(path, word, count);
}

static int write_one(struct index *index, const char *path, const char *word)
{
        const struct index_file *file = NULL;
        struct disk *disk = NULL;
        size_t count = find(index, word, &disk, &file);

        if (count == 0 && selection_is_inside(word))
                return write_part(index, path, word);
        if (count == 1 && disk)
                return scan_and_write(index, path, disk);
        if (count == 1 && file)
                return write_file(index, path, file);
        return report_count(path, word, count);
}

/* The archive is a tree of files. */
static int write_member(struct index *index, const char *path, const char *word)
{
        int status = index_sealed(index) ? STATUS_OK : opening_scan(index, path);

        return status == STATUS_OK ? archive_tree_print(index, path, word) : status;
}

int output_file(const struct archive_at *at, const char *word, const struct index_options *options)
{
        struct index_options opening = *options;
        struct opened o = OPENED_NONE;
        const char *path = at->path;
        int status;

        opening.sidecar = INDEX_SIDECAR_USE;
        opening.partitions = selection_is_inside(word);
        status = opening_open(at, &opening, &o);
        if (status == STATUS_OK)
                status = index_is_tree(o.index) ? write_member(o.index, path, word)
                                                : write_one(o.index, path, word);
        opening_close(&o);
        return report_finish_output(status);
}
