/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks an OVA's members against its manifest. A member that verify's pass reads from beginning to
 * end is hashed in that pass; others are read once more.
 */
#ifndef VMAFS_FS_MANIFEST_H
#define VMAFS_FS_MANIFEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk;
struct error;
struct index;
struct manifests;

/*
 * Parse the manifests in INDEX; only OVAs have any. Sets *OUT, which manifests_free frees, or NULL
 * if there are none. Returns 0 or -ENOMEM.
 */
int manifests_load(struct index *index, struct manifests **out);
void manifests_free(struct manifests *m); /* NULL is allowed */

/*
 * Called in the pass: the LEN bytes at START of DISK. Bytes that do not continue the previous ones
 * are ignored.
 */
void manifests_take(struct manifests *m, const struct disk *disk, uint64_t start, const void *buf,
                    size_t len);

/* The pass is over: check all digests. 0, -ENOMEM, or -ENOTSUP if OpenSSL refuses an algorithm. */
int manifests_finish(struct manifests *m);

/* Did everything that could be checked agree, and was every line understood? True for NULL. */
bool manifests_agree(const struct manifests *m);

/* For info: the manifests, and how many digests each has. NULL is allowed. */
void manifests_print_names(const struct manifests *m);
json_t *manifests_names_json(const struct manifests *m);

/* For verify, after manifests_finish. NULL is allowed. */
void manifests_print(const struct manifests *m);
json_t *manifests_json(const struct manifests *m);

#endif
