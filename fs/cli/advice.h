/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a user who typed an unknown verb may have meant. */
#ifndef VMAFS_ADVICE_H
#define VMAFS_ADVICE_H

#include <stddef.h>

/*
 * Write advice on WORD, which is not a verb, to OUT, which has SIZE bytes: which of the COUNT verbs
 * at VERBS is spelled like it, or how vmafs does what other programs call by that name. Returns
 * OUT, or NULL if WORD is the name of a file, or looks more like one than like a verb.
 */
const char *advice_on_verb(const char *word, const char *const *verbs, size_t count, char *out,
                           size_t size);

#endif
