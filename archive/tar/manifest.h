/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The manifest of an OVA: a line for each file, with the file's digest.
 *
 *   SHA256(web01.ovf)= 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
 *
 * The specification is DSP0243 of the DMTF, 7.3. OpenSSL 3 calls the same algorithm SHA2-256, and
 * some tools put spaces around the brackets.
 */
#ifndef VMAFS_MANIFEST_H
#define VMAFS_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        MANIFEST_NAME_MAX = 4096, /* bytes of a file's name */
        MANIFEST_DIGEST_MAX = 64,
};

enum manifest_kind {
        MANIFEST_DIGEST,
        MANIFEST_UNKNOWN,   /* the algorithm is not known */
        MANIFEST_MALFORMED, /* the line has another form: only its number is set */
};

struct manifest_line {
        enum manifest_kind kind;
        size_t number;    /* from 1 */
        const char *name; /* of the file: bytes of the text, without a NUL */
        size_t name_len;
        const char *algorithm; /* as OpenSSL has it: "SHA256"; MANIFEST_DIGEST alone */
        uint8_t digest[MANIFEST_DIGEST_MAX];
        size_t digest_len;
};

/* A position in the text, which stays the caller's. */
struct manifest_reader {
        const char *text;
        size_t len;
        size_t at;
        size_t lines; /* before that */
};

/* Read the next line that is not empty. False: the end. The text may be any bytes. */
bool manifest_next(struct manifest_reader *r, struct manifest_line *out);

#endif
