/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/source/source.h"

#include <errno.h>
#include <limits.h>

#include "archive/bytes.h"

int source_check(struct source *s, struct error *err)
{
        return s->ops->check ? s->ops->check(s, err) : 0;
}

void source_watch(struct source *s, const struct source *with)
{
        if (s->ops->watch)
                s->ops->watch(s, with ? with->watch : NULL);
}

void source_set_verified(struct source *s)
{
        if (s->ops->set_verified)
                s->ops->set_verified(s);
}

bool source_stamp(struct source *s, struct source_stamp *out)
{
        return s->ops->stamp && s->ops->stamp(s, out);
}

uint32_t source_owner(const struct source *s)
{
        return s->ops->owner ? s->ops->owner(s) : 0;
}

bool source_has_owner(const struct source *s)
{
        return s->ops->owner != NULL;
}

int64_t source_mtime(const struct source *s)
{
        return s->ops->mtime ? s->ops->mtime(s) : 0;
}

int source_resolve(struct source *s, uint64_t offset, uint64_t len, struct volume_extent *out)
{
        return s->ops->resolve(s, offset, len, out);
}

void source_close(struct source *s)
{
        if (s)
                s->ops->close(s);
}

ssize_t source_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        uint64_t size = s->size;

        if (offset >= size)
                return 0;
        len = (size_t)min_u64(len, size - offset);
        len = (size_t)min_u64(len, SSIZE_MAX);
        return s->ops->pread(s, buf, len, offset);
}

int source_pread_all(struct source *s, void *buf, size_t len, uint64_t offset)
{
        ssize_t n = source_pread(s, buf, len, offset);

        if (n < 0)
                return (int)n;
        return (size_t)n == len ? 0 : -EIO;
}

int source_gather(struct source *s, struct source_piece *pieces, size_t count)
{
        int rc = 0;

        for (size_t i = 0; i < count; i++)
                if (!range_within(pieces[i].offset, pieces[i].len, s->size))
                        return -EIO;
        if (s->ops->gather)
                return s->ops->gather(s, pieces, count);
        for (size_t i = 0; i < count && rc == 0; i++)
                rc = source_pread_all(s, pieces[i].buf, pieces[i].len, pieces[i].offset);
        return rc;
}

void source_will_need(struct source *s, uint64_t offset, uint64_t len)
{
        if (s->ops->will_need && range_within(offset, len, s->size))
                s->ops->will_need(s, offset, len);
}

uint64_t source_next_data(struct source *s, uint64_t offset)
{
        return s->ops->next_data && offset < s->size ? s->ops->next_data(s, offset) : offset;
}

uint64_t source_next_hole(struct source *s, uint64_t offset)
{
        return s->ops->next_hole && offset < s->size ? s->ops->next_hole(s, offset) : s->size;
}

bool source_is_file(const struct source *s)
{
        return s->ops->is_file;
}

bool source_is_far(const struct source *s)
{
        return s->ops->is_far;
}

bool source_can_pin(const struct source *s)
{
        return s->ops->pin != NULL;
}

int source_pin(struct source *s, uint64_t offset, size_t len, bool wait, struct source_pin *pin)
{
        return offset < s->size ? s->ops->pin(s, offset, len, wait, pin) : 0;
}

void source_unpin(struct source *s, const struct source_pin *pin)
{
        s->ops->unpin(s, pin);
}

void source_note_read(struct source *s, uint64_t offset, uint64_t len)
{
        if (s->ops->note_read)
                s->ops->note_read(s, offset, len);
}

bool source_can_expect(const struct source *s)
{
        return s->ops->expect != NULL;
}

bool source_unit(struct source *s, uint64_t offset, struct source_range *out)
{
        return s->ops->unit && s->ops->unit(s, offset, out);
}

void source_expect(struct source *s, const struct source_range *ranges, size_t count)
{
        if (s->ops->expect)
                s->ops->expect(s, ranges, count);
}

int source_reach(struct source *s, uint64_t offset, uint64_t *end, struct error *err)
{
        if (s->ops->reach)
                return s->ops->reach(s, offset, end, err);
        *end = min_u64(offset, s->size);
        return 0;
}

int source_look_ahead(struct source *s, uint64_t offset, uint64_t *end, struct error *err)
{
        return s->ops->look_ahead ? s->ops->look_ahead(s, offset, end, err)
                                  : source_reach(s, offset, end, err);
}

ssize_t source_peek(struct source *s, void *buf, size_t len, uint64_t offset)
{
        return s->ops->peek ? s->ops->peek(s, buf, len, offset) : source_pread(s, buf, len, offset);
}

uint64_t source_frontier(struct source *s)
{
        return s->ops->frontier ? s->ops->frontier(s) : s->size;
}

uint64_t source_decoded(struct source *s)
{
        return s->ops->decoded ? s->ops->decoded(s) : s->size;
}

void source_suspect(struct source *s, uint64_t offset)
{
        if (s->ops->suspect)
                s->ops->suspect(s, offset);
}

void source_observe(struct source *s, const struct source_observer *observer)
{
        if (s->ops->observe)
                s->ops->observe(s, observer);
}

bool source_find_lost(struct source *s, uint64_t from, struct source_lost_range *gap)
{
        return s->ops->find_lost && s->ops->find_lost(s, from, gap);
}

int source_damage(struct source *s, struct error *err)
{
        return s->ops->damage ? s->ops->damage(s, err) : 0;
}
