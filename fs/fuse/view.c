/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fuse/view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/format.h"
#include "index/index.h"

/* Where the entries of a folder are. */
struct listing {
        size_t first, count;
        size_t folders; /* among them */
        uint64_t ino;   /* of the folder */
};

struct view {
        struct index *index;
        struct view_owner owner;
        struct node root;
        struct node *entries; /* sorted by folder and name; entry i is inode i + 2 */
        size_t count;
        struct listing *listings; /* by number of the folder */
};

static int by_folder_and_name(const void *a, const void *b)
{
        const struct node *x = a, *y = b;

        if (x->parent != y->parent)
                return x->parent < y->parent ? -1 : 1;
        return strcmp(x->name, y->name);
}

static void fill_entries(struct view *t)
{
        struct node *n = t->entries;

        for (size_t i = 0; i < index_folder_count(t->index); i++) {
                const struct index_folder *f = index_folder(t->index, i);

                *n++ = (struct node){.kind = NODE_FOLDER,
                                     .name = f->leaf,
                                     .parent = f->parent,
                                     .number = (uint32_t)i + 1};
        }
        for (size_t i = 0; i < index_disk_count(t->index); i++) {
                struct disk *d = index_disk(t->index, i);

                *n++ = (struct node){
                    .kind = NODE_DISK, .name = d->leaf, .parent = d->folder, .disk = d};
        }
        for (size_t i = 0; i < index_file_count(t->index); i++) {
                const struct index_file *f = index_file(t->index, i);

                *n++ = (struct node){
                    .kind = NODE_FILE, .name = f->leaf, .parent = f->folder, .file = f};
        }
        qsort(t->entries, t->count, sizeof *t->entries, by_folder_and_name);
}

/* Number the inodes, and find what is in each folder. */
static void fill_listings(struct view *t)
{
        t->listings[FOLDER_ROOT].ino = VIEW_ROOT;
        for (size_t i = 0; i < t->count; i++) {
                struct node *n = &t->entries[i];
                struct listing *l = &t->listings[n->parent];

                n->ino = VIEW_ROOT + 1 + i;
                if (l->count++ == 0)
                        l->first = i;
                if (n->kind == NODE_FOLDER) {
                        t->listings[n->number].ino = n->ino;
                        l->folders++;
                }
        }
}

struct view *view_new(struct index *index, const struct view_owner *owner)
{
        struct view *t = calloc(1, sizeof *t);

        if (!t)
                return NULL;
        t->index = index;
        t->owner = *owner;
        t->root = (struct node){.ino = VIEW_ROOT, .kind = NODE_ROOT, .name = "/"};
        t->count = index_folder_count(index) + index_disk_count(index) + index_file_count(index);
        t->entries = calloc(t->count + 1, sizeof *t->entries);
        t->listings = calloc(index_folder_count(index) + 1, sizeof *t->listings);
        if (!t->entries || !t->listings) {
                view_free(t);
                return NULL;
        }
        fill_entries(t);
        fill_listings(t);
        return t;
}

void view_free(struct view *t)
{
        if (!t)
                return;
        free(t->entries);
        free(t->listings);
        free(t);
}

const struct node *view_parent(const struct view *t, const struct node *n)
{
        return view_node(t, t->listings[n->parent].ino);
}

const struct node *view_entry(const struct view *t, const struct node *folder, size_t number)
{
        const struct listing *l = &t->listings[folder->number];

        return number < l->count ? &t->entries[l->first + number] : NULL;
}

const struct node *view_node(const struct view *t, uint64_t ino)
{
        if (ino == VIEW_ROOT)
                return &t->root;
        return ino > VIEW_ROOT && ino - VIEW_ROOT <= t->count ? &t->entries[ino - VIEW_ROOT - 1]
                                                              : NULL;
}

const struct node *view_lookup(const struct view *t, uint64_t parent, const char *name)
{
        const struct node *folder = view_node(t, parent);
        struct node key = {.name = name};

        if (!folder || !node_is_folder(folder))
                return NULL;
        key.parent = folder->number;
        return bsearch(&key, t->entries, t->count, sizeof *t->entries, by_folder_and_name);
}

/* ---- attributes ---- */

bool view_stat_final(const struct view *t, const struct node *n)
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

bool view_stat(const struct view *t, const struct node *n, struct stat *st)
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
        case NODE_FOLDER:
                st->st_mode = S_IFDIR | (0555 & allowed);
                st->st_nlink = 2 + t->listings[n->number].folders;
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

void view_statfs(const struct view *t, struct statvfs *st)
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
        case NODE_FOLDER:
        case NODE_FILE:
                break;
        }
        *count = 0;
        return NULL;
}

/* Value of the attribute NUMBER of the root. */
static int format_root_xattr(const struct view *t, size_t number, char *out, size_t size)
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

ssize_t view_getxattr(const struct view *t, const struct node *n, const char *name, char *out,
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

ssize_t view_listxattr(const struct node *n, char *out, size_t size)
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
