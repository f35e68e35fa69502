/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/tar/ovf.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/xml.h"

/* The attribute NAME of T as a number. False: it is none. */
static bool parse_number(const struct xml_token *t, const char *name, uint64_t *out)
{
        char text[32], *end;

        if (!xml_attribute(t, name, text, sizeof text) || !isdigit((unsigned char)text[0]))
                return false;
        errno = 0;
        *out = strtoull(text, &end, 10);
        return errno == 0 && *end == '\0';
}

/* Is T a file that is not stored as it is? Then *OUT describes it. */
static bool take_file(const struct xml_token *t, struct ovf_file *out)
{
        char compression[32] = "";

        *out = (struct ovf_file){0};
        if (!xml_is(t, "File") || !xml_attribute(t, "href", out->name, sizeof out->name) ||
            strlen(out->name) == sizeof out->name - 1)
                return false;
        xml_attribute(t, "compression", compression, sizeof compression);
        out->compressed = strcmp(compression, "gzip") == 0;
        out->has_size = parse_number(t, "size", &out->size);
        parse_number(t, "chunkSize", &out->chunk);
        return out->compressed || out->chunk;
}

int ovf_parse(const char *text, size_t len, struct ovf *out)
{
        struct xml_reader reader = {.text = text, .len = len};
        struct xml_token token;
        struct ovf_file file;
        int rc = 0;

        *out = (struct ovf){0};
        while (rc == 0 && out->files.count < OVF_FILES_MAX && xml_next(&reader, &token))
                if (token.kind == XML_OPEN && take_file(&token, &file))
                        rc = array_add(&out->files, file);
        return rc;
}

void ovf_fini(struct ovf *ovf)
{
        array_free(&ovf->files);
}
