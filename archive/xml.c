/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/xml.h"

#include <stdint.h>
#include <string.h>

/* ---- tokens ---- */

/* Where END begins in R's text from byte FROM on. False: nowhere. */
static bool find(const struct xml_reader *r, size_t from, const char *end, size_t *out)
{
        const char *at = memmem(r->text + from, r->len - from, end, strlen(end));

        if (at)
                *out = (size_t)(at - r->text);
        return at != NULL;
}

static bool begins(const struct xml_reader *r, const char *with)
{
        size_t n = strlen(with);

        return r->len - r->at >= n && memcmp(r->text + r->at, with, n) == 0;
}

/* Past what begins here and ends in END; with it. The end of all where it does not. */
static void skip_past(struct xml_reader *r, const char *end)
{
        size_t at;

        r->at = find(r, r->at, end, &at) ? at + strlen(end) : r->len;
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The '>' that ends the tag here, which a quoted value may hold too. False: there is none. */
static bool find_tag_end(const struct xml_reader *r, size_t *out)
{
        char quote = '\0';

        for (size_t at = r->at; at < r->len; at++) {
                char c = r->text[at];

                if (quote) {
                        quote = c == quote ? '\0' : quote;
                } else if (c == '"' || c == '\'') {
                        quote = c;
                } else if (c == '>') {
                        *out = at;
                        return true;
                }
        }
        return false;
}

/* The tag of LEN bytes at P, without its brackets. */
static void take_tag(const char *p, size_t len, struct xml_token *out)
{
        const char *colon;

        *out = (struct xml_token){.kind = XML_OPEN};
        if (len && *p == '/') {
                out->kind = XML_CLOSE;
                p++;
                len--;
        } else if (len && p[len - 1] == '/') {
                out->closed = true;
                len--;
        }
        while (out->len < len && !is_blank(p[out->len]))
                out->len++;
        out->at = p;
        out->attributes = p + out->len;
        out->attributes_len = len - out->len;
        colon = memchr(p, ':', out->len);
        if (colon) {
                out->len -= (size_t)(colon + 1 - p);
                out->at = colon + 1;
        }
}

static bool take_text(struct xml_reader *r, struct xml_token *out)
{
        const char *start = r->text + r->at;
        const char *end = memchr(start, '<', r->len - r->at);
        size_t len = end ? (size_t)(end - start) : r->len - r->at;

        *out = (struct xml_token){.kind = XML_TEXT, .at = start, .len = len};
        r->at += len;
        return true;
}

static bool take_cdata(struct xml_reader *r, struct xml_token *out)
{
        size_t start = r->at + strlen("<![CDATA["), end;

        if (!find(r, start, "]]>", &end))
                return false;
        *out = (struct xml_token){.kind = XML_CDATA, .at = r->text + start, .len = end - start};
        r->at = end + strlen("]]>");
        return true;
}

bool xml_next(struct xml_reader *r, struct xml_token *out)
{
        while (r->at < r->len) {
                size_t end;

                if (r->text[r->at] != '<')
                        return take_text(r, out);
                if (begins(r, "<![CDATA["))
                        return take_cdata(r, out);
                if (begins(r, "<!--")) {
                        skip_past(r, "-->");
                } else if (begins(r, "<?")) {
                        skip_past(r, "?>");
                } else if (begins(r, "<!")) {
                        skip_past(r, ">");
                } else if (find_tag_end(r, &end)) {
                        take_tag(r->text + r->at + 1, end - r->at - 1, out);
                        r->at = end + 1;
                        return true;
                } else {
                        return false;
                }
        }
        return false;
}

bool xml_is(const struct xml_token *t, const char *name)
{
        return (t->kind == XML_OPEN || t->kind == XML_CLOSE) && t->len == strlen(name) &&
               memcmp(t->at, name, t->len) == 0;
}

/* ---- text ---- */

struct text {
        char *out;
        size_t size, len;
};

static void put(struct text *t, char c)
{
        if (t->len + 1 < t->size)
                t->out[t->len] = c;
        t->len++;
}

/* As UTF-8. A character that cannot be is a question mark. */
static void put_character(struct text *t, uint32_t c)
{
        if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
                c = '?';
        if (c < 0x80) {
                put(t, (char)c);
                return;
        }
        if (c >= 0x10000) {
                put(t, (char)(0xf0 | c >> 18));
                put(t, (char)(0x80 | (c >> 12 & 0x3f)));
        } else if (c >= 0x800) {
                put(t, (char)(0xe0 | c >> 12));
        }
        put(t, (char)(c < 0x800 ? 0xc0 | c >> 6 : 0x80 | (c >> 6 & 0x3f)));
        put(t, (char)(0x80 | (c & 0x3f)));
}

/* &#38; or &#x26;, of which P has the LEN bytes between '&' and ';'. False: it is no such one. */
static bool parse_reference(const char *p, size_t len, uint32_t *out)
{
        uint32_t base = 10, v = 0;
        size_t i = 1;

        if (len < 2 || p[0] != '#')
                return false;
        if (p[1] == 'x') {
                base = 16;
                i++;
        }
        if (i == len)
                return false;
        for (; i < len; i++) {
                const char *digits = "0123456789abcdef";
                char c = (char)(p[i] >= 'A' && p[i] <= 'F' ? p[i] + ('a' - 'A') : p[i]);
                const char *digit = memchr(digits, c, base);

                if (!digit)
                        return false;
                v = v > 0x10ffff ? v : v * base + (uint32_t)(digit - digits);
        }
        *out = v;
        return true;
}

/* The entity of LEN bytes at P, between '&' and ';'. False: it is none of XML's own. */
static bool put_entity(struct text *t, const char *p, size_t len)
{
        static const struct {
                const char *name;
                char is;
        } own[] = {{"lt", '<'}, {"gt", '>'}, {"amp", '&'}, {"quot", '"'}, {"apos", '\''}};
        uint32_t c;

        if (parse_reference(p, len, &c)) {
                put_character(t, c);
                return true;
        }
        for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
                if (strlen(own[i].name) != len || memcmp(own[i].name, p, len) != 0)
                        continue;
                put(t, own[i].is);
                return true;
        }
        return false;
}

static size_t decode(const char *p, size_t len, bool entities, char *out, size_t size)
{
        enum { ENTITY_MAX = 12 };
        struct text t = {.out = out, .size = size};

        for (size_t i = 0; i < len; i++) {
                size_t room = len - i - 1 < ENTITY_MAX ? len - i - 1 : ENTITY_MAX;
                const char *end = NULL;

                if (entities && p[i] == '&')
                        end = memchr(p + i + 1, ';', room);
                if (end && put_entity(&t, p + i + 1, (size_t)(end - p) - i - 1))
                        i = (size_t)(end - p);
                else
                        put(&t, p[i] ? p[i] : '?');
        }
        out[t.len < size ? t.len : size - 1] = '\0';
        return t.len;
}

size_t xml_text(const struct xml_token *t, char *out, size_t size)
{
        return decode(t->at, t->len, t->kind == XML_TEXT, out, size);
}

/* ---- attributes ---- */

/* The next attribute of the LEN bytes at P, from *AT on. False: there is none. */
static bool next_attribute(const char *p, size_t len, size_t *at, struct xml_token *name,
                           struct xml_token *value)
{
        const char *colon, *end;
        size_t i = *at, start;

        while (i < len && is_blank(p[i]))
                i++;
        start = i;
        while (i < len && p[i] != '=' && !is_blank(p[i]))
                i++;
        *name = (struct xml_token){.kind = XML_OPEN, .at = p + start, .len = i - start};
        colon = memchr(name->at, ':', name->len);
        if (colon) {
                name->len -= (size_t)(colon + 1 - name->at);
                name->at = colon + 1;
        }
        while (i < len && (is_blank(p[i]) || p[i] == '='))
                i++;
        if (i == len || (p[i] != '"' && p[i] != '\''))
                return false;
        end = memchr(p + i + 1, p[i], len - i - 1);
        if (!end)
                return false;
        *value =
            (struct xml_token){.kind = XML_TEXT, .at = p + i + 1, .len = (size_t)(end - p) - i - 1};
        *at = (size_t)(end - p) + 1;
        return true;
}

bool xml_attribute(const struct xml_token *t, const char *name, char *out, size_t size)
{
        struct xml_token key, value;
        size_t at = 0;

        while (next_attribute(t->attributes, t->attributes_len, &at, &key, &value)) {
                if (!xml_is(&key, name))
                        continue;
                xml_text(&value, out, size);
                return true;
        }
        return false;
}
