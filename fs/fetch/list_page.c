/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fetch/list_page.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "archive/error.h"

enum {
        DEPTH_MAX = 8,
        RAW_MAX = 8 * LIST_KEY_MAX, /* bytes of a text, before references are resolved */
};

struct span {
        const char *p;
        size_t len;
};

static bool is(struct span s, const char *text)
{
        return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

/* ---- XML ---- */

enum token { TOKEN_OPEN, TOKEN_CLOSE, TOKEN_TEXT, TOKEN_END, TOKEN_BAD };

struct reader {
        const char *p, *end;
        struct span open[DEPTH_MAX]; /* the elements around P */
        size_t depth;
        bool empty; /* the one that was opened last has no content: "<Name/>" */
};

static bool is_name_byte(char c)
{
        return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.' || c == ':';
}

static struct span take_name(struct reader *r)
{
        struct span name = {r->p, 0};

        while (r->p < r->end && is_name_byte(*r->p))
                r->p++;
        name.len = (size_t)(r->p - name.p);
        return name;
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(struct reader *r)
{
        while (r->p < r->end && is_blank(*r->p))
                r->p++;
}

/* name="value"; its content does not matter. */
static bool skip_attribute(struct reader *r)
{
        const char *end;
        char quote;

        if (take_name(r).len == 0 || r->end - r->p < 3 || r->p[0] != '=')
                return false;
        quote = r->p[1];
        if (quote != '"' && quote != '\'')
                return false;
        r->p += 2;
        end = memchr(r->p, quote, (size_t)(r->end - r->p));
        if (!end || memchr(r->p, '<', (size_t)(end - r->p)))
                return false;
        r->p = end + 1;
        return true;
}

/* After "<". */
static enum token take_open(struct reader *r, struct span *out)
{
        *out = take_name(r);
        if (out->len == 0 || r->depth == DEPTH_MAX)
                return TOKEN_BAD;
        for (;;) {
                const char *before = r->p;

                skip_blanks(r);
                if (r->p == r->end)
                        return TOKEN_BAD;
                if (*r->p == '>' || *r->p == '/')
                        break;
                if (r->p == before || !skip_attribute(r))
                        return TOKEN_BAD;
        }
        r->empty = *r->p == '/';
        r->p += r->empty;
        if (r->p == r->end || *r->p++ != '>')
                return TOKEN_BAD;
        r->open[r->depth++] = *out;
        return TOKEN_OPEN;
}

/* After "</". */
static enum token take_close(struct reader *r, struct span *out)
{
        struct span top;

        *out = take_name(r);
        skip_blanks(r);
        if (r->p == r->end || *r->p++ != '>' || r->depth == 0)
                return TOKEN_BAD;
        top = r->open[--r->depth];
        return top.len == out->len && memcmp(top.p, out->p, top.len) == 0 ? TOKEN_CLOSE : TOKEN_BAD;
}

static enum token next_token(struct reader *r, struct span *out)
{
        if (r->empty) {
                r->empty = false;
                *out = r->open[--r->depth];
                return TOKEN_CLOSE;
        }
        if (r->p == r->end)
                return r->depth == 0 ? TOKEN_END : TOKEN_BAD;
        if (*r->p != '<') {
                const char *next = memchr(r->p, '<', (size_t)(r->end - r->p));

                *out = (struct span){r->p, (size_t)((next ? next : r->end) - r->p)};
                r->p += out->len;
                return TOKEN_TEXT;
        }
        r->p++;
        if (r->p < r->end && *r->p == '/') {
                r->p++;
                return take_close(r, out);
        }
        return take_open(r, out);
}

/* <?xml …?>, which is the only thing of its kind. */
static bool skip_declaration(struct reader *r)
{
        static const char mark[] = "\xef\xbb\xbf"; /* of UTF-8 */
        const char *end;

        if (r->end - r->p >= 3 && memcmp(r->p, mark, 3) == 0)
                r->p += 3;
        skip_blanks(r);
        if (r->end - r->p < 6 || memcmp(r->p, "<?xml ", 6) != 0)
                return true;
        end = memmem(r->p, (size_t)(r->end - r->p), "?>", 2);
        if (!end)
                return false;
        r->p = end + 2;
        return true;
}

/* ---- texts ---- */

/* The byte or character that the reference REF, without '&' and ';', stands for, to OUT. Its bytes. */
static size_t resolve(struct span ref, char out[4])
{
        static const struct {
                const char *name;
                char c;
        } named[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
        char digits[10] = "", *end;
        unsigned long n;
        bool hex;

        for (size_t i = 0; i < sizeof named / sizeof *named; i++)
                if (is(ref, named[i].name)) {
                        out[0] = named[i].c;
                        return 1;
                }
        if (ref.len < 2 || ref.len >= sizeof digits || ref.p[0] != '#')
                return 0;
        hex = ref.p[1] == 'x';
        memcpy(digits, ref.p + 1 + hex, ref.len - 1 - hex);
        if (!isxdigit((unsigned char)digits[0]))
                return 0;
        n = strtoul(digits, &end, hex ? 16 : 10);
        if (*end || n > 0x10ffff || (n >= 0xd800 && n < 0xe000))
                return 0;
        if (n < 0x80) {
                out[0] = (char)n;
                return 1;
        }
        if (n < 0x800) {
                out[0] = (char)(0xc0 | n >> 6);
                out[1] = (char)(0x80 | (n & 0x3f));
                return 2;
        }
        if (n < 0x10000) {
                out[0] = (char)(0xe0 | n >> 12);
                out[1] = (char)(0x80 | (n >> 6 & 0x3f));
                out[2] = (char)(0x80 | (n & 0x3f));
                return 3;
        }
        out[0] = (char)(0xf0 | n >> 18);
        out[1] = (char)(0x80 | (n >> 12 & 0x3f));
        out[2] = (char)(0x80 | (n >> 6 & 0x3f));
        out[3] = (char)(0x80 | (n & 0x3f));
        return 4;
}

/* RAW with its references resolved, and a NUL, to OUT of SIZE bytes; *LEN is without it. */
static bool take_text(struct span raw, char *out, size_t size, size_t *len)
{
        *len = 0;
        for (const char *p = raw.p, *end = raw.p + raw.len; p < end; p++) {
                const char *semicolon;
                size_t n;

                if (size - *len < 5)
                        return false;
                if (*p != '&') {
                        out[(*len)++] = *p;
                        continue;
                }
                semicolon = memchr(p, ';', (size_t)(end - p));
                if (!semicolon)
                        return false;
                n = resolve((struct span){p + 1, (size_t)(semicolon - p - 1)}, out + *len);
                if (n == 0)
                        return false;
                *len += n;
                p = semicolon;
        }
        out[*len] = '\0';
        return true;
}

static bool is_all_blank(struct span s)
{
        while (s.len > 0 && is_blank(s.p[s.len - 1]))
                s.len--;
        return s.len == 0;
}

static int digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX is a byte, and + a blank, as in a query. In place. */
static bool decode(char *text, size_t *len)
{
        size_t n = 0;

        for (size_t i = 0; i < *len; i++) {
                int high, low;

                if (text[i] != '%') {
                        text[n++] = (char)(text[i] == '+' ? ' ' : text[i]);
                        continue;
                }
                high = *len - i > 2 ? digit(text[i + 1]) : -1;
                low = *len - i > 2 ? digit(text[i + 2]) : -1;
                if (high < 0 || low < 0)
                        return false;
                text[n++] = (char)(high << 4 | low);
                i += 2;
        }
        text[n] = '\0';
        *len = n;
        return true;
}

int64_t list_time(const char *text)
{
        struct tm tm = {0};
        const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

        if (!end)
                return 0;
        if (*end == '.')
                end += 1 + strspn(end + 1, "0123456789");
        return strcmp(end, "Z") == 0 ? timegm(&tm) : 0;
}

/* ---- the page ---- */

struct parsing {
        struct list_page *page;
        int (*each)(void *ctx, const struct list_key *key); /* NULL: nothing is told yet */
        void *ctx;
        int rc; /* of EACH */

        bool encoded; /* keys are as in a URL */
        struct list_key key;
        bool has_key, has_size;
        char buf[RAW_MAX], name[RAW_MAX];
};

static bool take_key(struct parsing *p, struct span raw)
{
        size_t len;

        if (p->has_key || !take_text(raw, p->name, sizeof p->name, &len) ||
            (p->encoded && !decode(p->name, &len)) || len > LIST_KEY_MAX)
                return false;
        p->key.key = p->name;
        p->key.len = len;
        return p->has_key = true;
}

static bool take_number(const char *text, uint64_t *out)
{
        size_t digits = strspn(text, "0123456789");

        if (digits == 0 || digits > 18 || text[digits])
                return false;
        *out = strtoull(text, NULL, 10);
        return true;
}

/* An object's FIELD. */
static bool take_field(struct parsing *p, struct span field, struct span raw)
{
        size_t len;

        if (is(field, "Key"))
                return take_key(p, raw);
        if (!is(field, "Size") && !is(field, "ETag") && !is(field, "LastModified"))
                return true;
        if (!take_text(raw, p->buf, sizeof p->buf, &len))
                return false;
        if (is(field, "Size"))
                return p->has_size = take_number(p->buf, &p->key.size);
        if (is(field, "LastModified"))
                p->key.mtime = list_time(p->buf);
        p->key.version = XXH3_64bits_withSeed(p->buf, len, p->key.version);
        return true;
}

static bool tell(struct parsing *p, bool is_prefix)
{
        p->key.is_prefix = is_prefix;
        if (!p->has_key || (!is_prefix && !p->has_size))
                return false;
        if (p->each && p->rc == 0) {
                p->key.version ^= p->key.size;
                p->rc = p->each(p->ctx, &p->key);
        }
        p->key = (struct list_key){0};
        p->has_key = p->has_size = false;
        return true;
}

static bool take_flag(const char *text, bool *out)
{
        *out = strcmp(text, "true") == 0;
        return *out || strcmp(text, "false") == 0;
}

/* What is directly in the page, with text RAW. */
static bool take_property(struct parsing *p, struct span name, struct span raw)
{
        size_t len;

        if (is(name, "Contents"))
                return tell(p, false);
        if (is(name, "NextContinuationToken"))
                return take_text(raw, p->page->token, sizeof p->page->token, &len) &&
                       strlen(p->page->token) == len;
        if (!is(name, "IsTruncated") && !is(name, "EncodingType"))
                return true;
        if (!take_text(raw, p->buf, sizeof p->buf, &len))
                return false;
        if (is(name, "IsTruncated"))
                return take_flag(p->buf, &p->page->goes_on);
        p->encoded = strcmp(p->buf, "url") == 0;
        return p->encoded || len == 0;
}

/* The element NAME with the text RAW has ended; R has what is around it. */
static bool take_element(struct parsing *p, const struct reader *r, struct span name,
                         struct span raw)
{
        if (r->depth == 1)
                return take_property(p, name, raw);
        if (r->depth != 2)
                return true;
        if (is(r->open[1], "Contents"))
                return take_field(p, name, raw);
        if (is(r->open[1], "CommonPrefixes"))
                return is(name, "Prefix") ? take_key(p, raw) && tell(p, true) : true;
        return true;
}

/* NULL, or where it is not understood. */
static const char *parse(struct parsing *p, struct span text)
{
        struct reader r = {.p = text.p, .end = text.p + text.len};
        struct span s, raw = {text.p, 0};
        bool rooted = false;

        if (!skip_declaration(&r))
                return r.p;
        for (;;) {
                switch (next_token(&r, &s)) {
                case TOKEN_OPEN:
                        if (r.depth == 1 && (rooted || !is(s, "ListBucketResult")))
                                return s.p;
                        rooted = true;
                        raw = (struct span){r.p, 0};
                        break;
                case TOKEN_TEXT:
                        if (r.depth == 0 && !is_all_blank(s))
                                return s.p;
                        raw = s;
                        break;
                case TOKEN_CLOSE:
                        if (r.depth > 0 && !take_element(p, &r, s, raw))
                                return s.p;
                        raw = (struct span){r.p, 0};
                        break;
                case TOKEN_END:
                        return rooted ? NULL : r.p;
                case TOKEN_BAD:
                        return r.p;
                }
        }
}

int list_page_parse(const char *text, size_t len, struct list_page *out,
                    int (*each)(void *ctx, const struct list_key *key), void *ctx,
                    struct error *err)
{
        struct parsing p = {.page = out};
        const char *fault;

        *out = (struct list_page){0};
        fault = parse(&p, (struct span){text, len});
        /* Where it says how keys are written is not the same everywhere. */
        if (!fault) {
                p.each = each;
                p.ctx = ctx;
                fault = parse(&p, (struct span){text, len});
        }
        if (!fault && out->goes_on && !out->token[0])
                fault = text + len;
        if (fault)
                return error_set(err, EREMOTEIO,
                                 "the server's list of it is not understood at byte %zu",
                                 (size_t)(fault - text));
        return p.rc;
}
