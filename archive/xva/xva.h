/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XVA, the backup format of XenServer and XCP-ng. What its files share; nobody else includes this.
 *
 *   xva.c            probe, open, and what the scan leaves to xva_chunks.c: from member to member
 *   xva_chunks.c     which bytes of a disk a chunk is
 *   xva_sum.c        the checksum after a chunk
 *   xva_machine.c    ova.xml (xva_machine.h)
 *
 * A tar, with a folder for each disk, one disk after another:
 *
 *   ova.xml | Ref:4/00000000 | Ref:4/00000000.xxhash | Ref:4/00000003 | … .xxhash | … | Ref:7/… 
 *             1 MiB of disk    its XXH64, in hex       1 and 2: zeros
 *
 * The first and the last chunk of a disk are always there. A chunk's number is a counter, not its
 * place: when a server has sent nothing for some seconds because of zeros, it sends a chunk of no
 * bytes, which takes a number and nothing of the disk.
 *
 *   number   0    3    4         5        place of 5: (5 - 1) MiB
 *   bytes    1M   1M   0 (empty) 1M
 *
 * So after a damaged header it is not known how many empty chunks were lost with it. What comes
 * after is kept until the disk's last chunk ends where the disk does: then none was, since each
 * would have made the rest end 1 MiB later.
 */
#ifndef VMAFS_XVA_H
#define VMAFS_XVA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/array.h"
#include "archive/extent.h"
#include "archive/format.h"
#include "archive/tarfile/tar_member.h"
#include "archive/xva/xva_machine.h"

enum {
        XVA_CHUNK = 1 << 20,    /* bytes */
        XVA_KEPT_MAX = 1 << 20, /* extents after damage that are kept: 1 TiB of a disk */
};

struct xva {
        struct archive base;
        struct xva_machine machine;
        struct tar_reader reader; /* after ova.xml */
};

/* What the scan has seen of a disk. */
struct xva_progress {
        bool begun, ended;
        uint64_t next;   /* the number after the last chunk's */
        uint64_t offset; /* bytes: where the last chunk ends */
        bool lost;       /* where its further chunks belong is not known */
        bool doubted;    /* a chunk may be missing before the next one … */
        bool keeps;      /* … or was, and extents are kept until the disk's end */
        bool has_empty;
        bool repeated; /* that chunks come again has been reported */
};

/* A chunk whose checksum has not come yet. */
struct xva_chunk {
        bool pending;
        char name[XVA_REF_MAX + 24]; /* of its member */
        uint32_t disk;
        struct extent extent; /* of the disk; its address is the chunk's in the stream */
        uint64_t header;      /* byte of the stream */
        const char *lost;     /* why it is, or NULL */
};

struct xva_scan {
        struct xva *xva;
        const struct archive_sink *sink;
        struct xva_progress *disks;
        uint32_t disk; /* whose chunks come, or DISK_NONE */
        struct xva_chunk chunk;
        ARRAY(struct extent) kept;
        bool checks; /* the checksums are calculated */
        bool has_sums;
        uint64_t unsummed; /* chunks before the first one with a checksum */
        unsigned strange;  /* members that were reported as belonging nowhere */
        uint8_t *buffer;   /* XVA_CHUNK bytes, where it checks */
};

/* ---- xva_chunks.c ---- */

/* TEXT is wrong at byte OFFSET, and LEN bytes of DISK from START on are lost by that. */
int xva_report(const struct xva_scan *s, uint64_t offset, uint32_t disk, uint64_t start,
               uint64_t len, const char *text);

/*
 * The member M is chunk NUMBER of DISK, or is not one: 0 or what a sink returned, or -ENOMEM.
 * xva_settle_chunk has been called.
 */
int xva_take_chunk(struct xva_scan *s, uint32_t disk, uint64_t number, const struct tar_member *m);

/* Whether the pending chunk is lost is known: emit it. */
int xva_settle_chunk(struct xva_scan *s);

/* A member may be missing here, and the pending chunk is lost for the reason LOST, if any. */
int xva_doubt(struct xva_scan *s, const char *lost);

/* There are no more chunks of the current disk. */
int xva_end_disk(struct xva_scan *s);

/* ---- xva_sum.c ---- */

/*
 * The member M is the checksum of the pending chunk, of the kind that NAME's end says. Sets
 * s->chunk.lost. 0 or -errno with the reason in ERR.
 */
int xva_check_sum(struct xva_scan *s, const struct tar_member *m, struct error *err);

/* Is NAME that of a checksum? *LEN: of the chunk's name that it begins with. */
bool xva_is_sum(const char *name, size_t *len);

#endif
