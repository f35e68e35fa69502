/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The manifest of a snapshot, index.json.blob: which archives it has, and what proves each of them.
 */
#ifndef VMAFS_PBS_MANIFEST_H
#define VMAFS_PBS_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/store/pbs/pbs_key.h"

struct error;

enum {
        PBS_MANIFEST_MAX = 16 << 20, /* bytes of JSON */
        PBS_MANIFEST_FILES_MAX = 65536,
};

#define PBS_MANIFEST_NAME "index.json.blob"

enum pbs_file_crypt { PBS_FILE_PLAIN, PBS_FILE_ENCRYPTED, PBS_FILE_SIGNED };

struct pbs_manifest_file {
        char *name; /* of the file: "drive-scsi0.img.fidx"; no '/', not "." or ".." */
        enum pbs_file_crypt crypt;
        uint64_t size; /* bytes: of the stream of an index, of the file of a blob */
        uint8_t digest[PBS_DIGEST_LEN]; /* of the index's table, or of the blob's file */
};

enum pbs_signature {
        PBS_SIGNATURE_NONE,
        PBS_SIGNATURE_UNCHECKED, /* without a key */
        PBS_SIGNATURE_RIGHT,
        PBS_SIGNATURE_WRONG,
};

struct pbs_manifest {
        char *type, *id; /* "vm", "100" */
        int64_t time;    /* seconds since 1970 */
        enum pbs_signature signature;
        char *notes; /* NULL: there are none */
        struct pbs_manifest_file *files;
        size_t count;
};

/*
 * Parse the blob of LEN bytes at BLOB; KEY, for the signature, may be NULL. Sets *OUT, freed by
 * pbs_manifest_free. -EIO with the reason in ERR where it is damaged, or says what cannot be;
 * -ENOMEM.
 */
int pbs_manifest_parse(const void *blob, size_t len, const struct pbs_key *key,
                       struct pbs_manifest **out, struct error *err);
void pbs_manifest_free(struct pbs_manifest *m); /* NULL is allowed */

/* The file that is called NAME, or NULL. */
const struct pbs_manifest_file *pbs_manifest_find(const struct pbs_manifest *m, const char *name);

#endif
