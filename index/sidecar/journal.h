/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a pass over a compressed archive has found so far, so that the next one goes on from there
 * if it does not come to its end.
 *
 *   | header | record | record | checkpoint | record | … | checkpoint | torn rest
 *                                                                     ^ ignored
 *
 * A file of its own beside the index, INDEX.partial, and not an index that is marked as incomplete:
 * records are only ever appended, so each checkpoint costs what was found since the last one, a
 * process may be killed at any time, and an index that exists stays as it is until a complete one
 * takes its place. vmafs-index(5) describes every byte.
 *
 * It is as hostile as an index. Whatever is wrong with it, the pass begins anew.
 */
#ifndef VMAFS_JOURNAL_H
#define VMAFS_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/sidecar/stamp.h"

struct error;
struct location;
struct journal;
struct source;
struct stream_resume;

/* What it belongs to. */
struct journal_key {
        const uint8_t *identity; /* as location_identity */
        const char *compression;
        struct stamp stamp;
};

/*
 * Read the file of PLACE, if it is KEY's and no other process has it. 0 with *RESUME, which
 * stream_resume_fini frees, and *OUT to write on; -ENOENT if there is nothing to go on from; -EINVAL
 * if it is not to be believed; -EBUSY, -ENOMEM, or another -errno. Histories over WINDOW are refused.
 */
int journal_load(struct location *place, const struct journal_key *key, uint64_t window,
                 struct stream_resume *resume, struct journal **out);

/* A new one, whose file journal_write creates. NULL: out of memory. */
struct journal *journal_new(void);

/*
 * Append what the pass over SOURCE has found since the last call, if that gets the next one any
 * further. The pass's thread calls it. After a failure, which is nobody's problem, nothing more is
 * written.
 */
void journal_write(struct journal *p, struct location *place, const struct journal_key *key,
                   struct source *source);

/* NULL is allowed. The file stays. */
void journal_close(struct journal *p);

#endif
