/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An access control list as text, such as star and GNU tar write it, into the attribute that Linux
 * has for it:
 *
 *   user::rwx,user:web:r-x:1000,group::r-x,mask::rwx,other::---      separated by ',' or newlines
 *
 *   version 4 | tag 2, permissions 2, id 4 | tag … in the order of tags and ids
 *
 * A name without a number means no user here, so its entry is left out. The rest of the list stays:
 * the group's bits of a file's mode are the list's mask, and without the list the group would get all
 * of it. A user who is left out counts as one of a group or of all others, so they get no more than the
 * entry gives.
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

/* The permissions "r-x", of LEN bytes at S, which blanks may follow. False: they are none. */
static bool parse_permissions(const char *s, size_t len, uint16_t *out)
{
        for (size_t i = 0; i < len && !isspace((unsigned char)s[i]); i++) {
                if (!strchr("rwx-", s[i]))
                        return false;
                *out |= s[i] == 'r' ? 4 : s[i] == 'w' ? 2 : s[i] == 'x' ? 1 : 0;
        }
        return len > 0;
}

/* "user:web:r-x:1000", from S to END. 1; 0: whom it names has no number; -EINVAL. */
static int parse_entry(const char *s, const char *end, struct acl_entry *out)
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
                return -EINVAL;
        if (!parse_permissions(what, what_len, &out->permissions))
                return -EINVAL;
        return !named || parse_number(number, number_len, &out->id) ||
               parse_number(who, who_len, &out->id);
}

/* What those have who are left out of a list: the least of them. */
struct left_out {
        bool any;
        uint16_t users, groups;
};

static void leave_out(struct left_out *l, const struct acl_entry *e)
{
        uint16_t *least = e->tag == TAG_USER ? &l->users : &l->groups;

        *least &= e->permissions;
        l->any = true;
}

/* Give nobody more through the N ENTRIES than the whole list did. */
static void withhold(struct acl_entry *entries, size_t n, const struct left_out *l)
{
        uint16_t mask = 7;

        for (size_t i = 0; l->any && i < n; i++)
                if (entries[i].tag == TAG_MASK)
                        mask = entries[i].permissions;
        for (size_t i = 0; l->any && i < n; i++) {
                struct acl_entry *e = &entries[i];

                if (e->tag == TAG_GROUP_OBJ || e->tag == TAG_GROUP)
                        e->permissions &= l->users;
                else if (e->tag == TAG_OTHER)
                        e->permissions &= l->users & l->groups & mask;
        }
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
        struct left_out left_out = {.users = 7, .groups = 7};
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
                if (one) {
                        int rc =
                            n == ENTRIES_MAX ? -EINVAL : parse_entry(text, text + one, &entries[n]);

                        if (rc < 0)
                                return rc;
                        if (rc == 0)
                                leave_out(&left_out, &entries[n]);
                        n += (size_t)rc;
                }
                text += one;
                if (*text == '#')
                        text += strcspn(text, "\n");
                text += *text != '\0';
        }
        withhold(entries, n, &left_out);
        if (n > 0) {
                *out = pack(entries, n, len);
                if (!*out)
                        return -ENOMEM;
        }
        return left_out.any;
}
