/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A folder of archives: its names, and opening what is below it. No link is followed, so nothing
 * outside of the folder is ever opened, whatever happens in it meanwhile.
 *
 * An archive is recognised by its name, so that a folder of thousands is listed without opening one
 * of them: NAME.vma, .vmdk, .qcow2, .qcow, .qed, .vdi, .vhdx, .vhd, .hds, .ova, .xva or .tar, plain
 * or with the suffix of a compression (stream_suffixes), in either case. The parts of a split VMDK
 * (NAME-flat.vmdk, NAME-s001.vmdk and so on) are files.
 */
#ifndef VMAFS_DIR_H
#define VMAFS_DIR_H

#include <stdbool.h>
#include <stdint.h>

enum dir_kind {
        DIR_FOLDER,
        DIR_ARCHIVE, /* a regular file with an archive's name */
        DIR_FILE,    /* any other regular file */
        DIR_LINK,    /* a symbolic link */
};

/* A name in a folder. FIFOs, sockets and devices are not among them. */
struct dir_name {
        const char *name; /* valid during the call */
        enum dir_kind kind;
        /*
         * Of what has the name in this folder, not of what is mounted on it. On a server a number that
         * differs between two versions of it.
         */
        unsigned long inode;

        /* Of a file on a server; else 0. */
        uint64_t size;
        int64_t mtime; /* seconds since 1970 */
};

/* Does a file of this name count as an archive? */
bool dir_is_archive(const char *name);

/* Is it also one of which nothing is known before it is decompressed to its end? */
bool dir_is_compressed_tar(const char *name);

/*
 * A descriptor of the folder PATH below the folder ROOT, "" for ROOT itself, or -errno: -ELOOP or
 * -ENOTDIR for a link, -EINVAL for a path with "." or "..".
 */
int dir_open_below(int root, const char *path);

/*
 * Open the regular file NAME in the folder DIR for reading. A descriptor, or -errno: -ELOOP for a
 * link, -EINVAL for anything else that is no regular file.
 */
int dir_open_file(int dir, const char *name);

/*
 * Call EACH for every name in the folder DIR, which stays open, in no order, until it returns other
 * than 0, which is returned. -errno where it cannot be read.
 */
int dir_list(int dir, int (*each)(void *ctx, const struct dir_name *n), void *ctx);

/*
 * Is TARGET, of a link in a folder that is DEPTH folders below the root, a path that cannot lead out
 * of the root? Only "../" at its beginning counts: after another name, which may be a link itself,
 * it is refused.
 */
bool dir_link_stays(const char *target, unsigned depth);

#endif
