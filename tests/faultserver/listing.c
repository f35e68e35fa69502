/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/faultserver/listing.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "archive/cleanup.h"

struct listed {
        char *key; /* of a prefix it ends in '/' */
        struct stat st;
};

struct listing {
        const char *folder, *prefix;
        struct listed *all;
        size_t count;
};

/* ---- what is there ---- */

/* KEY, or as much of it as is one prefix with others. */
static void add(struct listing *l, const char *key, const struct stat *st)
{
        size_t len = strlen(l->prefix);
        const char *slash;
        struct listed is = {.st = *st};

        if (strncmp(key, l->prefix, len) != 0)
                return;
        slash = strchr(key + len, '/');
        is.key = slash ? strndup(key, (size_t)(slash + 1 - key)) : strdup(key);
        l->all = reallocarray(l->all, l->count + 1, sizeof is);
        if (!is.key || !l->all)
                abort();
        l->all[l->count++] = is;
}

static void walk(struct listing *l, const char *below)
{
        cleanup_free char *path = NULL;
        const struct dirent *d;
        DIR *dir;

        if (asprintf(&path, "%s/%s", l->folder, below) < 0)
                abort();
        dir = opendir(path);
        while (dir && (d = readdir(dir))) {
                cleanup_free char *key = NULL;
                struct stat st;

                if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
                        continue;
                if (asprintf(&key, "%s%s%s", below, *below ? "/" : "", d->d_name) < 0)
                        abort();
                if (fstatat(dirfd(dir), d->d_name, &st, 0) < 0)
                        continue;
                if (S_ISDIR(st.st_mode))
                        walk(l, key);
                else
                        add(l, key, &st);
        }
        if (dir)
                closedir(dir);
}

static int by_key(const void *a, const void *b)
{
        return strcmp(((const struct listed *)a)->key, ((const struct listed *)b)->key);
}

static void sort(struct listing *l)
{
        size_t kept = 0;

        if (l->count)
                qsort(l->all, l->count, sizeof *l->all, by_key);
        for (size_t i = 0; i < l->count; i++) {
                if (kept > 0 && strcmp(l->all[kept - 1].key, l->all[i].key) == 0)
                        free(l->all[i].key);
                else
                        l->all[kept++] = l->all[i];
        }
        l->count = kept;
}

/* ---- the page ---- */

static void write_key(FILE *f, const char *key)
{
        for (; *key; key++)
                if (strchr("/-._~", *key) || ((*key | 0x20) >= 'a' && (*key | 0x20) <= 'z') ||
                    (*key >= '0' && *key <= '9'))
                        fputc(*key, f);
                else
                        fprintf(f, *key == ' ' ? "+" : "%%%02X", (unsigned)(unsigned char)*key);
}

static void write_object(FILE *f, const char *key, const struct stat *st)
{
        char when[40];
        struct tm tm;

        gmtime_r(&st->st_mtim.tv_sec, &tm);
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
        fputs("<Contents><Key>", f);
        write_key(f, key);
        fprintf(f,
                "</Key><LastModified>%s.000Z</LastModified><ETag>&quot;%" PRIx64 "-%" PRIx64
                "&quot;</ETag><Size>%" PRIu64 "</Size><StorageClass>STANDARD</StorageClass>"
                "</Contents>",
                when, (uint64_t)st->st_ino,
                (uint64_t)st->st_mtim.tv_nsec + (uint64_t)st->st_mtim.tv_sec * 1000000000,
                (uint64_t)st->st_size);
}

static void write_listed(FILE *f, const struct listed *is)
{
        if (is->key[strlen(is->key) - 1] != '/') {
                write_object(f, is->key, &is->st);
                return;
        }
        fputs("<CommonPrefixes><Prefix>", f);
        write_key(f, is->key);
        fputs("</Prefix></CommonPrefixes>", f);
}

/* Names that no folder can have, or that are hard to show. */
static void write_odd(FILE *f, const char *prefix)
{
        static const char *const names[] = {"",      ".",         "..",        "a%00b",
                                            "a%0Ab", "twice.vma", "twice.vma", "%FF%26%3C"};
        static const char *const folders[] = {"/", "./", "../", "twice.vma/"};

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                fprintf(f, "<Contents><Key>%s%s</Key><Size>1</Size></Contents>", prefix, names[i]);
        fprintf(f, "<Contents><Key>%s%0900d</Key><Size>1</Size></Contents>", prefix, 0);
        for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
                fprintf(f, "<CommonPrefixes><Prefix>%s%s</Prefix></CommonPrefixes>", prefix,
                        folders[i]);
}

static void write_wrong(FILE *f, const char *mode, const char *prefix)
{
        if (strcmp(mode, "list-odd") == 0)
                write_odd(f, prefix);
        else if (strcmp(mode, "list-other") == 0)
                fputs("<Contents><Key>etc/passwd</Key><Size>1</Size></Contents>", f);
        else if (strcmp(mode, "list-deep") == 0)
                fprintf(f, "<Contents><Key>%sa/../b</Key><Size>1</Size></Contents>", prefix);
        else if (strcmp(mode, "list-cut") == 0)
                fputs("<Contents><Key>", f);
        else if (strcmp(mode, "list-huge") == 0)
                fprintf(f, "%*s", 9 << 20, "");
}

static void write_page(FILE *f, const struct listing *l, size_t from, const char *mode)
{
        bool loops = strcmp(mode, "list-loop") == 0, empty = strcmp(mode, "list-empty") == 0;
        size_t end = from + LISTING_PAGE < l->count ? from + LISTING_PAGE : l->count;

        fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", f);
        if (strcmp(mode, "list-type") == 0)
                fputs("<!DOCTYPE x [<!ENTITY a \"aaaa\">]>", f);
        fprintf(f, "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                   "<Name>b</Name><MaxKeys>1000</MaxKeys>");
        write_wrong(f, mode, l->prefix);
        for (size_t i = from; i < end && !empty; i++)
                write_listed(f, &l->all[i]);
        fprintf(f, "<EncodingType>url</EncodingType><IsTruncated>%s</IsTruncated>",
                end < l->count || loops || empty ? "true" : "false");
        if (end < l->count || loops || empty)
                fprintf(f, "<NextContinuationToken>%zu/+=</NextContinuationToken>",
                        loops ? 7 : end + empty);
        fputs("</ListBucketResult>\n", f);
}

/* ---- the query ---- */

/* The value of NAME in QUERY, decoded; a new string, or NULL. */
static char *value(const char *query, const char *name)
{
        size_t len = strlen(name);
        char *out, *to, digits[3] = "";

        while (strncmp(query, name, len) != 0 || query[len] != '=') {
                query = strchr(query, '&');
                if (!query)
                        return NULL;
                query++;
        }
        query += len + 1;
        out = to = strndup(query, strcspn(query, "&"));
        for (const char *p = out; p && *p; p++)
                if (*p == '%' && p[1] && p[2]) {
                        memcpy(digits, p + 1, 2);
                        *to++ = (char)strtoul(digits, NULL, 16);
                        p += 2;
                } else {
                        *to++ = *p;
                }
        if (to)
                *to = '\0';
        return out;
}

static bool is_query(const char *query)
{
        cleanup_free char *type = value(query, "list-type");
        cleanup_free char *delimiter = value(query, "delimiter");
        cleanup_free char *encoding = value(query, "encoding-type");

        return type && strcmp(type, "2") == 0 && delimiter && strcmp(delimiter, "/") == 0 &&
               encoding && strcmp(encoding, "url") == 0;
}

char *listing_page(const char *folder, const char *query, const char *mode)
{
        cleanup_free char *prefix = value(query, "prefix");
        cleanup_free char *token = value(query, "continuation-token");
        struct listing l = {.folder = folder, .prefix = prefix ? prefix : ""};
        char *text = NULL;
        size_t len;
        FILE *f;

        if (!is_query(query))
                return NULL;
        walk(&l, "");
        sort(&l);
        f = open_memstream(&text, &len);
        if (!f)
                abort();
        write_page(f, &l, token ? strtoul(token, NULL, 10) : 0, mode);
        fclose(f);
        for (size_t i = 0; i < l.count; i++)
                free(l.all[i].key);
        free(l.all);
        return text;
}
