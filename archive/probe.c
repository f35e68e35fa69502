/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/error.h"
#include "archive/source/source.h"

/* What proves itself need not wait for a checksum that follows it. */
static ssize_t read_head(struct probe *p, size_t len, struct error *err)
{
        uint64_t end;
        int rc = source_look_ahead(p->source, len, &end, err);

        return rc < 0 ? rc : source_peek(p->source, p->head, len, 0);
}

int probe_init(struct probe *p, struct source *source, struct error *err)
{
        struct error why = {0};
        ssize_t n;

        *p = (struct probe){.source = source, .head = calloc(1, PROBE_HEAD)};
        if (!p->head)
                return error_set(err, ENOMEM, "out of memory");
        n = read_head(p, PROBE_HEAD, &why);
        if (n <= 0 && !why.code)
                source_damage(source, &why);
        if (n <= 0 && why.code) {
                if (err)
                        *err = why;
                return -why.code;
        }
        if (n < 0)
                return error_set_at(err, (int)-n, 0, "cannot be read: %s", strerror((int)-n));
        p->len = (size_t)n;
        return 0;
}

void probe_fini(struct probe *p)
{
        free(p->head);
        p->head = NULL;
}

int probe_more(struct probe *p, size_t len)
{
        uint8_t *more = len > PROBE_HEAD ? realloc(p->head, len) : p->head;
        ssize_t n;

        if (!more)
                return -ENOMEM;
        p->head = more;
        if (len <= p->len || p->len < PROBE_HEAD)
                return 0;
        n = read_head(p, len, NULL);
        if (n > 0)
                p->len = (size_t)n;
        return 0;
}

const uint8_t *probe_tail(struct probe *p)
{
        uint64_t size = p->source->size;

        if (!p->tail_read)
                p->has_tail =
                    source_is_file(p->source) && size >= PROBE_TAIL &&
                    source_pread_all(p->source, p->tail, PROBE_TAIL, size - PROBE_TAIL) == 0;
        p->tail_read = true;
        return p->has_tail ? p->tail : NULL;
}

bool probe_has(const struct probe *p, size_t offset, const void *magic, size_t len)
{
        return offset <= p->len && len <= p->len - offset &&
               memcmp(p->head + offset, magic, len) == 0;
}
