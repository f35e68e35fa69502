/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fuse/view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/format.h"
#include "archive/inside/lvm.h"
#include "index/collection/archives.h"
#include "index/collection/datastore.h"
#include "index/collection/open_archives.h"
#include "index/index.h"
#include "index/inside/groups.h"
#include "index/inside/parts.h"
#include "index/members/members.h"
#include "index/tree/tree.h"

/* ---- attributes ---- */

bool view_stat_final(const struct view *v, const struct node *n)
{
        struct stat st;
        bool final;

        if (v->datastore)
                return view_folder_final(v, n) && view_is_counted(v, n);
        if (!v->archives)
                return index_sealed(v->index) || !(index_disk_of(n) || index_is_tree(v->index));
        switch (archives_kind(n)) {
        case ARCHIVES_FOLDER:
                return !archives_changes(n);
        case ARCHIVES_ARCHIVE:
        case ARCHIVES_PLAIN:
                return false;
        case ARCHIVES_DISK:
                archives_disk(v->archives, n, &st, &final);
                return final;
        case ARCHIVES_LINK:
        case ARCHIVES_FILE:
                break;
        }
        return true;
}

bool view_stat_keeps(const struct view *v, const struct node *n)
{
        return v->archives && archives_kind(n) != ARCHIVES_DISK;
}

int view_refresh(const struct view *v, struct node *n, const char *name)
{
        if (v->archives)
                return archives_refresh(v->archives, n, name);
        return v->datastore ? datastore_refresh(v->datastore, n) : 0;
}

bool view_folder_final(const struct view *v, const struct node *n)
{
        if (!node_is_folder(n))
                return true;
        if (v->archives)
                return !archives_changes(n);
        return !v->datastore || !datastore_changes(n);
}

/* Copies keep these modes, and must be of use. The mount is read-only whatever they say. */
static mode_t default_mode(const struct node *n, mode_t umask)
{
        if (S_ISLNK(n->mode))
                return S_IFLNK | 0777;
        return (n->mode & S_IFMT) | ((node_is_folder(n) ? 0777 : 0666) & ~umask);
}

static void stat_node(const struct view *v, struct node *n, struct stat *st)
{
        bool recorded = n->flags & NODE_RECORDED, device = S_ISCHR(n->mode) || S_ISBLK(n->mode);

        *st = (struct stat){
            .st_ino = n->ino,
            .st_mode = recorded ? n->mode : default_mode(n, v->owner.umask),
            .st_nlink = tree_links(n),
            .st_uid = recorded ? n->uid : v->owner.uid,
            .st_gid = recorded ? n->gid : v->owner.gid,
            .st_blksize = 131072,
        };
        if (n->flags & NODE_MTIME)
                st->st_mtim = (struct timespec){n->mtime, n->mtime_ns};
        else if (v->index)
                st->st_mtim.tv_sec = index_info(v->index)->ctime;
        st->st_ctim = st->st_atim = st->st_mtim;
        if (device)
                st->st_rdev = n->rdev;
        else if (S_ISLNK(n->mode))
                st->st_size = (off_t)strlen(n->extra->target);
        else if (S_ISREG(n->mode))
                st->st_size = (off_t)n->size;
        st->st_blocks = S_ISREG(n->mode) ? (blkcnt_t)(round_up(n->size, 4096) / 512) : 0;
}

/* What the file in the folder has now, which N is. One that has gone is as it was. */
static void stat_file(const struct view *v, const struct node *n, struct stat *st)
{
        struct stat now;

        if (archives_stat(v->archives, n, &now) < 0)
                return;
        st->st_mtim = st->st_ctim = st->st_atim = now.st_mtim;
        if (S_ISREG(n->mode)) {
                st->st_size = now.st_size;
                st->st_blocks = now.st_blocks;
        }
}

/* N is the root of an archive that is a tree: what is recorded of it, once that is known. */
static void stat_root(const struct view *v, const struct node *n, struct stat *st)
{
        const struct members *members = index_members(v->index);
        const struct members_node *m = members ? members_get(members, MEMBERS_ROOT) : NULL;

        if (!m || n->parent != n)
                return;
        st->st_nlink = m->links;
        if (m->flags & MEMBERS_IMPLIED)
                return;
        st->st_mode = m->mode;
        st->st_uid = m->uid;
        st->st_gid = m->gid;
        st->st_mtim = st->st_ctim = st->st_atim = (struct timespec){m->mtime, m->mtime_ns};
}

/* N is in a folder of archives. As view_stat. */
static bool stat_in_folder(const struct view *v, const struct node *n, struct stat *st)
{
        enum archives_kind kind = archives_kind(n);
        bool final;

        if (kind == ARCHIVES_DISK)
                return archives_disk(v->archives, n, st, &final);
        if (kind == ARCHIVES_ARCHIVE || kind == ARCHIVES_PLAIN ||
            (kind == ARCHIVES_FOLDER && archives_changes(n)))
                stat_file(v, n, st);
        return true;
}

bool view_is_counted(const struct view *v, const struct node *n)
{
        return !v->datastore || !S_ISREG(n->mode) || datastore_is_counted(n);
}

void view_count(const struct view *v, struct node *n)
{
        if (!view_is_counted(v, n))
                datastore_stored(n);
}

/* N is in a datastore. What is not known is neither empty nor full, as disk_allocated. */
static blkcnt_t stored_blocks(const struct view *v, struct node *n)
{
        if (view_is_counted(v, n))
                return (blkcnt_t)(datastore_stored(n) / 512);
        return (blkcnt_t)max_u64(2, n->size / 512) - 1;
}

bool view_stat(const struct view *v, struct node *n, struct stat *st)
{
        struct disk *d = index_disk_of(n);

        stat_node(v, n, st);
        if (v->archives)
                return stat_in_folder(v, n, st);
        if (v->index)
                stat_root(v, n, st);
        if (v->datastore && S_ISREG(n->mode))
                st->st_blocks = stored_blocks(v, n);
        if (!d)
                return true;
        /* Sealed is asked first: a size that it settled must not be missed. */
        if (d->provisional_size && !index_sealed(v->index))
                return false;
        if (part_of(d))
                part_count(part_of(d));
        st->st_size = (off_t)d->size;
        st->st_blocks = (blkcnt_t)disk_allocated(d);
        return true;
}

void view_statfs(const struct view *v, struct statvfs *st)
{
        struct tree *tree = v->index      ? index_tree(v->index)
                            : v->archives ? archives_tree(v->archives)
                                          : datastore_tree(v->datastore);
        const struct members *members = v->index ? index_members(v->index) : NULL;
        struct members_counts counts = {0};
        uint64_t blocks = 0;

        if (members)
                members_tally(members, &counts);
        for (size_t i = 0; v->index && i < index_disk_count(v->index); i++)
                blocks += round_up(index_disk(v->index, i)->size, 4096) / 4096;
        for (size_t i = 0; v->index && i < index_file_count(v->index); i++)
                blocks += round_up(index_file(v->index, i)->volume->size, 4096) / 4096;
        *st = (struct statvfs){
            .f_bsize = 4096,
            .f_frsize = 4096,
            .f_blocks = blocks + counts.bytes / 4096,
            .f_files = members ? members_count(members) : tree_stats(tree).nodes,
            .f_namemax = 255,
        };
}

/* ---- extended attributes ---- */

/*
 * One of ours: its value of a node, as snprintf, -1 where the node does not have it, or -EAGAIN where
 * that is not known yet.
 */
struct own_xattr {
        const char *name;
        int (*format)(const struct view *v, const struct node *n, char *out, size_t size);
};

static int format_format(const struct view *v, const struct node *n, char *out, size_t size)
{
        if (n->parent != n)
                return -1;
        return snprintf(out, size, "%s",
                        v->index      ? index_format(v->index)
                        : v->archives ? "folder"
                                      : "pbs");
}

static int format_compression(const struct view *v, const struct node *n, char *out, size_t size)
{
        if (n->parent != n || !v->index)
                return -1;
        return snprintf(out, size, "%s", index_compression(v->index));
}

/* The partition that N is, or NULL. */
static struct part *partition(const struct view *v, const struct node *n)
{
        struct disk *d = v->index ? index_disk_of(n) : NULL;

        return d ? part_of(d) : NULL;
}

static int format_start(const struct view *v, const struct node *n, char *out, size_t size)
{
        const struct part *p = partition(v, n);

        return p && p->entry ? snprintf(out, size, "%" PRIu64, p->entry->start) : -1;
}

static int format_length(const struct view *v, const struct node *n, char *out, size_t size)
{
        const struct part *p = partition(v, n);

        return p && p->entry ? snprintf(out, size, "%" PRIu64, p->entry->len) : -1;
}

static int format_type(const struct view *v, const struct node *n, char *out, size_t size)
{
        const struct part *p = partition(v, n);

        return p && p->entry ? snprintf(out, size, "%s", p->entry->type) : -1;
}

static int format_label(const struct view *v, const struct node *n, char *out, size_t size)
{
        const struct part *p = partition(v, n);

        return p && p->entry && p->entry->name[0] ? snprintf(out, size, "%s", p->entry->name) : -1;
}

static int format_filesystem(const struct view *v, const struct node *n, char *out, size_t size)
{
        struct part *p = partition(v, n);
        const char *name;
        int rc = p ? part_filesystem(p, &name) : -1;

        if (rc == -EAGAIN)
                return rc;
        return rc == 0 ? snprintf(out, size, "%s", name ? name : "unknown") : -1;
}

static int format_uuid(const struct view *v, const struct node *n, char *out, size_t size)
{
        const struct part *p = partition(v, n);

        if (p)
                return snprintf(out, size, "%s", p->entry ? p->entry->uuid : p->logical->id);
        if (n->parent != n || !v->index)
                return -1;
        return snprintf(out, size, "%s", index_info(v->index)->uuid);
}

static int format_ctime(const struct view *v, const struct node *n, char *out, size_t size)
{
        if (n->parent != n || !v->index)
                return -1;
        return snprintf(out, size, "%" PRId64, index_info(v->index)->ctime);
}

static int format_index(const struct view *v, const struct node *n, char *out, size_t size)
{
        if (n->parent != n || !v->index)
                return -1;
        if (index_sealed(v->index))
                return snprintf(out, size, "complete");
        return snprintf(out, size, "%u%%", index_percent(v->index));
}

static int format_decoded(const struct view *v, const struct node *n, char *out, size_t size)
{
        if (n->parent != n || !v->index)
                return -1;
        return snprintf(out, size, "%" PRIu64, index_decoded(v->index));
}

static int format_device(const struct view *v, const struct node *n, char *out, size_t size)
{
        const struct disk *d = v->index ? index_disk_of(n) : NULL;
        const char *device = d              ? d->device
                             : v->datastore ? datastore_device(n)
                             : v->archives  ? archives_device(n)
                                            : NULL;

        return device ? snprintf(out, size, "%s", device) : -1;
}

static int format_error(const struct view *v, const struct node *n, char *out, size_t size)
{
        struct parted *p = v->index ? index_parted_of(n) : NULL;
        char why[512];

        if (p)
                return parted_why(p, why, sizeof why) ? snprintf(out, size, "%s", why) : -1;
        if (v->index && groups_why(v->index, n, why, sizeof why))
                return snprintf(out, size, "%s", why);
        if (v->archives)
                return archives_why(v->archives, n, why, sizeof why)
                           ? snprintf(out, size, "%s", why)
                           : -1;
        return v->datastore && datastore_why(n, why, sizeof why) ? snprintf(out, size, "%s", why)
                                                                 : -1;
}

static const struct own_xattr own_xattrs[] = {
    {"user.vmafs.format", format_format},
    {"user.vmafs.compression", format_compression},
    {"user.vmafs.uuid", format_uuid},
    {"user.vmafs.ctime", format_ctime},
    {"user.vmafs.index", format_index},
    {"user.vmafs.device", format_device},
    {"user.vmafs.start", format_start},
    {"user.vmafs.length", format_length},
    {"user.vmafs.type", format_type},
    {"user.vmafs.label", format_label},
    {"user.vmafs.filesystem", format_filesystem},
    {"user.vmafs.error", format_error},
    {"user.vmafs.decoded", format_decoded},
};

enum { OWN_XATTRS = sizeof own_xattrs / sizeof *own_xattrs };

/* One that the archive has recorded, as the node has it packed. */
struct recorded {
        const char *name, *value;
        uint32_t len;
};

/* The one at *AT of X, which is moved on. False: there is none. */
static bool next_recorded(const struct view_xattrs *x, size_t *at, struct recorded *out)
{
        if (*at >= x->len)
                return false;
        out->name = x->at + *at;
        *at += strlen(out->name) + 1;
        memcpy(&out->len, x->at + *at, sizeof out->len);
        *at += sizeof out->len;
        out->value = x->at + *at;
        *at += out->len;
        return true;
}

/* What is recorded of N; of the root of an archive that is a tree, once that is known. */
static struct view_xattrs recorded_of(const struct view *v, const struct node *n)
{
        const struct members *m = v->index && n->parent == n ? index_members(v->index) : NULL;
        const struct node_extra *x = tree_extra(n);
        struct view_xattrs list;

        if (m) {
                list.at = members_xattrs(m, members_get(m, MEMBERS_ROOT), &list.len);
                return list;
        }
        return x ? (struct view_xattrs){x->xattrs, x->xattrs_len} : (struct view_xattrs){0};
}

static ssize_t give(const void *value, size_t len, char *out, size_t size)
{
        if (len && len <= size)
                memcpy(out, value, len);
        return (ssize_t)len;
}

/*
 * What N is inside of a disk, if it is, in the tree of *INNER, a view of that; whoever uses it puts
 * back *A if that is not NULL. 0; -ENOENT: N is something else, or cannot be opened; -EAGAIN.
 */
static int enter_inside(const struct view *v, const struct node *n, struct open_archive **a,
                        struct view *inner, const struct node **within)
{
        struct index *index;
        struct node *found;
        int rc;

        *a = NULL;
        *within = v->datastore ? datastore_within(n, &index) : NULL;
        *inner = (struct view){.owner = v->owner};
        if (*within)
                inner->index = index;
        if (*within || !v->archives || !archives_is_inside(n))
                return *within ? 0 : -ENOENT;
        if (archives_get(v->archives, n, a, NULL) < 0)
                return -ENOENT;
        rc = archives_inner(*a, n, &found);
        if (rc < 0) {
                open_archives_put(*a);
                return rc == -EAGAIN ? rc : -ENOENT;
        }
        inner->index = (*a)->index;
        *within = found;
        return 0;
}

/*
 * A view of the archive that N is the folder of, in *INNER; whoever uses it puts it back. NULL: N is
 * something else, or cannot be opened.
 */
static struct open_archive *enter(const struct view *v, const struct node *n, struct view *inner)
{
        struct open_archive *a;
        struct node *folder = (struct node *)(uintptr_t)n;
        char why[8];

        if (!v->archives || archives_kind(n) != ARCHIVES_ARCHIVE)
                return NULL;
        /* If it cannot be opened, that is found here. */
        if (tree_open(folder) == 0)
                tree_close(folder);
        if (archives_why(v->archives, n, why, sizeof why) ||
            archives_get(v->archives, n, &a, NULL) < 0)
                return NULL;
        *inner = (struct view){.index = a->index, .owner = v->owner};
        return a;
}

ssize_t view_recorded(const struct view_xattrs *x, const char *name, char *out, size_t size)
{
        struct recorded r;
        size_t at = 0;

        while (next_recorded(x, &at, &r))
                if (strcmp(r.name, name) == 0)
                        return give(r.value, r.len, out, size);
        return -ENODATA;
}

/* As view_getxattr, of what N is inside of a disk. */
static ssize_t get_inside(const struct view *v, const struct node *n, const char *name, char *out,
                          size_t size)
{
        const struct node *within;
        struct open_archive *a;
        struct view inner;
        ssize_t rc = enter_inside(v, n, &a, &inner, &within);

        if (rc < 0)
                return rc == -EAGAIN ? rc : -ENODATA;
        rc = view_getxattr(&inner, within, name, out, size);
        if (a)
                open_archives_put(a);
        return rc;
}

ssize_t view_getxattr(const struct view *v, const struct node *n, const char *name, char *out,
                      size_t size)
{
        bool is_own = strncmp(name, "user.vmafs.", 11) == 0;
        struct open_archive *a = NULL;
        struct view_xattrs recorded;
        struct view inner;
        char value[1024];

        /* Others are asked for by every ls -l, for which no archive is to be opened. */
        if (is_own && (a = enter(v, n, &inner))) {
                ssize_t rc =
                    view_getxattr(&inner, tree_root(index_tree(a->index)), name, out, size);

                open_archives_put(a);
                return rc;
        }
        if (is_own && !v->index) {
                ssize_t rc = get_inside(v, n, name, out, size);

                if (rc != -ENODATA)
                        return rc;
        }
        for (size_t i = 0; is_own && i < OWN_XATTRS; i++) {
                int len = -1;

                if (strcmp(own_xattrs[i].name, name) == 0)
                        len = own_xattrs[i].format(v, n, value, sizeof value);
                if (len == -EAGAIN)
                        return len;
                if (len >= 0)
                        return give(value, (size_t)len, out, size);
        }
        recorded = recorded_of(v, n);
        return view_recorded(&recorded, name, out, size);
}

/* NAME is the next of a list that has LEN bytes in OUT of SIZE so far. Returns what it has then. */
static size_t add_name(const char *name, size_t len, char *out, size_t size)
{
        size_t one = strlen(name) + 1;

        if (len + one <= size)
                memcpy(out + len, name, one);
        return len + one;
}

/* The names of X, after LEN bytes in OUT of SIZE. */
static size_t add_recorded(const struct view_xattrs *x, size_t len, char *out, size_t size)
{
        struct recorded r;
        size_t at = 0;

        while (next_recorded(x, &at, &r))
                len = add_name(r.name, len, out, size);
        return len;
}

ssize_t view_recorded_names(const struct view_xattrs *x, char *out, size_t size)
{
        return (ssize_t)add_recorded(x, 0, out, size);
}

/* The names of ours that N has. */
static size_t list_own(const struct view *v, const struct node *n, char *out, size_t size)
{
        size_t len = 0;
        char value[1024];

        for (size_t i = 0; i < OWN_XATTRS; i++) {
                int rc = own_xattrs[i].format(v, n, value, sizeof value);

                if (rc >= 0 || rc == -EAGAIN)
                        len = add_name(own_xattrs[i].name, len, out, size);
        }
        return len;
}

/* As view_listxattr, of what N is inside of a disk. -ENOENT: it is something else. */
static ssize_t list_inside(const struct view *v, const struct node *n, char *out, size_t size)
{
        const struct node *within;
        struct open_archive *a;
        struct view inner;
        ssize_t rc = enter_inside(v, n, &a, &inner, &within);

        if (rc < 0)
                return rc;
        rc = view_listxattr(&inner, within, out, size);
        if (a)
                open_archives_put(a);
        return rc;
}

ssize_t view_listxattr(const struct view *v, const struct node *n, char *out, size_t size)
{
        struct view_xattrs recorded;
        struct open_archive *a;
        struct view inner;
        ssize_t rc = -ENOENT;

        a = enter(v, n, &inner);
        if (a) {
                /* Not what is recorded of its root, as its mode and owner are not, either. */
                rc = (ssize_t)list_own(&inner, tree_root(index_tree(a->index)), out, size);
                open_archives_put(a);
        } else if (!v->index) {
                rc = list_inside(v, n, out, size);
        }
        if (rc != -ENOENT)
                return rc;
        recorded = recorded_of(v, n);
        return (ssize_t)add_recorded(&recorded, list_own(v, n, out, size), out, size);
}
