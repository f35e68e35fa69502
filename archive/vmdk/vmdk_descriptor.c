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
#include "archive/source/source.h"
#include "archive/vmdk/vmdk.h"

enum { DESCRIPTOR_MAX = 1 << 20, CID_DIGITS = 8 };

/* How many of the LEN bytes at LINE, from the first on, are blanks. */
static size_t skip_blanks(const char *line, size_t len)
{
        size_t n = 0;

        while (n < len && (line[n] == ' ' || line[n] == '\t'))
                n++;
        return n;
}

/* Is the line of LEN bytes "# Disk DescriptorFile", however it is spelled? */
static bool is_first_line(const char *line, size_t len)
{
        static const char *const words[] = {"#", "disk", "descriptor", "file"};

        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
                size_t n = strlen(words[i]), blanks = skip_blanks(line, len);

                line += blanks;
                len -= blanks;
                if (len < n || strncasecmp(line, words[i], n) != 0)
                        return false;
                line += n;
                len -= n;
        }
        return true;
}

bool vmdk_is_descriptor(const char *text, size_t len)
{
        for (size_t at = 0; at < len;) {
                size_t n = 0, blanks;

                while (at + n < len && text[at + n] != '\n' && text[at + n] != '\r')
                        n++;
                if (is_first_line(text + at, n))
                        return true;
                blanks = skip_blanks(text + at, n);
                if (blanks < n && text[at + blanks] != '#')
                        return false;
                at += n + 1;
        }
        return false;
}

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
        if (strcasecmp(key, "CID") == 0)
                snprintf(d->cid, sizeof d->cid, "%s", value);
        else if (strcasecmp(key, "parentCID") == 0)
                snprintf(d->parent, sizeof d->parent, "%s", value);
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
            {"SPARSE", VMDK_SPARSE}, {"VMFSSPARSE", VMDK_SPARSE}, {"SESPARSE", VMDK_SPARSE},
            {"FLAT", VMDK_FLAT},     {"VMFS", VMDK_FLAT},         {"ZERO", VMDK_ZERO},
        };

        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
                if (strcasecmp(word, kinds[i].word) != 0)
                        continue;
                *out = kinds[i].kind;
                return true;
        }
        return false;
}

/* What is between the first quotes of REST, as a new string; *AFTER is what follows them. */
static char *quoted(char *rest, char **after)
{
        char *start = strchr(rest, '"');
        char *end = start ? strchr(start + 1, '"') : NULL;

        if (!end)
                return NULL;
        *after = end + 1;
        return strndup(start + 1, (size_t)(end - start - 1));
}

/* The word that *REST begins with, which is ended there; *REST moves past it. */
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
        if (d->extents.count == VMDK_PARTS_MAX)
                return error_set(err, E2BIG, "names more than %d parts", VMDK_PARTS_MAX);
        if (array_add(&d->extents, *e) < 0)
                return error_set(err, ENOMEM, "out of memory");
        e->file = NULL;
        return 0;
}

/* RW 4192256 SPARSE "name" 0: is LINE such a one? Then it is taken in, and changed. */
static int take_extent(struct vmdk_descriptor *d, char *line, bool *taken, struct error *err)
{
        char *kind, *after = NULL;
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
                e.file = quoted(line, &after);
                if (!e.file)
                        return error_set(err, EIO, "has a damaged descriptor: a part has no name");
                parse_sectors(next_word(&after), &e.offset);
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

/* TEXT has LEN bytes and a NUL after them. */
static int parse(const char *text, size_t len, struct vmdk_descriptor *d, struct error *err)
{
        int rc = 0;

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
        for (size_t i = 0; i < d->extents.count; i++)
                free(d->extents.items[i].file);
        array_free(&d->extents);
}

/* What differs from another image, says D? */
static bool is_overlay(const struct vmdk_descriptor *d)
{
        bool none = strspn(d->parent, "0") == strlen(d->parent); /* some tools write 0 for none */

        return d->hint[0] || !(none || strcasecmp(d->parent, "ffffffff") == 0);
}

/* The parts of D that are of KIND. */
static size_t count_parts(const struct vmdk_descriptor *d, enum vmdk_kind kind)
{
        size_t n = 0;

        for (size_t i = 0; i < d->extents.count; i++)
                n += d->extents.items[i].kind == kind;
        return n;
}

static int check_kinds(const struct vmdk_descriptor *d, struct error *err)
{
        if (d->unknown[0])
                return error_set(err, ENOTSUP, "has parts of type %s, which vmafs does not read",
                                 d->unknown);
        return 0;
}

static bool are_apart(const struct vmdk_extent *a, const struct vmdk_extent *b)
{
        if (a->kind != VMDK_FLAT || b->kind != VMDK_FLAT)
                return false;
        return a->offset < b->offset ? b->offset - a->offset >= a->sectors
                                     : a->offset - b->offset >= b->sectors;
}

/* Two parts are never the same bytes. */
static int check_files(const struct vmdk_descriptor *d, struct error *err)
{
        for (size_t i = 0; i < d->extents.count; i++)
                for (size_t k = 0; k < i; k++) {
                        const struct vmdk_extent *a = &d->extents.items[i],
                                                 *b = &d->extents.items[k];

                        if (a->file && b->file && strcmp(a->file, b->file) == 0 && !are_apart(a, b))
                                return error_set(err, EIO,
                                                 "has a damaged descriptor: it names a part of "
                                                 "%.200s twice",
                                                 a->file);
                }
        return 0;
}

static int check(struct vmdk_descriptor *d, struct error *err)
{
        int rc = check_kinds(d, err);

        d->overlay = is_overlay(d);
        if (rc == 0 && d->extents.count == 0)
                rc = error_set(err, EIO, "has a VMDK descriptor that names no part of a disk");
        /* What a sparse part does not hold is zeros only where no parent holds it. */
        if (rc == 0 && !d->parent[0] && count_parts(d, VMDK_SPARSE))
                rc = error_set(err, EIO,
                               "has a damaged descriptor: it does not say whether the disk has a "
                               "parent (parentCID)");
        return rc < 0 ? rc : check_files(d, err);
}

static bool all_zeros(const char *data, size_t len)
{
        return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

int vmdk_load_descriptor(struct source *source, const struct vmdk_header *h,
                         struct vmdk_descriptor *d, struct error *err)
{
        cleanup_free char *text = NULL;
        int rc;

        *d = (struct vmdk_descriptor){0};
        if (h->descriptor_len > DESCRIPTOR_MAX)
                return error_set(err, EIO,
                                 "has a damaged VMDK header: a descriptor of %" PRIu64 " bytes",
                                 h->descriptor_len);
        text = calloc(1, h->descriptor_len + 1);
        if (!text)
                return error_set(err, ENOMEM, "out of memory");
        rc = source_fetch(source, text, h->descriptor_len, h->descriptor, "the descriptor", err);
        if (rc == 0 && !vmdk_is_descriptor(text, h->descriptor_len))
                rc = error_set_at(err, all_zeros(text, h->descriptor_len) ? ENODATA : EIO,
                                  h->descriptor,
                                  "has no descriptor where its header says: what else is in it "
                                  "cannot be believed");
        if (rc == 0)
                rc = parse(text, h->descriptor_len, d, err);
        return rc < 0 ? rc : check(d, err);
}

/*
 * Is the text of LEN bytes, which a zero follows, all that the N bytes at TEXT say?
 *
 * QEMU gives an image a new CID by writing the new text and a zero over the old text. It writes a
 * CID without leading zeros, so the old text may be longer, by less than CID_DIGITS bytes. What is
 * left of it is how the new text ends, too:
 *
 *     ...ddb.adapterType = "ide"\n           the old text
 *     ...ddb.adapterType = "ide"\n\0"\n      the new one, of three digits less
 */
static bool text_ends(const char *text, size_t len, size_t n)
{
        size_t rest = 0;

        while (n > len && text[n - 1] == 0)
                n--;
        if (n == len)
                return true;
        while (text[n - 1 - rest] != 0)
                rest++;
        return n - len < CID_DIGITS && rest <= len &&
               memcmp(text + n - rest, text + len - rest, rest) == 0;
}

int vmdk_read_descriptor(struct source *source, struct vmdk_descriptor *d, struct error *err)
{
        cleanup_free char *text = calloc(1, DESCRIPTOR_MAX + 1);
        uint64_t end;
        ssize_t n;
        size_t len;
        int rc;

        *d = (struct vmdk_descriptor){0};
        if (!text)
                return error_set(err, ENOMEM, "out of memory");
        rc = source_reach(source, DESCRIPTOR_MAX + 1, &end, err);
        if (rc < 0)
                return rc;
        if (end > DESCRIPTOR_MAX)
                return error_set(err, EFBIG, "is a VMDK descriptor of more than 1 MiB");
        n = source_fetch_some(source, text, DESCRIPTOR_MAX, 0, "the descriptor", err);
        if (n < 0)
                return (int)n;
        len = strlen(text);
        if (!text_ends(text, len, (size_t)n))
                return error_set_at(err, EIO, len,
                                    "has a damaged descriptor: a part of it is zeros");
        rc = parse(text, len, d, err);
        return rc < 0 ? rc : check(d, err);
}
