/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/archive.h"
#include "archive/bytes.h"
#include "index/index.h"

struct tree {
        struct index *index;
        struct tree_owner owner;
        struct node root;
        struct node *entries; /* sorted by name; entry i is inode i + 2 */
        size_t count;
};

static int by_name(const void *a, const void *b)
{
        const struct node *x = a, *y = b;

        return strcmp(x->name, y->name);
}

static void fill_entries(struct tree *t)
{
        struct node *n = t->entries;

        for (size_t i = 0; i < index_disk_count(t->index); i++, n++) {
                n->kind = NODE_DISK;
                n->disk = index_disk(t->index, i);
                n->name = n->disk->name;
        }
        for (size_t i = 0; i < index_file_count(t->index); i++, n++) {
                n->kind = NODE_FILE;
                n->file = index_file(t->index, i);
                n->name = n->file->name;
        }
        qsort(t->entries, t->count, sizeof *t->entries, by_name);
        for (size_t i = 0; i < t->count; i++)
                t->entries[i].ino = TREE_ROOT + 1 + i;
}

struct tree *tree_new(struct index *index, const struct tree_owner *owner)
{
        struct tree *t = calloc(1, sizeof *t);

        if (!t)
                return NULL;
        t->index = index;
        t->owner = *owner;
        t->root = (struct node){.ino = TREE_ROOT, .kind = NODE_ROOT, .name = "/"};
        t->count = index_disk_count(index) + index_file_count(index);
        t->entries = calloc(t->count + 1, sizeof *t->entries);
        if (!t->entries) {
                free(t);
                return NULL;
        }
        fill_entries(t);
        return t;
}

void tree_free(struct tree *t)
{
        if (!t)
                return;
        free(t->entries);
        free(t);
}

const struct node *tree_entry(const struct tree *t, size_t number)
{
        return number < t->count ? &t->entries[number] : NULL;
}

const struct node *tree_node(const struct tree *t, uint64_t ino)
{
        if (ino == TREE_ROOT)
                return &t->root;
        return ino > TREE_ROOT ? tree_entry(t, ino - TREE_ROOT - 1) : NULL;
}

const struct node *tree_lookup(const struct tree *t, uint64_t parent, const char *name)
{
        struct node key = {.name = name};

        if (parent != TREE_ROOT)
                return NULL;
        return bsearch(&key, t->entries, t->count, sizeof *t->entries, by_name);
}

/* ---- attributes ---- */

bool tree_stat_final(const struct tree *t, const struct node *n)
{
        return n->kind != NODE_DISK || index_sealed(t->index);
}

static void stat_disk(const struct disk *d, struct stat *st)
{
        st->st_size = (off_t)d->size;
        st->st_blocks = (blkcnt_t)disk_allocated(d);
}

static void stat_file(const struct index_file *f, struct stat *st)
{
        st->st_size = (off_t)f->len;
        st->st_blocks = (blkcnt_t)(round_up(f->len, 4096) / 512);
}

bool tree_stat(const struct tree *t, const struct node *n, struct stat *st)
{
        mode_t allowed = ~t->owner.umask;

        *st = (struct stat){
            .st_ino = n->ino,
            .st_mode = S_IFREG | (0444 & allowed),
            .st_nlink = 1,
            .st_uid = t->owner.uid,
            .st_gid = t->owner.gid,
            .st_blksize = 131072,
        };
        st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = index_info(t->index)->ctime;
        switch (n->kind) {
        case NODE_ROOT:
                st->st_mode = S_IFDIR | (0555 & allowed);
                st->st_nlink = 2;
                return true;
        case NODE_FILE:
                stat_file(n->file, st);
                return true;
        case NODE_DISK:
                /* Sealed is asked first: a size that it settled must not be missed. */
                if (n->disk->late_size && !index_sealed(t->index))
                        return false;
                stat_disk(n->disk, st);
                return true;
        }
        return false;
}

void tree_statfs(const struct tree *t, struct statvfs *st)
{
        uint64_t blocks = 0;

        for (size_t i = 0; i < index_disk_count(t->index); i++)
                blocks += round_up(index_disk(t->index, i)->size, 4096) / 4096;
        for (size_t i = 0; i < index_file_count(t->index); i++)
                blocks += round_up(index_file(t->index, i)->len, 4096) / 4096;
        *st = (struct statvfs){
            .f_bsize = 4096,
            .f_frsize = 4096,
            .f_blocks = blocks,
            .f_files = t->count + 1,
            .f_namemax = 255,
        };
}

/* ---- extended attributes ---- */

static const char *const root_xattrs[] = {
    "user.vmafs.format", "user.vmafs.compression", "user.vmafs.uuid",
    "user.vmafs.ctime",  "user.vmafs.index",
};
static const char *const disk_xattrs[] = {"user.vmafs.device"};

static const char *const *xattr_names(const struct node *n, size_t *count)
{
        switch (n->kind) {
        case NODE_ROOT:
                *count = sizeof root_xattrs / sizeof *root_xattrs;
                return root_xattrs;
        case NODE_DISK:
                *count = sizeof disk_xattrs / sizeof *disk_xattrs;
                return disk_xattrs;
        case NODE_FILE:
                break;
        }
        *count = 0;
        return NULL;
}

/* Value of the attribute NUMBER of the root. */
static int format_root_xattr(const struct tree *t, size_t number, char *out, size_t size)
{
        const struct archive_info *info = index_info(t->index);

        switch (number) {
        case 0:
                return snprintf(out, size, "%s", index_format(t->index));
        case 1:
                return snprintf(out, size, "%s", index_compression(t->index));
        case 2:
                return snprintf(out, size, "%s", info->uuid);
        case 3:
                return snprintf(out, size, "%" PRId64, info->ctime);
        default:
                if (index_sealed(t->index))
                        return snprintf(out, size, "complete");
                return snprintf(out, size, "%u%%", index_percent(t->index));
        }
}

ssize_t tree_getxattr(const struct tree *t, const struct node *n, const char *name, char *out,
                      size_t size)
{
        size_t count;
        const char *const *names = xattr_names(n, &count);
        char value[1024];

        for (size_t i = 0; i < count; i++) {
                int len;

                if (strcmp(names[i], name) != 0)
                        continue;
                if (n->kind == NODE_ROOT)
                        len = format_root_xattr(t, i, value, sizeof value);
                else
                        len = snprintf(value, sizeof value, "%s", n->disk->device);
                if ((size_t)len <= size)
                        memcpy(out, value, (size_t)len);
                return len;
        }
        return -ENODATA;
}

ssize_t tree_listxattr(const struct node *n, char *out, size_t size)
{
        size_t count, len = 0;
        const char *const *names = xattr_names(n, &count);

        for (size_t i = 0; i < count; i++) {
                size_t one = strlen(names[i]) + 1;

                if (len + one <= size)
                        memcpy(out + len, names[i], one);
                len += one;
        }
        return (ssize_t)len;
}
