/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMDK, VMware's disk images. What its three files share; nobody else includes this.
 *
 *   vmdk.c              open, read
 *   vmdk_header.c       the sparse header, and the descriptor, which is text
 *   vmdk_scan.c         grain directory and tables, or the markers
 *
 * A disk is one part, or several that follow one another; each is a file (of) its own:
 *
 *   disk  |  part 0  |  part 1  | ...       each flat, sparse, or zeros
 *
 *   sparse part   header | descriptor | grain directory | grain tables | grains
 *   with markers  header | descriptor | marker grain | ... | marker table | ... | footer
 *
 * A grain is usually 64 KiB of the disk. An address is base + offset in the file; in a compressed
 * part base + sector * grain size, so that each byte of a decoded grain has one, and no two grains
 * share any, as each takes a sector at least.
 */
#ifndef VMAFS_VMDK_H
#define VMAFS_VMDK_H

#include "archive/format.h"

struct blockcache;

enum {
        VMDK_SECTOR = 512,
        VMDK_GRAIN_MIN = 4096,
        VMDK_GRAIN_MAX = 1 << 20,
        VMDK_TABLE_MAX = 512, /* entries of a grain table */
        VMDK_MARKER = 12,     /* bytes in front of a compressed grain */
        VMDK_PARTS_MAX = 1000,
};

#define VMDK_SIZE_MAX (UINT64_C(1) << 50) /* bytes of a disk */
#define VMDK_AT_END   UINT64_MAX          /* a directory that the footer names */

/* Everything in bytes, but for table. */
struct vmdk_header {
        uint64_t capacity;
        uint32_t grain;
        uint32_t table;    /* entries of a grain table */
        uint64_t gd, rgd;  /* directories: 0 where there is none, VMDK_AT_END */
        uint64_t overhead; /* of what is in front of the grains */
        uint64_t descriptor, descriptor_len;
        bool compressed, markers;
        bool zeroed; /* a table's entry 1 is a grain of zeros */
};

enum vmdk_kind { VMDK_SPARSE, VMDK_FLAT, VMDK_ZERO };

struct vmdk_part {
        enum vmdk_kind kind;
        uint64_t start, len; /* of the disk, bytes */
        uint64_t base, span; /* addresses [base, base + span) */
        struct source *source;
        struct source *owned; /* source, where it is not the archive's; or NULL */
        uint64_t offset;      /* flat: its first byte in source */
        struct vmdk_header h; /* sparse */
};

struct vmdk {
        struct archive base;
        uint64_t size;
        struct vmdk_part *parts;
        size_t count;
        size_t cache_bytes;       /* its bound */
        struct blockcache *cache; /* decoded grains, by address; NULL where nothing is compressed */
};

/* One line of a descriptor that names a part. */
struct vmdk_extent {
        enum vmdk_kind kind;
        uint64_t sectors;
        uint64_t offset; /* flat: sectors */
        char *file;      /* NULL for zeros */
};

struct vmdk_descriptor {
        char parent[16];  /* its CID; "" where the descriptor has none */
        char type[64];    /* createType */
        char uuid[37];    /* "" where the descriptor has none */
        char hint[200];   /* the parent's file name */
        char unknown[32]; /* the first type of extent that is not known; "" where all are */
        struct vmdk_extent *extents;
        size_t count;
};

/*
 * The first sector of a sparse file. -EIO with the byte in ERR where it is damaged, -ENOTSUP where
 * it is of a kind that vmafs does not read.
 */
int vmdk_parse_header(const unsigned char sector[VMDK_SECTOR], struct vmdk_header *h,
                      struct error *err);

/*
 * TEXT has LEN bytes and a NUL behind them. vmdk_descriptor_fini in any case. -ENOMEM, -E2BIG,
 * -EIO.
 */
int vmdk_parse_descriptor(const char *text, size_t len, struct vmdk_descriptor *d,
                          struct error *err);
void vmdk_descriptor_fini(struct vmdk_descriptor *d);

/* As archive_ops.scan. */
int vmdk_scan(struct archive *a, const struct archive_sink *sink, struct error *err);

#endif
