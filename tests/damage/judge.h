/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is what is served of a damaged archive what the sound one holds? Each sector is right, an error,
 * or wrong; and where it is wrong, the bytes that were damaged say whether anything could have
 * known.
 *
 *   sector ─> same as in the sound archive                     right
 *          ─> just what lies now where its bytes lay           JUDGE_DATA: no checksum covers it
 *          ─> the same, after a piece was cut or inserted      JUDGE_MOVED: no header tells it
 *          ─> the same, in the last extent or member           JUDGE_END: it may be moved in there
 *          ─> its compressed cluster was damaged (qcow2)       JUDGE_CODED: likewise
 *          ─> an entry of a table that leads to it was damaged JUDGE_TABLE: likewise
 *          ─> in a member or frame that is cut off             JUDGE_MEMBER: its checksum is not there
 *             or of over 16 MiB                        … or far away
 *          ─> anything else                                    JUDGE_SILENT: must not be
 */
#ifndef VMAFS_TESTS_JUDGE_H
#define VMAFS_TESTS_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/damage/sound.h"

enum judge_class {
        JUDGE_DATA,
        JUDGE_MOVED,
        JUDGE_END,
        JUDGE_CODED,
        JUDGE_TABLE,
        JUDGE_MEMBER,
        JUDGE_SILENT,
        JUDGE_CLASSES
};

enum { JUDGE_BLOCK = 4096, JUDGE_LARGE = 16 << 20 };

/* A damaged archive. */
struct harmed {
        const struct sound *sound;
        struct bytes files[SOUND_FILES];
        bool packed;          /* compressed: then everything is covered by a checksum */
        bool moved;           /* some of it is at another place now */
        size_t unproven_from; /* … but for what follows this byte of what is compressed */
        struct sightings *sightings;
};

/* What was served of one content. */
struct serving {
        bool present;
        struct bytes bytes; /* as many as there are said to be, or as were expected at most */
        size_t size;        /* as many as there are said to be */
        uint8_t *failed;    /* of each block: 1 where it is an error */
        bool partial;       /* zeros stand for errors */
};

struct verdict {
        bool refused;       /* the archive cannot be opened */
        unsigned missing;   /* contents that are not there */
        unsigned resized;   /* … that have another size */
        unsigned strangers; /* … that the sound archive does not have */
        bool hidden;        /* what is missing cannot be missed: see harmed_seems_to_end */
        bool early;         /* the archive ends too early, which verify must see */
        uint64_t right, errors, wrong[JUDGE_CLASSES]; /* sectors */
        char first[200];                              /* the first one that must not be */
};

/* FILES, which stay the caller's, as they are after the damage. */
void harmed_init(struct harmed *h, const struct sound *sound, const struct bytes *files,
                 bool packed);
void harmed_fini(struct harmed *h);

/*
 * Is there, where the first header is missing, what a tar ends with? Then nothing says that more
 * should follow.
 */
bool harmed_seems_to_end(const struct harmed *h);

/* Adds to V. KEPT: found with an index of the sound archive, which knows where things lay. */
void judge_content(struct harmed *h, unsigned content, const struct serving *served, bool kept,
                   struct verdict *v);

/* Is every byte of it right? */
bool verdict_is_right(const struct verdict *v);

/* Is there what must not be, whatever the damage? */
bool verdict_is_silent(const struct verdict *v);

#endif
