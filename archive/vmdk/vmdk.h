/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMDK, VMware's disk images. What its files share; nobody else includes this.
 *
 *   vmdk.c              probe, open
 *   vmdk_header.c       the sparse header
 *   vmdk_esx.c          those of ESX's own sparse files
 *   vmdk_descriptor.c   the text that says what a disk consists of
 *   vmdk_parts.c        the parts of a disk
 *   vmdk_chain.c        the parent of a snapshot or a linked clone
 *   vmdk_volume.c       the disk: what begins at a byte of it, and reading it
 *   vmdk_lookup.c       from a byte of a sparse part to its grain, by
 *   vmdk_entry.c        what the entries of its tables say
 *   vmdk_grain.c        inflating a grain
 *   vmdk_scan.c         which tables of a part can be trusted (vmdk_scan.h)
 *
 * A disk consists of one or more parts, one after another. Each is a file, or a range of one:
 *
 *   disk  |  part 0  |  part 1  | ...       each flat, sparse, or zeros
 *
 *   sparse part   header | descriptor | grain directory | grain tables | grains
 *   with markers  header | descriptor | marker grain | ... | marker table | ... | footer
 *
 * A grain is usually 64 KiB of the disk. Tables are trusted only as far as they account for the
 * file. The scan finds that out, once for each part; until then a sparse part is unknown.
 */
#ifndef VMAFS_VMDK_H
#define VMAFS_VMDK_H

#include <stdatomic.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/format.h"
#include "archive/vmdk/vmdk_claims.h"
#include "archive/vmdk/vmdk_marked.h"
#include "archive/volume.h"

struct backing;
struct cache_owner;

enum {
        VMDK_SECTOR = 512,
        VMDK_GRAIN_MIN = 4096,
        VMDK_GRAIN_MAX = 1 << 20,
        VMDK_TABLE_MAX = 4096,  /* entries of a grain table */
        VMDK_MARKER = 12,       /* bytes before a compressed grain */
        VMDK_ENTRY = 4,         /* bytes of one, in tables and directories … */
        VMDK_ENTRY_MAX = 8,     /* … and of one of SESparse */
        VMDK_BLOCK_SIZE = 4096, /* a grain that was cut off keeps its whole blocks */
        VMDK_PARTS_MAX = 1000,
        VMDK_CID = 16, /* bytes of a CID as text, with its NUL */
};

#define VMDK_SIZE_MAX (UINT64_C(1) << 50) /* bytes of a disk */
#define VMDK_FILE_MAX (UINT64_C(1) << 42) /* … and of a file that its tables can name */
#define VMDK_AT_END   UINT64_MAX          /* a directory that the footer names */
#define VMDK_NOWHERE  UINT64_MAX          /* a byte that no file has */

/* A key of the caches: the number of a part, and a place in it, below 2^34. */
#define VMDK_KEY(part, place) ((uint64_t)(part) << 34 | (place))

enum { VMDK_FIXED_MAX = 5 };

/* Bytes of a file in which no table and no grain lies; len 0: none. */
struct vmdk_fixed {
        uint64_t at, len;
};

/* Everything in bytes, but for table. */
struct vmdk_header {
        uint64_t capacity;
        uint32_t grain;
        uint32_t table;                      /* entries of a grain table … */
        uint32_t entry;                      /* … of so many bytes */
        uint64_t gd, rgd;                    /* directories: 0 where there is none, VMDK_AT_END */
        uint64_t overhead;                   /* of what is before the grains */
        uint64_t descriptor, descriptor_len; /* 0 where it has none of its own */
        bool compressed, markers;
        bool zeroed; /* a table's entry 1 is a grain of zeros */

        bool sesparse;           /* entries have a type; see vmdk_entry.c … */
        uint64_t tables, grains; /* … and count from here */
        uint64_t used;           /* COWD: where what is in use ends, or 0 */
        struct vmdk_fixed
            fixed[VMDK_FIXED_MAX]; /* apart from the first sector and the descriptor */
};

enum vmdk_kind { VMDK_SPARSE, VMDK_FLAT, VMDK_ZERO };

/* How far a part can be trusted. The scan sets it; it is final once the part is judged. */
struct vmdk_verdict {
        uint64_t end;              /* how far its file can be read */
        uint64_t directory[2];     /* the first one and its copy: bytes of the file, 0: not used */
        struct vmdk_claims claims; /* which of several entries that name a sector get it */
        struct vmdk_marked marked; /* the grains that have markers, where tables are not used */
        bool by_markers;
        bool holes_lost; /* what the tables have as zeros may be lost */
        bool all_lost;   /* all of the part is lost */
};

struct vmdk_part {
        enum vmdk_kind kind;
        uint64_t start, len; /* of the disk, bytes */
        struct source *source;
        struct source *owned; /* source, where it is not the archive's; or NULL */
        uint64_t offset;      /* flat: its first byte in source */
        struct vmdk_header h; /* sparse */
        struct vmdk_verdict verdict;
        atomic_bool judged; /* stored with release, after the last change of verdict */
};

struct vmdk {
        struct archive base;
        struct volume volume; /* its disk */
        ARRAY(struct vmdk_part) parts;
        struct shared *shared;
        struct cache_owner *grains; /* decoded; NULL where nothing is compressed */
        struct cache_owner *tables; /* pieces of them; NULL where no part is sparse */
        char cid[VMDK_CID];         /* as the descriptor has it; "" where there is none */
        struct backing *parent;     /* has what no part has; NULL: zeros are there */
};

/* What a byte of a sparse part is. */
enum vmdk_state { VMDK_HOLE, VMDK_ZEROED, VMDK_STORED, VMDK_LOST };

/* A uniform range of a sparse part. */
struct vmdk_piece {
        enum vmdk_state state;
        uint64_t len;
        uint64_t offset; /* STORED: of the file, of its first byte; compressed: of its marker */
        uint64_t origin; /* byte of the file that says so */
        const char *why; /* LOST: the reason, if it was not reported for the whole part */
};

/* One line of a descriptor that names a part. */
struct vmdk_extent {
        enum vmdk_kind kind;
        uint64_t sectors;
        uint64_t offset; /* flat: sectors */
        char *file;      /* as the descriptor has it; NULL for zeros */
};

struct vmdk_descriptor {
        char cid[VMDK_CID]; /* what a child calls it by; "" where the descriptor does not say … */
        char parent[VMDK_CID]; /* … and the parent's */
        char uuid[37];         /* "" where the descriptor has none */
        char hint[1024];       /* the parent's file name */
        bool overlay;          /* it has a parent */
        char unknown[32];      /* the first type of extent that is not known; "" where all are */
        ARRAY(struct vmdk_extent) extents;
};

/*
 * The first sector of a sparse file. -EIO with the byte in ERR where it is damaged, -ENOTSUP where
 * it is of a kind that vmafs does not read.
 */
int vmdk_parse_header(const unsigned char sector[VMDK_SECTOR], struct vmdk_header *h,
                      struct error *err);

/* The same for those of ESX. The second one also reads what SOURCE has at other places. */
int vmdk_parse_cowd(const unsigned char sector[VMDK_SECTOR], struct vmdk_header *h,
                    struct error *err);
bool vmdk_is_sesparse(const void *head, size_t len);
int vmdk_read_sesparse(struct source *source, const unsigned char sector[VMDK_SECTOR],
                       struct vmdk_header *h, struct error *err);

/* Does a COWD header, which need not say whether the disk has a parent, say that it has none? */
bool vmdk_cowd_is_root(const unsigned char sector[VMDK_SECTOR]);

/* The header of the sparse file SOURCE, of any of these kinds. */
int vmdk_read_header(struct source *source, struct vmdk_header *h, struct error *err);

/*
 * Do the LEN bytes at TEXT begin as a descriptor does? "# Disk DescriptorFile" is spelled in
 * several ways, and empty lines or other comments may come before it.
 */
bool vmdk_is_descriptor(const char *text, size_t len);

/*
 * The descriptor that the file SOURCE is. vmdk_descriptor_fini in any case. -ENOTSUP
 * for parts of kinds that vmafs does not read, -EIO where it is damaged or contradicts itself.
 */
int vmdk_read_descriptor(struct source *source, struct vmdk_descriptor *d, struct error *err);

/*
 * The same for the one inside the sparse file SOURCE, whose header H says that there is one. -EIO
 * where it is not there: then nothing else that the file says can be believed. -ENODATA where zeros
 * are: some tools leave room for one in each part of a disk.
 */
int vmdk_load_descriptor(struct source *source, const struct vmdk_header *h,
                         struct vmdk_descriptor *d, struct error *err);
void vmdk_descriptor_fini(struct vmdk_descriptor *d);

/* How many tables a sparse part has, and how many of its bytes each table maps. */
uint64_t vmdk_table_count(const struct vmdk_part *p);
uint64_t vmdk_table_span(const struct vmdk_part *p);

static inline uint64_t vmdk_table_bytes(const struct vmdk_part *p)
{
        return (uint64_t)p->h.table * p->h.entry;
}

/* An entry of a table or directory of P, as it is. */
static inline uint64_t vmdk_load(const struct vmdk_part *p, const unsigned char *entry)
{
        return p->h.entry == VMDK_ENTRY ? load_le32(entry) : load_le64(entry);
}

/* The byte of the file at which the table begins that ENTRY of a directory of P names, which is
 * not 0; VMDK_NOWHERE: it cannot be. */
uint64_t vmdk_table_at(const struct vmdk_part *p, const unsigned char *entry);

/*
 * The byte of the file that ENTRY of a table of P names; 0 where it names a grain of zeros or none,
 * VMDK_NOWHERE where it cannot be.
 */
uint64_t vmdk_entry(const struct vmdk_part *p, const unsigned char *entry);
/* Can a grain of P begin at byte OFFSET of its file? */
bool vmdk_is_inside(const struct vmdk_part *p, uint64_t offset);
/* Sectors of the grain at byte OFFSET of P's file, which may end inside the grain. */
uint64_t vmdk_grain_sectors(const struct vmdk_part *p, uint64_t offset);
/* The claimant of a grain that one table names, and the other one perhaps too. */
enum vmdk_claimant vmdk_claimant(const struct vmdk_part *p, unsigned number, bool agreed);

/* Add the sparse file SOURCE with the header H, which stays the caller's, as the only part. */
int vmdk_add_sparse(struct vmdk *v, struct source *source, const struct vmdk_header *h,
                    struct error *err);

/* Add all parts of D that lie in the archive's own file from byte FROM on. */
int vmdk_add_embedded(struct vmdk *v, const struct vmdk_descriptor *d, uint64_t from,
                      struct error *err);

/* Add all parts of D, which are files beside the descriptor. */
int vmdk_add_files(struct vmdk *v, const struct archive_origin *origin,
                   const struct vmdk_descriptor *d, struct error *err);

/*
 * What [POS, POS + LEN) of the sparse part number I, which is judged, begins with. Stored pieces
 * are as long as they lie together in the file, a grain where they are compressed; COUNT: as long
 * as they are stored at all. 0, -ENOMEM, -ESTALE.
 */
int vmdk_find(struct vmdk *v, size_t i, uint64_t pos, uint64_t len, bool count,
              struct vmdk_piece *out);

/* LEN bytes at POS of part I, all in the compressed grain whose marker is at byte OFFSET. */
int vmdk_inflate(struct vmdk *v, size_t i, uint64_t offset, uint64_t pos, void *buf, size_t len);

/* ---- vmdk_chain.c ---- */

/*
 * Open the parent of V, of which D says that it has one, as far as ORIGIN allows: 0; -EPERM where
 * it does not, -EIO for one that is not what V was made on, and as backing_open.
 */
int vmdk_open_parent(struct vmdk *v, const struct vmdk_descriptor *d,
                     const struct archive_origin *origin, struct error *err);

/* Have the files of A, and those of its parents, changed? As struct format's check. */
int vmdk_check(struct archive *a);

extern const struct volume_ops vmdk_volume_ops;

/* As struct format's scan and skip_scan. */
int vmdk_scan(struct archive *a, const struct archive_sink *sink, struct error *err);
void vmdk_skip_scan(struct archive *a);

#endif
