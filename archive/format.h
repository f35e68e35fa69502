/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A container format: what vmafs needs to know of one, and the array of those it knows.
 *
 * A reader tells what it finds to a sink, and knows nothing of who listens. open() parses the
 * header and emits every disk and file; scan() goes through the whole archive once and emits
 * where each disk's bytes are; read() turns such an address back into bytes.
 */
#ifndef VMAFS_ARCHIVE_H
#define VMAFS_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "archive/extent.h"

struct archive;
struct error;
struct source;

#define DISK_NONE UINT32_MAX

#define FOLDER_ROOT 0 /* number of the tree's root; those that are emitted are 1, 2 … */

struct archive_folder {
        const char *name; /* not yet made safe */
        uint32_t parent;  /* number of the folder that it is in */
};

struct archive_disk {
        const char *name;   /* as the tree is to show it, not yet made safe */
        uint32_t folder;    /* number of the folder that it is in */
        const char *device; /* the archive's own name for it */
        uint64_t size;      /* bytes */
        bool late_size;     /* size is a guess until the scan's end */
        bool sparse;        /* what no extent covers reads as zeros; otherwise it is lost */
};

struct archive_file {
        const char *name; /* not yet made safe */
        uint32_t folder;  /* number of the folder that it is in */
        const void *data;
        size_t len;
};

/* One thing that is wrong with the archive. */
struct damage {
        uint64_t offset; /* byte of the archive's stream that is the cause */
        uint32_t disk;   /* number of the disk that lost something, DISK_NONE where unknown */
        uint64_t start;  /* what it lost: a guest range, len 0 where unknown */
        uint64_t len;
        const char *text; /* a sentence without a full stop, valid during the call */
};

/*
 * Who listens. Each returns 0, or -errno to end the call it came from with that value. Nothing
 * that is passed may be kept. Disks and files are numbered from 0 in the order they are emitted.
 */
struct archive_sink {
        void *ctx;
        int (*folder)(void *ctx, const struct archive_folder *folder); /* before what is in it */
        int (*disk)(void *ctx, const struct archive_disk *disk);
        int (*file)(void *ctx, const struct archive_file *file);

        /*
         * N extents of one disk, each a multiple of 4 KiB but at the disk's end; origin is the
         * byte of the archive's stream that says so. Addresses increase with the guest offset
         * within an extent, byte for byte.
         */
        int (*extents)(void *ctx, uint32_t disk, const struct extent *extents, size_t n,
                       uint64_t origin);

        /*
         * The bytes from START to END of the archive's stream cannot be read, or not be believed:
         * what extents, emitted before or after, say is there is lost. They come in order, but one
         * may begin in front of the end of those before it.
         */
        int (*gone)(void *ctx, uint64_t start, uint64_t end);

        int (*size)(void *ctx, uint32_t disk, uint64_t size); /* settles a late size */

        /* Not all of a sparse disk could be looked at: what no extent covers is lost after all. */
        int (*incomplete)(void *ctx, uint32_t disk);

        int (*damage)(void *ctx, const struct damage *damage);

        /* The scan has come to byte DONE of the archive's stream. */
        int (*progress)(void *ctx, uint64_t done);
};

/* Which other files an archive may read that it names. */
enum archive_backing {
        ARCHIVE_BACKING_NONE, /* none */
        ARCHIVE_BACKING_DIR,  /* those below its own folder */
        ARCHIVE_BACKING_ANY,
};

/* What is known of an archive besides its bytes, for formats that do not say it themselves. */
struct archive_origin {
        const char *name; /* its file's, without folders */
        const char *dir;  /* the folder of that; NULL where it is not a file of its own */
        enum archive_backing backing; /* what may be done about backing files */
        size_t cache_bytes; /* what decoded data may take in memory; what is in use comes on top */
        int64_t mtime;      /* when it was last written, seconds since 1970; 0 where unknown */
};

struct archive_info {
        char uuid[37]; /* "" where the format has none */
        int64_t ctime; /* when the backup was made, seconds since 1970 */
        char note[96]; /* what else a person should know: a sentence, or "" */
};

/* A range of a disk as the format has it, in the words of qemu-img map. */
struct archive_detail {
        uint64_t len;
        unsigned depth;  /* 0: the archive itself has it, 1: its backing file … */
        bool present;    /* it is allocated there */
        bool zero;       /* it reads as zeros */
        bool has_offset; /* it lies in the archive as it is … */
        uint64_t offset; /* … from this byte on */
};

struct archive_ops {
        const char *name; /* "vma" */

        /* Does an archive that starts with these LEN bytes (up to 512) have this format? */
        bool (*probe)(const void *head, size_t len);

        /*
         * Parse the header of SOURCE, which stays the caller's; ORIGIN is not kept. Fails with
         * -EIO or -ENOTSUP and the byte in ERR where the header cannot be believed.
         */
        int (*open)(struct source *source, const struct archive_origin *origin,
                    const struct archive_sink *sink, struct archive **out, struct error *err);

        /*
         * Emit every extent. Damage is emitted, not returned: fails only with what a sink
         * returned, or -ENOMEM. Once, by one thread.
         */
        int (*scan)(struct archive *a, const struct archive_sink *sink, struct error *err);

        /*
         * Read LEN bytes from SKIP bytes into EXTENT, which is (part of) an emitted one with a
         * real address; both its start and its address may be used. 0 or -errno: -EIO where the
         * bytes cannot be had. Thread-safe.
         */
        int (*read)(struct archive *a, const struct extent *extent, uint64_t skip, void *buf,
                    size_t len);

        /*
         * The byte of the stream from which EXTENT, as for read, is stored as it is. False: it is
         * not stored so. NULL: an address is that byte, unless addr_end is set.
         */
        bool (*locate)(struct archive *a, const struct extent *extent, uint64_t *offset);

        /*
         * What [START, START + LEN) of disk number DISK, LEN not 0, begins with, after the scan.
         * 0 or -errno. NULL, or -ENOTSUP: no more is known than what was emitted, and locate.
         */
        int (*detail)(struct archive *a, uint32_t disk, uint64_t start, uint64_t len,
                      struct archive_detail *out);

        void (*close)(struct archive *a);
};

/* What every reader's own struct starts with. */
struct archive {
        const struct archive_ops *ops;
        struct source *source;
        struct archive_info info;
        uint64_t addr_end; /* addresses lie below; 0: they are bytes of the stream */
        /* It is of a kind that is also written to, in place: an index of what it was does harm. */
        bool in_place;
        bool many_files; /* the disks are in other files besides: an index is of one alone */
};

extern const struct archive_ops vma_archive, vmdk_archive, tar_archive, qcow2_archive, qed_archive;

/*
 * Find the format of SOURCE by its first bytes and open it. SOURCE stays the caller's and
 * outlives the archive. -EMEDIUMTYPE where no format knows it.
 */
int archive_open(struct source *source, const struct archive_origin *origin,
                 const struct archive_sink *sink, struct archive **out, struct error *err);

/*
 * "disk-STEM.raw" for the one disk of an image file that is called NAME: without what says that it
 * is compressed, and without what says its format. A new string, or NULL (out of memory).
 */
char *archive_disk_name(const char *name);

/*
 * Open the file NAME, which an archive has named, in the archive's own folder. Sets *OUT, which the
 * caller closes. An archive can name any file: -EPERM for one elsewhere, -ELOOP for a link, and
 * as source_open_file.
 */
int archive_open_beside(const struct archive_origin *origin, const char *name, struct source **out,
                        struct error *err);

/* NULL is allowed. */
void archive_close(struct archive *a);

#endif
