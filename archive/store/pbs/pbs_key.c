/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/store/pbs/pbs_key.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "archive/cleanup.h"
#include "archive/error.h"

enum {
        WRAPPED_LEN = PBS_IV_LEN + PBS_TAG_LEN + PBS_KEY_LEN, /* of a key under a password */
        SALT_MAX = 1024,
        ITERATIONS_MAX = 10 * 1000 * 1000, /* of PBKDF2: seconds. The client takes 65535 */
        IDENTITY_ITERATIONS = 10,
};

#define SCRYPT_BYTES_MAX (UINT64_C(512) << 20) /* of memory. The client takes 64 MiB */

struct pbs_key {
        uint8_t encryption[PBS_KEY_LEN];
        uint8_t identity[PBS_KEY_LEN];
        uint8_t fingerprint[PBS_DIGEST_LEN];
};

/* ---- memory for secrets ---- */

static struct pbs_key *new_key(void)
{
        void *p = mmap(NULL, sizeof(struct pbs_key), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
                return NULL;
        /* Without the right to lock memory the key is still wiped, and in no core dump. */
        mlock(p, sizeof(struct pbs_key));
        madvise(p, sizeof(struct pbs_key), MADV_DONTDUMP);
        return p;
}

void pbs_key_free(struct pbs_key *key)
{
        if (!key)
                return;
        OPENSSL_cleanse(key, sizeof *key);
        munmap(key, sizeof *key);
}

static void cleanup_key_fn(struct pbs_key **key)
{
        pbs_key_free(*key);
}

/* With the key, or what is the key under its password. */
static void cleanup_json_fn(json_t **json)
{
        const json_t *data = json_object_get(*json, "data");

        if (json_is_string(data))
                OPENSSL_cleanse((void *)(uintptr_t)json_string_value(data),
                                json_string_length(data));
        json_decref(*json);
}

static void cleanup_cipher_fn(EVP_CIPHER_CTX **ctx)
{
        EVP_CIPHER_CTX_free(*ctx);
}

static void cleanup_digest_fn(EVP_MD_CTX **ctx)
{
        EVP_MD_CTX_free(*ctx);
}

#define cleanup_key    __attribute__((cleanup(cleanup_key_fn)))
#define cleanup_json   __attribute__((cleanup(cleanup_json_fn)))
#define cleanup_cipher __attribute__((cleanup(cleanup_cipher_fn)))
#define cleanup_digest __attribute__((cleanup(cleanup_digest_fn)))

/* ---- AES-256-GCM ---- */

static int decrypt(const uint8_t key[PBS_KEY_LEN], const uint8_t *iv, const uint8_t *tag,
                   const uint8_t *in, size_t len, uint8_t *out)
{
        cleanup_cipher EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
        int n;

        if (!ctx || len > INT32_MAX ||
            EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, NULL, NULL) != 1 ||
            EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_IVLEN, PBS_IV_LEN, NULL) != 1 ||
            EVP_DecryptInit_ex(ctx, NULL, NULL, key, iv) != 1 ||
            EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, PBS_TAG_LEN, (void *)(uintptr_t)tag) !=
                1)
                return -ENOMEM;
        if (len && EVP_DecryptUpdate(ctx, out, &n, in, (int)len) != 1)
                return -EIO;
        return EVP_DecryptFinal_ex(ctx, out + len, &n) == 1 ? 0 : -EIO;
}

int pbs_key_decrypt(const struct pbs_key *key, const uint8_t iv[PBS_IV_LEN],
                    const uint8_t tag[PBS_TAG_LEN], const uint8_t *in, size_t len, uint8_t *out)
{
        return decrypt(key->encryption, iv, tag, in, len, out);
}

/* ---- digests ---- */

int pbs_chunk_digest(const struct pbs_key *key, const void *data, size_t len,
                     uint8_t out[PBS_DIGEST_LEN])
{
        cleanup_digest EVP_MD_CTX *ctx = EVP_MD_CTX_new();

        if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 ||
            EVP_DigestUpdate(ctx, data, len) != 1 ||
            (key && EVP_DigestUpdate(ctx, key->identity, sizeof key->identity) != 1) ||
            EVP_DigestFinal_ex(ctx, out, NULL) != 1)
                return -ENOMEM;
        return 0;
}

int pbs_key_sign(const struct pbs_key *key, const void *data, size_t len,
                 uint8_t out[PBS_DIGEST_LEN])
{
        return HMAC(EVP_sha256(), key->identity, sizeof key->identity, data, len, out, NULL)
                   ? 0
                   : -ENOMEM;
}

/* What follows from the encryption key. */
static int derive_identity(struct pbs_key *key)
{
        static const char salt[] = "_id_key", text[] = "Proxmox Backup Encryption Key Fingerprint";
        uint8_t hashed[PBS_DIGEST_LEN];

        if (PKCS5_PBKDF2_HMAC((const char *)key->encryption, PBS_KEY_LEN, (const uint8_t *)salt,
                              sizeof salt - 1, IDENTITY_ITERATIONS, EVP_sha256(), PBS_KEY_LEN,
                              key->identity) != 1)
                return -ENOMEM;
        if (pbs_chunk_digest(NULL, text, sizeof text - 1, hashed) < 0)
                return -ENOMEM;
        return pbs_chunk_digest(key, hashed, sizeof hashed, key->fingerprint);
}

void pbs_key_fingerprint(const struct pbs_key *key, char out[PBS_FINGERPRINT_TEXT])
{
        for (size_t i = 0; i < PBS_FINGERPRINT_TEXT / 3; i++)
                snprintf(out + 3 * i, 4, "%02x%s", key->fingerprint[i],
                         i + 1 < PBS_FINGERPRINT_TEXT / 3 ? ":" : "");
}

/* ---- the file ---- */

/* The bytes that the base64 string VALUE says, at most MAX. How many, or -EINVAL. */
static ssize_t decode_base64(const json_t *value, uint8_t *out, size_t max)
{
        const char *text = json_string_value(value);
        size_t len = json_string_length(value), n;
        cleanup_free uint8_t *decoded = NULL;

        if (!text || len == 0 || len % 4 || len / 4 * 3 > max + 2)
                return -EINVAL;
        decoded = malloc(len / 4 * 3);
        if (!decoded)
                return -ENOMEM;
        if (EVP_DecodeBlock(decoded, (const uint8_t *)text, (int)len) < 0)
                return -EINVAL;
        n = len / 4 * 3 - (text[len - 1] == '=') - (text[len - 2] == '=');
        if (n <= max)
                memcpy(out, decoded, n);
        OPENSSL_cleanse(decoded, len / 4 * 3);
        return n <= max ? (ssize_t)n : -EINVAL;
}

static bool take_number(const json_t *object, const char *name, uint64_t *out)
{
        const json_t *value = json_object_get(object, name);

        if (!json_is_integer(value) || json_integer_value(value) <= 0)
                return false;
        *out = (uint64_t)json_integer_value(value);
        return true;
}

static int derive_scrypt(const json_t *params, const char *password, const uint8_t *salt,
                         size_t salt_len, uint8_t out[PBS_KEY_LEN], struct error *err)
{
        uint64_t n, r, p, bytes;

        if (!take_number(params, "n", &n) || !take_number(params, "r", &r) ||
            !take_number(params, "p", &p))
                return error_set(err, EINVAL, "is no key file: its scrypt parameters are wrong");
        if (__builtin_mul_overflow(n, r, &bytes) || __builtin_mul_overflow(bytes, 128, &bytes) ||
            bytes > SCRYPT_BYTES_MAX || p > 16)
                return error_set(err, ENOTSUP, "asks for more than 512 MiB to derive its key");
        if (EVP_PBE_scrypt(password, strlen(password), salt, salt_len, n, r, p,
                           2 * SCRYPT_BYTES_MAX, out, PBS_KEY_LEN) != 1)
                return error_set(err, EINVAL, "is no key file: its scrypt parameters are wrong");
        return 0;
}

static int derive_pbkdf2(const json_t *params, const char *password, const uint8_t *salt,
                         size_t salt_len, uint8_t out[PBS_KEY_LEN], struct error *err)
{
        uint64_t iterations;

        if (!take_number(params, "iter", &iterations))
                return error_set(err, EINVAL, "is no key file: its PBKDF2 parameters are wrong");
        if (iterations > ITERATIONS_MAX)
                return error_set(err, ENOTSUP, "asks for too many rounds to derive its key");
        if (PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, (int)salt_len, (int)iterations,
                              EVP_sha256(), PBS_KEY_LEN, out) != 1)
                return error_set(err, ENOMEM, "out of memory");
        return 0;
}

/* The key that PASSWORD gives, by what KDF says. */
static int derive(const json_t *kdf, const char *password, uint8_t out[PBS_KEY_LEN],
                  struct error *err)
{
        const json_t *scrypt = json_object_get(kdf, "Scrypt");
        const json_t *pbkdf2 = json_object_get(kdf, "PBKDF2");
        uint8_t salt[SALT_MAX];
        ssize_t salt_len =
            decode_base64(json_object_get(scrypt ? scrypt : pbkdf2, "salt"), salt, sizeof salt);

        if (salt_len < 0)
                return error_set(err, EINVAL,
                                 "is no key file, or its kind of password is not "
                                 "known");
        return scrypt ? derive_scrypt(scrypt, password, salt, (size_t)salt_len, out, err)
                      : derive_pbkdf2(pbkdf2, password, salt, (size_t)salt_len, out, err);
}

static int unwrap(const json_t *kdf, const uint8_t data[WRAPPED_LEN], const char *password,
                  struct pbs_key *key, struct error *err)
{
        cleanup_key struct pbs_key *derived = new_key();
        int rc;

        if (!password)
                return error_set(err, EACCES,
                                 "the key has a password; say where it is with "
                                 "passfile=PATH");
        if (!derived)
                return error_set(err, ENOMEM, "out of memory");
        rc = derive(kdf, password, derived->encryption, err);
        if (rc < 0)
                return rc;
        rc = decrypt(derived->encryption, data, data + PBS_IV_LEN, data + PBS_IV_LEN + PBS_TAG_LEN,
                     PBS_KEY_LEN, key->encryption);
        return rc == -EIO ? error_set(err, EACCES, "the password does not open the key") : rc;
}

/* Does the file give a fingerprint that differs from KEY's? */
static bool is_other_key(const struct pbs_key *key, const json_t *said)
{
        char text[3 * PBS_DIGEST_LEN + 1];

        for (size_t i = 0; i < PBS_DIGEST_LEN; i++)
                snprintf(text + 3 * i, 4, "%02x%s", key->fingerprint[i],
                         i + 1 < PBS_DIGEST_LEN ? ":" : "");
        return json_is_string(said) && strcmp(json_string_value(said), text) != 0;
}

static int take_key(const json_t *file, const char *password, struct pbs_key *key,
                    struct error *err)
{
        const json_t *kdf = json_object_get(file, "kdf");
        uint8_t data[WRAPPED_LEN];
        ssize_t len = decode_base64(json_object_get(file, "data"), data, sizeof data);
        bool wrapped = kdf && !json_is_null(kdf);
        int rc = 0;

        if (len != (wrapped ? WRAPPED_LEN : PBS_KEY_LEN))
                rc = error_set(err, EINVAL, "is no key file: its data has a wrong length");
        else if (wrapped)
                rc = unwrap(kdf, data, password, key, err);
        else
                memcpy(key->encryption, data, PBS_KEY_LEN);
        OPENSSL_cleanse(data, sizeof data);
        if (rc < 0)
                return rc;
        if (derive_identity(key) < 0)
                return error_set(err, ENOMEM, "out of memory");
        if (is_other_key(key, json_object_get(file, "fingerprint")))
                return error_set(err, EINVAL,
                                 "the key does not have the fingerprint that its "
                                 "file says");
        return 0;
}

int pbs_key_parse(const char *text, size_t len, const char *password, struct pbs_key **out,
                  struct error *err)
{
        /* A printed key has other lines before and after. */
        const char *start = memchr(text, '{', len), *end = memrchr(text, '}', len);
        cleanup_key struct pbs_key *key = new_key();
        cleanup_json json_t *file = NULL;
        int rc;

        if (!key)
                return error_set(err, ENOMEM, "out of memory");
        if (!start || !end || end < start || len > PBS_KEY_FILE_MAX)
                return error_set(err, EINVAL, "is no key file: it has no JSON object");
        file = json_loadb(start, (size_t)(end - start) + 1, 0, NULL);
        if (!json_is_object(file))
                return error_set(err, EINVAL, "is no key file: its JSON is damaged");
        rc = take_key(file, password, key, err);
        if (rc == 0)
                *out = steal_ptr(&key);
        return rc;
}
