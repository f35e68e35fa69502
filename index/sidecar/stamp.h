/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which file an index was made of, beyond what the archive's size and ends say.
 *
 * Two archives of one owner can have the same size and ends, for instance after a write to the
 * middle. For a compressed archive, each segment's hash shows that. For a plain one nothing would,
 * so it must be the same file, unchanged since. Renaming it or changing its mode costs a new scan,
 * which is quick for a plain archive. The device is not compared, since on some file systems it
 * changes with each mount.
 */
#ifndef VMAFS_STAMP_H
#define VMAFS_STAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/source/source.h"

struct error;

enum { STAMP_LEN = 40 }; /* bytes in an index */

struct stamp {
        uint32_t owner;
        bool known; /* the fields below are */
        struct source_stamp file;
};

/* The stamp of FILE as it is now. */
struct stamp stamp_of(struct source *file);

void stamp_store(const struct stamp *stamp, uint8_t out[STAMP_LEN]);
bool stamp_load(const uint8_t in[STAMP_LEN], struct stamp *out); /* false: it is damaged */

/*
 * Does an index with the stamp WAS (NULL: none) fit FILE as it is now, a COMPRESSED archive or a
 * plain one? 0; -ESTALE with the reason in ERR; -ENOENT, without a reason, if that cannot be known.
 */
int stamp_check(const struct stamp *was, bool compressed, struct source *file, struct error *err);

#endif
