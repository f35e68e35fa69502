/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/fetch/answer.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { LINE_MAX_LEN = 512, RETRY_MAX = 30 };

void answer_init(struct answer *a)
{
        *a = (struct answer){.size = ANSWER_UNKNOWN, .length = ANSWER_UNKNOWN};
}

/* A number of at most 18 digits at *P, which moves past it. */
static bool take_number(const char **p, uint64_t *out)
{
        size_t digits = strspn(*p, "0123456789");

        if (digits == 0 || digits > 18)
                return false;
        *out = strtoull(*p, NULL, 10);
        *p += digits;
        return true;
}

/* "bytes 0-99/1234", "bytes 0-99/\*", "bytes *" "/1234" */
static void take_range(struct answer *a, const char *p)
{
        uint64_t last = 0;

        if (strncasecmp(p, "bytes", 5) != 0)
                return;
        p += 5;
        p += strspn(p, " =");
        if (*p == '*') {
                p++;
        } else {
                if (!take_number(&p, &a->start) || *p++ != '-' || !take_number(&p, &last))
                        return;
                a->end = last + 1;
        }
        if (*p++ != '/')
                return;
        if (*p == '*')
                p++;
        else if (!take_number(&p, &a->size))
                return;
        a->has_range = *p == '\0' && a->end > a->start;
}

static void take_text(char *out, size_t size, const char *value)
{
        size_t len = strlen(value);

        /* One that is cut would be sent back, and compared, as another. */
        if (len >= size)
                return;
        for (size_t i = 0; i < len; i++)
                if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
                        return;
        memcpy(out, value, len + 1);
}

static void take_header(struct answer *a, const char *name, const char *value)
{
        uint64_t number;
        const char *p = value;

        if (strcasecmp(name, "content-range") == 0)
                take_range(a, value);
        else if (strcasecmp(name, "content-length") == 0 && take_number(&p, &number) && !*p)
                a->length = number;
        else if (strcasecmp(name, "etag") == 0 && value[0] == '"')
                take_text(a->is.etag, sizeof a->is.etag, value);
        else if (strcasecmp(name, "last-modified") == 0)
                take_text(a->is.modified, sizeof a->is.modified, value);
        else if (strcasecmp(name, "date") == 0)
                a->date = answer_time(value);
        else if (strcasecmp(name, "content-encoding") == 0)
                a->encoded = strcasecmp(value, "identity") != 0;
        else if (strcasecmp(name, "retry-after") == 0 && take_number(&p, &number))
                a->retry_after = number > RETRY_MAX ? RETRY_MAX : (unsigned)number;
        else if (strcasecmp(name, "x-amz-bucket-region") == 0)
                take_text(a->bucket_region, sizeof a->bucket_region, value);
}

void answer_take(struct answer *a, const char *line, size_t len)
{
        char text[LINE_MAX_LEN], *colon, *value;

        while (len > 0 && isspace((unsigned char)line[len - 1]))
                len--;
        if (len >= sizeof text || memchr(line, '\0', len))
                return;
        memcpy(text, line, len);
        text[len] = '\0';
        /* A new status line: what came before was of a proxy, or an interim answer. */
        if (strncmp(text, "HTTP/", 5) == 0) {
                answer_init(a);
                return;
        }
        colon = strchr(text, ':');
        if (!colon)
                return;
        *colon = '\0';
        value = colon + 1;
        take_header(a, text, value + strspn(value, " \t"));
}

const char *answer_fault(const struct answer *a, uint64_t start, uint64_t end, uint64_t size)
{
        if (a->encoded)
                return "sends it compressed, although that was not asked for";
        if (!a->has_range)
                return "does not say which bytes it sends";
        if (a->start != start || a->end != end)
                return "sends other bytes than were asked for";
        if (a->size != size)
                return a->size == ANSWER_UNKNOWN ? "does not say how long the object is"
                                                 : "says that the object has another size by now";
        if (a->length != ANSWER_UNKNOWN && a->length != end - start)
                return "sends another number of bytes than it says";
        return NULL;
}

bool answer_is_other(const struct answer *a, const struct validator *was)
{
        if (was->etag[0])
                return strcmp(a->is.etag, was->etag) != 0;
        return strcmp(a->is.modified, was->modified) != 0;
}

int64_t answer_time(const char *text)
{
        struct tm tm = {0};
        const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);

        return end && !*end ? timegm(&tm) : 0;
}
