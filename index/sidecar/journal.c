/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/sidecar/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/stream/notes.h"
#include "archive/stream/parts.h"
#include "archive/stream/restart_table.h"
#include "archive/stream/stream.h"
#include "index/sidecar/location.h"

enum {
        VERSION = 1,
        NAME = 8,

        /* Offsets of the header's fields. */
        AT_VERSION = 8,
        AT_IDENTITY = 16,
        AT_COMPRESSION = 56,
        AT_STAMP = 64,
        AT_HASH = 104,
        HEADER = 112,

        RECORD = 16, /* kind 4, length 4, hash 8 */
        POINT = 32,  /* bytes of each kind of record, apart from what varies */
        END = 16,
        CHECKPOINT = 16,
};

/* Limits on memory for a hostile file. */
#define RECORD_MAX   (UINT32_C(1) << 30)
#define SEGMENTS_MAX (UINT32_C(1) << 28)

enum kind {
        KIND_POINT = 1,  /* a segment begins */
        KIND_END,        /* the first one that has not ended ends */
        KIND_PROVEN,     /* these points have been proven since */
        KIND_NOTES,      /* what was read in passing */
        KIND_CHECKPOINT, /* with all of this, a pass can go on */
};

enum { FLAG_ENTER = 1, FLAG_UNPROVEN = 2, FLAG_BY_SUMS = 4, FLAGS = 7 };

struct journal {
        int fd;        /* -1: not created yet */
        bool failed;   /* nothing more is written */
        uint64_t at;   /* bytes of the file */
        uint64_t hash; /* of the last record, or of the header */
        size_t points; /* records of each kind written so far */
        size_t ends;
        ARRAY(size_t) unproven; /* points that were written as such */
};

static const char magic[8] = PARTIAL_MAGIC;

struct journal *journal_new(void)
{
        struct journal *p = calloc(1, sizeof *p);

        if (p)
                p->fd = -1;
        return p;
}

void journal_close(struct journal *p)
{
        if (!p)
                return;
        if (p->fd >= 0)
                close(p->fd);
        array_free(&p->unproven);
        free(p);
}

static void make_header(const struct journal_key *key, uint8_t out[HEADER])
{
        memset(out, 0, HEADER);
        memcpy(out, magic, sizeof magic);
        store_le32(out + AT_VERSION, VERSION);
        memcpy(out + AT_IDENTITY, key->identity, IDENTITY_LEN);
        memcpy(out + AT_COMPRESSION, key->compression, strnlen(key->compression, NAME));
        stamp_store(&key->stamp, out + AT_STAMP);
        store_le64(out + AT_HASH, XXH3_64bits(out, AT_HASH));
}

/* A record's hash, which goes on from the last one's: none can be left out, or moved. */
static uint64_t record_hash(uint64_t last, const uint8_t head[8], const void *body, size_t len)
{
        return XXH3_64bits_withSeed(body, len, XXH3_64bits_withSeed(head, 8, last));
}

/* ---- writing ---- */

/* Records that are to be appended. */
struct batch {
        ARRAY(uint8_t) bytes;
        uint64_t hash; /* of the last one */
        size_t begun;  /* where the record that is being made begins */
        int error;
};

static void put(struct batch *b, const void *bytes, size_t len)
{
        if (len == 0 || b->error)
                return;
        b->error = array_reserve(&b->bytes, len);
        if (b->error)
                return;
        memcpy(b->bytes.items + b->bytes.count, bytes, len);
        b->bytes.count += len;
}

static void put_u32(struct batch *b, uint32_t v)
{
        uint8_t out[4];

        store_le32(out, v);
        put(b, out, sizeof out);
}

static void put_u64(struct batch *b, uint64_t v)
{
        uint8_t out[8];

        store_le64(out, v);
        put(b, out, sizeof out);
}

static void begin_record(struct batch *b, enum kind kind)
{
        b->begun = b->bytes.count;
        put_u32(b, kind);
        put_u64(b, 0);
        put_u32(b, 0);
}

static void end_record(struct batch *b)
{
        uint8_t *head;
        size_t len;

        if (b->error)
                return;
        head = b->bytes.items + b->begun;
        len = b->bytes.count - b->begun - RECORD;
        if (len > RECORD_MAX) {
                b->error = -EFBIG;
                return;
        }
        store_le32(head + 4, (uint32_t)len);
        b->hash = record_hash(b->hash, head, head + RECORD, len);
        store_le64(head + 8, b->hash);
}

static uint32_t flags_of(const struct restart_record *r)
{
        return (r->enter ? FLAG_ENTER : 0) | (r->enter && r->unproven ? FLAG_UNPROVEN : 0) |
               (r->point.by_sums ? FLAG_BY_SUMS : 0);
}

static void put_point(struct batch *b, const struct restart_record *r)
{
        begin_record(b, KIND_POINT);
        put_u64(b, r->point.in_bit);
        put_u64(b, r->point.out);
        put_u64(b, r->point.aux);
        put_u32(b, r->enter ? r->point.history_len : 0);
        put_u32(b, flags_of(r) & ~(uint32_t)FLAG_BY_SUMS);
        if (r->enter)
                put(b, r->history, r->history_size);
        end_record(b);
}

static void put_end(struct batch *b, const struct restart_record *r)
{
        begin_record(b, KIND_END);
        put_u64(b, r->point.hash);
        put_u32(b, flags_of(r));
        put_u32(b, (uint32_t)r->part_count);
        for (size_t i = 0; i < r->part_count; i++)
                put_u64(b, r->parts[i]);
        end_record(b);
}

/* Whatever of segment INDEX is new. The last one has not ended: LAST. */
static void put_segment(struct batch *b, struct journal *p, struct restart_table *table,
                        size_t index, bool last)
{
        struct restart_record r;
        cleanup_free void *history = NULL;
        int rc;

        /* Its history may be in the file already, and nowhere else. */
        rc = index < p->points ? restart_copy(table, index, &r, NULL)
                               : restart_copy(table, index, &r, &history);
        if (rc < 0) {
                b->error = rc;
                return;
        }
        if (index >= p->points)
                put_point(b, &r);
        if (!last)
                put_end(b, &r);
        if (b->error == 0 && r.enter && r.unproven && !last)
                b->error = array_add(&p->unproven, index);
}

/* Those that were written as unproven, and have been proven since. */
static void put_proven(struct batch *b, struct journal *p, struct restart_table *table)
{
        size_t kept = 0;

        begin_record(b, KIND_PROVEN);
        for (size_t i = 0; i < p->unproven.count; i++) {
                size_t index = p->unproven.items[i];
                struct restart_record r;

                if (restart_copy(table, index, &r, NULL) == 0 && r.enter && !r.unproven)
                        put_u32(b, (uint32_t)index);
                else
                        p->unproven.items[kept++] = index;
        }
        p->unproven.count = kept;
        end_record(b);
}

static void put_notes(struct batch *b, struct source *source)
{
        cleanup_free void *notes = NULL;
        size_t len;

        stream_take_notes(source, &notes, &len);
        if (len == 0)
                return;
        begin_record(b, KIND_NOTES);
        put(b, notes, len);
        end_record(b);
}

static void put_checkpoint(struct batch *b, const struct stream_checkpoint *c)
{
        begin_record(b, KIND_CHECKPOINT);
        put_u64(b, c->segments);
        put_u64(b, c->frontier);
        put(b, c->state.bytes, c->state.len);
        end_record(b);
}

static int write_all(int fd, const uint8_t *bytes, size_t len, uint64_t at)
{
        while (len > 0) {
                ssize_t n = pwrite(fd, bytes, len, (off_t)at);

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0) {
                        bytes += n;
                        at += (uint64_t)n;
                        len -= (size_t)n;
                }
        }
        return 0;
}

/* Create the file, or empty what is left of another. */
static int create(struct journal *p, struct location *place, const struct journal_key *key)
{
        uint8_t header[HEADER];
        int rc;

        p->fd = location_partial(place, true, NULL);
        if (p->fd < 0)
                return p->fd;
        make_header(key, header);
        p->at = HEADER;
        p->hash = load_le64(header + AT_HASH);
        rc = ftruncate(p->fd, 0) < 0 ? -errno : 0;
        return rc < 0 ? rc : write_all(p->fd, header, sizeof header, 0);
}

static int write_on(struct journal *p, const struct stream_checkpoint *c, struct source *source)
{
        struct restart_table *table = stream_table(source);
        struct batch b = {.hash = p->hash};
        int rc;

        for (size_t i = p->ends; i <= c->segments && b.error == 0; i++)
                put_segment(&b, p, table, i, i == c->segments);
        put_proven(&b, p, table);
        put_notes(&b, source);
        put_checkpoint(&b, c);
        rc = b.error ? b.error : write_all(p->fd, b.bytes.items, b.bytes.count, p->at);
        p->at += b.bytes.count;
        p->hash = b.hash;
        p->ends = c->segments;
        p->points = c->segments + 1;
        array_free(&b.bytes);
        return rc;
}

void journal_write(struct journal *p, struct location *place, const struct journal_key *key,
                   struct source *source)
{
        struct stream_checkpoint c;
        int rc = 0;

        if (p->failed || !stream_checkpoint(source, &c) || c.segments < p->points)
                return;
        if (p->fd < 0)
                rc = create(p, place, key);
        if (rc == 0)
                rc = write_on(p, &c, source);
        p->failed = rc < 0;
}

/* ---- reading ---- */

/*
 * The file as a source. It grows while histories are read from it, which a source of a file
 * (source_open_fd) takes for a change. Each thing that is read has a hash.
 */
struct store {
        struct source base;
        int fd;
};

static ssize_t store_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        size_t done = 0;

        while (done < len) {
                ssize_t n = pread(((struct store *)s)->fd, (char *)buf + done, len - done,
                                  (off_t)(offset + done));

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n == 0)
                        break;
                if (n > 0)
                        done += (size_t)n;
        }
        return (ssize_t)done;
}

static void store_close(struct source *s)
{
        struct store *store = (struct store *)s;

        if (store->fd >= 0)
                close(store->fd);
        free(store);
}

static const struct source_ops store_ops = {
    .name = "journal",
    .pread = store_pread,
    .close = store_close,
};

/* Of the file that is open as FD, up to its present end. NULL with errno. */
static struct source *store_open(int fd)
{
        struct store *s = calloc(1, sizeof *s);
        struct stat st;

        if (!s)
                return NULL;
        s->base.ops = &store_ops;
        s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (s->fd < 0 || fstat(fd, &st) < 0) {
                store_close(&s->base);
                return NULL;
        }
        s->base.size = (uint64_t)st.st_size;
        return &s->base;
}

struct segment {
        struct restart_record record;
        size_t parts; /* where in the reader's */
};

struct reader {
        struct source *file;
        uint64_t at, hash;
        ARRAY(uint8_t) body; /* of the record read last */
        ARRAY(struct segment) segments;
        ARRAY(uint64_t) parts;
        size_t ends;
        struct notes *notes;
        bool many_notes; /* more than can be had */

        /* As of the last checkpoint; passed 0: there is none. */
        uint64_t passed, passed_hash;
        size_t count;           /* segments that have ended … */
        struct segment growing; /* … and the one after them, which may have ended since */
        uint64_t frontier;
        struct pass_state state;
};

/* 1: the next record of *KIND is in r->body; 0: there is none; -ENOMEM. */
static int next_record(struct reader *r, uint32_t *kind)
{
        uint8_t head[RECORD];
        uint32_t len;

        if (source_pread(r->file, head, sizeof head, r->at) != sizeof head)
                return 0;
        *kind = load_le32(head);
        len = load_le32(head + 4);
        if (len > RECORD_MAX || !range_within(r->at + RECORD, len, r->file->size))
                return 0;
        r->body.count = 0;
        if (array_reserve(&r->body, (size_t)len + 1) < 0)
                return -ENOMEM;
        if (source_pread(r->file, r->body.items, len, r->at + RECORD) != (ssize_t)len ||
            record_hash(r->hash, head, r->body.items, len) != load_le64(head + 8))
                return 0;
        r->body.count = len;
        r->hash = load_le64(head + 8);
        r->at += RECORD + (uint64_t)len;
        return 1;
}

static int take_point(struct reader *r)
{
        const uint8_t *in = r->body.items;
        size_t len = r->body.count;
        struct segment s = {0};
        uint32_t flags;

        if (len < POINT || r->segments.count != r->ends || r->ends >= SEGMENTS_MAX)
                return -EINVAL;
        flags = load_le32(in + 28);
        s.record.point = (struct restart_point){.in_bit = load_le64(in),
                                                .out = load_le64(in + 8),
                                                .aux = load_le64(in + 16),
                                                .history_len = load_le32(in + 24)};
        s.record.enter = flags & FLAG_ENTER;
        s.record.unproven = flags & FLAG_UNPROVEN;
        s.record.history_size = len - POINT;
        s.record.history_at = r->at - s.record.history_size;
        if (s.record.history_size)
                s.record.history_hash = XXH3_64bits(in + POINT, s.record.history_size);
        if (flags > FLAGS || (flags & FLAG_BY_SUMS))
                return -EINVAL;
        return array_add(&r->segments, s);
}

static int take_end(struct reader *r)
{
        const uint8_t *in = r->body.items;
        size_t len = r->body.count;
        struct segment *s;
        uint32_t flags, parts;
        int rc = 0;

        if (len < END || r->ends >= r->segments.count)
                return -EINVAL;
        s = array_at(&r->segments, r->ends++);
        flags = load_le32(in + 8);
        parts = load_le32(in + 12);
        if (flags > FLAGS || parts > PARTS_MAX || len != END + (size_t)parts * 8)
                return -EINVAL;
        s->record.point.hash = load_le64(in);
        s->record.point.by_sums = flags & FLAG_BY_SUMS;
        s->record.unproven = flags & FLAG_UNPROVEN;
        /* A point may have been dropped since it was written. */
        if (!(flags & FLAG_ENTER)) {
                s->record.enter = false;
                s->record.history_size = 0;
                s->record.point.history_len = 0;
        } else if (!s->record.enter) {
                return -EINVAL;
        }
        s->parts = r->parts.count;
        s->record.part_count = parts;
        for (uint32_t i = 0; i < parts && rc == 0; i++)
                rc = array_add(&r->parts, load_le64(in + END + (size_t)i * 8));
        return rc;
}

static int take_proven(struct reader *r)
{
        for (size_t i = 0; i + 4 <= r->body.count; i += 4) {
                uint32_t index = load_le32(r->body.items + i);

                if (index >= r->segments.count)
                        return -EINVAL;
                array_at(&r->segments, index)->record.unproven = false;
        }
        return r->body.count % 4 ? -EINVAL : 0;
}

static int take_notes(struct reader *r)
{
        int rc = r->many_notes ? 0 : notes_load(r->notes, r->body.items, r->body.count);

        r->many_notes |= rc == -EFBIG;
        return rc == -EFBIG ? 0 : rc;
}

static int take_checkpoint(struct reader *r)
{
        const uint8_t *in = r->body.items;
        size_t len = r->body.count;

        if (len < CHECKPOINT || len - CHECKPOINT > PASS_STATE_MAX || load_le64(in) != r->ends ||
            r->segments.count != r->ends + 1)
                return -EINVAL;
        r->count = r->ends;
        r->growing = *array_last(&r->segments);
        r->frontier = load_le64(in + 8);
        r->state = (struct pass_state){.len = len - CHECKPOINT};
        memcpy(r->state.bytes, in + CHECKPOINT, r->state.len);
        r->passed = r->at;
        r->passed_hash = r->hash;
        return 0;
}

static int take_record(struct reader *r, uint32_t kind)
{
        switch (kind) {
        case KIND_POINT:
                return take_point(r);
        case KIND_END:
                return take_end(r);
        case KIND_PROVEN:
                return take_proven(r);
        case KIND_NOTES:
                return take_notes(r);
        case KIND_CHECKPOINT:
                return take_checkpoint(r);
        default:
                return -EINVAL;
        }
}

/* Up to the last checkpoint that is whole. 0, -EINVAL, -ENOENT, -ENOMEM. */
static int read_records(struct reader *r)
{
        for (;;) {
                uint32_t kind;
                int rc = next_record(r, &kind);

                if (rc == 0)
                        return r->passed ? 0 : -ENOENT;
                if (rc > 0)
                        rc = take_record(r, kind);
                if (rc < 0)
                        return rc;
        }
}

static int read_header(struct reader *r, const struct journal_key *key)
{
        uint8_t header[HEADER], wanted[HEADER];
        ssize_t n = source_pread(r->file, header, sizeof header, 0);

        if (n < 0)
                return (int)n;
        make_header(key, wanted);
        if (n == 0)
                return -ENOENT;
        if (n != sizeof header || memcmp(header, wanted, sizeof header) != 0)
                return -EINVAL;
        r->at = HEADER;
        r->hash = load_le64(header + AT_HASH);
        return 0;
}

/* The table, and what P has to know to write on. Histories stay in the file. */
static int make_table(struct reader *r, uint64_t window, struct restart_table **out,
                      struct journal *p)
{
        int rc = restart_table_new(out);

        for (size_t i = 0; i < r->count && rc == 0; i++) {
                struct segment *s = array_at(&r->segments, i);

                s->record.parts = s->record.part_count ? array_at(&r->parts, s->parts) : NULL;
                rc = restart_load(*out, &s->record, window);
                if (rc == 0 && s->record.unproven)
                        rc = array_add(&p->unproven, i);
        }
        if (rc == 0)
                rc = r->growing.record.enter ? restart_load(*out, &r->growing.record, window)
                                             : -EINVAL;
        if (rc == 0)
                restart_use_store(*out, steal_ptr(&r->file), NULL);
        return rc;
}

static void reader_fini(struct reader *r)
{
        array_free(&r->body);
        array_free(&r->segments);
        array_free(&r->parts);
        notes_free(r->notes);
        source_close(r->file);
}

static int load(struct reader *r, const struct journal_key *key, uint64_t window,
                struct stream_resume *resume, struct journal *p)
{
        int rc;

        r->file = store_open(p->fd);
        if (!r->file)
                return -errno;
        r->notes = notes_new();
        rc = r->notes ? read_header(r, key) : -ENOMEM;
        if (rc == 0)
                rc = read_records(r);
        if (rc == 0)
                rc = make_table(r, window, &resume->take_table, p);
        if (rc == 0 && ftruncate(p->fd, (off_t)r->passed) < 0)
                rc = -errno;
        if (rc < 0)
                return rc;
        resume->take_notes = steal_ptr(&r->notes);
        resume->frontier = r->frontier;
        resume->state = r->state;
        p->at = r->passed;
        p->hash = r->passed_hash;
        p->ends = r->count;
        p->points = r->count + 1;
        return 0;
}

int journal_load(struct location *place, const struct journal_key *key, uint64_t window,
                 struct stream_resume *resume, struct journal **out)
{
        struct reader r = {0};
        struct journal *p = journal_new();
        int rc;

        *resume = (struct stream_resume){0};
        if (!p)
                return -ENOMEM;
        p->fd = location_partial(place, false, NULL);
        rc = p->fd < 0 ? p->fd : load(&r, key, window, resume, p);
        reader_fini(&r);
        if (rc < 0) {
                journal_close(p);
                stream_resume_fini(resume);
                return rc;
        }
        *out = p;
        return 0;
}
