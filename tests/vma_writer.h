/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes VMA archives for tests: right ones, byte for byte as the genuine tool writes them, and
 * ones that are wrong in exactly one way.
 *
 *   vma_writer_open ─> config, device … ─> header ─> cluster, cluster … ─> close
 *                                                    └ flush, damage, raw at will ┘
 *
 *   file    | header, blobs | VMAE 512 | block_count * 4096 | VMAE 512 | …
 *
 * An extent is open from the first slot that is put into it until it is flushed; that happens
 * by itself when it has as many slots as vma_writer_set_slots allows.
 *
 * Functions return 0 or -errno: -EINVAL for what the format has no room for or for a call out of
 * turn, -ENOMEM, or what pwrite gave.
 */
#ifndef VMAFS_TESTS_VMA_WRITER_H
#define VMAFS_TESTS_VMA_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMA_BLOCK         4096u
#define VMA_CLUSTER       65536u
#define VMA_SLOTS         59u /* that an extent header has room for */
#define VMA_SLOTS_GENUINE 58u /* that the genuine writer fills */
#define VMA_HEADER_SIZE   12288u
#define VMA_EXTENT_HEADER 512u

struct vma_writer;

/* All zero: as the genuine writer does it. */
struct vma_header_options {
        uint32_t version;     /* 0: version 1 */
        uint32_t header_size; /* bytes with blobs and padding; 0: a multiple of 512 */
        bool wrong_md5;
        /*
         * Changes the finished header of SIZE bytes. Called before the MD5 is taken, so that
         * the checksum vouches for what it wrote. May be NULL.
         */
        void (*edit)(void *ctx, uint8_t *header, size_t size);
        void *edit_ctx;
};

/* What can be wrong with an extent header. The MD5 is right unless VMA_WRONG_MD5 is asked for. */
enum vma_damage {
        VMA_WRONG_MAGIC = 1 << 0,
        VMA_WRONG_UUID = 1 << 1,
        VMA_WRONG_MD5 = 1 << 2,
        VMA_WRONG_RESERVED = 1 << 3,   /* the field at byte 4 is not 0 */
        VMA_WRONG_COUNT_MORE = 1 << 4, /* block_count says one more than is stored */
        VMA_WRONG_COUNT_LESS = 1 << 5, /* … one less */
};

/*
 * Start an archive at byte 0 of FD, which is seekable, writable and stays the caller's. CTIME is
 * in seconds since 1970. Sets *OUT, ended by vma_writer_close.
 */
int vma_writer_open(int fd, const uint8_t uuid[16], int64_t ctime, struct vma_writer **out);

/* A configuration file: NAME as a string, LEN bytes of DATA (at most 65535). At most 256. */
int vma_writer_config(struct vma_writer *w, const char *name, const void *data, size_t len);

/* A device: ID names its slot of the table. SIZE is in bytes and goes into the header as it is. */
int vma_writer_device(struct vma_writer *w, uint8_t id, const char *name, uint64_t size);

/*
 * The parts of the two above, for headers with pointers of their own. vma_writer_blob appends LEN
 * bytes (at most 65535) to the blob buffer; *OFFSET is what points at them.
 */
int vma_writer_blob(struct vma_writer *w, const void *data, size_t len, uint32_t *offset);
int vma_writer_config_at(struct vma_writer *w, uint8_t slot, uint32_t name, uint32_t data);
int vma_writer_device_at(struct vma_writer *w, uint8_t id, uint32_t name, uint64_t size);

/* Write the header. OPT may be NULL. Configurations and devices end here, extents begin. */
int vma_writer_header(struct vma_writer *w, const struct vma_header_options *opt);

/* Flush an extent when it has N slots, 1 to VMA_SLOTS. VMA_SLOTS_GENUINE until this is called. */
int vma_writer_set_slots(struct vma_writer *w, unsigned n);

/*
 * Append a cluster's slot. MASK says which 4 KiB blocks of the VMA_CLUSTER bytes of DATA are
 * stored. DATA NULL: they are stored as a hole of the archive file, and so read as zeros.
 */
int vma_writer_cluster(struct vma_writer *w, uint8_t dev, uint32_t cluster, uint16_t mask,
                       const void *data);

/*
 * Append a slot with any word at all, and BLOCKS (at most 16) blocks of DATA for it, or a hole
 * where DATA is NULL. Word 0 with no blocks is an empty slot.
 */
int vma_writer_slot(struct vma_writer *w, uint64_t word, const void *data, unsigned blocks);

/* The extent into which the next slot goes will be wrong in these ways (of enum vma_damage). */
void vma_writer_damage(struct vma_writer *w, unsigned damage);

/* End the open extent. One without slots is written too, as a header alone. */
int vma_writer_flush(struct vma_writer *w);

/* LEN bytes that belong to no extent. Ends the open extent if it has slots. */
int vma_writer_raw(struct vma_writer *w, const void *data, size_t len);

/* Where in the file the next extent begins, in bytes, when the open one has no slots. */
uint64_t vma_writer_offset(const struct vma_writer *w);

/* Extents written so far, which is also the number of the open one, counted from 0. */
uint64_t vma_writer_extents(const struct vma_writer *w);

/*
 * End the open extent if it has slots, give the file its length, free W in any case. NULL is
 * allowed.
 */
int vma_writer_close(struct vma_writer *w);

/* The mask of CLUSTER's (VMA_CLUSTER bytes) blocks that are not all zero. */
uint16_t vma_nonzero_mask(const void *cluster);

/*
 * VMA_CLUSTER bytes that name their place: no block is zero, and no two blocks of any two
 * clusters or devices are alike. A test can tell what it should read without a copy of it.
 */
void vma_pattern(uint8_t dev, uint32_t cluster, void *out);

#endif
