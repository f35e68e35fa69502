/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One damaged archive, used in every way in which it can be used: what comes of it.
 */
#ifndef VMAFS_TESTS_TRIAL_H
#define VMAFS_TESTS_TRIAL_H

#include <stdbool.h>

#include "tests/damage/codec.h"
#include "tests/damage/judge.h"
#include "tests/damage/sound.h"

enum trial_way {
        TRIAL_FRESH,   /* without an index: scanned, then read */
        TRIAL_AGAIN,   /* with the index that this has left */
        TRIAL_KEPT,    /* with one that was made when the archive was sound */
        TRIAL_LIVE,    /* read while it is scanned */
        TRIAL_EXTRACT, /* what `vmafs extract` writes */
        TRIAL_MOUNT,   /* read through a mount; where there is a program to be run */
        TRIAL_WAYS,
};

enum { TRIAL_PATH = 200 };

extern const char *const trial_names[TRIAL_WAYS];

/* How `vmafs verify` ended. */
enum trial_verify { TRIAL_SOUND, TRIAL_DAMAGED, TRIAL_REFUSED, TRIAL_DIED };

struct trial {
        const struct sound *sound;
        const struct sound_codec *codec;
        struct bytes files[SOUND_FILES]; /* of the sound archive, compressed */
        char dir[100];                   /* for files */
        char archive[TRIAL_PATH];
        bool moved;          /* the damage that comes next has moved some of the file */
        const char *program; /* path of vmafs; NULL: its verbs are called, and nothing is mounted */
};

struct outcome_of {
        struct verdict ways[TRIAL_WAYS];
        enum trial_verify verify;
};

/* Compress SOUND, which must outlive it, and keep an index of it. DIR is made. */
void trial_init(struct trial *t, const struct sound *sound, const struct sound_codec *codec,
                const char *dir);
void trial_fini(struct trial *t);

/* With FILES instead of the sound ones: the first three ways, in this process, without verify. */
void trial_read(struct trial *t, const struct bytes *files, struct outcome_of *out);

/* Likewise in every way, and verify. LIVE: read while it is scanned, too. */
void trial_run(struct trial *t, const struct bytes *files, bool live, struct outcome_of *out);

/* The folder PATH with all that is in it. */
void trial_remove(char *path);

/* Is V, of a trial without an index, what verify must not call sound? */
bool trial_must_be_seen(const struct trial *t, const struct verdict *v);

/* What of OUT must not be, in words, into TEXT of SIZE bytes: false where nothing is. */
bool trial_objects(const struct trial *t, const struct outcome_of *out, char *text, size_t size);

/* ---- for its own parts ---- */

/* The path of NAME in its folder. */
void trial_path(const struct trial *t, const char *name, char out[TRIAL_PATH]);

/* Room for a content of SIZE bytes, of which EXPECTED are looked at. */
struct serving serving_new(size_t size, size_t expected);
void serving_free(struct serving *s);

void trial_extract(const struct trial *t, struct harmed *h, struct verdict *v);
void trial_mount(const struct trial *t, struct harmed *h, struct verdict *v);
enum trial_verify trial_verify(const struct trial *t);

#endif
