/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/tarfile/tar_meta.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/tarfile/tar_block.h"

enum {
        AT_UID = 108,
        AT_GID = 116,
        ID_LEN = 8,
        AT_LINK = 157,
        AT_MAJOR = 329,
        AT_MINOR = 337,
        NANOSECONDS = 1000000000,
};

static const char schily[] = "SCHILY.xattr.", libarchive[] = "LIBARCHIVE.xattr.";
static const char acl[] = "SCHILY.acl.", selinux[] = "RHT.security.selinux";

void tar_meta_fini(struct tar_meta *m)
{
        free(m->link);
        free(m->xattrs);
        *m = (struct tar_meta){0};
}

bool tar_meta_is_other(char type)
{
        return (type >= '1' && type <= '6') || type == 'D';
}

static bool begins(const char *key, const char *with)
{
        return strncmp(key, with, strlen(with)) == 0;
}

bool tar_meta_is_record(const char *key)
{
        return begins(key, schily) || begins(key, libarchive) || begins(key, acl) ||
               strcmp(key, selinux) == 0 || strcmp(key, "linkpath") == 0 ||
               strcmp(key, "uid") == 0 || strcmp(key, "gid") == 0 || strcmp(key, "mtime") == 0;
}

/* ---- attributes ---- */

/* The record of the attribute NAME, of *LEN bytes with all it has, or NULL. */
static char *find(const struct tar_meta *m, const char *name, size_t *len)
{
        for (size_t at = 0; at < m->xattrs_len; at += *len) {
                size_t head = strlen(m->xattrs + at) + 1;
                uint32_t value;

                memcpy(&value, m->xattrs + at + head, sizeof value);
                *len = head + sizeof value + value;
                if (strcmp(m->xattrs + at, name) == 0)
                        return m->xattrs + at;
        }
        return NULL;
}

static void drop(struct tar_meta *m, const char *name)
{
        size_t len = 0;
        char *old = find(m, name, &len);

        if (!old)
                return;
        memmove(old, old + len, m->xattrs_len - (size_t)(old - m->xattrs) - len);
        m->xattrs_len -= len;
        m->xattr_count--;
}

/* Room for MORE bytes. */
static int reserve(struct tar_meta *m, size_t more)
{
        size_t room = m->xattrs_len + more;
        char *grown;

        if (room <= m->xattrs_room)
                return 0;
        room += room / 2;
        grown = realloc(m->xattrs, room);
        if (!grown)
                return -ENOMEM;
        m->xattrs = grown;
        m->xattrs_room = room;
        return 0;
}

int tar_meta_add(struct tar_meta *m, const char *name, const void *value, size_t len)
{
        size_t head = strlen(name) + 1;
        uint32_t value_len = (uint32_t)len;
        char *at;

        if (head == 1)
                return 0;
        if (head > TAR_XATTR_NAME_MAX + 1 || len > TAR_XATTR_VALUE_MAX ||
            m->xattrs_len + head + sizeof value_len + len > TAR_XATTRS_MAX ||
            m->xattr_count == TAR_XATTR_COUNT_MAX) {
                m->dropped++;
                return 0;
        }
        drop(m, name);
        if (reserve(m, head + sizeof value_len + len) < 0)
                return -ENOMEM;
        at = m->xattrs + m->xattrs_len;
        memcpy(at, name, head);
        memcpy(at + head, &value_len, sizeof value_len);
        if (len)
                memcpy(at + head + sizeof value_len, value, len);
        m->xattrs_len += head + sizeof value_len + len;
        m->xattr_count++;
        return 0;
}

static int digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c = (char)tolower((unsigned char)c);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode %XX in IN: '=' and '%' alone, or with ALL any byte but NUL. */
static void unescape(const char *in, char *out, bool all)
{
        while (*in) {
                int high = *in == '%' ? digit(in[1]) : -1, low = high >= 0 ? digit(in[2]) : -1;
                int c = low >= 0 ? high << 4 | low : 0;

                if (c == '=' || c == '%' || (all && c)) {
                        *out++ = (char)c;
                        in += 3;
                } else {
                        *out++ = *in++;
                }
        }
        *out = '\0';
}

static int sextet(char c)
{
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Base64 into OUT, which has room for LEN bytes. Returns how many there are. */
static size_t decode(const char *in, size_t len, char *out)
{
        uint32_t bits = 0;
        unsigned have = 0;
        size_t n = 0;

        for (size_t i = 0; i < len && sextet(in[i]) >= 0; i++) {
                bits = bits << 6 | (uint32_t)sextet(in[i]);
                have += 6;
                if (have >= 8) {
                        have -= 8;
                        out[n++] = (char)(bits >> have);
                }
        }
        return n;
}

static int add_named(struct tar_meta *m, const char *name, const char *value, size_t len,
                     bool encoded)
{
        char plain[TAR_XATTR_NAME_MAX + 1];
        cleanup_free char *decoded = NULL;

        if (strlen(name) > TAR_XATTR_NAME_MAX) {
                m->dropped++;
                return 0;
        }
        unescape(name, plain, encoded);
        if (!encoded)
                return tar_meta_add(m, plain, value, len);
        decoded = malloc(len + 1);
        if (!decoded)
                return -ENOMEM;
        return tar_meta_add(m, plain, decoded, decode(value, len, decoded));
}

static int add_acl(struct tar_meta *m, const char *which, const char *text)
{
        const char *name = strcmp(which, "access") == 0    ? "system.posix_acl_access"
                           : strcmp(which, "default") == 0 ? "system.posix_acl_default"
                                                           : NULL;
        cleanup_free unsigned char *list = NULL;
        size_t len = 0;
        int rc = name ? tar_acl_parse(text, &list, &len) : 0;

        if (rc == -EINVAL || rc > 0)
                m->dropped++;
        if (rc < 0)
                return rc == -EINVAL ? 0 : rc;
        return len ? tar_meta_add(m, name, list, len) : 0;
}

/* ---- numbers ---- */

/* "-12.5" */
static bool parse_time(const char *s, int64_t *seconds, uint32_t *nanoseconds)
{
        bool minus = *s == '-';
        uint64_t whole = 0;
        uint32_t part = 0, unit = NANOSECONDS;

        s += minus;
        if (!isdigit((unsigned char)*s))
                return false;
        for (; isdigit((unsigned char)*s); s++) {
                whole = whole * 10 + (uint64_t)(*s - '0');
                if (whole > INT64_MAX / 16)
                        return false;
        }
        for (s += *s == '.'; isdigit((unsigned char)*s) && unit > 1; s++) {
                unit /= 10;
                part += unit * (uint32_t)(*s - '0');
        }
        *seconds = minus ? -(int64_t)whole : (int64_t)whole;
        *nanoseconds = part;
        if (minus && part) {
                *seconds -= 1;
                *nanoseconds = NANOSECONDS - part;
        }
        return true;
}

static bool parse_id(const char *s, uint32_t *out)
{
        char *end;
        unsigned long v;

        if (!isdigit((unsigned char)*s))
                return false;
        errno = 0;
        v = strtoul(s, &end, 10);
        if (errno || *end || v > UINT32_MAX)
                return false;
        *out = (uint32_t)v;
        return true;
}

int tar_meta_take_record(struct tar_meta *m, const char *key, const char *value, size_t len)
{
        if (begins(key, schily))
                return add_named(m, key + sizeof schily - 1, value, len, false);
        if (begins(key, libarchive)) {
                char *at;
                size_t old;

                /* bsdtar writes both; what SCHILY says is binary, and counts. */
                at = find(m, key + sizeof libarchive - 1, &old);
                return at ? 0 : add_named(m, key + sizeof libarchive - 1, value, len, true);
        }
        if (begins(key, acl))
                return add_acl(m, key + sizeof acl - 1, value);
        if (strcmp(key, selinux) == 0)
                return tar_meta_add(m, "security.selinux", value, len + 1);
        if (strcmp(key, "linkpath") == 0) {
                free(m->link);
                m->link = strdup(value);
                return m->link ? 0 : -ENOMEM;
        }
        if (strcmp(key, "uid") == 0)
                m->has_uid = parse_id(value, &m->uid);
        else if (strcmp(key, "gid") == 0)
                m->has_gid = parse_id(value, &m->gid);
        else
                m->has_mtime = parse_time(value, &m->mtime, &m->mtime_ns);
        return 0;
}

/* The number of LEN bytes at P, or 0. */
static uint64_t number(const unsigned char *p, size_t len)
{
        uint64_t v = 0;

        return tar_parse_number(p, len, &v) ? v : 0;
}

/* An id: with the top bit it is in base 256, of which these fields have but eight bytes. */
static uint32_t id(const unsigned char *p)
{
        if (p[0] & 0x80)
                return load_be32(p + 4);
        return (uint32_t)number(p, ID_LEN);
}

/* Seconds, which GNU tar writes as a negative number in base 256 where they are. */
static int64_t seconds(const unsigned char *p)
{
        if (p[0] == 0xff)
                return (int64_t)load_be64(p + NUMBER_LEN - 8);
        return (int64_t)number(p, NUMBER_LEN);
}

int tar_meta_take_header(struct tar_meta *m, const unsigned char *header)
{
        bool linked;

        m->type = (char)header[AT_TYPE];
        m->mode = (uint32_t)number(header + AT_MODE, ID_LEN) & 07777;
        if (!m->has_uid)
                m->uid = id(header + AT_UID);
        if (!m->has_gid)
                m->gid = id(header + AT_GID);
        if (!m->has_mtime)
                m->mtime = seconds(header + AT_MTIME);
        if (m->type == '3' || m->type == '4') {
                m->major = id(header + AT_MAJOR);
                m->minor = id(header + AT_MINOR);
        }
        linked = m->type == '1' || m->type == '2';
        if (linked && !m->link) {
                m->link = strndup((const char *)header + AT_LINK, NAME_LEN);
                return m->link ? 0 : -ENOMEM;
        }
        return 0;
}
