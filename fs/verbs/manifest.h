/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Are an OVA's members what its manifest says? They are hashed in verify's one pass as far as that
 * reads them from their beginning to their end, and read once more otherwise.
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
 * What the manifests of INDEX say, of which an archive that is no OVA has none. Sets *OUT, freed by
 * manifests_free; NULL where there are none. -ENOMEM.
 */
int manifests_load(struct index *index, struct manifests **out);
void manifests_free(struct manifests *m); /* NULL is allowed */

/* The LEN bytes at START of DISK are these. For the pass; what does not follow is left out. */
void manifests_take(struct manifests *m, const struct disk *disk, uint64_t start, const void *buf,
                    size_t len);

/* The pass is over: have all digests checked. 0, -ENOMEM, or -ENOTSUP: OpenSSL refuses one. */
int manifests_finish(struct manifests *m);

/* Does what could be checked agree, and is there no line that makes no sense? NULL: yes. */
bool manifests_agree(const struct manifests *m);

/* What info says: the manifests, and how many digests each has. NULL is allowed. */
void manifests_print_names(const struct manifests *m);
json_t *manifests_names_json(const struct manifests *m);

/* What verify says, after manifests_finish. NULL is allowed. */
void manifests_print(const struct manifests *m);
json_t *manifests_json(const struct manifests *m);

#endif
