/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much of a part is data, and what is lost: one pass over it, as its readers see it. */
#include "archive/bytes.h"
#include "archive/vmdk/vmdk_scan.h"

enum { PROGRESS = 256 };

/* A damaged range, reported as one: from the first grain to the last in one table. */
struct loss {
        uint64_t origin;
        uint64_t start, end; /* of the part, bytes; end 0: nothing is lost */
        const char *why;
};

static int tell(struct vmdk_scan *s, struct loss *l)
{
        int rc = l->end ? vmdk_report(s, l->origin, l->start, l->end - l->start, l->why) : 0;

        l->end = 0;
        return rc;
}

static int note(struct vmdk_scan *s, struct loss *l, uint64_t pos, const struct vmdk_piece *piece)
{
        int rc = l->end && l->origin != piece->origin ? tell(s, l) : 0;

        if (!l->end)
                *l = (struct loss){.origin = piece->origin, .start = pos};
        l->end = pos + piece->len;
        l->why = piece->why;
        return rc;
}

static void add_up(struct vmdk_scan *s, const struct vmdk_piece *piece)
{
        if (piece->state == VMDK_STORED)
                s->stored += piece->len;
        if (piece->state == VMDK_LOST)
                s->lost += piece->len;
}

int vmdk_count(struct vmdk_scan *s)
{
        size_t number = (size_t)(s->part - s->v->parts.items);
        uint64_t len = s->part->len;
        struct vmdk_piece piece;
        struct loss l = {0};
        unsigned turn = 0;
        int rc = 0;

        for (uint64_t pos = 0; pos < len && rc == 0; pos += piece.len) {
                rc = vmdk_find(s->v, number, pos, len - pos, true, &piece);
                if (rc == 0)
                        add_up(s, &piece);
                if (rc == 0 && piece.why)
                        rc = note(s, &l, pos, &piece);
                if (rc == 0 && ++turn % PROGRESS == 0)
                        rc = vmdk_tell_progress(
                            s, (uint64_t)((double)pos / (double)len * (double)s->verdict->end));
        }
        return rc < 0 ? rc : tell(s, &l);
}
