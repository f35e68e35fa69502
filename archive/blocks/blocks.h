/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images that have one table, with an entry for each block of the disk: what VDI, VHD, VHDX,
 * Parallels and FVD have in common. A format parses its header, and says what an entry means.
 *
 *   table   | 2 | - | 0 | 1 | ...           - : zeros, or what the parent has
 *   file    | header | table | 0 | 1 | 2 | ... | footer |
 *
 *   blocks.c          opening an image, and its disk
 *   blocks_chain.c    its parents, by
 *   blocks_name.c     the names that Windows gives them
 *   blocks_table.c    from a byte of the disk to where it lies
 *   blocks_scan.c     is the table to be believed?
 *   blocks_slots.c    which places of the file blocks have taken
 *   blocks_volume.c   the disk as a volume
 *
 * Of an entry by itself nobody can tell whether it is what was written. So the scan goes through
 * the table once, and until then all of the disk is unknown: a place belongs to one block, all of
 * it is in the file, and data that belong to no block are those of an entry that was lost.
 */
#ifndef VMAFS_BLOCKS_H
#define VMAFS_BLOCKS_H

#include <stdatomic.h>

#include "archive/blocks/blocks_slots.h"
#include "archive/format.h"
#include "archive/volume.h"

struct block;
struct blocks_layer;
struct cache_owner;

enum {
        BLOCKS_SECTOR = 512,
        BLOCKS_LAYERS_MAX = 16, /* of a chain of parents, with the image itself */
        BLOCKS_NAMES_MAX = 4,   /* by which a parent is looked for */
        BLOCKS_FAULTS_MAX = 4,
        BLOCKS_FIXED_MAX = 12,
        BLOCKS_KEY_LAYER_BIT =
            60, /* a key of the cache is a layer's number and a byte of its file */
};

#define BLOCKS_DISK_MAX  (UINT64_C(1) << 47) /* bytes of the largest disk that is shown */
#define BLOCKS_FILE_MAX  (UINT64_C(1) << 50) /* what lies after this in a file is not read */
#define BLOCKS_TABLE_MAX (UINT64_C(1) << 30) /* bytes */

enum blocks_state {
        BLOCKS_HOLE, /* what the parent has, or zeros */
        BLOCKS_ZERO,
        BLOCKS_STORED,
        BLOCKS_PARTLY, /* a bitmap says which of its sectors are stored, and which are holes */
        BLOCKS_BAD,    /* what the entry says cannot be */
};

/* What an entry of the table says. */
struct blocks_entry {
        enum blocks_state state;
        uint64_t
            offset; /* STORED, PARTLY: byte of the file at which the block's data begin; ZERO: at
                            which it was, which may be in use again, or 0 */
        uint64_t bitmap; /* PARTLY: byte of the file at which its bitmap begins */
        const char *why; /* BAD */
};

struct blocks_range {
        uint64_t start, end;
};

struct blocks_fault {
        const char *text;
        uint64_t at; /* byte of the file */
};

/* One kind of image. */
struct blocks_kind {
        const struct format *format;

        /*
         * Parse the header of L, whose source is set, and describe it in L. 0 or -errno with the
         * reason in ERR.
         */
        int (*read_header)(struct blocks_layer *l, struct error *err);

        /* What the entry at P says of block number BLOCK. */
        void (*parse)(const struct blocks_layer *l, uint64_t block, const uint8_t *p,
                      struct blocks_entry *out);

        /*
         * Where the entry at P has the bitmaps of a group of blocks, bytes of the file; 0: nowhere.
         * NULL: the bitmaps are where parse says.
         */
        uint64_t (*bitmaps)(const struct blocks_layer *l, const uint8_t *p);

        /*
         * The file's end is known by now, in L->file_size: look at what lies there. 0 or -ENOMEM.
         * NULL: nothing does.
         */
        int (*look_at_end)(struct blocks_layer *l);

        /* Is PARENT what L was made on? 0, or -EIO with the reason in ERR. NULL: nothing says. */
        int (*check_parent)(const struct blocks_layer *l, const struct blocks_layer *parent,
                            struct error *err);

        void (*fini)(struct blocks_layer *l); /* what read_header has left in own; or NULL */

        bool low_bit_first; /* of a byte of a bitmap */
        bool parent_is_raw; /* … and not of the same kind */
        bool names_holes;   /* its table names holes, as qemu-img map has it: they are "present" */
};

/* What the names of a file's parent are, the likeliest first. */
struct blocks_names {
        unsigned count;
        char *list[BLOCKS_NAMES_MAX];
};

/* One file of a chain: the image itself, or a parent. */
struct blocks_layer {
        const struct blocks_kind *kind; /* NULL: raw */
        struct source *source;          /* of its data … */
        struct source *owned;           /* … where it is not the archive's; or NULL */
        struct source
            *patched; /* of its tables, where they are not in source as they are; or NULL */
        unsigned number;
        uint64_t file_size; /* bytes; settled before anything is looked up */

        /* What read_header finds. */
        uint64_t size;   /* of the disk, bytes */
        bool flat;       /* there is no table: the disk lies at first_byte */
        bool complete;   /* every block has its place, also if it was never written */
        uint64_t block;  /* bytes of the disk for which an entry is */
        uint64_t before; /* bytes of the file before a block's data, which belong to it */
        uint64_t table;  /* byte of the file … */
        size_t entry;    /* … bytes of an entry … */
        uint64_t
            entries; /* … so many, for blocks past the disk's end too; 0: as many as those of it */
        uint64_t group; /* … and after so many one more is, for their bitmaps; 0: there is none */
        uint64_t group_bytes; /* of the file, which such an entry names */
        uint64_t bit;         /* bytes of the disk for which a bit is */
        uint64_t first_byte;  /* of the file, at which a block can be … */
        uint64_t end_byte;    /* … and where the last one ends at the latest */
        uint64_t dense_end;   /* blocks lie side by side up to there at least; 0: nothing says so */
        struct blocks_range fixed[BLOCKS_FIXED_MAX]; /* where no block can be */
        unsigned fixed_count;
        struct blocks_fault faults[BLOCKS_FAULTS_MAX]; /* that do not hinder reading */
        unsigned fault_count;
        bool has_parent;
        struct blocks_names parent;
        char uuid[37];
        char note[120];
        void *own; /* the kind's */

        /* What the scan finds. */
        struct blocks_slots slots; /* those that are named twice; empty: there is none */
        struct blocks_slots bitmap_slots;
        uint64_t doubted_from; /* bytes of the file: a place that no block should have */
        bool holes_doubted;    /* what the table has as holes need not be that */
        const char *all_bad;   /* why nothing can be believed; or NULL */
};

struct blocks {
        struct archive base;
        struct volume volume; /* its disk */
        struct blocks_layer layers[BLOCKS_LAYERS_MAX];
        unsigned count;
        struct cache_owner *tables; /* pieces of them */
        atomic_bool judged;         /* stored with release, after the last change of a layer */
};

/* ---- for formats ---- */

/* As struct format's functions. */
int blocks_open(const struct blocks_kind *kind, struct source *source,
                const struct archive_origin *origin, const struct archive_sink *sink,
                struct archive **out, struct error *err);
int blocks_scan(struct archive *a, const struct archive_sink *sink, struct error *err);
void blocks_skip_scan(struct archive *a);
int blocks_check(struct archive *a);
void blocks_close(struct archive *a);

/* No block of L lies in LEN bytes from OFFSET of its file. */
void blocks_fix(struct blocks_layer *l, uint64_t offset, uint64_t len);

/* TEXT is wrong with L, which verify reports. */
void blocks_fault(struct blocks_layer *l, const char *text, uint64_t at);

/* Look for the parent of L by NAME, too, which is taken. 0 or -ENOMEM (NAME is NULL). */
int blocks_name_parent(struct blocks_layer *l, char *take_name);

/*
 * Check what read_header has found: that there is room for a table of all blocks, and that its
 * beginning and end are in the file. 0 or -errno with the reason in ERR.
 */
int blocks_check_table(const struct blocks_layer *l, struct error *err);

static inline struct source *blocks_tables(const struct blocks_layer *l)
{
        return l->patched ? l->patched : l->source;
}

/* How many blocks the disk of L has, the last perhaps shorter, and entries with those of groups. */
static inline uint64_t blocks_count(const struct blocks_layer *l)
{
        return l->size / l->block + (l->size % l->block != 0);
}

static inline uint64_t blocks_entry_count(const struct blocks_layer *l)
{
        uint64_t n = blocks_count(l);

        if (l->entries)
                return l->entries;
        return l->group ? n + (n + l->group - 1) / l->group : n;
}

/* The number of the entry of block number BLOCK. */
static inline uint64_t blocks_entry_of(const struct blocks_layer *l, uint64_t block)
{
        return l->group ? block + block / l->group : block;
}

/* ---- blocks_name.c ---- */

/*
 * The path that the LEN bytes of UTF-16 at P, or as many as come before a NUL, are to Windows, as
 * seen from an image's own folder: of one that begins at a drive only the file's name is left. A
 * new string, "" where it is no path; NULL: out of memory.
 */
char *blocks_windows_path(const uint8_t *p, size_t len, bool big_endian);

/* ---- blocks_chain.c ---- */

/*
 * Open the parents of the only layer of B, as far as ORIGIN allows. 0; -EPERM where it does not,
 * -ELOOP for too many of them, and as opening an image.
 */
int blocks_open_chain(struct blocks *b, const struct archive_origin *origin, struct error *err);

/* ---- blocks_table.c ---- */

/* A range of a disk that is alike. */
struct blocks_piece {
        enum blocks_state state; /* not PARTLY */
        uint64_t len;
        uint64_t offset; /* STORED: of the file, of its first byte */
        unsigned depth;  /* 0: the image itself has it, 1: its parent … */
        const char *why; /* BAD */
        uint64_t where;  /* BAD: byte of the file that says so */
};

/* A piece of a table that is held in the cache, so that the next look at it is quick. */
struct blocks_held {
        uint64_t key;
        struct block *block; /* NULL: none is held */
};

struct blocks_cursor {
        struct blocks_held table, bitmap;
};

/* One look, or a row of them, at a chain; zeroed before the first, ended after the last. */
struct blocks_look {
        struct blocks_cursor at[BLOCKS_LAYERS_MAX];
};

/* What the entry at P of L, which is block number BLOCK's, says, and can be by itself. */
void blocks_parse(const struct blocks_layer *l, uint64_t block, const uint8_t *p,
                  struct blocks_entry *out);

/*
 * What [POS, POS + LEN) of the disk of B, which is below its size, begins with: in the first layer
 * that has it. 0 or -errno: -ENOMEM, -ESTALE; where a table cannot be read the piece is BLOCKS_BAD.
 */
int blocks_look(const struct blocks *b, uint64_t pos, uint64_t len, struct blocks_look *look,
                struct blocks_piece *out);
void blocks_end_look(const struct blocks *b, struct blocks_look *look);

/* ---- blocks_volume.c ---- */

extern const struct volume_ops blocks_volume_ops;

/* Have the files of B changed? As source_check. */
int blocks_check_files(const struct blocks *b);

#endif
