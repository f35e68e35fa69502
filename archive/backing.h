/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The image on which another one was made, of any format: the parent of a snapshot, the base of an
 * overlay. It is opened as an archive of its own, with what it was made on in turn, and its disk is
 * a volume, which answers for what the image above does not have.
 *
 *   image ──> backing ──> backing … at most BACKING_MAX of them
 *
 * Its name comes from the image, so an image can name any file of the host: none is opened unless
 * the user allows it, and then only where the user allows.
 */
#ifndef VMAFS_BACKING_H
#define VMAFS_BACKING_H

#include <stddef.h>
#include <stdint.h>

struct archive;
struct archive_origin;
struct archive_sink;
struct error;
struct format;
struct source;
struct volume_extent;

enum { BACKING_MAX = 15 };

struct backing;

/*
 * Open the file NAME, of which the image of ORIGIN says that it is its WHAT ("parent"), as what
 * its contents are among images. Sets *OUT, which backing_close frees. 0; -EPERM where ORIGIN does
 * not allow it, -ELOOP for too many of them, -EMEDIUMTYPE where it is no image of a known format,
 * and as archive_open_named and archive_open; with a sentence that begins with "has the WHAT" or
 * "its WHAT" in ERR.
 */
int backing_open(const struct archive_origin *origin, const char *what, const char *name,
                 struct backing **out, struct error *err);

/*
 * The same for an image of FORMAT that is already open as TAKE_SOURCE, and is at NAME as seen from
 * the folder of ORIGIN. DEPTH: so many images of the chain lie between the two.
 */
int backing_take(const struct archive_origin *origin, const char *what, const char *name,
                 const struct format *format, unsigned depth, struct source *take_source,
                 struct backing **out, struct error *err);

/* NULL is allowed. */
void backing_close(struct backing *b);

/* What it is; it stays B's. */
const struct archive *backing_archive(const struct backing *b);

/*
 * As struct format's functions. Of what the scan finds only damage is passed to SINK, as damage of
 * no known place, and progress, as none. What is lost shows in the extents.
 */
int backing_scan(struct backing *b, const struct archive_sink *sink, struct error *err);
void backing_skip_scan(struct backing *b);
int backing_check(const struct backing *b);

/*
 * As volume_ops, for the image above: one deeper, and zeros that it does not hold past its end.
 */
int backing_extent(const struct backing *b, uint64_t pos, uint64_t len, struct volume_extent *out);
int backing_read(const struct backing *b, void *buf, size_t len, uint64_t pos);

#endif
