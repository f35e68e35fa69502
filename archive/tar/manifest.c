/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/tar/manifest.h"

#include <string.h>
#include <strings.h>

/* Bytes of the text. */
struct part {
        const char *p;
        size_t len;
};

struct algorithm {
        const char *said, *name;
        size_t digest_len;
};

static const struct algorithm algorithms[] = {
    {"SHA1", "SHA1", 20},       {"SHA256", "SHA256", 32},   {"SHA512", "SHA512", 64},
    {"SHA2-256", "SHA256", 32}, {"SHA2-512", "SHA512", 64}, {"SHA384", "SHA384", 48},
    {"SHA2-384", "SHA384", 48}, {"SHA-1", "SHA1", 20},      {"SHA-256", "SHA256", 32},
    {"SHA-512", "SHA512", 64},
};

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r';
}

static struct part trim(struct part s)
{
        while (s.len && is_blank(s.p[s.len - 1]))
                s.len--;
        while (s.len && is_blank(s.p[0])) {
                s.p++;
                s.len--;
        }
        return s;
}

/* The part of S before byte AT, and the part after it. */
static struct part before(struct part s, size_t at)
{
        return trim((struct part){s.p, at});
}

static struct part after(struct part s, size_t at)
{
        return trim((struct part){s.p + at + 1, s.len - at - 1});
}

static bool find_first(struct part s, char c, size_t *at)
{
        const char *p = s.len ? memchr(s.p, c, s.len) : NULL;

        if (p)
                *at = (size_t)(p - s.p);
        return p != NULL;
}

static bool find_last(struct part s, char c, size_t *at)
{
        const char *p = s.len ? memrchr(s.p, c, s.len) : NULL;

        if (p)
                *at = (size_t)(p - s.p);
        return p != NULL;
}

static int hex_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool parse_hex(struct part s, struct manifest_line *out)
{
        if (s.len == 0 || s.len % 2 || s.len / 2 > sizeof out->digest)
                return false;
        for (size_t i = 0; i < s.len / 2; i++) {
                int high = hex_value(s.p[2 * i]), low = hex_value(s.p[2 * i + 1]);

                if (high < 0 || low < 0)
                        return false;
                out->digest[i] = (uint8_t)(high << 4 | low);
        }
        out->digest_len = s.len / 2;
        return true;
}

static const struct algorithm *find_algorithm(struct part s)
{
        for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
                if (strlen(algorithms[i].said) == s.len &&
                    strncasecmp(algorithms[i].said, s.p, s.len) == 0)
                        return &algorithms[i];
        return NULL;
}

/* ALGORITHM(NAME)= DIGEST. A name may hold any of the signs, a digest none. */
static enum manifest_kind parse_line(struct part s, struct manifest_line *out)
{
        const struct algorithm *algorithm;
        struct part said, name;
        size_t equals, open, close;

        if (!find_last(s, '=', &equals) || find_first(s, '\0', &open))
                return MANIFEST_MALFORMED;
        said = before(s, equals);
        if (!find_first(said, '(', &open) || !find_last(said, ')', &close) || close < open ||
            close != said.len - 1)
                return MANIFEST_MALFORMED;
        name = (struct part){said.p + open + 1, close - open - 1};
        if (name.len == 0 || name.len > MANIFEST_NAME_MAX)
                return MANIFEST_MALFORMED;
        out->name = name.p;
        out->name_len = name.len;
        said = before(said, open);
        algorithm = find_algorithm(said);
        if (!algorithm)
                return said.len ? MANIFEST_UNKNOWN : MANIFEST_MALFORMED;
        out->algorithm = algorithm->name;
        return parse_hex(after(s, equals), out) && out->digest_len == algorithm->digest_len
                   ? MANIFEST_DIGEST
                   : MANIFEST_MALFORMED;
}

bool manifest_next(struct manifest_reader *r, struct manifest_line *out)
{
        while (r->at < r->len) {
                struct part s = {r->text + r->at, r->len - r->at};
                size_t end;

                if (find_first(s, '\n', &end))
                        s.len = end;
                r->at += s.len + 1;
                r->lines++;
                s = trim(s);
                if (s.len == 0)
                        continue;
                *out = (struct manifest_line){.number = r->lines};
                out->kind = parse_line(s, out);
                if (out->kind == MANIFEST_MALFORMED)
                        *out =
                            (struct manifest_line){.kind = MANIFEST_MALFORMED, .number = r->lines};
                return true;
        }
        return false;
}
