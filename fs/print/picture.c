/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fs/print/picture.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "fs/print/report.h"
#include "index/disk.h"

enum { COLUMNS = 72, ROWS = 16, LINES_AROUND = 6 };

enum what { DATA, HOLE, LOST, UNKNOWN, WHATS };

static const struct symbol {
        char sign;
        const char *colour; /* of ECMA-48: SGR */
        const char *meaning;
} symbols[] = {
    {'#', "32", "data"},   {'+', "32", "data and holes"}, {'.', "90", "holes"},
    {'x', "1;31", "lost"}, {'?', "33", "not known"},
};

struct picture picture_for_terminal(void)
{
        struct picture p = {COLUMNS, ROWS, false};
        struct winsize size;

        if (!isatty(STDOUT_FILENO))
                return p;
        p.colours = !getenv("NO_COLOR");
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 &&
            size.ws_row > LINES_AROUND) {
                p.columns = size.ws_col - 1u;
                p.rows = size.ws_row - LINES_AROUND;
        }
        return p;
}

/* What D has at POS, up to *END. */
static enum what kind(struct disk *d, uint64_t pos, uint64_t *end)
{
        struct volume_extent e;
        int rc = disk_extent(d, pos, d->size - pos, &e);

        *end = pos + e.len;
        if (rc < 0)
                return UNKNOWN;
        switch (e.kind) {
        case VOLUME_ZERO:
                return HOLE;
        case VOLUME_LOST:
                return LOST;
        case VOLUME_UNKNOWN:
                return UNKNOWN;
        case VOLUME_RAW:
        case VOLUME_CODED:
                break;
        }
        return DATA;
}

/* The character for a part with so many bytes of each kind. A loss shows, however small it is. */
static const struct symbol *sign(const uint64_t bytes[WHATS])
{
        if (bytes[LOST])
                return &symbols[3];
        if (bytes[UNKNOWN])
                return &symbols[4];
        if (bytes[DATA])
                return &symbols[bytes[HOLE] ? 1 : 0];
        return &symbols[2];
}

static void print_sign(const struct picture *p, const struct symbol *s)
{
        if (p->colours)
                printf("\033[%sm%c\033[0m", s->colour, s->sign);
        else
                putchar(s->sign);
}

/*
 * How many bytes a character stands for, in whole blocks, so that the disk fits into the drawing.
 */
static uint64_t scale(const struct picture *p, uint64_t size)
{
        uint64_t cells = (uint64_t)p->columns * p->rows;

        return max_u64(MAP_BLOCK, round_up(size / cells + (size % cells != 0), MAP_BLOCK));
}

/* What the disk has up to END. */
struct stretch {
        enum what what;
        uint64_t end;
};

/* Count what is in [POS, END) of D. S holds POS, or ends before it. */
static void count(struct disk *d, uint64_t pos, uint64_t end, struct stretch *s,
                  uint64_t bytes[WHATS])
{
        while (pos < end) {
                uint64_t stop;

                if (pos >= s->end)
                        s->what = kind(d, pos, &s->end);
                stop = min_u64(end, s->end);
                bytes[s->what] += stop - pos;
                pos = stop;
        }
}

void picture_print(const struct picture *p, struct disk *d)
{
        uint64_t size = d->size, each = scale(p, size);
        struct stretch s = {0};
        unsigned column = 0;
        char all[32], one[32];

        printf("%s: %s, one character is %s\n", d->name, report_size(size, all),
               report_size(each, one));
        for (uint64_t pos = 0; pos < size; pos += each) {
                uint64_t bytes[WHATS] = {0};

                count(d, pos, min_u64(pos + each, size), &s, bytes);
                print_sign(p, sign(bytes));
                if (++column == p->columns) {
                        putchar('\n');
                        column = 0;
                }
        }
        if (column)
                putchar('\n');
}

void picture_print_legend(const struct picture *p)
{
        putchar('\n');
        for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
                print_sign(p, &symbols[i]);
                printf(" %s%s", symbols[i].meaning,
                       i + 1 < sizeof symbols / sizeof *symbols ? "   " : "\n");
        }
}
