/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The key of an encrypted backup, as Proxmox Backup Server's client keeps it: a JSON file, or the
 * same text printed on paper between BEGIN and END lines.
 *
 *   key file ── password, scrypt or PBKDF2 ──> encryption key ──> decrypts chunks and blobs
 *   (or without a password)                          │ PBKDF2
 *                                                    v
 *                                              identity key ───> the names of chunks, fingerprint
 *
 * All of it lies in memory that is locked, left out of core dumps, and wiped when it is freed.
 */
#ifndef VMAFS_PBS_KEY_H
#define VMAFS_PBS_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct pbs_key;

enum {
        PBS_KEY_LEN = 32,
        PBS_DIGEST_LEN = 32,      /* bytes of a SHA-256, which every chunk has for a name */
        PBS_KEY_FILE_MAX = 65536, /* bytes of a key file; real ones have less than 1000 */
        PBS_IV_LEN = 16,
        PBS_TAG_LEN = 16,
};

/*
 * The key in the LEN bytes of the file at TEXT. PASSWORD may be NULL where none is known. Sets
 * *OUT, freed by pbs_key_free. -EACCES where a password is needed and there is none, or it is
 * wrong; -EINVAL for a file that is no key; -ENOTSUP where deriving it would take more memory or
 * time than any real key needs; -ENOMEM. ERR says more.
 */
int pbs_key_parse(const char *text, size_t len, const char *password, struct pbs_key **out,
                  struct error *err);
void pbs_key_free(struct pbs_key *key); /* NULL is allowed */

/* The first 8 bytes of the fingerprint in hexadecimal, colons between: as the client shows it. */
enum { PBS_FINGERPRINT_TEXT = 24 };
void pbs_key_fingerprint(const struct pbs_key *key, char out[PBS_FINGERPRINT_TEXT]);

/*
 * Decrypt LEN bytes, AES-256-GCM, from IN to OUT. 0; -EIO where the tag does not fit, and then
 * OUT has nothing to be used; -ENOMEM. Thread-safe.
 */
int pbs_key_decrypt(const struct pbs_key *key, const uint8_t iv[PBS_IV_LEN],
                    const uint8_t tag[PBS_TAG_LEN], const uint8_t *in, size_t len, uint8_t *out);

/*
 * The name of the chunk whose plain content is the LEN bytes at DATA: SHA-256 of it, and of the
 * identity key where KEY is not NULL. 0 or -ENOMEM. Thread-safe.
 */
int pbs_chunk_digest(const struct pbs_key *key, const void *data, size_t len,
                     uint8_t out[PBS_DIGEST_LEN]);

/*
 * HMAC-SHA256 under the identity key of the LEN bytes at DATA, which signs manifests. 0 or -ENOMEM.
 */
int pbs_key_sign(const struct pbs_key *key, const void *data, size_t len,
                 uint8_t out[PBS_DIGEST_LEN]);

#endif
