/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For tests of sidecars: an archive in a folder of its own, its sidecar, and what comes of one. */
#ifndef VMAFS_FIXTURE_SIDECAR_H
#define VMAFS_FIXTURE_SIDECAR_H

#include <stddef.h>
#include <stdint.h>

#include "index/index.h"
#include "tests/fixture_stream.h"

enum fixture_kind { FIXTURE_PLAIN, FIXTURE_ZSTD, FIXTURE_GZIP, FIXTURE_LZOP, FIXTURE_KINDS };

/* Where fields of a sidecar are: vmafs-index(5), written down a second time. */
enum {
        SC_VERSION = 8,
        SC_IDENTITY = 16,
        SC_COMPRESSION = 56,
        SC_FORMAT = 64,
        SC_TABLES = 72,
        SC_TABLES_LEN = 80,
        SC_TABLES_HASH = 88,
        SC_STREAM_SIZE = 96,
        SC_SEGMENTS = 104,
        SC_DISKS = 108,
        SC_HEADER_HASH = 120,
        SC_HEADER = 128,

        SC_SEGMENT = 64, /* bytes of a segment's record */
        SC_SEG_IN_BIT = 0,
        SC_SEG_OUT = 8,
        SC_SEG_HASH = 16,
        SC_SEG_AUX = 24,
        SC_SEG_HISTORY_AT = 32,
        SC_SEG_HISTORY_HASH = 40,
        SC_SEG_HISTORY_SIZE = 48,
        SC_SEG_HISTORY_LEN = 52,
        SC_SEG_FLAGS = 56,

        SC_DISK = 32, /* bytes of a disk's head; its spans follow */
        SC_DISK_SIZE = 0,
        SC_DISK_AT = 8,
        SC_DISK_LEN = 16,
        SC_DISK_SPANS = 24,

        SC_SPAN = 24, /* bytes of a span's record */
        SC_SPAN_NUMBER = 0,
        SC_SPAN_LEN = 4,
        SC_SPAN_STORED = 8,
        SC_SPAN_HASH = 16,
};

struct sidecar_fixture {
        char dir[64];
        char archive[96];     /* in dir */
        char index[96];       /* likewise: the sidecar */
        struct bytes disk;    /* what its one disk holds */
        struct bytes sidecar; /* as it was built */
};

/* Make the archive, of a disk of LEN bytes, and its sidecar. Aborts where that fails. */
void sidecar_fixture_make(struct sidecar_fixture *f, enum fixture_kind kind, size_t len);
/* The archive alone. */
void sidecar_fixture_archive(struct sidecar_fixture *f, enum fixture_kind kind, size_t len);
void sidecar_fixture_free(struct sidecar_fixture *f);

/* Make PATH hold just these bytes. */
void fixture_write(const char *path, const void *data, size_t len);

struct bytes fixture_copy(struct bytes b);

/* Compute all checksums of B but those of histories anew, as somebody would who means ill. */
void sidecar_seal(struct bytes *b);

/* The record of segment I, the head of the first disk, its first span and its extents, in B. */
uint8_t *sidecar_segment(struct bytes *b, uint32_t i);
uint8_t *sidecar_disk(struct bytes *b);
uint8_t *sidecar_span(struct bytes *b);
uint8_t *sidecar_extents(struct bytes *b);
uint32_t sidecar_segments(const struct bytes *b);

/* Scan F's archive and keep the sidecar. How that went. */
int sidecar_build(const struct sidecar_fixture *f, char *problem, size_t size);

/*
 * Open F's archive with its sidecar, if that can be used. NULL: its magic is wrong, and what is no
 * sidecar is not replaced either.
 */
struct index *sidecar_open(const struct sidecar_fixture *f);

enum outcome {
        OUTCOME_REFUSED, /* the sidecar is not used */
        OUTCOME_RIGHT,   /* it is, and all bytes are right */
        OUTCOME_EIO,     /* some bytes are an I/O error, all others right */
        OUTCOME_WRONG,   /* a byte is wrong */
};

/* What reading the disk of INDEX gives, piece by piece. */
enum outcome sidecar_read(struct index *index, struct bytes disk);

/* What comes of these bytes as the sidecar of F's archive. */
enum outcome sidecar_outcome(const struct sidecar_fixture *f, const void *data, size_t len);

/* Files in DIR. */
size_t fixture_count(const char *dir);

#endif
