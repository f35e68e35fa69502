/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/vmdk/vmdk.h"

/* ---- the sparse header ---- */

enum {
        AT_VERSION = 4,
        AT_FLAGS = 8,
        AT_CAPACITY = 12,
        AT_GRAIN = 20,
        AT_DESCRIPTOR = 28,
        AT_DESCRIPTOR_LEN = 36,
        AT_TABLE = 44,
        AT_RGD = 48,
        AT_GD = 56,
        AT_OVERHEAD = 64,
        AT_NEWLINES = 73,
        AT_COMPRESSION = 77,

        FLAG_NEWLINES = 1 << 0,
        FLAG_REDUNDANT = 1 << 1,
        FLAG_ZEROED = 1 << 2,
        FLAG_COMPRESSED = 1 << 16,
        FLAG_MARKERS = 1 << 17,

        COMPRESSION_NONE = 0,
        COMPRESSION_DEFLATE = 1,
};

static int check_kind(const unsigned char *sector, uint32_t flags, struct error *err)
{
        uint32_t version = load_le32(sector + AT_VERSION);
        uint16_t compression = load_le16(sector + AT_COMPRESSION);

        if (version < 1 || version > 3)
                return error_set_at(err, ENOTSUP, AT_VERSION,
                                    "is VMDK version %u; vmafs reads versions 1 to 3", version);
        if ((flags & FLAG_NEWLINES) && memcmp(sector + AT_NEWLINES, "\n \r\n", 4) != 0)
                return error_set_at(err, EIO, AT_NEWLINES,
                                    "was damaged by a transfer as text: its line ends are changed");
        if (compression != COMPRESSION_NONE && compression != COMPRESSION_DEFLATE)
                return error_set_at(err, ENOTSUP, AT_COMPRESSION,
                                    "is compressed by method %u; vmafs reads deflate", compression);
        if ((flags & FLAG_COMPRESSED) && compression == COMPRESSION_NONE)
                return error_set_at(err, EIO, AT_COMPRESSION,
                                    "has a damaged VMDK header: compressed by no method");
        return 0;
}

static int check_sizes(const unsigned char *sector, struct error *err)
{
        uint64_t capacity = load_le64(sector + AT_CAPACITY);
        uint64_t grain = load_le64(sector + AT_GRAIN);
        uint32_t table = load_le32(sector + AT_TABLE);

        if (capacity > VMDK_SIZE_MAX / VMDK_SECTOR)
                return error_set_at(err, EFBIG, AT_CAPACITY,
                                    "claims a disk of %" PRIu64 " sectors; vmafs reads up to 1 PiB",
                                    capacity);
        if (grain < VMDK_GRAIN_MIN / VMDK_SECTOR || grain > VMDK_GRAIN_MAX / VMDK_SECTOR ||
            (grain & (grain - 1)))
                return error_set_at(err, ENOTSUP, AT_GRAIN,
                                    "has grains of %" PRIu64
                                    " sectors; vmafs reads powers of 2 from 8 to 2048",
                                    grain);
        if (table < 1 || table > VMDK_TABLE_MAX)
                return error_set_at(err, ENOTSUP, AT_TABLE,
                                    "has grain tables of %u entries; vmafs reads up to %d", table,
                                    VMDK_TABLE_MAX);
        return 0;
}

/* SECTORS in bytes; what is too large for that is behind the end of any file. */
static uint64_t to_bytes(uint64_t sectors)
{
        uint64_t bytes = VMDK_AT_END;

        checked_mul(sectors, VMDK_SECTOR, &bytes);
        return bytes;
}

int vmdk_parse_header(const unsigned char sector[VMDK_SECTOR], struct vmdk_header *h,
                      struct error *err)
{
        uint32_t flags = load_le32(sector + AT_FLAGS);
        int rc;

        if (memcmp(sector, "KDMV", 4) != 0)
                return error_set_at(err, EIO, 0, "has no VMDK header");
        rc = check_kind(sector, flags, err);
        if (rc == 0)
                rc = check_sizes(sector, err);
        if (rc < 0)
                return rc;
        *h = (struct vmdk_header){
            .capacity = load_le64(sector + AT_CAPACITY) * VMDK_SECTOR,
            .grain = (uint32_t)load_le64(sector + AT_GRAIN) * VMDK_SECTOR,
            .table = load_le32(sector + AT_TABLE),
            .gd = to_bytes(load_le64(sector + AT_GD)),
            .rgd = flags & FLAG_REDUNDANT ? to_bytes(load_le64(sector + AT_RGD)) : 0,
            .overhead = to_bytes(load_le64(sector + AT_OVERHEAD)),
            .descriptor = to_bytes(load_le64(sector + AT_DESCRIPTOR)),
            .descriptor_len = to_bytes(load_le64(sector + AT_DESCRIPTOR_LEN)),
            .compressed = flags & FLAG_COMPRESSED,
            .markers = flags & FLAG_MARKERS,
            .zeroed = flags & FLAG_ZEROED,
        };
        if (h->compressed && !h->markers)
                return error_set_at(err, ENOTSUP, AT_FLAGS,
                                    "has compressed grains without markers, which vmafs does not "
                                    "read");
        return 0;
}

/* ---- the descriptor ---- */

static char *trim(char *s)
{
        size_t len;

        while (isspace((unsigned char)*s))
                s++;
        len = strlen(s);
        while (len && isspace((unsigned char)s[len - 1]))
                s[--len] = '\0';
        return s;
}

/* VALUE without the quotes around it. */
static char *unquote(char *value)
{
        size_t len = strlen(value);

        if (len < 2 || value[0] != '"' || value[len - 1] != '"')
                return value;
        value[len - 1] = '\0';
        return value + 1;
}

static void take_value(struct vmdk_descriptor *d, const char *key, const char *value)
{
        if (strcasecmp(key, "parentCID") == 0)
                snprintf(d->parent, sizeof d->parent, "%s", value);
        else if (strcasecmp(key, "createType") == 0)
                snprintf(d->type, sizeof d->type, "%s", value);
        else if (strcasecmp(key, "parentFileNameHint") == 0)
                snprintf(d->hint, sizeof d->hint, "%s", value);
        else if (strcasecmp(key, "ddb.uuid.image") == 0 && strlen(value) == sizeof d->uuid - 1)
                snprintf(d->uuid, sizeof d->uuid, "%s", value);
}

static bool find_kind(const char *word, enum vmdk_kind *out)
{
        static const struct {
                const char *word;
                enum vmdk_kind kind;
        } kinds[] = {
            {"SPARSE", VMDK_SPARSE},
            {"FLAT", VMDK_FLAT},
            {"VMFS", VMDK_FLAT},
            {"ZERO", VMDK_ZERO},
        };

        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
                if (strcasecmp(word, kinds[i].word) != 0)
                        continue;
                *out = kinds[i].kind;
                return true;
        }
        return false;
}

/* What is between the first quotes of REST, as a new string; *BEHIND is what follows them. */
static char *quoted(char *rest, char **behind)
{
        char *start = strchr(rest, '"');
        char *end = start ? strchr(start + 1, '"') : NULL;

        if (!end)
                return NULL;
        *behind = end + 1;
        return strndup(start + 1, (size_t)(end - start - 1));
}

/* The word that *REST begins with, which is ended there; *REST moves behind it. */
static char *next_word(char **rest)
{
        char *word = *rest + strspn(*rest, " \t");

        *rest = word + strcspn(word, " \t");
        if (**rest)
                *(*rest)++ = '\0';
        return word;
}

/* UINT64_MAX for a number that is larger. */
static bool parse_sectors(const char *word, uint64_t *out)
{
        char *end;

        if (!isdigit((unsigned char)*word))
                return false;
        *out = strtoull(word, &end, 10);
        return *end == '\0';
}

/* Does LINE begin with what a part may be used for? */
static bool is_access(const char *line)
{
        static const char *const words[] = {"RW", "RDONLY", "NOACCESS"};
        size_t len = strcspn(line, " \t");

        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
                if (len == strlen(words[i]) && strncasecmp(line, words[i], len) == 0)
                        return true;
        return false;
}

static int add_extent(struct vmdk_descriptor *d, struct vmdk_extent *e, struct error *err)
{
        struct vmdk_extent *grown;

        if (d->count == VMDK_PARTS_MAX)
                return error_set(err, E2BIG, "names more than %d parts", VMDK_PARTS_MAX);
        grown = reallocarray(d->extents, d->count + 1, sizeof *grown);
        if (!grown)
                return error_set(err, ENOMEM, "out of memory");
        d->extents = grown;
        d->extents[d->count] = *e;
        d->extents[d->count++].file = steal_ptr(&e->file);
        return 0;
}

/* RW 4192256 SPARSE "name" 0: is LINE such a one? Then it is taken in, and changed. */
static int take_extent(struct vmdk_descriptor *d, char *line, bool *taken, struct error *err)
{
        char *kind, *behind = NULL;
        struct vmdk_extent e = {0};
        int rc;

        *taken = is_access(line);
        if (!*taken)
                return 0;
        next_word(&line);
        if (!parse_sectors(next_word(&line), &e.sectors))
                return error_set(err, EIO, "has a damaged descriptor: a part has no size");
        kind = next_word(&line);
        if (!find_kind(kind, &e.kind)) {
                if (!d->unknown[0])
                        snprintf(d->unknown, sizeof d->unknown, "%s", kind);
                return 0;
        }
        if (e.kind != VMDK_ZERO) {
                e.file = quoted(line, &behind);
                if (!e.file)
                        return error_set(err, EIO, "has a damaged descriptor: a part has no name");
                parse_sectors(next_word(&behind), &e.offset);
        }
        rc = add_extent(d, &e, err);
        free(e.file);
        return rc;
}

static int take_line(struct vmdk_descriptor *d, char *line, struct error *err)
{
        bool taken;
        char *equals;
        int rc;

        line = trim(line);
        if (*line == '#' || *line == '\0')
                return 0;
        rc = take_extent(d, line, &taken, err);
        if (rc < 0 || taken)
                return rc;
        equals = strchr(line, '=');
        if (!equals)
                return 0;
        *equals = '\0';
        take_value(d, trim(line), unquote(trim(equals + 1)));
        return 0;
}

int vmdk_parse_descriptor(const char *text, size_t len, struct vmdk_descriptor *d,
                          struct error *err)
{
        int rc = 0;

        *d = (struct vmdk_descriptor){0};
        /* An embedded one is followed by zeros. */
        len = strnlen(text, len);
        for (size_t at = 0; at < len && rc == 0;) {
                size_t n = strcspn(text + at, "\r\n");
                char *line = strndup(text + at, n);

                if (!line)
                        return error_set(err, ENOMEM, "out of memory");
                rc = take_line(d, line, err);
                free(line);
                at += n + 1;
        }
        return rc;
}

void vmdk_descriptor_fini(struct vmdk_descriptor *d)
{
        for (size_t i = 0; i < d->count; i++)
                free(d->extents[i].file);
        free(d->extents);
}
