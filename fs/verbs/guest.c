/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/verbs/guest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "index/index.h"

enum { CONFIG_MAX = 1 << 20 }; /* bytes of a configuration that are looked at */

/* One line of the file, without its end. */
struct line {
        const char *text;
        size_t len;
};

static bool next_line(const char **at, const char *end, struct line *out)
{
        const char *newline = memchr(*at, '\n', (size_t)(end - *at));

        if (*at == end)
                return false;
        *out = (struct line){*at, (size_t)((newline ? newline : end) - *at)};
        *at = newline ? newline + 1 : end;
        return true;
}

/* What follows WORD and blanks in LINE, which must begin with WORD. */
static bool value_of(const struct line *line, const char *word, struct line *out)
{
        size_t n = strlen(word);

        if (line->len < n || memcmp(line->text, word, n) != 0)
                return false;
        while (n < line->len && line->text[n] == ' ')
                n++;
        *out = (struct line){line->text + n, line->len - n};
        return true;
}

static int hex(char c)
{
        return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* Notes are comments, URL-encoded: %41 is the letter A. */
static void add_note(struct guest *g, const struct line *line)
{
        size_t n = strlen(g->notes);

        if (n && n + 1 < sizeof g->notes)
                g->notes[n++] = '\n';
        for (size_t i = 0; i < line->len && n + 1 < sizeof g->notes; i++) {
                const char *c = &line->text[i];

                if (*c == '%' && i + 2 < line->len && isxdigit((unsigned char)c[1]) &&
                    isxdigit((unsigned char)c[2])) {
                        g->notes[n++] = (char)(hex(c[1]) * 16 + hex(c[2]));
                        i += 2;
                } else {
                        g->notes[n++] = *c;
                }
        }
        g->notes[n] = '\0';
}

/* The N of a volume vm-N-disk-0, base-N-disk-0 or subvol-N-disk-0 that LINE names, or 0. */
static uint32_t volume_id(const struct line *line)
{
        static const char *const kinds[] = {"vm-", "base-", "subvol-"};

        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
                const char *p = memmem(line->text, line->len, kinds[k], strlen(kinds[k]));
                uint32_t id = 0;

                if (!p)
                        continue;
                p += strlen(kinds[k]);
                while (p < line->text + line->len && isdigit((unsigned char)*p) && id < 100000000)
                        id = id * 10 + (uint32_t)(*p++ - '0');
                if (p < line->text + line->len && *p == '-')
                        return id;
        }
        return 0;
}

void guest_parse(const char *text, size_t len, struct guest *out)
{
        const char *at = text, *end = text + len;
        struct line line, value;

        *out = (struct guest){.id = 0};
        /* Sections in brackets are snapshots. */
        while (next_line(&at, end, &line) && !(line.len && line.text[0] == '[')) {
                if (value_of(&line, "#qmdump#", &value) || value_of(&line, "#vzdump#", &value))
                        continue;
                if (value_of(&line, "#", &value))
                        add_note(out, &value);
                else if (value_of(&line, "name:", &value) || value_of(&line, "hostname:", &value))
                        snprintf(out->name, sizeof out->name, "%.*s", (int)value.len, value.text);
                else if (!out->id)
                        out->id = volume_id(&line);
        }
}

void guest_find(const struct index *index, struct guest *out)
{
        const char *config = index_config(index);

        *out = (struct guest){.id = 0};
        if (config)
                guest_parse(config, strlen(config), out);
        for (size_t i = 0; i < index_file_count(index); i++) {
                const struct index_file *f = index_file(index, i);

                const char *name = index_file_leaf(f);

                if (strcmp(name, "qemu-server.conf") == 0 || strcmp(name, "pct.conf") == 0) {
                        cleanup_free char *text = index_file_load(index, f, CONFIG_MAX);

                        if (text)
                                guest_parse(text, min_u64(f->volume->size, CONFIG_MAX), out);
                        return;
                }
        }
}
