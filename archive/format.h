/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interface of a container format, and the list of all formats.
 *
 * A reader reports what it finds to a sink. open() parses the header and emits every entry; scan()
 * goes through the whole archive once and emits where each disk's bytes are; read() turns such an
 * address back into bytes.
 */
#ifndef VMAFS_FORMAT_H
#define VMAFS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "archive/extent.h"
#include "archive/source/neighbours.h"

struct archive;
struct entry;
struct error;
struct member;
struct probe;
struct restart_table;
struct shared;
struct source;
struct volume;

#define DISK_NONE UINT32_MAX

/* One fault of the archive. */
struct damage {
        uint64_t offset; /* byte of the archive's stream that is the cause */
        uint32_t disk;   /* number of the disk that lost something, DISK_NONE where unknown */
        uint64_t start;  /* what it lost: a guest range, len 0 where unknown */
        uint64_t len;
        bool doubt;       /* nothing is known to be lost, and nothing proves that all is there */
        bool hides;       /* members may be missing by it of which nothing else tells */
        const char *text; /* a sentence without a full stop, valid during the call */
};

/*
 * The receiver. Each function returns 0, or -errno, with which the caller ends. Arguments are valid
 * only during the call. Disks are numbered from 0 in the order in which they are emitted.
 */
struct archive_sink {
        void *ctx;
        int (*entry)(void *ctx, const struct entry *entry); /* a folder, a disk, a file … */

        /*
         * N extents of one disk, each a multiple of 4 KiB but at the disk's end; origin is the
         * byte of the archive's stream that says so, as an address is the one where an extent
         * begins. What the source has lost or is to lose of them needs
         * no word from a format.
         *
         * Of a disk with a volume only start and len count, and only to those who want the bytes in
         * the stream's order: the volume knows these ranges by now, or never will. Either all of
         * such a disk is told so in its scan, or nothing, and it is gone through afterwards.
         */
        int (*extents)(void *ctx, uint32_t disk, const struct extent *extents, size_t n,
                       uint64_t origin);

        int (*size)(void *ctx, uint32_t disk, uint64_t size); /* settles a provisional size */

        /*
         * For a disk with a volume: bytes of the blocks that are stored and of those that are lost.
         * Where no such word comes before the scan's end, the volume is gone through.
         */
        int (*totals)(void *ctx, uint32_t disk, uint64_t stored, uint64_t lost);

        /* Not all of a sparse disk could be looked at: what no extent covers is lost after all. */
        int (*incomplete)(void *ctx, uint32_t disk);

        int (*damage)(void *ctx, const struct damage *damage);

        /*
         * Whoever scans reads all bytes of all disks: compare them with the checksums that the
         * archive has of them, also where a scan could do without reading them.
         */
        bool thorough;

        /* The scan has come to byte DONE of the archive's stream. */
        int (*progress)(void *ctx, uint64_t done);

        /* The scan of a tree has found a member. -E2BIG: it is one too many. NULL: none is wanted. */
        int (*member)(void *ctx, const struct member *member);
};

/* As what an archive that may be either is shown. */
enum archive_view {
        VIEW_AUTO,   /* what its beginning suggests */
        VIEW_TREE,   /* as a tree of files, with owners and links */
        VIEW_IMAGES, /* flat, with the disks of images beside them */
};

/* Other members of the archive in which one is itself a member. */
struct siblings {
        /*
         * Open the member NAME, as seen from the folder of the one that names it. Sets *OUT, which
         * the caller closes. 0; -EXDEV if the name is not within REACH, or leads out of that
         * folder; -ENOENT: there is none; -EIO: it is damaged; -ENOMEM.
         */
        int (*open)(struct siblings *s, const char *name, enum neighbour_reach reach,
                    struct source **out);
};

/* What an index has, or will have, of an archive's compressed members. */
struct archive_tables {
        void *ctx;
        /*
         * The restart points of the SIZE bytes from byte AT of the archive's stream on, which are
         * compressed with CODEC. The caller frees them. NULL: there are none.
         */
        struct restart_table *(*take)(void *ctx, uint64_t at, uint64_t size, const char *codec);
        bool stored; /* an index will have what the scan finds: each point is proven during it */
};

/* A compressed member whose content is read as a stream of its own. */
struct archive_stream {
        struct source *source; /* the archive's */
        uint64_t at, size;     /* as archive_tables has them */
        bool entered;          /* its restart points come from an index */
        uint32_t first_disk;   /* all that these disks consist of is in it: … */
        uint32_t disk_count;   /* … so many, from number FIRST_DISK on */
};

/* What is known about an archive beyond its bytes, for formats that do not say it themselves. */
struct archive_origin {
        const char *name;                    /* its file's, without folders */
        const struct neighbours *neighbours; /* NULL where it is not a file of its own */
        struct siblings *siblings;           /* NULL where it is no member of another archive */
        struct shared *shared;               /* outlives the archive */
        int64_t mtime;       /* when it was last written, seconds since 1970; 0 where unknown */
        struct source *file; /* the file, which others are watched with (source_watch), or NULL */
        unsigned depth; /* of a chain that is being opened: images that were made on this one */
        enum archive_view view;              /* what is wanted */
        const struct archive_tables *tables; /* NULL where there is no index, and will be none */
};

struct archive_info {
        char uuid[37];  /* "" where the format has none */
        int64_t ctime;  /* when the backup was made, seconds since 1970 */
        char note[256]; /* anything else worth knowing: a sentence, or "" */
};

struct format {
        const char *name; /* "vma" */
        bool is_image;    /* it is also looked for in the members of other archives */

        /* Is it this format? By the head, and if that does not say, by the tail or more. */
        bool (*probe)(struct probe *p);

        /*
         * Parse the header of SOURCE, which stays the caller's; ORIGIN is not kept. Fails with
         * -EIO or -ENOTSUP and the byte in ERR where the header cannot be believed.
         */
        int (*open)(struct source *source, const struct archive_origin *origin,
                    const struct archive_sink *sink, struct archive **out, struct error *err);

        /*
         * Go through all of the archive, and emit the extents of every disk without a volume.
         * Damage is emitted, not returned: fails only with what a sink returned, or -ENOMEM. Once,
         * by one thread.
         */
        int (*scan)(struct archive *a, const struct archive_sink *sink, struct error *err);

        /*
         * There will be no scan: one has found the archive sound before, and its index was kept.
         * Until this or the end of the scan, volumes may answer VOLUME_UNKNOWN. NULL: they do not.
         */
        void (*skip_scan)(struct archive *a);

        /*
         * Compressed member number I in *OUT, in the order of an index. False: there are no more.
         * NULL: there are none.
         */
        bool (*stream)(struct archive *a, size_t i, struct archive_stream *out);

        /*
         * Have the files that A reads changed since they were opened? 0 or as source_check. For
         * what is read without a read of theirs. NULL: there is none but its source.
         */
        int (*check)(struct archive *a);

        void (*close)(struct archive *a);
};

/* What every reader's own struct starts with. */
struct archive {
        const struct format *ops;
        struct source *source;
        struct archive_info info;
        /* It is of a kind that is also written to, in place: an index of what it was does harm. */
        bool mutable_image;
        /* It has checksums of all that its disks store, which were compared. Final after the scan. */
        bool has_sums;
        bool many_files;    /* the disks are in other files, too: an index is of one alone */
        const char *config; /* the guest's configuration as text, where its head has it; or NULL */
        bool is_tree; /* it emits no entry: its scan emits members, and skip_scan is not NULL */
};

/*
 * All formats, in the order in which they are probed; raw comes last, since any bytes may be one. A
 * new format is one more line here.
 */
#define FORMATS(F)                                                                                 \
        F(vma_format)                                                                              \
        F(vmdk_format)                                                                             \
        F(xva_format)                                                                              \
        F(tar_format)                                                                              \
        F(qcow2_format)                                                                            \
        F(qcow_format)                                                                             \
        F(qed_format)                                                                              \
        F(vdi_format)                                                                              \
        F(vhdx_format)                                                                             \
        F(fvd_format)                                                                              \
        F(parallels_format)                                                                        \
        F(vhd_format)                                                                              \
        F(raw_format)

#define DECLARE_FORMAT(ops) extern const struct format ops;
FORMATS(DECLARE_FORMAT)
#undef DECLARE_FORMAT

/* The format of P's source, only among images if IMAGE; NULL: unknown. */
const struct format *format_find(struct probe *p, bool image);

/* The format of images that is called NAME, here or by QEMU ("vpc"); NULL: unknown. */
const struct format *format_named(const char *name);

/*
 * Find the format of SOURCE and open it. The caller keeps SOURCE, which must outlive the archive.
 * -EMEDIUMTYPE if the format is unknown, with what it seems to be in ERR.
 */
int archive_open(struct source *source, const struct archive_origin *origin,
                 const struct archive_sink *sink, struct archive **out, struct error *err);

/*
 * The name "disk-STEM.raw" for the single disk of an image file named NAME. STEM is NAME without
 * its suffixes for compression and format. A new string, or NULL if out of memory.
 */
char *archive_disk_name(const char *name);

/*
 * Open the file NAME, of which the archive of ORIGIN says what SAYS is ("names the file"), where it
 * is within REACH of the archive. Sets *OUT, which the caller closes. An archive can name any file:
 * -EPERM for one that is farther away, or where none is opened, -ELOOP for a link beside the
 * archive, and as source_open_file; with a sentence that begins with SAYS in ERR. An archive in
 * another one names its members, and nothing else: -EPERM where there is no such member.
 */
int archive_open_named(const struct archive_origin *origin, const char *says, const char *name,
                       enum neighbour_reach reach, struct source **out, struct error *err);

/* NULL is allowed. */
void archive_close(struct archive *a);

#endif
