/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/volume.h"

#include <errno.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/source/source.h"

/* E is KIND from its byte AT on: it ends there, or is that from its first byte. */
static void cut(struct volume_extent *e, uint64_t at, enum volume_kind kind)
{
        if (at >= e->len)
                return;
        if (at)
                e->len = at;
        else
                e->kind = kind;
}

/* How many bytes of E there are before byte LIMIT of its source. */
static uint64_t before(const struct volume_extent *e, uint64_t limit)
{
        return limit - min_u64(limit, e->offset);
}

/* What the source has lost of E, or not decoded yet. */
static void judge_stored(struct volume_extent *e)
{
        struct source_lost_range gap;

        if (source_find_lost(e->source, e->offset, &gap)) {
                if (gap.start <= e->offset) {
                        e->len = min_u64(e->len, gap.end - e->offset);
                        e->kind = VOLUME_LOST;
                        return;
                }
                e->len = min_u64(e->len, gap.start - e->offset);
        }
        cut(e, before(e, e->source->size), VOLUME_LOST);
        if (e->kind == VOLUME_RAW)
                cut(e, before(e, source_frontier(e->source)), VOLUME_UNKNOWN);
}

/* E, which lies in a view, lies in the source below. False: what that one has is coded. */
static int go_below(struct volume_extent *e, bool *gone)
{
        struct volume_extent below = {.len = min_u64(e->len, VOLUME_BLOCK)};
        int rc = source_resolve(e->source, e->offset, e->len, &below);

        e->len = below.len;
        *gone = rc == 0 && below.kind != VOLUME_CODED;
        if (!*gone)
                return rc;
        e->kind = below.kind;
        e->source = below.source;
        e->offset = below.offset;
        return 0;
}

static int judge(const struct volume *v, struct volume_extent *e)
{
        uint64_t anchor = v->anchor;
        bool gone = true;
        int rc = 0;

        do {
                uint64_t end = min_u64(source_straight(e->source, anchor), e->source->size);

                cut(e, before(e, end), VOLUME_LOST);
                gone = false;
                if (e->kind == VOLUME_RAW && source_is_view(e->source))
                        rc = go_below(e, &gone);
                anchor = 0;
        } while (rc == 0 && gone && e->kind == VOLUME_RAW && source_is_view(e->source));
        if (rc == 0 && e->kind == VOLUME_RAW)
                judge_stored(e);
        return rc;
}

int volume_find(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        int rc;

        *out = (struct volume_extent){.len = min_u64(len, VOLUME_BLOCK - pos % VOLUME_BLOCK)};
        rc = v->ops->extent(v, pos, len, out);
        if (rc == 0 && out->kind == VOLUME_RAW)
                rc = judge(v, out);
        if (rc != -EAGAIN)
                return rc;
        out->kind = VOLUME_UNKNOWN;
        return 0;
}

void volume_split_hole(struct volume_extent *e)
{
        uint64_t data = source_next_data(e->source, e->offset), end = data;

        if (data > e->offset)
                e->kind = VOLUME_ZERO;
        else
                end = source_next_hole(e->source, e->offset);
        /* Not where a hole has just been written to. */
        if (end > e->offset)
                e->len = min_u64(e->len, end - e->offset);
}

static int read_extent(struct volume *v, const struct volume_extent *e, void *buf, uint64_t pos)
{
        switch (e->kind) {
        case VOLUME_ZERO:
                memset(buf, 0, e->len);
                return 0;
        case VOLUME_RAW:
                return source_pread_all(e->source, buf, e->len, e->offset);
        case VOLUME_CODED:
                return v->ops->read(v, buf, e->len, pos);
        case VOLUME_UNKNOWN:
                return -EAGAIN;
        case VOLUME_LOST:
                break;
        }
        return -EIO;
}

int volume_read(struct volume *v, void *buf, size_t len, uint64_t pos)
{
        struct volume_extent e;

        for (size_t done = 0; done < len; done += e.len) {
                int rc = volume_find(v, pos + done, len - done, &e);

                if (rc == 0)
                        rc = read_extent(v, &e, (char *)buf + done, pos + done);
                if (rc < 0)
                        return rc;
        }
        return 0;
}
