/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sound archives of every format, of which is known what they hold and where it lies.
 *
 *   format ─> sound_make ─> files ─> codec: the same, compressed
 *                  └──────> contents: what the tree must show, and from which bytes of the files
 *
 * No two sectors of what they hold are alike, so that where each lies is found by its bytes,
 * whatever the format: the test has no reader of its own that could err as the program does.
 */
#ifndef VMAFS_TESTS_SOUND_H
#define VMAFS_TESTS_SOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/fixtures/stream_fixture.h"

enum {
        SOUND_SECTOR = 512,
        SOUND_FILES = 4,
        SOUND_CONTENTS = 8,
        SOUND_PLACES = 2, /* at which one sector may lie: a snapshot keeps a copy */
};

/* A byte of one of the files. */
struct place_of {
        int file; /* -1: nowhere as it is */
        size_t at;
};

/* What the tree must show under NAME. */
struct content {
        char name[64];
        struct bytes bytes;
        struct place_of (*places)[SOUND_PLACES]; /* of each sector */
        bool linear;                             /* all of it lies in one piece */
};

/*
 * A part of an archive that is found by its own header, wherever that is: where it begins, the
 * bytes of the header, and where what belongs to it ends.
 */
struct frame {
        size_t start, header, end;
};

/* LEN bytes at AT of file number FILE decide on what [START, START + SIZE) of content number CONTENT is. */
struct governor {
        size_t at, len;
        unsigned content;
        size_t start, size;
        bool
            coded; /* they are that part, compressed without a checksum; otherwise a table's entry */
        unsigned file;
};

struct sound {
        const char *format;
        struct sound_file {
                char name[32];
                struct bytes bytes;
        } files[SOUND_FILES]; /* the first is what is opened */
        unsigned file_count;
        struct content contents[SOUND_CONTENTS];
        unsigned content_count;

        struct frame *frames; /* NULL: everything is found by its place in the file */
        size_t frame_count;
        size_t unit;      /* bytes of a disk that lie in one piece, at least */
        bool bare;        /* nothing in the file says how long a disk is */
        bool has_digests; /* the archive has checksums of what it holds, which verify looks at */
        struct governor *governors;
        size_t governor_count;
};

struct sound_format {
        const char *name;
        void (*make)(struct sound *s, size_t size); /* SIZE: bytes of a disk, about */
        bool alone;                                 /* of several files: never compressed */
        bool needs_qemu;
};

extern const struct sound_format sound_formats[];
extern const size_t sound_format_count;

struct sound sound_make(const struct sound_format *format, size_t size);
void sound_free(struct sound *s);

/* ---- for those who make them ---- */

/* A disk: runs of data and of holes, of 4 KiB and more, and no two sectors of data are alike. */
struct bytes sound_disk(size_t len, uint64_t seed);

/* Takes BYTES. The content's number. */
unsigned sound_add(struct sound *s, const char *name, struct bytes bytes);
void sound_add_linear(struct sound *s, const char *name, struct bytes bytes, int file, size_t at);
void sound_add_file(struct sound *s, const char *name, struct bytes bytes);
void sound_add_frame(struct sound *s, size_t start, size_t header, size_t end);
void sound_add_governor(struct sound *s, const struct governor *g);

/* Stops the test: a fixture that cannot be made is no result. */
_Noreturn void sound_fail(const char *what);

static inline void sound_require(bool ok, const char *what)
{
        if (!ok)
                sound_fail(what);
}

/* A command line in a new folder in which a.raw is RAW (if it has bytes); OUT is read from it. */
struct bytes sound_command(struct bytes raw, const char *command, const char *out);

struct bytes sound_copy(struct bytes b);

void sound_vma_ordered(struct sound *s, size_t size);
void sound_vma_live(struct sound *s, size_t size);
void sound_tar_raw(struct sound *s, size_t size);
void sound_tar_qcow2(struct sound *s, size_t size);
void sound_ova(struct sound *s, size_t size);
void sound_ova_gzip(struct sound *s, size_t size);
void sound_ova_chunks(struct sound *s, size_t size);
void sound_xva(struct sound *s, size_t size);
void sound_vmdk_stream(struct sound *s, size_t size);
void sound_vmdk_stream_qemu(struct sound *s, size_t size);
void sound_vmdk_sparse(struct sound *s, size_t size);
void sound_vmdk_sparse_qemu(struct sound *s, size_t size);
void sound_vmdk_split(struct sound *s, size_t size);
void sound_vmdk_flat(struct sound *s, size_t size);
void sound_vmdk_cowd(struct sound *s, size_t size);
void sound_vmdk_sesparse(struct sound *s, size_t size);
void sound_qcow2(struct sound *s, size_t size);
void sound_qcow2_deflate(struct sound *s, size_t size);
void sound_qcow2_zstd(struct sound *s, size_t size);
void sound_qcow2_snapshot(struct sound *s, size_t size);
void sound_qcow(struct sound *s, size_t size);
void sound_qcow_deflate(struct sound *s, size_t size);
void sound_qed(struct sound *s, size_t size);
void sound_vdi(struct sound *s, size_t size);
void sound_vhd(struct sound *s, size_t size);
void sound_vhd_fixed(struct sound *s, size_t size);
void sound_vhdx(struct sound *s, size_t size);
void sound_parallels(struct sound *s, size_t size);
void sound_fvd(struct sound *s, size_t size);
void sound_raw(struct sound *s, size_t size);

/* The tables of the qcow2 image at byte BASE of the first file govern CONTENT, its active disk. */
void sound_govern_qcow2(struct sound *s, size_t base, unsigned content);

/* A streamOptimized VMDK of RAW, as VMware's tools write it. */
struct bytes sound_vmdk_file(struct bytes raw, bool stream);

#endif
