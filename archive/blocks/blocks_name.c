/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "archive/blocks/blocks.h"
#include "archive/bytes.h"

enum { UTF8_MAX = 4 };

/* C as UTF-8 at OUT, which has room for UTF8_MAX bytes. How many there are. */
static size_t put_utf8(char *out, uint32_t c)
{
        if (c < 0x80) {
                out[0] = (char)c;
                return 1;
        }
        if (c < 0x800) {
                out[0] = (char)(0xc0 | c >> 6);
                out[1] = (char)(0x80 | (c & 0x3f));
                return 2;
        }
        if (c < 0x10000) {
                out[0] = (char)(0xe0 | c >> 12);
                out[1] = (char)(0x80 | (c >> 6 & 0x3f));
                out[2] = (char)(0x80 | (c & 0x3f));
                return 3;
        }
        out[0] = (char)(0xf0 | c >> 18);
        out[1] = (char)(0x80 | (c >> 12 & 0x3f));
        out[2] = (char)(0x80 | (c >> 6 & 0x3f));
        out[3] = (char)(0x80 | (c & 0x3f));
        return 4;
}

/* The character at *AT, which moves past it; 0: the end, or none that a name can have. */
static uint32_t next_char(const uint8_t *p, size_t len, bool big_endian, size_t *at)
{
        uint32_t c, low;

        if (len - *at < 2)
                return 0;
        c = big_endian ? load_be16(p + *at) : load_le16(p + *at);
        *at += 2;
        if (c < 0x20 || (c >= 0xdc00 && c < 0xe000))
                return 0;
        if (c < 0xd800 || c >= 0xe000)
                return c;
        if (len - *at < 2)
                return 0;
        low = big_endian ? load_be16(p + *at) : load_le16(p + *at);
        *at += 2;
        return low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((c & 0x3ff) << 10) + (low & 0x3ff) : 0;
}

/* "C:\dir\file" and "\\server\dir\file" lead nowhere here. */
static const char *strip_root(const char *path)
{
        const char *slash = strrchr(path, '/');
        bool drive = path[0] && path[1] == ':';

        while (path[0] == '.' && path[1] == '/')
                path += 2;
        if (!drive && path[0] != '/')
                return path;
        return slash ? slash + 1 : path + 2;
}

char *blocks_windows_path(const uint8_t *p, size_t len, bool big_endian)
{
        char *path = malloc(len / 2 * UTF8_MAX + 1), *out;
        size_t at = 0, n = 0;
        uint32_t c;

        if (!path)
                return NULL;
        while ((c = next_char(p, len, big_endian, &at)) != 0)
                n += put_utf8(path + n, c == '\\' ? '/' : c);
        path[n] = '\0';
        out = strdup(strip_root(path));
        free(path);
        return out;
}
