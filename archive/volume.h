/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The content of one disk: where each part of it lies, and reading it. Everything that shows,
 * copies, checks or lists a disk uses only these two calls, which are implemented by:
 *
 *   a format that keeps tables     qcow2, QED, VMDK: the tables, loaded when they are first needed
 *   a member of a tar              the runs in its header
 *   an index                       its map, for a format that says only in its scan where disks lie
 *
 *   volume    |  zero  |     raw      | coded |  lost  |    unknown     |
 *   extent()           where it lies,                    what is not known yet:
 *                      byte for byte                     the reader waits
 *   read()                              decodes it
 *
 * Both are thread-safe. Their answers do not change, except that unknown becomes something else
 * while an archive is scanned.
 */
#ifndef VMAFS_VOLUME_H
#define VMAFS_VOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct source;
struct source_pin;
struct volume;

enum volume_kind {
        VOLUME_ZERO,    /* reads as zeros */
        VOLUME_RAW,     /* stored uncoded, at OFFSET of SOURCE */
        VOLUME_CODED,   /* stored in another form, such as compressed: read() decodes it */
        VOLUME_LOST,    /* the archive should have it and does not: EIO */
        VOLUME_UNKNOWN, /* not known yet */
};

/* A uniform range of a disk. */
struct volume_extent {
        uint64_t len; /* bytes from POS on, not 0 */
        enum volume_kind kind;
        bool allocated; /* the image names it, even if only to say that it is zeros */
        unsigned depth; /* 0: the image itself has it, 1: its backing file … */
        struct source
            *source;     /* where OFFSET counts; the volume's. NULL where there is no offset */
        uint64_t offset; /* RAW: of the first byte; CODED: of the bytes that encode it */
};

struct volume_ops {
        /*
         * What does [POS, POS + LEN) begin with? LEN is not 0, and all of it is below the size.
         * OUT->len is at most LEN, and the longest that is no extra work to know: neighbouring
         * answers may be alike. What is known to be lost is VOLUME_LOST. Which of the bytes that it
         * calls raw SOURCE itself has lost, or not decoded yet, needs no word of it, nor whether
         * what a table says is displaced: see volume_find.
         *
         * 0 or -errno, about OUT->len bytes, or the block of 4 KiB that has POS where that is left
         * alone: -EAGAIN where a table is not decoded yet (as VOLUME_UNKNOWN), -EIO where it cannot
         * be read, -ENOMEM, -ESTALE where the archive was written to.
         */
        int (*extent)(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out);

        /*
         * Read LEN bytes at POS, all inside one CODED extent. 0, or -errno: -EIO where they
         * cannot be decoded. NULL: nothing is coded.
         */
        int (*read)(struct volume *v, void *buf, size_t len, uint64_t pos);

        /*
         * Pin the byte at POS, inside a CODED extent, where it is decoded: as source_pin and
         * source_unpin, with offsets of the volume. Where that fails, read() says why. NULL: what is
         * decoded is only copied.
         */
        int (*pin)(struct volume *v, uint64_t pos, size_t len, bool wait, struct source_pin *pin);
        void (*unpin)(struct volume *v, const struct source_pin *pin);

        void (*close)(struct volume *v); /* NULL: it belongs to its archive, which frees it */
};

/* What every volume's own struct starts with. */
struct volume {
        const struct volume_ops *ops;
        uint64_t size; /* bytes */
        /* Where in the source that its raw extents name what speaks of them lies, in a stream. */
        uint64_t anchor;
};

enum { VOLUME_BLOCK = 4096 }; /* bytes: by which losses and holes are told apart at least */

/*
 * volume_ops.extent, and of what is raw the place in the file or stream below all views (slices,
 * volumes), or what that has lost there or does not know yet. What comes after a gap of unknown
 * length, from the volume's anchor on, is displaced, and lost. -EAGAIN is VOLUME_UNKNOWN.
 */
int volume_find(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out);

/*
 * E is raw, in a file that has all of the disk, each byte in its place: what was never written is a
 * hole of the file, and is made VOLUME_ZERO here, still with its place. E may become shorter.
 */
void volume_split_hole(struct volume_extent *e);

/*
 * LEN bytes at POS, all below the size, through volume_find. 0; -EIO where any is lost, -EAGAIN
 * where any is unknown; otherwise as a source or volume_ops.read.
 */
int volume_read(struct volume *v, void *buf, size_t len, uint64_t pos);

/* LEN bytes of E from its byte SKIP on; both within it. */
static inline struct volume_extent volume_part(const struct volume_extent *e, uint64_t skip,
                                               uint64_t len)
{
        struct volume_extent part = *e;

        part.len = len;
        if (e->source && e->kind != VOLUME_CODED)
                part.offset += skip;
        return part;
}

#endif
