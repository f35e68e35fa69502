/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What came of many trials: counts, and the table that says so. */
#ifndef VMAFS_TESTS_TALLY_H
#define VMAFS_TESTS_TALLY_H

#include <stdint.h>
#include <stdio.h>

#include "tests/damage/trial.h"

struct tally {
        uint64_t files;
        uint64_t unharmed; /* every byte is right, in every way */
        uint64_t failed; /* refused, or some bytes are errors or not there; all others are right */
        uint64_t
            wrong[JUDGE_CLASSES];  /* files with at least one such sector; the worst class counts */
        uint64_t verified_sound;   /* … and every byte was right … */
        uint64_t verified_named;   /* … or wrong where nothing could have known … */
        uint64_t verified_falsely; /* … or verify could have known */
        uint64_t objections;       /* files of which something must not be */
        uint64_t sectors_right, sectors_failed, sectors_wrong; /* without an index */
};

void tally_add(struct tally *t, const struct trial *trial, const struct outcome_of *out);
void tally_sum(struct tally *to, const struct tally *from);

/* One line for the table of faults. */
void tally_log(FILE *out, const char *what, const struct tally *t);

void tally_print_head(FILE *out);
void tally_print(FILE *out, const char *what, const struct tally *t);

#endif
