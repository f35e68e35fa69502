/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/store/pbs/pbs_blob.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/store/pbs/pbs_key.h"

enum {
        MAGIC_LEN = 8,
        AT_SUM = 8,
        AT_IV = 12,
        AT_TAG = AT_IV + PBS_IV_LEN,
        HEADER = 12,
        WINDOW_LOG_MAX = 27, /* of a frame that is decompressed piece by piece */
};

struct kind {
        uint8_t magic[MAGIC_LEN];
        bool compressed, encrypted;
};

static const struct kind kinds[] = {
    {{0x42, 0xab, 0x38, 0x07, 0xbe, 0x83, 0x70, 0xa1}, false, false},
    {{0x31, 0xb9, 0x58, 0x42, 0x6f, 0xb6, 0xa3, 0x7f}, true, false},
    {{0x7b, 0x67, 0x85, 0xbe, 0x22, 0x2d, 0x4c, 0xf0}, false, true},
    {{0xe6, 0x59, 0x1b, 0xbf, 0x0b, 0xbf, 0xd8, 0x0b}, true, true},
};

static const struct kind *find_kind(const uint8_t *p, size_t len)
{
        for (size_t i = 0; len >= HEADER && i < sizeof kinds / sizeof kinds[0]; i++)
                if (memcmp(p, kinds[i].magic, MAGIC_LEN) == 0)
                        return &kinds[i];
        return NULL;
}

bool pbs_blob_is_encrypted(const uint8_t *p, size_t len)
{
        const struct kind *kind = find_kind(p, len);

        return kind && kind->encrypted;
}

/* The payload of a blob whose checksum was right. */
struct payload {
        const struct kind *kind;
        const uint8_t *data;
        size_t len;
};

static int find_payload(const uint8_t *p, size_t len, struct payload *out, struct error *err)
{
        const struct kind *kind = find_kind(p, len);
        size_t header = kind && kind->encrypted ? PBS_BLOB_HEADER_MAX : HEADER;

        if (len == 0)
                return error_set(err, EIO,
                                 "is empty: a datastore in an object store keeps such "
                                 "files for chunks that it has not fetched");
        if (!kind || len < header)
                return error_set(err, EIO, "does not begin as a blob does");
        *out = (struct payload){kind, p + header, len - header};
        if (checksum_crc32(out->data, out->len) != load_le32(p + AT_SUM))
                return error_set(err, EIO, "has a wrong checksum");
        return 0;
}

int pbs_blob_check(const uint8_t *p, size_t len, struct error *err)
{
        struct payload payload;

        return find_payload(p, len, &payload, err);
}

/* ---- decompression ---- */

static int one_frame(const struct payload *in, struct error *err)
{
        if (ZSTD_findFrameCompressedSize(in->data, in->len) != in->len)
                return error_set(err, EIO, "is not one whole frame of zstd");
        return 0;
}

static ssize_t decompress(const struct payload *in, void *out, size_t max, struct error *err)
{
        int rc = one_frame(in, err);
        size_t n;

        if (rc < 0)
                return rc;
        /* In one call, so that no window is allocated, however large the frame wants it. */
        n = ZSTD_decompress(out, max, in->data, in->len);
        if (ZSTD_isError(n))
                return error_set(err, EIO, "cannot be decompressed: %s", ZSTD_getErrorName(n));
        return (ssize_t)n;
}

static void cleanup_stream_fn(ZSTD_DCtx **ctx)
{
        ZSTD_freeDCtx(*ctx);
}

static int grow(uint8_t **p, size_t *capacity, size_t max)
{
        size_t wanted = (size_t)min_u64(max, max_u64(4096, 2 * (uint64_t)*capacity));
        uint8_t *grown = realloc(*p, wanted);

        if (!grown)
                return -ENOMEM;
        *p = grown;
        *capacity = wanted;
        return 0;
}

/* Piece by piece, zstd does not compare what a frame says of its size, if anything. */
static bool is_size_of(const struct payload *in, size_t size)
{
        unsigned long long said = ZSTD_getFrameContentSize(in->data, in->len);

        return said == ZSTD_CONTENTSIZE_UNKNOWN || said == size;
}

/* Into memory that grows with what comes. */
static ssize_t decompress_new(const struct payload *in, size_t max, void **out, struct error *err)
{
        __attribute__((cleanup(cleanup_stream_fn))) ZSTD_DCtx *ctx = ZSTD_createDCtx();
        cleanup_free uint8_t *p = NULL;
        ZSTD_inBuffer input = {in->data, in->len, 0};
        size_t capacity = 0, done = 0, rc = 1;

        if (!ctx || ZSTD_isError(ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
                return error_set(err, ENOMEM, "out of memory");
        while (rc != 0) {
                ZSTD_outBuffer output;

                if (done > max)
                        return error_set(err, EIO, "expands to more than %zu bytes", max);
                if (done == capacity && grow(&p, &capacity, max + 1) < 0)
                        return error_set(err, ENOMEM, "out of memory");
                output = (ZSTD_outBuffer){p, capacity, done};
                rc = ZSTD_decompressStream(ctx, &output, &input);
                if (ZSTD_isError(rc))
                        return error_set(err, EIO, "cannot be decompressed: %s",
                                         ZSTD_getErrorName(rc));
                if (rc && output.pos == done && input.pos == input.size)
                        return error_set(err, EIO, "ends inside its frame of zstd");
                done = output.pos;
        }
        if (done > max)
                return error_set(err, EIO, "expands to more than %zu bytes", max);
        if (input.pos != input.size)
                return error_set(err, EIO, "is not one whole frame of zstd");
        if (!is_size_of(in, done))
                return error_set(err, EIO, "has another size than its frame of zstd says");
        *out = steal_ptr(&p);
        return (ssize_t)done;
}

/* ---- decryption ---- */

/*
 * Decrypt IN, if it is encrypted, into *MEMORY, which the caller frees. None of it is authentic
 * before all of it has been decrypted.
 */
static int decrypt(const uint8_t *blob, struct payload *in, const struct pbs_key *key,
                   uint8_t **memory, struct error *err)
{
        int rc;

        if (!in->kind->encrypted)
                return 0;
        if (!key)
                return error_set(err, EACCES, "is encrypted; name its key with keyfile=PATH");
        *memory = malloc(in->len + 1);
        if (!*memory)
                return error_set(err, ENOMEM, "out of memory");
        rc = pbs_key_decrypt(key, blob + AT_IV, blob + AT_TAG, in->data, in->len, *memory);
        in->data = *memory;
        if (rc == -EIO)
                return error_set(err, EACCES,
                                 "cannot be decrypted: it is of another key, or "
                                 "damaged");
        return rc < 0 ? error_set(err, -rc, "%s", strerror(-rc)) : 0;
}

/* The payload, checked and decrypted; *MEMORY, which the caller frees, may hold it. */
static int open_payload(const uint8_t *p, size_t len, const struct pbs_key *key,
                        struct payload *out, uint8_t **memory, struct error *err)
{
        int rc = find_payload(p, len, out, err);

        return rc < 0 ? rc : decrypt(p, out, key, memory, err);
}

ssize_t pbs_blob_decode(const uint8_t *p, size_t len, const struct pbs_key *key, void *out,
                        size_t max, struct error *err)
{
        cleanup_free uint8_t *plain = NULL;
        struct payload in;
        int rc = open_payload(p, len, key, &in, &plain, err);

        if (rc < 0)
                return rc;
        if (in.kind->compressed)
                return decompress(&in, out, max, err);
        if (in.len > max)
                return error_set(err, EIO, "has %zu bytes, and should have %zu", in.len, max);
        memcpy(out, in.data, in.len);
        return (ssize_t)in.len;
}

ssize_t pbs_blob_decode_new(const uint8_t *p, size_t len, const struct pbs_key *key, size_t max,
                            void **out, struct error *err)
{
        cleanup_free uint8_t *plain = NULL;
        struct payload in;
        int rc = open_payload(p, len, key, &in, &plain, err);

        if (rc < 0)
                return rc;
        if (in.kind->compressed)
                return decompress_new(&in, max, out, err);
        if (in.len > max)
                return error_set(err, EIO, "has more than %zu bytes", max);
        *out = malloc(in.len + 1);
        if (!*out)
                return error_set(err, ENOMEM, "out of memory");
        memcpy(*out, in.data, in.len);
        return (ssize_t)in.len;
}
