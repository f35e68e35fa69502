/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/xva/xva.h"

enum { SHA1 = 20, HEX_MAX = 2 * SHA1 };

static const char sha1_suffix[] = ".checksum", xxh_suffix[] = ".xxhash";

static bool ends_with(const char *name, const char *end, size_t *len)
{
        size_t n = strlen(name), m = strlen(end);

        if (n <= m || strcmp(name + n - m, end) != 0)
                return false;
        *len = n - m;
        return true;
}

bool xva_is_sum(const char *name, size_t *len)
{
        return ends_with(name, sha1_suffix, len) || ends_with(name, xxh_suffix, len);
}

static int sha1(const void *data, size_t len, char *hex)
{
        uint8_t digest[EVP_MAX_MD_SIZE];
        unsigned n = 0;

        if (EVP_Digest(data, len, digest, &n, EVP_sha1(), NULL) != 1 || n != SHA1)
                return -ENOTSUP;
        for (unsigned i = 0; i < n; i++)
                snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
        return 0;
}

/* The checksum of the LEN bytes of the buffer as M's name says, in HEX of HEX_MAX + 1 bytes. */
static int calculate(const struct xva_scan *s, size_t len, const struct tar_member *m, char *hex)
{
        size_t ignored;

        if (ends_with(m->name, sha1_suffix, &ignored))
                return sha1(s->buffer, len, hex);
        snprintf(hex, HEX_MAX + 1, "%016" PRIx64, (uint64_t)XXH64(s->buffer, len, 0));
        return 0;
}

/* Is the text of M, a checksum, HEX? Some writers end the line. 1, 0, -errno. */
static int says(struct xva_scan *s, const struct tar_member *m, const char *hex, struct error *err)
{
        char text[HEX_MAX + 3] = "";
        size_t len;
        int rc;

        if (m->sparse || m->lost || m->stored >= sizeof text)
                return 0;
        rc = tar_fetch(&s->xva->reader, text, (size_t)m->stored, m->data, err);
        if (rc <= 0)
                return rc;
        len = strlen(text);
        while (len && isspace((unsigned char)text[len - 1]))
                text[--len] = '\0';
        return strcasecmp(text, hex) == 0;
}

int xva_check_sum(struct xva_scan *s, const struct tar_member *m, struct error *err)
{
        struct xva_chunk *c = &s->chunk;
        char hex[HEX_MAX + 1];
        int rc;

        if (!s->checks || c->lost)
                return 0;
        rc = tar_reach(&s->xva->reader, c->extent.addr + c->extent.len, err);
        if (rc < 0)
                return rc;
        /* What the source has lost of it, the source says. */
        if (source_pread_all(s->xva->base.source, s->buffer, c->extent.len, c->extent.addr) < 0)
                return 0;
        rc = calculate(s, c->extent.len, m, hex);
        if (rc < 0)
                return error_set(err, -rc, "the checksums of an XVA cannot be calculated");
        rc = says(s, m, hex, err);
        if (rc == 0)
                c->lost = "a chunk does not have its checksum";
        return rc < 0 ? rc : 0;
}
