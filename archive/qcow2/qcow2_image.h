/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the qcow2 reader share; nobody else includes this. The specification is
 * docs/interop/qcow2.txt of QEMU.
 *
 *   qcow2.c           the format: what it emits, its scan and its reads
 *   qcow2_header.c    header and its extensions
 *   qcow2_snapshot.c  the table of internal snapshots
 *   qcow2_bitmap.c    persistent bitmaps
 *   qcow2_chain.c     backing files
 *   qcow2_scan.c      which parts of the disks are data
 *   qcow2_map.c       from a byte of a disk to where it is, through L1 and L2 tables
 *   qcow2_cluster.c   compressed clusters
 *   qed_header.c             QED: another header, and little-endian tables without reference counts
 *
 * Big-endian. Every disk has a table of its own: the image's, or a snapshot's.
 *
 *   L1 table ──> L2 table, one cluster ──> cluster, or compressed bytes, or "zeros", or nothing
 */
#ifndef VMAFS_QCOW2_H
#define VMAFS_QCOW2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/format.h"

struct block;
struct blockcache;
struct qcow2_decoders;

enum {
        QCOW2_CLUSTER_BITS_MIN = 9,
        QCOW2_CLUSTER_BITS_MAX = 21,
        QCOW2_SUBCLUSTERS = 32,
        QCOW2_LAYERS_MAX = 16, /* of a chain of backing files, with the image itself */
        QCOW2_L1_BYTES_MAX = 32 * 1024 * 1024, /* QEMU refuses more, too */
        QCOW2_NAME_MAX = 1023,

        /* A key of the caches is the image's number, and an offset of its file. */
        QCOW2_KEY_OFFSET_BITS = 47,
        QCOW2_KEY_IMAGE_BIT = 60,
};

/* What lies behind this in a file is not read. */
#define QCOW2_FILE_MAX (UINT64_C(1) << QCOW2_KEY_OFFSET_BITS)
/* The largest disk: the map has 48 bits of address, some of which tell the disks apart. */
#define QCOW2_DISK_MAX (UINT64_C(1) << 47)

enum qcow2_compression { QCOW2_DEFLATE = 0, QCOW2_ZSTD = 1 };

/* A range of the file. */
struct qcow2_range {
        uint64_t offset, len;
};

/* One image file: what its header says, checked. */
struct qcow2_image {
        struct source *source;
        uint64_t file_size; /* bytes; settled before anything is looked up */
        unsigned number; /* in its chain, below 16: tells its blocks in the caches from others' */
        unsigned version;
        unsigned cluster_bits;
        bool is_qed;
        uint64_t table_len;  /* bytes of an L2 table */
        uint64_t header_len; /* QED: bytes in which nothing else may be */
        uint64_t size;       /* of the disk, bytes */
        uint64_t l1_offset;
        uint32_t l1_entries;
        bool extended_l2;
        bool dirty, corrupt;
        enum qcow2_compression compression;
        uint32_t snapshot_count;
        uint64_t snapshots_offset;
        uint32_t bitmap_count;
        struct qcow2_range bitmaps;       /* their directory */
        bool bitmaps_valid;               /* no program that does not know of them has written */
        char backing[QCOW2_NAME_MAX + 1]; /* "": none */
        char backing_format[64];          /* "": not said */

        struct blockcache *tables;       /* pieces of L1 and L2 tables; the reader's */
        struct blockcache *clusters;     /* decompressed; the reader's */
        struct qcow2_decoders *decoders; /* likewise */
};

/* The table of one disk in an image. */
struct qcow2_table {
        uint64_t l1_offset;
        uint32_t l1_entries;
        uint64_t base; /* byte of the table at which the disk starts */
        uint64_t size; /* of the disk, bytes */
};

enum qcow2_kind {
        QCOW2_UNALLOCATED, /* zeros, or the backing file's */
        QCOW2_ZERO,
        QCOW2_DATA,
        QCOW2_COMPRESSED,
        QCOW2_BAD, /* what the table says cannot be */
};

/* A range of a disk that is alike. */
struct qcow2_piece {
        enum qcow2_kind kind;
        uint64_t len;
        uint64_t offset; /* of the file, of its first byte; 0: it has no place there */
        uint64_t entry;  /* QCOW2_COMPRESSED: the cluster's entry in the L2 table … */
        uint64_t skip;   /* … and where in the cluster the piece starts */
        unsigned depth;  /* in the chain: 0 is the image itself, 1 its backing file … */
        const char *why; /* QCOW2_BAD */
        uint64_t where;  /* QCOW2_BAD: byte of the file that says so */
};

/* The piece of a table that was used last, so that the next look at it is quick. */
struct qcow2_held {
        uint64_t key;
        struct block *block; /* NULL: none is held */
};

struct qcow2_cursor {
        struct qcow2_held l1, l2;
};

/* What a piece may comprise. */
enum qcow2_alike {
        QCOW2_ALIKE_PLACE, /* what lies together in the file */
        QCOW2_ALIKE_KIND, /* what is of one kind: offset and entry are those of its first cluster */
};

/* One look, or a row of them, at all of a chain; zeroed before the first. */
struct qcow2_look {
        struct qcow2_cursor at[QCOW2_LAYERS_MAX];
};

/* ---- qcow2_header.c ---- */

/* Parse the header of IMAGE's source. 0, or -EIO, -ENOTSUP with the reason in ERR, -ENOMEM. */
int qcow2_read_header(struct qcow2_image *image, struct error *err);

/* The same of a QED image, which has IMAGE->is_qed set (qed_header.c). */
int qed_read_header(struct qcow2_image *image, struct error *err);

/* ---- qcow2_map.c ---- */

/*
 * What [POS, POS + LEN) of the disk of TABLE starts with, which is below the disk's size. CURSOR is
 * zeroed before the first call, and released in the end. 0 or -errno: -ENOMEM, -ESTALE …; where a
 * table cannot be read the piece is QCOW2_BAD.
 */
int qcow2_find(const struct qcow2_image *image, const struct qcow2_table *table, uint64_t pos,
               uint64_t len, enum qcow2_alike alike, struct qcow2_cursor *cursor,
               struct qcow2_piece *out);
void qcow2_release(const struct qcow2_image *image, struct qcow2_cursor *cursor);

/* Bytes of a disk that one entry of an L1 table stands for. */
uint64_t qcow2_l2_span(const struct qcow2_image *image);

/* ---- qcow2_cluster.c ---- */

/* What decoding takes, for all images of a chain. -ENOMEM. */
int qcow2_decoders_new(struct qcow2_decoders **out);
void qcow2_decoders_free(struct qcow2_decoders *d); /* NULL is allowed */

/*
 * Copy LEN bytes from SKIP into the compressed cluster that ENTRY of an L2 table says. 0, -EIO,
 * -ENOMEM, and as source_pread. Thread-safe.
 */
int qcow2_read_compressed(const struct qcow2_image *image, uint64_t entry, uint64_t skip, void *buf,
                          size_t len);

/* The bytes in the file of the compressed cluster that ENTRY says; the last few may not be its. */
struct qcow2_range qcow2_compressed_range(const struct qcow2_image *image, uint64_t entry);

#endif
