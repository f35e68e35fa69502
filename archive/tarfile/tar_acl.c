/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An access control list as text, such as star and GNU tar write it, into the attribute that Linux
 * has for it:
 *
 *   user::rwx,user:web:r-x:1000,group::r-x,mask::rwx,other::---      separated by ',' or newlines
 *
 *   version 4 | tag 2, permissions 2, id 4 | tag … in the order of tags and ids
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/tarfile/tar_meta.h"

enum {
        ENTRIES_MAX = 4096,
        ACL_VERSION = 2,
        HEAD = 4,
        ENTRY = 8,

        TAG_USER_OBJ = 1,
        TAG_USER = 2,
        TAG_GROUP_OBJ = 4,
        TAG_GROUP = 8,
        TAG_MASK = 16,
        TAG_OTHER = 32,
};

struct acl_entry {
        uint16_t tag, permissions;
        uint32_t id;
};

static int by_tag(const void *a, const void *b)
{
        const struct acl_entry *x = a, *y = b;

        if (x->tag != y->tag)
                return x->tag < y->tag ? -1 : 1;
        return (x->id > y->id) - (x->id < y->id);
}

static bool is_word(const char *s, size_t len, const char *word)
{
        return (len == strlen(word) && memcmp(s, word, len) == 0) || (len == 1 && *s == *word);
}

static bool parse_number(const char *s, size_t len, uint32_t *out)
{
        uint64_t v = 0;

        for (size_t i = 0; i < len; i++) {
                if (!isdigit((unsigned char)s[i]))
                        return false;
                v = v * 10 + (uint64_t)(s[i] - '0');
                if (v > UINT32_MAX)
                        return false;
        }
        *out = (uint32_t)v;
        return len > 0;
}

/* The field that begins at *AT, up to a colon or END. Its length; *AT moves after the colon. */
static size_t field(const char **at, const char *end, const char **out)
{
        const char *colon = memchr(*at, ':', (size_t)(end - *at));

        *out = *at;
        *at = colon ? colon + 1 : end;
        return (size_t)((colon ? colon : end) - *out);
}

/* "user:web:r-x:1000", from S to END. */
static bool parse_entry(const char *s, const char *end, struct acl_entry *out)
{
        const char *kind, *who, *what, *number;
        size_t kind_len = field(&s, end, &kind), who_len = field(&s, end, &who);
        size_t what_len = field(&s, end, &what), number_len = field(&s, end, &number);
        bool named = who_len > 0;

        *out = (struct acl_entry){.id = UINT32_MAX};
        if (is_word(kind, kind_len, "user"))
                out->tag = named ? TAG_USER : TAG_USER_OBJ;
        else if (is_word(kind, kind_len, "group"))
                out->tag = named ? TAG_GROUP : TAG_GROUP_OBJ;
        else if (is_word(kind, kind_len, "mask") && !named)
                out->tag = TAG_MASK;
        else if (is_word(kind, kind_len, "other") && !named)
                out->tag = TAG_OTHER;
        else
                return false;
        if (named && !parse_number(number, number_len, &out->id) &&
            !parse_number(who, who_len, &out->id))
                return false;
        for (size_t i = 0; i < what_len && !isspace((unsigned char)what[i]); i++) {
                if (!strchr("rwx-", what[i]))
                        return false;
                out->permissions |= what[i] == 'r'   ? 4
                                    : what[i] == 'w' ? 2
                                    : what[i] == 'x' ? 1
                                                     : 0;
        }
        return what_len > 0;
}

static unsigned char *pack(struct acl_entry *entries, size_t n, size_t *len)
{
        unsigned char *out = malloc(HEAD + n * ENTRY), *at;

        if (!out)
                return NULL;
        at = out + HEAD;
        qsort(entries, n, sizeof *entries, by_tag);
        store_le32(out, ACL_VERSION);
        for (size_t i = 0; i < n; i++, at += ENTRY) {
                store_le32(at, (uint32_t)entries[i].tag | (uint32_t)entries[i].permissions << 16);
                store_le32(at + 4, entries[i].id);
        }
        *len = HEAD + n * ENTRY;
        return out;
}

int tar_acl_parse(const char *text, unsigned char **out, size_t *len)
{
        cleanup_free struct acl_entry *entries = calloc(ENTRIES_MAX, sizeof *entries);
        size_t n = 0;

        *out = NULL;
        *len = 0;
        if (!entries)
                return -ENOMEM;
        while (*text) {
                size_t one = strcspn(text, ",\n#");

                while (one && isspace((unsigned char)*text)) {
                        text++;
                        one--;
                }
                if (one && (n == ENTRIES_MAX || !parse_entry(text, text + one, &entries[n++])))
                        return -EINVAL;
                text += one;
                if (*text == '#')
                        text += strcspn(text, "\n");
                text += *text != '\0';
        }
        if (n == 0)
                return 0;
        *out = pack(entries, n, len);
        return *out ? 0 : -ENOMEM;
}
