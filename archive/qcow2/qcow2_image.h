/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One image file of the qcow2 family, as its header describes it. The specification is
 * docs/interop/qcow2.txt of QEMU.
 *
 *   qcow2.c           the format: opening an image, and what it consists of
 *   qcow2_header.c    header and its extensions
 *   qcow_header.c     the same of version 1, which has no reference counts
 *   qed_header.c      the same of QED, whose tables are little-endian and without reference counts
 *   qcow2_map.c       from a byte of a disk to where it is, through L1 and L2 tables
 *   qcow2_cluster.c   compressed clusters
 *   qcow2_chain.c     backing files
 *   qcow2_volume.c    the disks, each of which answers from the tables
 *   qcow2_snapshot.c  the table of internal snapshots
 *   qcow2_bitmap.c    persistent bitmaps
 *   qcow2_scan.c      the check of the structure, and how much of each disk is data
 *   qcow2_usage.c     what each cluster of the file is in use for, with
 *   qcow2_planes.c    bits for each of them
 *   qcow2_refcount.c  and their reference counts
 *   qcow2_verdict.c   which of them cannot be trusted
 *
 * Big-endian. Every disk has a table of its own: the image's, or a snapshot's.
 *
 *   L1 table ──> L2 table, one cluster ──> cluster, or compressed bytes, or "zeros", or nothing
 */
#ifndef VMAFS_QCOW2_IMAGE_H
#define VMAFS_QCOW2_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache_owner;
struct qcow2_decoders;
struct qcow2_verdict;
struct source;

enum {
        QCOW2_CLUSTER_BITS_MIN = 9,
        QCOW2_CLUSTER_BITS_MAX = 21,
        QCOW2_SUBCLUSTERS = 32,
        QCOW2_LAYERS_MAX = 16, /* of a chain of backing files, with the image itself */
        QCOW2_L1_BYTES_MAX = 32 * 1024 * 1024, /* QEMU refuses more, too … */
        QCOW_L1_BYTES_MAX = 512 * 1024 * 1024, /* … but not of version 1 */
        QCOW2_NAME_MAX = 1023,

        /* A key of the caches is the image's number, and an offset of its file. */
        QCOW2_KEY_OFFSET_BITS = 47,
        QCOW2_KEY_IMAGE_BIT = 60,
};

/* Nothing past this byte of a file is read. */
#define QCOW2_FILE_MAX (UINT64_C(1) << QCOW2_KEY_OFFSET_BITS)
/* The largest disk that is shown. */
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
        unsigned number;    /* in its chain, below 16: part of its keys in the caches */
        unsigned version;
        unsigned cluster_bits;
        bool is_qed;
        bool is_qcow;        /* version 1 */
        uint64_t table_len;  /* bytes of an L2 table */
        uint64_t header_len; /* QED: bytes of the header, which nothing else may use */
        uint64_t size;       /* of the disk, bytes */
        uint64_t l1_offset;
        uint32_t l1_entries;
        bool extended_l2;
        bool dirty, corrupt;
        enum qcow2_compression compression;
        uint64_t reftable_offset;
        uint32_t reftable_clusters;
        unsigned refcount_order; /* a count has 2^this bits */
        bool more_extensions;    /* unknown extensions, which may name clusters */
        uint32_t snapshot_count;
        uint64_t snapshots_offset;
        uint64_t snapshots_len; /* bytes of their table; 0: unknown, or no snapshots */
        uint32_t bitmap_count;
        struct qcow2_range bitmaps;       /* their directory */
        bool bitmaps_valid;               /* no program that does not maintain them has written */
        char backing[QCOW2_NAME_MAX + 1]; /* "": none */
        char backing_format[64];          /* "": not said */

        struct qcow2_verdict *verdict; /* what cannot be trusted; NULL: all can */
        bool was_sound;                /* in an earlier scan: there is no verdict */

        struct cache_owner *tables;      /* pieces of L1 and L2 tables; the reader's */
        struct cache_owner *clusters;    /* decompressed; the reader's */
        struct qcow2_decoders *decoders; /* likewise */
};

/* Is there a reference count of each cluster? */
static inline bool qcow2_counts(const struct qcow2_image *image)
{
        return !image->is_qed && !image->is_qcow;
}

static inline uint32_t qcow2_l1_bytes_max(const struct qcow2_image *image)
{
        return image->is_qcow ? QCOW_L1_BYTES_MAX : QCOW2_L1_BYTES_MAX;
}

/* The table of one disk in an image. */
struct qcow2_table {
        uint64_t l1_offset;
        uint32_t l1_entries;
        uint64_t base; /* byte of the table at which the disk starts */
        uint64_t size; /* of the disk, bytes */
};

static inline uint64_t qcow2_cluster_size(const struct qcow2_image *image)
{
        return UINT64_C(1) << image->cluster_bits;
}

static inline size_t qcow2_l2_entry_size(const struct qcow2_image *image)
{
        return image->extended_l2 ? 16 : 8;
}

/* Entries of an L2 table. */
static inline uint64_t qcow2_l2_entries(const struct qcow2_image *image)
{
        return image->table_len / qcow2_l2_entry_size(image);
}

/* Bytes of a disk that one entry of an L1 table maps. */
static inline uint64_t qcow2_l2_span(const struct qcow2_image *image)
{
        return qcow2_l2_entries(image) << image->cluster_bits;
}

#endif
