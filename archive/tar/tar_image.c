/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/tar/tar_image.h"

#include <errno.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/probe.h"
#include "archive/source/source.h"
#include "archive/tar/tar_file.h"
#include "archive/tar/tar_packed.h"

static bool is_sparse(const struct tar_file *f)
{
        const struct tar_member *m = tar_file_unusual(f);

        return m && m->sparse;
}

/* The byte of the tar's stream that holds byte OFFSET of IMAGE, or the first one of its file. */
static uint64_t in_stream(const struct tar_image *image, uint64_t offset)
{
        const struct tar_file *f = image->file;
        uint64_t at = f->volume.anchor;

        if (image->packed)
                return tar_packed_locate(image->packed, offset);
        if (!is_sparse(f))
                return at + offset;
        tar_locate_run(&f->unusual->member, offset, &at);
        return at;
}

/* The sink of an image: translates the image's numbers into the tar's for the sink of the tar. */
struct inner {
        struct tar_image *image;
        struct tar_images *all;
        const struct archive_sink *outer;
        ARRAY(uint32_t) folders; /* the tar's id of each of the image's, whose ids are 1, 2 … */
};

/* ---- while it is opened ---- */

static uint32_t outer_folder(const struct inner *s, uint64_t id)
{
        return id && id <= s->folders.count ? s->folders.items[id - 1] : (uint32_t)ENTRY_ROOT;
}

/*
 * Find a folder of the tar for one of an image. A machine's snapshot has the same name on all of
 * its disks, and they share one folder; but two folders of one image with one name stay two.
 */
static struct tar_folder *find_folder(const struct inner *s, const char *name, uint32_t parent)
{
        for (size_t i = 0; i < s->all->folders.count; i++) {
                struct tar_folder *f = &s->all->folders.items[i];

                if (f->parent == parent && f->image != s->all->count && strcmp(f->name, name) == 0)
                        return f;
        }
        return NULL;
}

static int add_folder(struct inner *s, const char *name, uint32_t parent, struct tar_folder **out)
{
        struct tar_images *all = s->all;
        const struct entry emitted = {
            .id = all->folders.count + 1, .parent = parent, .name = name, .mode = S_IFDIR};
        cleanup_free char *copy = strdup(name);
        int rc = copy ? array_reserve(&all->folders, 1) : -ENOMEM;

        if (rc == 0)
                rc = s->outer->entry(s->outer->ctx, &emitted);
        if (rc < 0)
                return rc;
        array_add(&all->folders, ((struct tar_folder){.name = steal_ptr(&copy), .parent = parent}));
        *out = array_last(&all->folders);
        return 0;
}

static int image_folder(struct inner *s, const struct entry *folder)
{
        uint32_t parent = outer_folder(s, folder->parent);
        struct tar_folder *f = find_folder(s, folder->name, parent);
        int rc = f ? 0 : add_folder(s, folder->name, parent, &f);

        if (rc < 0)
                return rc;
        f->image = s->all->count;
        return array_add(&s->folders, (uint32_t)(f - s->all->folders.items) + 1);
}

static int image_disk(struct inner *s, const struct entry *disk)
{
        struct entry moved = *disk;
        int rc;

        moved.parent = outer_folder(s, disk->parent);
        rc = s->outer->entry(s->outer->ctx, &moved);
        s->image->disk_count += rc == 0;
        return rc;
}

/* Bitmaps are not shown: those of several disks would have the same name. */
static int image_entry(void *ctx, const struct entry *e)
{
        if (S_ISDIR(e->mode))
                return image_folder(ctx, e);
        return e->disk ? image_disk(ctx, e) : 0;
}

/* ---- while it is scanned ---- */

static int image_extents(void *ctx, uint32_t disk, const struct extent *extents, size_t n,
                         uint64_t origin)
{
        const struct inner *s = ctx;

        return s->outer->extents(s->outer->ctx, s->image->first_disk + disk, extents, n,
                                 in_stream(s->image, origin));
}

static int image_size(void *ctx, uint32_t disk, uint64_t size)
{
        const struct inner *s = ctx;

        return s->outer->size(s->outer->ctx, s->image->first_disk + disk, size);
}

static int image_totals(void *ctx, uint32_t disk, uint64_t stored, uint64_t lost)
{
        const struct inner *s = ctx;

        return s->outer->totals(s->outer->ctx, s->image->first_disk + disk, stored, lost);
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

        moved.offset = in_stream(s->image, moved.offset);
        if (moved.disk != DISK_NONE)
                moved.disk += s->image->first_disk;
        return s->outer->damage(s->outer->ctx, &moved);
}

static int image_progress(void *ctx, uint64_t done)
{
        const struct inner *s = ctx;

        return s->outer->progress(s->outer->ctx, in_stream(s->image, done));
}

static struct archive_sink inner_sink(struct inner *ctx)
{
        return (struct archive_sink){
            .ctx = ctx,
            .thorough = ctx->outer->thorough,
            .entry = image_entry,
            .extents = image_extents,
            .size = image_size,
            .totals = image_totals,
            .incomplete = image_incomplete,
            .damage = image_damage,
            .progress = image_progress,
        };
}

/* ---- opening ---- */

/* The format of MEMBER. NULL: it is no image, or it cannot be read. */
static const struct format *find_format(struct source *member)
{
        const struct format *format = NULL;
        struct probe p;

        if (probe_init(&p, member, NULL) == 0)
                format = format_find(&p, true);
        probe_fini(&p);
        return format;
}

static void cleanup_image_fn(struct tar_image **image)
{
        tar_image_close(*image);
}

int tar_image_open(struct tar_images *all, struct tar_file *f, struct tar_packed *take_packed,
                   const char *name, uint32_t first_disk, const struct archive_sink *sink,
                   struct tar_image **out, struct error *why, struct error *err)
{
        __attribute__((cleanup(cleanup_image_fn))) struct tar_image *image =
            calloc(1, sizeof *image);
        const struct format *format;
        struct archive_origin origin = {
            .name = name, .siblings = all->siblings, .shared = all->shared, .mtime = all->mtime};
        struct inner ctx = {.all = all, .outer = sink};
        struct archive_sink inner = inner_sink(&ctx);
        int rc;

        if (!image) {
                tar_packed_close(take_packed);
                return error_set(err, ENOMEM, "out of memory");
        }
        image->packed = take_packed;
        if (take_packed)
                image->source = take_packed->source;
        else if (tar_file_open(f, all->end, &image->source) < 0)
                return error_set(err, ENOMEM, "out of memory");
        format = find_format(image->source);
        if (!format)
                return 0;
        if (all->opened == TAR_IMAGES_MAX || all->count == TAR_TRIES_MAX) {
                error_fill(why, E2BIG, "is not looked into: vmafs shows the disks of %d images",
                           TAR_IMAGES_MAX);
                return 0;
        }
        all->count++;
        image->file = f;
        image->first_disk = first_disk;
        ctx.image = image;
        rc = format->open(image->source, &origin, &inner, &image->archive, why);
        array_free(&ctx.folders);
        if (rc < 0 && (image->disk_count || rc == -ENOMEM))
                return error_set(err, -rc, "%s", why->text[0] ? why->text : strerror(-rc));
        if (rc < 0)
                return 0;
        all->opened++;
        *out = steal_ptr(&image);
        return 1;
}

void tar_image_close(struct tar_image *image)
{
        if (!image)
                return;
        archive_close(image->archive);
        if (image->packed)
                tar_packed_close(image->packed);
        else
                source_close(image->source);
        free(image);
}

void tar_images_fini(struct tar_images *all)
{
        for (size_t i = 0; i < all->folders.count; i++)
                free(all->folders.items[i].name);
        array_free(&all->folders);
}

bool tar_image_is_known(const struct tar_image *image)
{
        return image->packed && image->packed->entered && image->alone;
}

int tar_image_scan(struct tar_image *image, const struct archive_sink *sink, struct error *err)
{
        struct inner ctx = {.image = image, .outer = sink};
        struct archive_sink inner = inner_sink(&ctx);
        int rc;

        if (image->packed)
                tar_packed_begin(image->packed);
        rc = image->archive->ops->scan(image->archive, &inner, err);
        if (rc == 0 && image->packed)
                rc = tar_packed_finish(image->packed, sink->progress, sink->ctx, err);
        return rc;
}

void tar_image_skip_scan(struct tar_image *image)
{
        if (image->archive->ops->skip_scan)
                image->archive->ops->skip_scan(image->archive);
}
