/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The envelope of everything in a Proxmox Backup Server datastore but its indexes: chunks, and
 * files of their own such as configurations and manifests.
 *
 *   magic 8 | CRC-32 4 |                  | data, or one zstd frame           to the file's end
 *   magic 8 | CRC-32 4 | IV 16 | tag 16   | the same, AES-256-GCM
 *
 * The checksum covers only what follows the header. A blob does not say its length: the reader
 * knows an upper limit, and no more than that is ever decompressed.
 */
#ifndef VMAFS_PBS_BLOB_H
#define VMAFS_PBS_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct pbs_key;

enum {
        PBS_BLOB_HEADER_MAX = 44,
        PBS_BLOB_MAX = 128 << 20, /* bytes of plain data, which no writer passes */
};

/* Are the LEN bytes at P those of an encrypted blob? */
bool pbs_blob_is_encrypted(const uint8_t *p, size_t len);

/*
 * Check the blob of LEN bytes at P as far as that can be done without a key: its kind and its sum.
 * 0 or -EIO with the reason in ERR.
 */
int pbs_blob_check(const uint8_t *p, size_t len, struct error *err);

/*
 * Decode the blob of LEN bytes at P, KEY may be NULL, into OUT, which has room for MAX bytes. The
 * bytes of plain data; -EIO where it is damaged or has more than MAX; -EACCES where it is
 * encrypted and there is no key, or another one; -ENOMEM; with the reason in ERR. Thread-safe.
 */
ssize_t pbs_blob_decode(const uint8_t *p, size_t len, const struct pbs_key *key, void *out,
                        size_t max, struct error *err);

/*
 * The same into new memory, *OUT, that the caller frees, where only the bound MAX is known: memory
 * follows what is there, not what the blob claims.
 */
ssize_t pbs_blob_decode_new(const uint8_t *p, size_t len, const struct pbs_key *key, size_t max,
                            void **out, struct error *err);

#endif
