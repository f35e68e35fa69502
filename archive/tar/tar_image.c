/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/tar/tar_image.h"

#include <errno.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/tar/tar_member.h"

enum {
        BATCH = 256,
        CACHE_MIN = 1 << 20, /* bytes, for an image */
};

static const struct archive_ops *const formats[] = {&vmdk_archive, &qcow2_archive, &qed_archive};

/* What an image emits through, in its own numbers, to who listens to the tar. */
struct inner {
        struct tar_image *image;
        struct tar_images *all;
        const struct archive_sink *outer;
        uint32_t *folders; /* the tar's number of each of the image's, from 1 on */
        uint32_t folder_count;
};

/* ---- while it is opened ---- */

static uint32_t outer_folder(const struct inner *s, uint32_t number)
{
        return number && number <= s->folder_count ? s->folders[number - 1] : FOLDER_ROOT;
}

/*
 * The tar's number of a folder: machines have snapshots of one name on all of their disks, and they
 * belong together. Two that one image calls alike are two.
 */
static struct tar_folder *find_folder(const struct inner *s, const char *name, uint32_t parent)
{
        for (uint32_t i = 0; i < s->all->folder_count; i++) {
                struct tar_folder *f = &s->all->folders[i];

                if (f->parent == parent && f->image != s->all->count && strcmp(f->name, name) == 0)
                        return f;
        }
        return NULL;
}

static int add_folder(struct inner *s, const char *name, uint32_t parent, struct tar_folder **out)
{
        struct archive_folder emitted = {.name = name, .parent = parent};
        struct tar_images *all = s->all;
        struct tar_folder *grown = reallocarray(all->folders, all->folder_count + 1, sizeof *grown);
        cleanup_free char *copy = strdup(name);
        int rc;

        if (grown)
                all->folders = grown;
        if (!grown || !copy)
                return -ENOMEM;
        rc = s->outer->folder(s->outer->ctx, &emitted);
        if (rc < 0)
                return rc;
        *out = &grown[all->folder_count++];
        **out = (struct tar_folder){.name = steal_ptr(&copy), .parent = parent};
        return 0;
}

static int image_folder(void *ctx, const struct archive_folder *folder)
{
        struct inner *s = ctx;
        uint32_t parent = outer_folder(s, folder->parent);
        struct tar_folder *f = find_folder(s, folder->name, parent);
        uint32_t *grown = reallocarray(s->folders, s->folder_count + 1, sizeof *grown);
        int rc = 0;

        if (!grown)
                return -ENOMEM;
        s->folders = grown;
        if (!f)
                rc = add_folder(s, folder->name, parent, &f);
        if (rc < 0)
                return rc;
        f->image = s->all->count;
        grown[s->folder_count++] = (uint32_t)(f - s->all->folders) + 1;
        return 0;
}

static int image_disk(void *ctx, const struct archive_disk *disk)
{
        struct inner *s = ctx;
        struct archive_disk moved = *disk;
        int rc;

        moved.folder = outer_folder(s, disk->folder);
        rc = s->outer->disk(s->outer->ctx, &moved);
        s->image->disk_count += rc == 0;
        return rc;
}

/* An image's bitmaps: they would be of several disks under one name. */
static int image_file(void *ctx, const struct archive_file *file)
{
        (void)ctx;
        (void)file;
        return 0;
}

/* ---- while it is scanned ---- */

static int image_extents(void *ctx, uint32_t disk, const struct extent *extents, size_t n,
                         uint64_t origin)
{
        const struct inner *s = ctx;
        struct extent batch[BATCH];
        int rc = 0;

        for (size_t i = 0; i < n && rc == 0;) {
                size_t k = 0;

                for (; k < BATCH && i < n; k++, i++) {
                        batch[k] = extents[i];
                        if (batch[k].addr != EXTENT_ZERO && batch[k].addr != EXTENT_LOST)
                                batch[k].addr += s->image->base;
                }
                rc = s->outer->extents(s->outer->ctx, s->image->first_disk + disk, batch, k,
                                       s->image->member->data + origin);
        }
        return rc;
}

static int image_size(void *ctx, uint32_t disk, uint64_t size)
{
        const struct inner *s = ctx;

        return s->outer->size(s->outer->ctx, s->image->first_disk + disk, size);
}

static int image_incomplete(void *ctx, uint32_t disk)
{
        const struct inner *s = ctx;

        return s->outer->incomplete(s->outer->ctx, s->image->first_disk + disk);
}

static int image_damage(void *ctx, const struct damage *damage)
{
        const struct inner *s = ctx;
        struct damage moved = *damage;

        moved.offset += s->image->member->data;
        if (moved.disk != DISK_NONE)
                moved.disk += s->image->first_disk;
        return s->outer->damage(s->outer->ctx, &moved);
}

static int image_progress(void *ctx, uint64_t done)
{
        const struct inner *s = ctx;

        return s->outer->progress(s->outer->ctx, s->image->member->data + done);
}

static struct archive_sink inner_sink(struct inner *ctx)
{
        return (struct archive_sink){
            .ctx = ctx,
            .folder = image_folder,
            .disk = image_disk,
            .file = image_file,
            .extents = image_extents,
            .size = image_size,
            .incomplete = image_incomplete,
            .damage = image_damage,
            .progress = image_progress,
        };
}

/* ---- opening ---- */

/* The format of the LEN bytes at M's beginning, or NULL. */
static const struct archive_ops *find_format(struct source *source, const struct tar_member *m,
                                             uint64_t len)
{
        unsigned char head[TAR_BLOCK];
        ssize_t n = 0;

        if (!m->sparse && len)
                n = source_pread(source, head, (size_t)min_u64(len, sizeof head), m->data);
        for (size_t i = 0; n > 0 && i < sizeof formats / sizeof *formats; i++)
                if (formats[i]->probe(head, (size_t)n))
                        return formats[i];
        return NULL;
}

static void cleanup_image_fn(struct tar_image **image)
{
        tar_image_close(*image);
}

/* Half of what is left: a machine has a few disks, and 64 must not have more than there is. */
static size_t take_share(struct tar_images *all)
{
        size_t share = all->cache_bytes / 2;

        all->cache_bytes -= share;
        return (size_t)max_u64(share, CACHE_MIN);
}

int tar_image_open(struct tar_images *all, struct source *source, const struct tar_member *m,
                   uint64_t len, uint32_t first_disk, const struct archive_sink *sink,
                   struct tar_image **out, struct error *why, struct error *err)
{
        __attribute__((cleanup(cleanup_image_fn))) struct tar_image *image = NULL;
        const struct archive_ops *format = find_format(source, m, len);
        const char *slash = strrchr(m->name, '/');
        struct archive_origin origin = {.name = slash ? slash + 1 : m->name, .mtime = m->mtime};
        struct inner ctx = {.all = all, .outer = sink};
        struct archive_sink inner = inner_sink(&ctx);
        int rc;

        if (!format)
                return 0;
        if (++all->count > TAR_IMAGES_MAX) {
                error_fill(why, E2BIG, "is not looked into: vmafs shows the disks of %d images",
                           TAR_IMAGES_MAX);
                return 0;
        }
        origin.cache_bytes = take_share(all);
        image = calloc(1, sizeof *image);
        if (!image || source_open_slice(source, m->data, len, &image->slice) < 0)
                return error_set(err, ENOMEM, "out of memory");
        image->member = m;
        image->first_disk = first_disk;
        ctx.image = image;
        rc = format->open(image->slice, &origin, &inner, &image->archive, why);
        free(ctx.folders);
        if (rc < 0 && (image->disk_count || rc == -ENOMEM))
                return error_set(err, -rc, "%s", why->text[0] ? why->text : strerror(-rc));
        if (rc < 0)
                return 0;
        *out = steal_ptr(&image);
        return 1;
}

void tar_image_close(struct tar_image *image)
{
        if (!image)
                return;
        archive_close(image->archive);
        source_close(image->slice);
        free(image);
}

void tar_images_fini(struct tar_images *all)
{
        for (uint32_t i = 0; i < all->folder_count; i++)
                free(all->folders[i].name);
        free(all->folders);
}

int tar_image_scan(struct tar_image *image, const struct archive_sink *sink, struct error *err)
{
        struct inner ctx = {.image = image, .outer = sink};
        struct archive_sink inner = inner_sink(&ctx);

        return image->archive->ops->scan(image->archive, &inner, err);
}

/* ---- reading ---- */

static struct extent move_inside(const struct tar_image *image, const struct extent *e)
{
        return (struct extent){e->start, e->len, e->addr - image->base};
}

int tar_image_read(struct tar_image *image, const struct extent *extent, uint64_t skip, void *buf,
                   size_t len)
{
        struct extent e = move_inside(image, extent);

        return image->archive->ops->read(image->archive, &e, skip, buf, len);
}

bool tar_image_locate(struct tar_image *image, const struct extent *extent, uint64_t *offset)
{
        struct extent e = move_inside(image, extent);

        if (!image->archive->ops->locate ||
            !image->archive->ops->locate(image->archive, &e, offset))
                return false;
        *offset += image->member->data;
        return true;
}

int tar_image_detail(struct tar_image *image, uint32_t disk, uint64_t start, uint64_t len,
                     struct archive_detail *out)
{
        int rc = -ENOTSUP;

        if (image->archive->ops->detail)
                rc = image->archive->ops->detail(image->archive, disk - image->first_disk, start,
                                                 len, out);
        if (rc == 0 && out->has_offset)
                out->offset += image->member->data;
        return rc;
}
