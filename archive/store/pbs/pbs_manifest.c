/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/store/pbs/pbs_manifest.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/store/pbs/pbs_blob.h"

static void cleanup_json_fn(json_t **json)
{
        json_decref(*json);
}

static void cleanup_manifest_fn(struct pbs_manifest **m)
{
        pbs_manifest_free(*m);
}

#define cleanup_json     __attribute__((cleanup(cleanup_json_fn)))
#define cleanup_manifest __attribute__((cleanup(cleanup_manifest_fn)))

void pbs_manifest_free(struct pbs_manifest *m)
{
        if (!m)
                return;
        for (size_t i = 0; i < m->count; i++)
                free(m->files[i].name);
        free(m->files);
        free(m->type);
        free(m->id);
        free(m->notes);
        free(m);
}

static bool take_hex(const json_t *value, uint8_t out[PBS_DIGEST_LEN])
{
        static const char digits[] = "0123456789abcdef";
        const char *text = json_string_value(value);

        if (!text || json_string_length(value) != 2 * (size_t)PBS_DIGEST_LEN)
                return false;
        for (size_t i = 0; i < PBS_DIGEST_LEN; i++) {
                const char *high = strchr(digits, text[2 * i]);
                const char *low = strchr(digits, text[2 * i + 1]);

                if (!high || !low)
                        return false;
                out[i] = (uint8_t)((high - digits) << 4 | (low - digits));
        }
        return true;
}

/* ---- files ---- */

/* A name that stays in the snapshot's folder. */
static bool is_name(const json_t *value)
{
        const char *name = json_string_value(value);
        size_t len = json_string_length(value);

        return name && len && len < 256 && strlen(name) == len && !strchr(name, '/') &&
               strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Older clients omit how a file is encrypted: it is not. */
static bool take_crypt(const json_t *value, enum pbs_file_crypt *out)
{
        static const char *const modes[] = {"none", "encrypt", "sign-only"};
        const char *mode = json_is_string(value) ? json_string_value(value) : "none";

        for (unsigned i = 0; i < sizeof modes / sizeof modes[0]; i++) {
                if (strcmp(mode, modes[i]) == 0) {
                        *out = (enum pbs_file_crypt)i;
                        return true;
                }
        }
        return false;
}

static int take_file(const json_t *object, struct pbs_manifest_file *out, struct error *err)
{
        const json_t *name = json_object_get(object, "filename");
        const json_t *size = json_object_get(object, "size");

        if (!is_name(name) || !json_is_integer(size) || json_integer_value(size) < 0 ||
            !take_hex(json_object_get(object, "csum"), out->digest) ||
            !take_crypt(json_object_get(object, "crypt-mode"), &out->crypt))
                return error_set(err, EIO, "the manifest has a file that cannot be");
        out->size = (uint64_t)json_integer_value(size);
        out->name = strdup(json_string_value(name));
        return out->name ? 0 : error_set(err, ENOMEM, "out of memory");
}

static int by_name(const void *a, const void *b)
{
        const struct pbs_manifest_file *x = a, *y = b;

        return strcmp(x->name, y->name);
}

static int take_files(const json_t *files, struct pbs_manifest *m, struct error *err)
{
        size_t count = json_array_size(files);

        if (!json_is_array(files) || count > PBS_MANIFEST_FILES_MAX)
                return error_set(err, EIO, "the manifest has no list of files");
        m->files = calloc(count + 1, sizeof *m->files);
        if (!m->files)
                return error_set(err, ENOMEM, "out of memory");
        for (size_t i = 0; i < count; i++) {
                int rc = take_file(json_array_get(files, i), &m->files[i], err);

                if (rc < 0)
                        return rc;
                m->count++;
        }
        qsort(m->files, m->count, sizeof *m->files, by_name);
        for (size_t i = 1; i < m->count; i++)
                if (strcmp(m->files[i - 1].name, m->files[i].name) == 0)
                        return error_set(err, EIO, "the manifest names a file twice");
        return 0;
}

const struct pbs_manifest_file *pbs_manifest_find(const struct pbs_manifest *m, const char *name)
{
        struct pbs_manifest_file key = {.name = (char *)(uintptr_t)name};

        return bsearch(&key, m->files, m->count, sizeof *m->files, by_name);
}

/* ---- signature ---- */

/* Covers all but itself and what may change later, without spaces and with sorted keys. */
static int check_signature(const json_t *root, const struct pbs_key *key, enum pbs_signature *out)
{
        const json_t *signature = json_object_get(root, "signature");
        cleanup_json json_t *signed_part = NULL;
        cleanup_free char *text = NULL;
        uint8_t said[PBS_DIGEST_LEN], right[PBS_DIGEST_LEN];

        *out = PBS_SIGNATURE_NONE;
        if (!signature || json_is_null(signature))
                return 0;
        *out = PBS_SIGNATURE_UNCHECKED;
        if (!key)
                return 0;
        signed_part = json_copy((json_t *)(uintptr_t)root);
        if (!signed_part)
                return -ENOMEM;
        json_object_del(signed_part, "signature");
        json_object_del(signed_part, "unprotected");
        text = json_dumps(signed_part, JSON_COMPACT | JSON_SORT_KEYS);
        if (!text || pbs_key_sign(key, text, strlen(text), right) < 0)
                return -ENOMEM;
        *out = take_hex(signature, said) && memcmp(said, right, sizeof said) == 0
                   ? PBS_SIGNATURE_RIGHT
                   : PBS_SIGNATURE_WRONG;
        return 0;
}

/* ---- the whole ---- */

static int take_string(const json_t *value, char **out)
{
        *out = json_is_string(value) ? strdup(json_string_value(value)) : NULL;
        return json_is_string(value) && !*out ? -ENOMEM : 0;
}

static int take_root(const json_t *root, const struct pbs_key *key, struct pbs_manifest *m,
                     struct error *err)
{
        const json_t *time = json_object_get(root, "backup-time");
        const json_t *unprotected = json_object_get(root, "unprotected");

        if (take_string(json_object_get(root, "backup-type"), &m->type) < 0 ||
            take_string(json_object_get(root, "backup-id"), &m->id) < 0 ||
            take_string(json_object_get(unprotected, "notes"), &m->notes) < 0 ||
            check_signature(root, key, &m->signature) < 0)
                return error_set(err, ENOMEM, "out of memory");
        if (!m->type || !m->id || !json_is_integer(time))
                return error_set(err, EIO, "the manifest does not say what it is a backup of");
        m->time = json_integer_value(time);
        return take_files(json_object_get(root, "files"), m, err);
}

int pbs_manifest_parse(const void *blob, size_t len, const struct pbs_key *key,
                       struct pbs_manifest **out, struct error *err)
{
        cleanup_manifest struct pbs_manifest *m = calloc(1, sizeof *m);
        cleanup_json json_t *root = NULL;
        cleanup_free void *text = NULL;
        ssize_t n;
        int rc;

        if (!m)
                return error_set(err, ENOMEM, "out of memory");
        /* A manifest is never encrypted. */
        n = pbs_blob_decode_new(blob, len, NULL, PBS_MANIFEST_MAX, &text, err);
        if (n < 0)
                return n == -EACCES ? error_set(err, EIO, "the manifest is encrypted") : (int)n;
        root = json_loadb(text, (size_t)n, 0, NULL);
        if (!json_is_object(root))
                return error_set(err, EIO, "the manifest is not JSON");
        rc = take_root(root, key, m, err);
        if (rc == 0)
                *out = steal_ptr(&m);
        return rc;
}
