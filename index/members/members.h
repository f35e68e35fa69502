/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tree of an archive's members, in as few bytes as will do: a million of them take about 85 MB.
 * It is built in one pass, sealed, and never changes then; so it is stored as it is (vmafs-index(5))
 * and used as it was stored. Parts of a stored tree can be read when they are asked for, and each
 * number is checked before it is followed. Where a part cannot be read or is wrong, functions return
 * NULL or -EIO.
 *
 *   members   | root | etc/ | etc/passwd | … |     one of 64 bytes each; number 0 is the root
 *   children  | 1 7 9 | 2 3 | …                    numbers, those of one folder side by side
 *   names     "etc\0" "passwd\0" …                 also targets of links
 *   extras    what few have: attributes, the runs of a sparse file
 *
 * Names are the archive's own. They are made safe where they are shown (names.h).
 *
 * Building is for one thread. What is sealed is thread-safe.
 */
#ifndef VMAFS_MEMBERS_H
#define VMAFS_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "archive/volume.h"

struct entry;
struct entry_xattr;
struct error;
struct member;
struct members;
struct source;

#define MEMBERS_ROOT UINT32_C(0)
#define MEMBERS_NONE UINT32_MAX

/* The most memory that a tree may take: about twelve million members with usual names. */
#define MEMBERS_BYTES_MAX (UINT64_C(1) << 30)

enum members_flag {
        MEMBERS_IMPLIED = 1, /* a folder that no member is, but some are in */
        MEMBERS_BROKEN = 2,  /* a hard link to what is not there */
        MEMBERS_GONE = 4,    /* a later one has replaced it */
        MEMBERS_LOST = 8,    /* its content cannot be read */
        MEMBERS_SPARSE = 16,
        MEMBERS_ADDED = 32, /* not of the archive: another member shown here, too */
        MEMBERS_FLAGS = 63,
};

/* No stored tree is longer. */
#define MEMBERS_STORED_MAX (MEMBERS_BYTES_MAX + MEMBERS_BYTES_MAX / 8)

/* One of them. This is also its form on disk, in the machine's own byte order. */
struct members_node {
        uint32_t kind; /* CONTENT_MEMBER: a tree's node has it as its content (index.h) */
        uint32_t name; /* byte in the names */
        union {
                uint64_t size;  /* of a file; of a symbolic link: bytes of its target */
                uint64_t rdev;  /* of a device */
                uint64_t first; /* of a folder: the first of its children */
        };
        union {
                uint64_t data;   /* of a file: byte of the stream */
                uint64_t target; /* of a symbolic link: byte in the names */
                uint64_t count;  /* of a folder: how many children it has */
        };
        int64_t mtime;     /* seconds since 1970 … */
        uint32_t mtime_ns; /* … and nanoseconds */
        uint32_t parent;   /* number */
        uint32_t uid, gid;
        uint32_t extra; /* number of its extra, from 1; 0: none */
        uint32_t same;  /* number of the first member that is this file; its own: it is that */
        uint16_t links; /* names of the file, as far as they can be counted */
        uint16_t mode;
        uint16_t name_len;
        uint16_t flags; /* enum members_flag */
};

struct members_counts {
        uint64_t files, folders, links, others; /* hard links are files */
        uint64_t replaced;                      /* by later members of their names */
        uint64_t unshown; /* files in whose place a folder is that has files */
        uint64_t dropped; /* attributes that are too large, too many, or not understood */
        uint64_t bytes;   /* of all files, once each */
};

/* ---- building ---- */

/* An empty tree that may grow to LIMIT bytes. NULL: out of memory. */
struct members *members_new(uint64_t limit);
void members_free(struct members *m); /* NULL is allowed */

/* Add MEMBER. 0, -E2BIG beyond the limit, -ENOMEM. */
int members_add(struct members *m, const struct member *member);

/*
 * Nothing will be added any more. FALLBACK is the time, in seconds since 1970, of folders that no
 * member is. 0 or -ENOMEM. Afterwards members may be asked for.
 */
int members_seal(struct members *m, int64_t fallback);

/*
 * Before it is sealed: if there is a file PATH, show it in the root, too, unless something there
 * has its name. 0 or as members_add.
 */
int members_show_at_root(struct members *m, const char *path);

/* ---- asking ---- */

size_t members_count(const struct members *m); /* the numbers, with those of what is gone */

/* The member NUMBER, below the count. NULL: it cannot be read. The root always can. */
const struct members_node *members_get(const struct members *m, uint32_t number);
uint32_t members_number(const struct members *m, const struct members_node *n);

/*
 * What is in FOLDER at POSITION, below FOLDER->count, in the archive's order. NULL: it cannot be
 * read. After members_names has returned 0 for FOLDER, all of it can.
 */
const struct members_node *members_child(const struct members *m, const struct members_node *folder,
                                         uint64_t position);

const char *members_name(const struct members *m, const struct members_node *n);

/*
 * Names as they are shown: made safe, and told apart, as tree_add does. What that takes is kept for
 * folders that are asked for: 12 bytes a member, where somebody looks for names in them.
 */

/* What is shown as NAME in the folder N, into *OUT. 0, -ENOENT, -EIO, -ENOMEM. */
int members_find(const struct members *m, const struct members_node *n, const char *name,
                 const struct members_node **out);

/* The names of a folder; NULL where all of them are shown as they are. */
struct members_names;

/* The names of the folder N, good as long as M. 0, -EIO, -ENOMEM. */
int members_names(const struct members *m, const struct members_node *n,
                  const struct members_names **out);

/* The name of CHILD, which is at POSITION of the folder that has NAMES. */
const char *members_shown(const struct members *m, const struct members_names *names,
                          uint64_t position, const struct members_node *child);

/* The attributes of N, NAME NUL, 4 bytes of length, VALUE, and so on. Never NULL. Sets *LEN. */
const char *members_xattrs(const struct members *m, const struct members_node *n, size_t *len);

/* Where N, a symbolic link, leads: N->size bytes and a NUL. */
const char *members_target(const struct members *m, const struct members_node *n);

/*
 * N as an entry, without parent and content. Its attributes are in *XATTRS, which the caller frees.
 * 0 or -ENOMEM.
 */
int members_entry(const struct members *m, const struct members_node *n, struct entry *out,
                  struct entry_xattr **xattrs);

void members_tally(const struct members *m, struct members_counts *out);

/* Bytes of memory that it takes, when all of it was asked for. */
uint64_t members_bytes(const struct members *m);

/* What N, a file, holds, of the archive's stream SOURCE. It need not be closed. */
struct members_volume {
        struct volume base;
        const struct members *members;
        const struct members_node *node;
        struct source *source;
};

struct volume *members_open(const struct members *m, const struct members_node *n,
                            struct source *source, struct members_volume *out);

/* Bytes of N, a file, that are stored, by 4 KiB: all but holes. */
uint64_t members_stored(const struct members *m, const struct members_node *n);

/* ---- keeping ---- */

enum { MEMBERS_HEADER = 128 };

/* A part of a stored tree. */
struct members_piece {
        const void *data;
        size_t len; /* bytes, a multiple of 8 */
};

enum { MEMBERS_PIECES = 7 };

/*
 * The sealed tree as the bytes of PIECES one after another, which stay M's. CHOSEN: the archive was
 * taken for a tree because of what is in it, not because somebody said so. Of a tree that is stored
 * itself, all is read first: 0, -EBADMSG where it contradicts itself, or -errno of reading it.
 */
int members_store(struct members *m, bool chosen, struct members_piece pieces[MEMBERS_PIECES]);

/* The hash of PIECES that goes with them. 0 or -ENOMEM. */
int members_hash(const struct members_piece pieces[MEMBERS_PIECES], uint64_t *hash);

/* Are A and B, both sealed, the same, but for the fallback? 1, 0, or as members_store. */
int members_equal(struct members *a, struct members *b);

/* A tree that is stored. */
struct members_source {
        struct source *file;
        uint64_t at, len; /* bytes of FILE */
        uint64_t hash;
        bool whole; /* read and check all of it at once: nothing fails later */

        /*
         * Called each time that something cannot be read later, by any thread: RC is -EBADMSG where
         * the tree contradicts itself, or -errno of reading FILE. NULL: nobody is told.
         */
        void (*failed)(void *ctx, int rc);
        void *ctx;
};

/*
 * Load a stored tree, which takes FROM->file in any case, and reads from it as long as *OUT is
 * there. All bytes are checked against the hash; what they say is checked when it is asked for. 0;
 * -EBADMSG where it is damaged, -EINVAL where it contradicts itself; -ENOTSUP where another version
 * of vmafs has written it, or a machine of another byte order; -ENOMEM; or as source_pread_all.
 */
int members_load(const struct members_source *from, bool *chosen, struct members **out);

#endif
