/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/store/pbs/pbs_content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/store/pbs/pbs_blob.h"
#include "archive/store/pbs/pbs_files.h"
#include "archive/store/pbs/pbs_key.h"
#include "archive/store/pbs/pbs_manifest.h"
#include "archive/volume.h"

enum {
        CONTENT_MAX = 16 << 20, /* bytes of plain content */
        KEEP_MAX = 4096,        /* of them: that stay in memory */
};

struct content {
        struct volume base;
        char *data;          /* NULL: it is decoded by each read, … */
        struct source *blob; /* … from this */
        const struct pbs_key *key;
};

static struct content *self(struct volume *v)
{
        return (struct content *)v;
}

/* Is the file of LEN bytes at BLOB what the manifest says? */
static int compare(const struct pbs_manifest_file *f, const void *blob, size_t len,
                   struct error *err)
{
        uint8_t digest[PBS_DIGEST_LEN];

        if (!f)
                return 0;
        if (pbs_chunk_digest(NULL, blob, len, digest) < 0)
                return error_set(err, ENOMEM, "out of memory");
        if (len != f->size || memcmp(digest, f->digest, sizeof digest) != 0)
                return error_set(err, EIO, "is not the file that the manifest names");
        return 0;
}

/* The plain content of SOURCE, new memory. How many bytes, or -errno. */
static ssize_t decode(struct source *source, const struct pbs_manifest_file *f,
                      const struct pbs_key *key, void **out, struct error *err)
{
        size_t len = source->size;
        cleanup_free char *blob = NULL;
        int rc;

        if (len > CONTENT_MAX + PBS_BLOB_HEADER_MAX)
                return error_set(err, EIO, "has more than %d bytes", CONTENT_MAX);
        blob = malloc(len + 1);
        if (!blob)
                return error_set(err, ENOMEM, "out of memory");
        rc = source_pread_all(source, blob, len, 0);
        if (rc < 0)
                return error_set(err, -rc, "%s", strerror(-rc));
        rc = compare(f, blob, len, err);
        if (rc < 0)
                return rc;
        return pbs_blob_decode_new((const uint8_t *)blob, len, key, CONTENT_MAX, out, err);
}

static int content_extent(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        (void)v;
        (void)pos;
        *out = (struct volume_extent){.len = len, .kind = VOLUME_CODED, .allocated = true};
        return 0;
}

static int content_read(struct volume *v, void *buf, size_t len, uint64_t pos)
{
        struct content *c = self(v);
        cleanup_free void *data = NULL;
        ssize_t n;

        if (c->data) {
                memcpy(buf, c->data + pos, len);
                return 0;
        }
        n = decode(c->blob, NULL, c->key, &data, NULL);
        if (n < 0)
                return n == -EACCES ? -EIO : (int)n;
        if (!data || (uint64_t)n != v->size)
                return -EIO;
        memcpy(buf, (const char *)data + pos, len);
        return 0;
}

static void content_close(struct volume *v)
{
        struct content *c = self(v);

        if (c->blob)
                source_close(c->blob);
        free(c->data);
        free(c);
}

static const struct volume_ops ops = {
    .extent = content_extent,
    .read = content_read,
    .close = content_close,
};

int pbs_content_open(struct pbs_files *files, const char *path, const char *name,
                     const struct pbs_manifest_file *f, const struct pbs_key *key,
                     struct volume **out, struct error *err)
{
        cleanup_free void *data = NULL;
        struct content *c = calloc(1, sizeof *c);
        ssize_t n;
        int rc = c ? 0 : error_set(err, ENOMEM, "out of memory");

        if (rc == 0)
                rc = pbs_files_open(files, path, name, &c->blob, err);
        if (rc < 0) {
                free(c);
                return rc;
        }
        n = decode(c->blob, f, key, &data, err);
        if (n < 0) {
                content_close(&c->base);
                return (int)n;
        }
        c->base = (struct volume){.ops = &ops, .size = (uint64_t)n};
        c->key = key;
        if (n <= KEEP_MAX) {
                source_close(steal_ptr(&c->blob));
                c->data = realloc(data, (size_t)n + 1);
                if (c->data)
                        data = NULL;
                else
                        c->data = steal_ptr((char **)&data);
        }
        *out = &c->base;
        return 0;
}
