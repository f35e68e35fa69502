/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/inside/lvm_text.h"

#include <errno.h>
#include <string.h>

enum {
        DEPTH_MAX = 16,       /* sections in one another; LVM's own have five */
        VALUES_MAX = 1 << 18, /* 14 MiB of memory */
};

struct parser {
        const char *at, *end;
        struct lvm_text *out;
        uint32_t open[DEPTH_MAX]; /* the sections that are not closed yet … */
        uint32_t last[DEPTH_MAX]; /* … and the last child of each so far */
        unsigned depth;           /* of the innermost */
};

/* Skip what separates values. False: the text ends. */
static bool skip(struct parser *p)
{
        while (p->at < p->end && (strchr(" \t\r\n,", *p->at) || *p->at == '#')) {
                const char *line = NULL;

                if (*p->at == '\0')
                        return false;
                if (*p->at == '#')
                        line = memchr(p->at, '\n', (size_t)(p->end - p->at));
                if (*p->at == '#' && !line)
                        return false;
                p->at = line ? line + 1 : p->at + 1;
        }
        return p->at < p->end && *p->at != '\0';
}

/* Add a value to the innermost section or list. 0 or -errno. */
static int add(struct parser *p, const struct lvm_value *v)
{
        uint32_t number = (uint32_t)p->out->values.count;
        int rc = number < VALUES_MAX ? array_add(&p->out->values, *v) : -E2BIG;

        if (rc < 0)
                return rc;
        if (p->last[p->depth] == LVM_NONE)
                array_at(&p->out->values, p->open[p->depth])->first = number;
        else
                array_at(&p->out->values, p->last[p->depth])->next = number;
        p->last[p->depth] = number;
        return 0;
}

/* The value that was added last has children. */
static int enter(struct parser *p)
{
        if (p->depth + 1 == DEPTH_MAX)
                return -EBADMSG;
        p->depth++;
        p->open[p->depth] = (uint32_t)p->out->values.count - 1;
        p->last[p->depth] = LVM_NONE;
        return 0;
}

static bool is_name(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               (c && strchr("+_.-/", c));
}

static int parse_string(struct parser *p, struct lvm_value *v)
{
        v->kind = LVM_STRING;
        v->string = ++p->at;
        for (; p->at < p->end && *p->at != '"'; p->at++)
                if (*p->at == '\\')
                        p->at++;
        if (p->at >= p->end)
                return -EBADMSG;
        v->len = (uint32_t)(p->at - v->string);
        p->at++;
        return 0;
}

/* A number, of which what follows its first digits is not needed, such as a fraction. */
static int parse_number(struct parser *p, struct lvm_value *v)
{
        v->kind = LVM_NUMBER;
        if (*p->at != '-' && (*p->at < '0' || *p->at > '9'))
                return -EBADMSG;
        for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++)
                if (__builtin_mul_overflow(v->number, 10, &v->number) ||
                    __builtin_add_overflow(v->number, (uint64_t)(*p->at - '0'), &v->number))
                        return -EBADMSG;
        while (p->at < p->end && is_name(*p->at))
                p->at++;
        return 0;
}

static int parse_scalar(struct parser *p, struct lvm_value *v)
{
        int rc = *p->at == '"' ? parse_string(p, v) : parse_number(p, v);

        return rc < 0 ? rc : add(p, v);
}

static int parse_list(struct parser *p, struct lvm_value *v)
{
        int rc;

        v->kind = LVM_LIST;
        p->at++;
        rc = add(p, v);
        if (rc == 0)
                rc = enter(p);
        while (rc == 0) {
                struct lvm_value one = {.name = "", .first = LVM_NONE, .next = LVM_NONE};

                if (!skip(p))
                        return -EBADMSG;
                if (*p->at == ']')
                        break;
                rc = parse_scalar(p, &one);
        }
        if (rc < 0)
                return rc;
        p->at++;
        p->depth--;
        return 0;
}

/* A name, and its value or the beginning of its section. */
static int parse_item(struct parser *p)
{
        struct lvm_value v = {.name = p->at, .first = LVM_NONE, .next = LVM_NONE};
        int rc;

        while (p->at < p->end && is_name(*p->at))
                p->at++;
        v.name_len = (uint32_t)(p->at - v.name);
        if (v.name_len == 0 || !skip(p))
                return -EBADMSG;
        if (*p->at == '{') {
                p->at++;
                rc = add(p, &v);
                return rc < 0 ? rc : enter(p);
        }
        if (*p->at++ != '=' || !skip(p))
                return -EBADMSG;
        return *p->at == '[' ? parse_list(p, &v) : parse_scalar(p, &v);
}

int lvm_text_parse(const char *text, size_t len, struct lvm_text *out)
{
        const struct lvm_value all = {.name = "", .first = LVM_NONE, .next = LVM_NONE};
        struct parser p = {.at = text, .end = text + len, .out = out};
        int rc;

        *out = (struct lvm_text){0};
        p.last[0] = LVM_NONE;
        if (len > UINT32_MAX)
                return -E2BIG;
        rc = array_add(&out->values, all);
        while (rc == 0 && skip(&p)) {
                if (*p.at != '}') {
                        rc = parse_item(&p);
                        continue;
                }
                rc = p.depth ? 0 : -EBADMSG;
                p.depth -= p.depth > 0;
                p.at++;
        }
        return rc == 0 && p.depth ? -EBADMSG : rc;
}

void lvm_text_free(struct lvm_text *t)
{
        array_free(&t->values);
}

/* ---- looking at it ---- */

static const struct lvm_value *value_at(const struct lvm_text *t, uint32_t number)
{
        return number == LVM_NONE ? NULL : array_at(&t->values, number);
}

const struct lvm_value *lvm_first(struct lvm_text *t, const struct lvm_value *v)
{
        return value_at(t, v->first);
}

const struct lvm_value *lvm_next(struct lvm_text *t, const struct lvm_value *v)
{
        lvm_charge(t, 1);
        return lvm_is_exhausted(t) ? NULL : value_at(t, v->next);
}

const struct lvm_value *lvm_find(struct lvm_text *t, const struct lvm_value *in, const char *name)
{
        size_t len = strlen(name);
        const struct lvm_value *v = in ? lvm_first(t, in) : NULL;

        while (v && (v->name_len != len || memcmp(v->name, name, len) != 0))
                v = lvm_next(t, v);
        return v;
}

bool lvm_number(struct lvm_text *t, const struct lvm_value *in, const char *name, uint64_t *out)
{
        const struct lvm_value *v = lvm_find(t, in, name);

        if (!v || v->kind != LVM_NUMBER)
                return false;
        *out = v->number;
        return true;
}

bool lvm_is(const struct lvm_value *v, const char *text)
{
        size_t len = strlen(text);

        return v && v->kind == LVM_STRING && v->len == len && memcmp(v->string, text, len) == 0;
}

bool lvm_has(struct lvm_text *t, const struct lvm_value *in, const char *name, const char *text)
{
        const struct lvm_value *v = lvm_find(t, in, name);

        for (v = v ? lvm_first(t, v) : NULL; v; v = lvm_next(t, v))
                if (lvm_is(v, text))
                        return true;
        return false;
}
