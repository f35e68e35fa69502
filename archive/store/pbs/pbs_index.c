/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/store/pbs/pbs_index.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/store/pbs/pbs_blob.h"

enum {
        MAGIC_LEN = 8,
        AT_CTIME = 24,
        AT_SIZE = 64,
        AT_CHUNK_SIZE = 72,
        HEAD_LEN = 80,
        TABLE = 4096,
        TABLE_16K = 16384, /* where pages have 16 KiB */
        FIXED_ENTRY = PBS_DIGEST_LEN,
        DYNAMIC_ENTRY = 8 + PBS_DIGEST_LEN,
        CHUNK_SIZE_MIN = 4096,
        HASH_PIECE = 65536,
};

/*
 * Of a file that is an index: all of it is hashed before any of it is believed. 1 PiB in chunks of
 * 4 MiB.
 */
#define FILE_MAX (UINT64_C(8) << 30)

static const uint8_t fixed_magic[MAGIC_LEN] = {0x2f, 0x7f, 0x41, 0xed, 0x91, 0xfd, 0x0f, 0xcd};
static const uint8_t dynamic_magic[MAGIC_LEN] = {0x1c, 0x91, 0x4e, 0xa5, 0x19, 0xba, 0xb3, 0xcd};

static size_t entry_size(const struct pbs_index *index)
{
        return index->dynamic ? DYNAMIC_ENTRY : FIXED_ENTRY;
}

static int open_fixed(struct pbs_index *index, const uint8_t *head, struct error *err)
{
        uint64_t bytes;

        index->size = load_le64(head + AT_SIZE);
        index->chunk_size = load_le64(head + AT_CHUNK_SIZE);
        if (index->chunk_size < CHUNK_SIZE_MIN || index->chunk_size > PBS_BLOB_MAX ||
            (index->chunk_size & (index->chunk_size - 1)))
                return error_set_at(err, EIO, AT_CHUNK_SIZE, "says that its chunks have %llu bytes",
                                    (unsigned long long)index->chunk_size);
        index->count = index->size / index->chunk_size + (index->size % index->chunk_size != 0);
        if (!checked_mul(index->count, FIXED_ENTRY, &bytes))
                return error_set_at(err, EIO, AT_SIZE, "says a size that cannot be");
        if (index->source->size == TABLE_16K + bytes)
                index->table = TABLE_16K;
        if (index->source->size != index->table + bytes)
                return error_set(err, EIO, "does not have the length that its size asks for");
        return 0;
}

static int open_dynamic(struct pbs_index *index, struct error *err)
{
        uint64_t bytes = index->source->size - index->table;
        struct pbs_chunk_ref last;
        int rc;

        if (bytes % DYNAMIC_ENTRY)
                return error_set(err, EIO, "ends inside an entry");
        index->count = bytes / DYNAMIC_ENTRY;
        if (index->count == 0)
                return 0;
        rc = pbs_index_chunk(index, index->count - 1, &last);
        if (rc < 0)
                return error_set(err, -rc, "the last entry of its table cannot be");
        index->size = last.end;
        return 0;
}

int pbs_index_open(struct source *take_source, struct pbs_index *out, struct error *err)
{
        uint8_t head[HEAD_LEN];
        int rc = source_pread_all(take_source, head, sizeof head, 0);

        *out = (struct pbs_index){.source = take_source, .table = TABLE};
        if (rc < 0)
                rc = error_set(err, -rc, "its header cannot be read");
        else if (take_source->size < TABLE)
                rc = error_set(err, EIO, "is shorter than its header");
        else if (take_source->size > FILE_MAX)
                rc = error_set(err, EIO, "has more than 8 GiB, and no disk needs so many chunks");
        else if (memcmp(head, fixed_magic, MAGIC_LEN) != 0 &&
                 memcmp(head, dynamic_magic, MAGIC_LEN) != 0)
                rc = error_set_at(err, EIO, 0, "does not begin as an index does");
        if (rc == 0) {
                out->dynamic = memcmp(head, dynamic_magic, MAGIC_LEN) == 0;
                out->ctime = (int64_t)load_le64(head + AT_CTIME);
                rc = out->dynamic ? open_dynamic(out, err) : open_fixed(out, head, err);
        }
        if (rc < 0)
                pbs_index_close(out);
        return rc;
}

void pbs_index_close(struct pbs_index *index)
{
        source_close(index->source);
        index->source = NULL;
}

static int read_fixed(const struct pbs_index *index, uint64_t number, struct pbs_chunk_ref *out)
{
        out->start = number * index->chunk_size;
        out->end = min_u64(out->start + index->chunk_size, index->size);
        return source_pread_all(index->source, out->digest, PBS_DIGEST_LEN,
                                index->table + number * FIXED_ENTRY);
}

/* An entry says where its chunk ends, and the entry before it where it starts. */
static int read_dynamic(const struct pbs_index *index, uint64_t number, struct pbs_chunk_ref *out)
{
        uint8_t pair[2 * DYNAMIC_ENTRY], *entry = pair + DYNAMIC_ENTRY;
        uint64_t at = index->table + number * DYNAMIC_ENTRY;
        int rc = number ? source_pread_all(index->source, pair, sizeof pair, at - DYNAMIC_ENTRY)
                        : source_pread_all(index->source, entry, DYNAMIC_ENTRY, at);

        if (rc < 0)
                return rc;
        out->start = number ? load_le64(pair) : 0;
        out->end = load_le64(entry);
        memcpy(out->digest, entry + 8, PBS_DIGEST_LEN);
        if (out->end <= out->start || out->end - out->start > PBS_BLOB_MAX || out->end > INT64_MAX)
                return -EIO;
        return 0;
}

int pbs_index_chunk(const struct pbs_index *index, uint64_t number, struct pbs_chunk_ref *out)
{
        out->number = number;
        return index->dynamic ? read_dynamic(index, number, out) : read_fixed(index, number, out);
}

int pbs_index_find(const struct pbs_index *index, uint64_t pos, struct pbs_chunk_ref *out)
{
        uint64_t first = 0, end = index->count;

        if (!index->dynamic)
                return pbs_index_chunk(index, pos / index->chunk_size, out);
        while (first < end) {
                uint64_t middle = first + (end - first) / 2;
                int rc = pbs_index_chunk(index, middle, out);

                if (rc < 0)
                        return rc;
                if (pos >= out->start && pos < out->end)
                        return 0;
                if (pos < out->start)
                        end = middle;
                else
                        first = middle + 1;
        }
        /* Reached only if the ends in the table are not in order. */
        return -EIO;
}

static void cleanup_digest_fn(EVP_MD_CTX **ctx)
{
        EVP_MD_CTX_free(*ctx);
}

int pbs_index_digest(const struct pbs_index *index, uint8_t out[PBS_DIGEST_LEN])
{
        __attribute__((cleanup(cleanup_digest_fn))) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        cleanup_free uint8_t *piece = malloc(HASH_PIECE);
        uint64_t at = index->table, end = index->table + index->count * entry_size(index);

        if (!ctx || !piece || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
                return -ENOMEM;
        while (at < end) {
                size_t n = (size_t)min_u64(HASH_PIECE, end - at);
                int rc = source_pread_all(index->source, piece, n, at);

                if (rc < 0)
                        return rc;
                if (EVP_DigestUpdate(ctx, piece, n) != 1)
                        return -ENOMEM;
                at += n;
        }
        return EVP_DigestFinal_ex(ctx, out, NULL) == 1 ? 0 : -ENOMEM;
}
