/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text in which LVM2 keeps its metadata:
 *
 *   guestvg {
 *           seqno = 3
 *           status = ["READ", "WRITE"]     # strings, numbers, lists of them
 *           physical_volumes { pv0 { … } }
 *   }
 */
#ifndef VMAFS_LVM_TEXT_H
#define VMAFS_LVM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/array.h"

enum lvm_kind { LVM_SECTION, LVM_LIST, LVM_STRING, LVM_NUMBER };

#define LVM_NONE UINT32_MAX

struct lvm_value {
        enum lvm_kind kind;
        uint32_t name_len, len; /* bytes */
        const char *name;       /* in the text, without a NUL; of an element of a list: "" */
        const char *string;     /* in the text, as it is there; of a string */
        uint64_t number;
        uint32_t first, next; /* its first child, its next sibling; LVM_NONE */
};

struct lvm_text {
        ARRAY(struct lvm_value) values; /* the first one is a section that has all others */
        uint64_t steps;                 /* that were taken from value to value */
};

/*
 * A hostile text can have values refer to others in such numbers that it takes for ever to follow
 * them. After so many steps lvm_next finds nothing more, and nothing that was found counts.
 */
#define LVM_STEPS_MAX (UINT64_C(1) << 24)

/*
 * Parse the LEN bytes at TEXT, which outlives *OUT; lvm_text_free frees that in any case. -EBADMSG:
 * it is no such text, or nests too deep; -E2BIG: it has too many values; -ENOMEM.
 */
int lvm_text_parse(const char *text, size_t len, struct lvm_text *out);
void lvm_text_free(struct lvm_text *t);

/* The value of IN, a section, that has this NAME; NULL: there is none, or IN is NULL. */
const struct lvm_value *lvm_find(struct lvm_text *t, const struct lvm_value *in, const char *name);

/* The first child of V, or NULL; and what comes after V. */
const struct lvm_value *lvm_first(struct lvm_text *t, const struct lvm_value *v);
const struct lvm_value *lvm_next(struct lvm_text *t, const struct lvm_value *v);

/* Charge N steps. */
static inline void lvm_charge(struct lvm_text *t, uint64_t n)
{
        t->steps += n;
}

static inline bool lvm_is_exhausted(const struct lvm_text *t)
{
        return t->steps > LVM_STEPS_MAX;
}

/* The number called NAME in IN. False: there is none. */
bool lvm_number(struct lvm_text *t, const struct lvm_value *in, const char *name, uint64_t *out);

/* Is V the string TEXT? NULL is none. */
bool lvm_is(const struct lvm_value *v, const char *text);

/* Has the list called NAME in IN the string TEXT? */
bool lvm_has(struct lvm_text *t, const struct lvm_value *in, const char *name, const char *text);

#endif
