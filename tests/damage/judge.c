/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/damage/judge.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "tests/fixtures/vma_writer.h"

enum { SIGHTINGS = 4, END_MARK = 2 * SOUND_SECTOR };

/* Where a frame's header is in the damaged file. */
struct sightings {
        bool looked;
        unsigned count;
        size_t at[SIGHTINGS];
};

/* Where some bytes of the sound file may lie in the damaged one. */
struct spots {
        unsigned count;
        struct spot {
                size_t at;
                enum ending { ENDS_WELL, ENDS_EARLY, ENDS_LATE, ENDS_BADLY } ending;
        } list[SIGHTINGS + 1];
};

void harmed_init(struct harmed *h, const struct sound *sound, const struct bytes *files,
                 bool packed)
{
        *h = (struct harmed){.sound = sound, .packed = packed, .unproven_from = SIZE_MAX};
        memcpy(h->files, files, sizeof h->files);
        h->sightings = calloc(sound->frame_count + 1, sizeof *h->sightings);
        sound_require(h->sightings != NULL, "out of memory");
}

void harmed_fini(struct harmed *h)
{
        free(h->sightings);
}

/* ---- where things lie now ---- */

static bool is_zero(const uint8_t *p, size_t len)
{
        for (size_t i = 0; i < len; i++)
                if (p[i])
                        return false;
        return true;
}

static const struct sightings *look_for(struct harmed *h, size_t number)
{
        const struct frame *f = &h->sound->frames[number];
        const uint8_t *header = h->sound->files[0].bytes.data + f->start;
        struct sightings *s = &h->sightings[number];
        struct bytes b = h->files[0];
        size_t from = 0;

        if (s->looked)
                return s;
        s->looked = true;
        while (s->count < SIGHTINGS && from < b.len) {
                const uint8_t *at = memmem(b.data + from, b.len - from, header, f->header);

                if (!at)
                        break;
                s->at[s->count++] = (size_t)(at - b.data);
                from = (size_t)(at - b.data) + 1;
        }
        return s;
}

/* One of those that were there, or one of an extent that was damaged where it is. */
static bool is_header(const struct harmed *h, size_t at)
{
        const struct sound *s = h->sound;
        struct bytes b = h->files[0];

        if (range_within(at, VMA_EXTENT_HEADER, b.len) && memcmp(b.data + at, "VMAE", 4) == 0)
                return true;
        for (size_t i = 0; i < s->frame_count; i++)
                if (range_within(at, s->frames[i].header, b.len) &&
                    memcmp(b.data + at, s->files[0].bytes.data + s->frames[i].start,
                           s->frames[i].header) == 0)
                        return true;
        return false;
}

/* The last frame with anything in it: what a tar ends with has nothing. */
static size_t last_frame(const struct sound *s)
{
        const struct frame *f = &s->frames[s->frame_count - 1];

        return s->frame_count - (f->start + f->header == f->end ? 2 : 1);
}

/*
 * How does what belongs to a frame end, at AT? Another one begins there, or nothing does. Of the
 * last one nobody can tell in which place it is too short, or too long.
 */
static enum ending ending(const struct harmed *h, size_t number, size_t at)
{
        const struct sound *s = h->sound;
        struct bytes b = h->files[0];
        bool is_tar = last_frame(s) + 2 == s->frame_count;

        if (at == b.len || is_header(h, at))
                return ENDS_WELL;
        if (at > b.len)
                return ENDS_EARLY;
        if (number != last_frame(s))
                return number > last_frame(s) ? ENDS_WELL : ENDS_BADLY;
        if (!is_tar)
                return ENDS_LATE;
        /* Two blocks of zeros are an end mark, whatever follows them. */
        if (b.len - at >= END_MARK)
                return is_zero(b.data + at, END_MARK) ? ENDS_LATE : ENDS_BADLY;
        /* One is enough at the end; part of one is too little. */
        if (!is_zero(b.data + at, b.len - at))
                return ENDS_BADLY;
        return b.len - at == SOUND_SECTOR ? ENDS_WELL : ENDS_EARLY;
}

static struct spots find_spots(struct harmed *h, size_t at, bool kept)
{
        const struct sound *s = h->sound;
        struct spots spots = {0};

        if (!s->frames || kept)
                spots.list[spots.count++] = (struct spot){at, ENDS_WELL};
        for (size_t i = 0; s->frames && i < s->frame_count; i++) {
                const struct frame *f = &s->frames[i];
                const struct sightings *seen;

                if (at < f->start || at >= f->end)
                        continue;
                seen = look_for(h, i);
                for (unsigned k = 0; k < seen->count; k++) {
                        enum ending how = ending(h, i, seen->at[k] + (f->end - f->start));

                        /* Where nothing was moved it ends as it did. */
                        if (!h->moved && seen->at[k] == f->start)
                                how = ENDS_WELL;
                        if (how != ENDS_BADLY)
                                spots.list[spots.count++] =
                                    (struct spot){seen->at[k] + (at - f->start), how};
                }
        }
        return spots;
}

bool harmed_seems_to_end(const struct harmed *h)
{
        const struct sound *s = h->sound;
        struct bytes b = h->files[0];

        for (size_t i = 0; !h->packed && i < s->frame_count; i++) {
                const struct frame *f = &s->frames[i];

                if (!range_within(f->start, f->header, b.len) ||
                    memcmp(b.data + f->start, s->files[0].bytes.data + f->start, f->header) != 0)
                        return range_within(f->start, END_MARK, b.len) &&
                               is_zero(b.data + f->start, END_MARK);
        }
        return false;
}

/* ---- one sector ---- */

/* Is it what lies now where its bytes lay? */
static const struct spot *find_data(struct harmed *h, const struct content *c, size_t sector,
                                    const uint8_t *got, size_t len, bool kept, struct spots *spots)
{
        for (int k = 0; k < SOUND_PLACES; k++) {
                struct place_of p = c->places[sector][k];

                *spots = (struct spots){0};
                if (p.file >= 0)
                        *spots = find_spots(h, p.at, kept);
                for (unsigned i = 0; i < spots->count; i++)
                        if (range_within(spots->list[i].at, len, h->files[p.file].len) &&
                            memcmp(h->files[p.file].data + spots->list[i].at, got, len) == 0)
                                return &spots->list[i];
        }
        return NULL;
}

static bool is_touched(struct harmed *h, const struct governor *g, bool kept)
{
        const uint8_t *sound = h->sound->files[g->file].bytes.data + g->at;
        struct spots spots = find_spots(h, g->at, kept);

        for (unsigned i = 0; i < spots.count; i++)
                if (!range_within(spots.list[i].at, g->len, h->files[g->file].len) ||
                    memcmp(h->files[g->file].data + spots.list[i].at, sound, g->len) != 0)
                        return true;
        return false;
}

static bool is_governed(struct harmed *h, unsigned content, size_t at, bool coded, bool kept)
{
        for (size_t i = 0; i < h->sound->governor_count; i++) {
                const struct governor *g = &h->sound->governors[i];

                if (g->content == content && g->coded == coded && at >= g->start &&
                    at - g->start < g->size && is_touched(h, g, kept))
                        return true;
        }
        return false;
}

/*
 * Is it in a part that no checksum has proven? Where it lies is not known of what is coded twice.
 */
static bool is_unproven(const struct harmed *h, const struct content *c, size_t sector)
{
        struct place_of p = c->places[sector][0];

        return h->unproven_from != SIZE_MAX && (p.file < 0 || p.at >= h->unproven_from);
}

static enum judge_class classify(struct harmed *h, unsigned content, size_t sector,
                                 const uint8_t *got, size_t len, bool kept, bool *early)
{
        const struct content *c = &h->sound->contents[content];
        const struct spot *spot;
        size_t at = sector * SOUND_SECTOR;
        struct spots spots;

        /* An index of the sound archive has a hash of each part of it. */
        if (h->packed)
                return !kept && is_unproven(h, c, sector) ? JUDGE_MEMBER : JUDGE_SILENT;
        spot = find_data(h, c, sector, got, len, kept, &spots);
        if (spot && spot->ending != ENDS_WELL) {
                *early |= spot->ending == ENDS_EARLY;
                return JUDGE_END;
        }
        if (spot)
                return h->moved && !h->sound->frames ? JUDGE_MOVED : JUDGE_DATA;
        if (is_governed(h, content, at, true, kept))
                return JUDGE_CODED;
        return is_governed(h, content, at, false, kept) ? JUDGE_TABLE : JUDGE_SILENT;
}

/* ---- one content ---- */

__attribute__((format(printf, 3, 4))) static void tell(struct verdict *v, const char *name,
                                                       const char *fmt, ...)
{
        va_list args;
        int n;

        if (v->first[0])
                return;
        n = snprintf(v->first, sizeof v->first, "%s: ", name);
        va_start(args, fmt);
        vsnprintf(v->first + n, sizeof v->first - (size_t)n, fmt, args);
        va_end(args);
}

static void judge_sector(struct harmed *h, unsigned content, size_t sector,
                         const struct serving *served, bool kept, struct verdict *v)
{
        const struct content *c = &h->sound->contents[content];
        size_t at = sector * SOUND_SECTOR;
        size_t len = (size_t)min_u64(SOUND_SECTOR, c->bytes.len - at);
        const uint8_t *got = served->bytes.data + at;
        enum judge_class class;

        if (at + len > served->bytes.len || served->failed[at / JUDGE_BLOCK]) {
                v->errors++;
                return;
        }
        if (memcmp(got, c->bytes.data + at, len) == 0) {
                v->right++;
                return;
        }
        if (served->partial && is_zero(got, len)) {
                v->errors++;
                return;
        }
        class = classify(h, content, sector, got, len, kept, &v->early);
        v->wrong[class]++;
        if (class == JUDGE_SILENT)
                tell(v, c->name, "byte %zu is wrong%s", at, is_zero(got, len) ? ", zeros" : "");
}

void judge_content(struct harmed *h, unsigned content, const struct serving *served, bool kept,
                   struct verdict *v)
{
        const struct content *c = &h->sound->contents[content];
        size_t end = c->bytes.len;

        if (!served->present) {
                v->missing++;
                v->errors += (c->bytes.len + SOUND_SECTOR - 1) / SOUND_SECTOR;
                return;
        }
        if (served->size != c->bytes.len) {
                v->resized++;
                if (!h->sound->bare && (h->packed || !is_governed(h, content, 0, false, kept)))
                        tell(v, c->name, "has %zu bytes instead of %zu", served->size,
                             c->bytes.len);
        }
        /* A compressed one that is shorter has lost something. */
        if (h->sound->bare && !h->packed)
                end = (size_t)min_u64(end, served->size / SOUND_SECTOR * SOUND_SECTOR);
        for (size_t i = 0; i * SOUND_SECTOR < end; i++)
                judge_sector(h, content, i, served, kept, v);
}

bool verdict_is_right(const struct verdict *v)
{
        uint64_t wrong = 0;

        for (int i = 0; i < JUDGE_CLASSES; i++)
                wrong += v->wrong[i];
        return !v->refused && !v->missing && !v->resized && !v->strangers && !v->errors && !wrong;
}

bool verdict_is_silent(const struct verdict *v)
{
        return v->first[0] != '\0';
}
