/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How far a disk can be trusted. What the files of the scan share; nobody else includes this.
 *
 *   vmdk_scan.c         chooses how to examine each part
 *   vmdk_tables.c       reads the tables of a directory in order
 *   vmdk_survey.c       do the tables account for an uncompressed file?
 *   vmdk_claims.c       what each sector of such a file belongs to
 *   vmdk_markers.c      grains by their markers, and whether tables account for all of them
 *   vmdk_marked.c       the grains that markers have shown
 *   vmdk_count.c        what is lost of a part that is judged
 *
 * Tables are trusted as far as they account for the file. An entry of 0 means "zeros"; but so does
 * a table that damage has turned into zeros, and then the file has data without an owner.
 */
#ifndef VMAFS_VMDK_SCAN_H
#define VMAFS_VMDK_SCAN_H

#include "archive/vmdk/vmdk.h"
#include "archive/vmdk/vmdk_claims.h"

enum {
        VMDK_CHUNK = 1024,   /* entries of a directory that are read at a time */
        VMDK_WINDOW = 65536, /* bytes that are read at a time to examine each sector */
};

/* What was read last of a directory in use. */
struct vmdk_directory {
        uint64_t first; /* entry of the directory from which on chunk has some … */
        uint64_t n;     /* … so many */
        unsigned char chunk[VMDK_CHUNK * VMDK_ENTRY_MAX];
        unsigned char table[VMDK_TABLE_MAX * VMDK_ENTRY_MAX];
        bool partly; /* some of table could not be read, and is zeros */
};

struct vmdk_scan {
        struct vmdk *v;
        struct vmdk_part *part;
        struct vmdk_verdict *verdict; /* of it */
        const struct archive_sink *sink;
        struct error *err;
        uint64_t done; /* bytes of the parts before this one: for progress */
        struct vmdk_directory dir[2];
        uint64_t stored, lost; /* bytes of sparse parts, so far */

        uint64_t window_at; /* byte of the file from which on window has … */
        size_t window_len;  /* … so many */
        unsigned char window[VMDK_WINDOW];
};

/* What an entry of a directory names. */
enum vmdk_table { VMDK_TABLE_NONE, VMDK_TABLE_THERE, VMDK_TABLE_BAD };

/* ---- vmdk_scan.c; both return 0 or what the sink returned ---- */

/* Report damage at byte OFFSET of the file, which loses LEN bytes from START of the part. */
int vmdk_report(const struct vmdk_scan *s, uint64_t offset, uint64_t start, uint64_t len,
                const char *text);

int vmdk_tell_progress(const struct vmdk_scan *s, uint64_t here);

/* ---- vmdk_tables.c ---- */

/* Can P's directory be at byte AT of its file? */
bool vmdk_directory_fits(const struct vmdk_part *p, uint64_t at);

/* Use the directories at these bytes of the file from now on; 0: none. */
void vmdk_use_directories(struct vmdk_scan *s, uint64_t at, uint64_t copy);

/* Where directory NUMBER has table I: byte *AT of the file, where that can be. */
enum vmdk_table vmdk_find_table(struct vmdk_scan *s, unsigned number, uint64_t i, uint64_t *at);
/* The same, and load it into the directory's table. */
enum vmdk_table vmdk_load_table(struct vmdk_scan *s, unsigned number, uint64_t i, uint64_t *at);

/* ---- vmdk_survey.c ---- */

/*
 * Find out how far the directories of an uncompressed part can be trusted: one of them may be
 * dropped, and what is lost may be what is claimed twice, the holes, or all.
 */
int vmdk_survey(struct vmdk_scan *s);

/* ---- vmdk_markers.c ---- */

/* Where the directory is, by its marker; 0 where there is none. */
int vmdk_find_directory(struct vmdk_scan *s, uint64_t *at);

/* Does the directory in use account for all grains that have markers? */
int vmdk_account(struct vmdk_scan *s, bool *all);

/* Find the grains that have markers. */
int vmdk_find_marked(struct vmdk_scan *s);

/* ---- vmdk_count.c ---- */

/* Walk over the part, whose verdict is final: report what is lost, and add up what is stored. */
int vmdk_count(struct vmdk_scan *s);

#endif
