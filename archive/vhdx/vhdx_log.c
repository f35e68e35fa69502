/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log: a ring of entries, each of which is a number of writes to tables. Those that were not
 * carried out when the file was left are replayed in memory: the file as a source, with them.
 *
 *   ring    | entry 7 | entry 8 |   old   | entry 5 | entry 6 |
 *                       head ^              ^ tail, as entry 8 says
 *
 *   entry   | header, descriptors | data | data | ...             sectors of 4 KiB
 *
 * An entry counts when its checksum is right, and it has the GUID of the file's header. Of the runs
 * of entries whose numbers follow each other, the one with the highest counts.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "archive/array.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/vhdx/vhdx.h"

enum {
        SECTOR = 4096,
        LOG_MAX = 64 << 20,
        OVERLAP_MAX = 16, /* entries on a place, on average */
        AT_SUM = 4,
        AT_LEN = 8,
        AT_TAIL = 12,
        AT_SEQUENCE = 16,
        AT_COUNT = 24,
        AT_GUID = 32,
        AT_FLUSHED = 48,
        HEAD = 64,
        DESCRIPTOR = 32,
        DATA_HEAD = 8, /* bytes of a data sector that are the descriptor's … */
        DATA_TAIL = 4, /* … at its end, too */
};

/* One write: LEN bytes at OFFSET of the file. */
struct patch {
        uint64_t offset, len;
        uint8_t *data; /* NULL: zeros */
};

struct patched {
        struct source base;
        struct source_ops ops; /* of base: those of the file that it can have */
        struct source *file;
        ARRAY(struct patch) patches; /* in the order in which they were written */
};

/* ---- the file with the log replayed ---- */

static void apply(const struct patch *p, uint8_t *buf, uint64_t start, uint64_t end)
{
        uint64_t from = max_u64(start, p->offset), to = min_u64(end, p->offset + p->len);

        if (from >= to)
                return;
        if (p->data)
                memcpy(buf + (from - start), p->data + (from - p->offset), to - from);
        else
                memset(buf + (from - start), 0, to - from);
}

static ssize_t patched_pread(struct source *s, void *buf, size_t len, uint64_t offset)
{
        const struct patched *p = (const struct patched *)s;
        ssize_t n = source_pread(p->file, buf, len, offset);

        for (size_t i = 0; n > 0 && i < p->patches.count; i++)
                apply(&p->patches.items[i], buf, offset, offset + (uint64_t)n);
        return n;
}

static int patched_reach(struct source *s, uint64_t offset, uint64_t *end, struct error *err)
{
        return source_reach(((const struct patched *)s)->file, offset, end, err);
}

static uint64_t patched_frontier(struct source *s)
{
        return source_frontier(((const struct patched *)s)->file);
}

static int patched_check(struct source *s, struct error *err)
{
        return source_check(((const struct patched *)s)->file, err);
}

static void patched_close(struct source *s)
{
        struct patched *p = (struct patched *)s;

        for (size_t i = 0; i < p->patches.count; i++)
                free(p->patches.items[i].data);
        array_free(&p->patches);
        free(p);
}

static const struct source_ops patched_ops = {
    .pread = patched_pread,
    .reach = patched_reach,
    .frontier = patched_frontier,
    .check = patched_check,
    .close = patched_close,
};

static struct patched *patched_new(struct source *file)
{
        struct patched *p = calloc(1, sizeof *p);

        if (!p)
                return NULL;
        p->ops = patched_ops;
        p->ops.name = file->ops->name;
        if (!file->ops->reach)
                p->ops.reach = NULL;
        if (!file->ops->frontier)
                p->ops.frontier = NULL;
        p->base.ops = &p->ops;
        p->base.size = (uint64_t)file->size;
        p->file = file;
        return p;
}

/* ---- entries ---- */

/* What a sector of the ring begins; a len of 0: no entry that counts. */
struct seen {
        uint64_t sequence;
        uint32_t len, tail; /* sectors */
};

struct log {
        const struct vhdx *v;
        uint8_t *ring;
        uint8_t *entry; /* one of them, in one piece */
        size_t len;     /* of the ring, bytes … */
        size_t sectors; /* … and sectors */
        struct seen *seen;
};

/* Entries that follow each other; of the ring, sectors. */
struct run {
        size_t count;
        uint64_t sequence; /* the last one's */
        size_t head, tail, end;
};

/* Copy the entry at sector AT to log->entry, in one piece; its LEN bytes are in the ring. */
static void copy_entry(struct log *log, size_t at, size_t len)
{
        size_t first = (size_t)min_u64(len, log->len - at * SECTOR);

        memcpy(log->entry, log->ring + at * SECTOR, first);
        memcpy(log->entry + first, log->ring, len - first);
}

/* How long is the entry that sector AT begins, by itself? 0: there is none, bytes. */
static size_t entry_len(const struct log *log, size_t at)
{
        const uint8_t *p = log->ring + at * SECTOR;
        size_t len = load_le32(p + AT_LEN);

        if (memcmp(p, "loge", 4) != 0 || memcmp(p + AT_GUID, log->v->log_guid, VHDX_GUID) != 0)
                return 0;
        if (len < SECTOR || len % SECTOR || len > log->len || load_le32(p + AT_TAIL) % SECTOR ||
            load_le32(p + AT_TAIL) >= log->len || load_le64(p + AT_SEQUENCE) == 0)
                return 0;
        return len;
}

/*
 * Find all entries that count. False: so many lie on each other that no sound log has them. TRACES:
 * there is one, whatever its sum.
 */
static bool find_entries(struct log *log, bool *traces)
{
        uint64_t summed = 0;

        for (size_t at = 0; at < log->sectors; at++) {
                size_t len = entry_len(log, at);

                if (!len)
                        continue;
                *traces = true;
                summed += len;
                if (summed / OVERLAP_MAX > log->len)
                        return false;
                copy_entry(log, at, len);
                if (vhdx_has_sum(log->entry, len, AT_SUM))
                        log->seen[at] = (struct seen){load_le64(log->entry + AT_SEQUENCE),
                                                      (uint32_t)(len / SECTOR),
                                                      load_le32(log->entry + AT_TAIL) / SECTOR};
        }
        return true;
}

/* The run that begins at sector AT. */
static struct run follow(const struct log *log, size_t at)
{
        struct run r = {.end = at};
        size_t walked = 0;

        while (walked < log->sectors && log->seen[r.end].len) {
                const struct seen *e = &log->seen[r.end];

                if (r.count && e->sequence != r.sequence + 1)
                        break;
                r.sequence = e->sequence;
                r.tail = e->tail;
                r.head = r.end;
                r.count++;
                walked += e->len;
                r.end = (r.end + e->len) % log->sectors;
        }
        return r;
}

/* Does an entry of R, which begins at sector AT, begin where the last one says that the tail is? */
static bool has_tail(const struct log *log, size_t at, const struct run *r)
{
        for (size_t i = 0; i < r->count; i++) {
                if (at == r->tail)
                        return true;
                at = (at + log->seen[at].len) % log->sectors;
        }
        return false;
}

/* The run that counts; a count of 0: there is none. */
static struct run find_run(const struct log *log)
{
        struct run best = {0};

        for (size_t at = 0; at < log->sectors;) {
                struct run r = follow(log, at);

                at++;
                if (!r.count || !has_tail(log, at - 1, &r))
                        continue;
                if (!best.count || r.sequence > best.sequence)
                        best = r;
                if (r.end < at)
                        break;
                at = r.end;
        }
        return best;
}

/* ---- replaying ---- */

static int damaged(const struct log *log, struct error *err)
{
        return error_set_at(err, EIO, log->v->log.offset,
                            "was not closed after writing, and its log, without which its tables "
                            "are not right, is damaged");
}

/* The sector that the descriptor D and the data sector at P make, or NULL: out of memory. */
static uint8_t *join(const uint8_t *d, const uint8_t *p)
{
        uint8_t *out = malloc(SECTOR);

        if (!out)
                return NULL;
        memcpy(out, d + 8, DATA_HEAD);
        memcpy(out + DATA_HEAD, p + DATA_HEAD, SECTOR - DATA_HEAD - DATA_TAIL);
        memcpy(out + SECTOR - DATA_TAIL, d + 4, DATA_TAIL);
        return out;
}

static int add_patch(struct patched *p, struct patch patch)
{
        int rc = array_add(&p->patches, patch);

        if (rc < 0)
                free(patch.data);
        return rc;
}

/* Descriptor number I of the entry in log->entry; *DATA is its next data sector. */
static int replay_descriptor(const struct log *log, size_t len, size_t i, size_t *data,
                             struct patched *p, struct error *err)
{
        const uint8_t *e = log->entry, *d = e + HEAD + i * DESCRIPTOR;
        uint64_t sequence = load_le64(e + AT_SEQUENCE), offset = load_le64(d + 16), end;
        struct patch patch = {.offset = offset, .len = SECTOR};
        bool zeros = memcmp(d, "zero", 4) == 0;

        if (zeros)
                patch.len = load_le64(d + 8);
        if (load_le64(d + 24) != sequence || offset % SECTOR || patch.len % SECTOR ||
            !checked_add(offset, patch.len, &end) || end > BLOCKS_FILE_MAX)
                return damaged(log, err);
        if (!zeros) {
                const uint8_t *sector = e + *data;

                if (memcmp(d, "desc", 4) != 0 || *data + SECTOR > len ||
                    memcmp(sector, "data", 4) != 0 ||
                    load_le32(sector + 4) != (uint32_t)(sequence >> 32) ||
                    load_le32(sector + SECTOR - 4) != (uint32_t)sequence)
                        return damaged(log, err);
                patch.data = join(d, sector);
                if (!patch.data)
                        return error_set(err, ENOMEM, "out of memory");
                *data += SECTOR;
        }
        return add_patch(p, patch) < 0 ? error_set(err, ENOMEM, "out of memory") : 0;
}

static int replay_entry(const struct blocks_layer *l, const struct log *log, size_t len,
                        struct patched *p, struct error *err)
{
        uint64_t count = load_le32(log->entry + AT_COUNT);
        uint64_t head = round_up(HEAD + count * DESCRIPTOR, SECTOR);
        size_t data = (size_t)head;
        int rc = 0;

        if (head > len)
                return damaged(log, err);
        if (load_le64(log->entry + AT_FLUSHED) > l->file_size && source_is_file(l->source))
                return error_set(err, EIO, "is shorter than its log says: it was cut off");
        for (size_t i = 0; i < count && rc == 0; i++)
                rc = replay_descriptor(log, len, i, &data, p, err);
        return rc;
}

static int replay(const struct blocks_layer *l, struct log *log, const struct run *r,
                  struct patched *p, struct error *err)
{
        size_t at = r->tail, len;

        for (size_t i = 0; i < r->count; i++) {
                bool last = at == r->head;
                int rc;

                len = (size_t)log->seen[at].len * SECTOR;
                copy_entry(log, at, len);
                rc = replay_entry(l, log, len, p, err);
                if (rc < 0 || last)
                        return rc;
                at = (at + len / SECTOR) % log->sectors;
        }
        return damaged(log, err);
}

/* What the log writes to, apart from the tables: nothing else should be there. */
static int note_strays(const struct blocks_layer *l, struct vhdx *v, const struct patched *p,
                       struct error *err)
{
        for (size_t i = 0; i < p->patches.count; i++) {
                const struct patch *patch = &p->patches.items[i];
                struct blocks_range r = {patch->offset, patch->offset + patch->len};
                bool inside = false;

                for (unsigned k = 0; k < l->fixed_count; k++)
                        inside |= r.start >= l->fixed[k].start && r.end <= l->fixed[k].end;
                if (r.start < VHDX_UNIT && r.end > r.start)
                        return error_set_at(err, EIO, v->log.offset,
                                            "has a log that writes over the file's headers");
                if (inside || r.start == r.end)
                        continue;
                if (v->stray_count == VHDX_STRAYS_MAX)
                        return error_set_at(err, ENOTSUP, v->log.offset,
                                            "has a log with more in it than vmafs replays in "
                                            "memory");
                v->strays[v->stray_count++] = r;
        }
        return 0;
}

static int open_run(const struct blocks_layer *l, struct vhdx *v, struct log *log,
                    struct error *err)
{
        struct patched *p;
        struct run r;
        bool traces = false;
        int rc;

        if (!find_entries(log, &traces))
                return damaged(log, err);
        r = find_run(log);
        if (!r.count)
                return traces ? damaged(log, err) : 0;
        p = patched_new(l->source);
        if (!p)
                return error_set(err, ENOMEM, "out of memory");
        v->patched = &p->base;
        rc = replay(l, log, &r, p, err);
        return rc < 0 ? rc : note_strays(l, v, p, err);
}

int vhdx_open_log(const struct blocks_layer *l, struct vhdx *v, struct error *err)
{
        static const uint8_t none[VHDX_GUID];
        cleanup_free uint8_t *ring = NULL, *entry = NULL;
        cleanup_free struct seen *seen = NULL;
        struct log log = {
            .v = v, .len = (size_t)v->log.len, .sectors = (size_t)v->log.len / SECTOR};
        int rc;

        if (memcmp(v->log_guid, none, VHDX_GUID) == 0)
                return 0;
        if (v->log.len > LOG_MAX)
                return error_set_at(err, ENOTSUP, v->log.offset,
                                    "has a log of %" PRIu64 " bytes to be replayed; vmafs does "
                                    "that up to 64 MiB",
                                    v->log.len);
        if (v->log.len == 0)
                return damaged(&log, err);
        log.ring = ring = malloc(log.len);
        log.entry = entry = malloc(log.len);
        log.seen = seen = calloc(log.sectors, sizeof *seen);
        if (!ring || !entry || !seen)
                return error_set(err, ENOMEM, "out of memory");
        rc = source_fetch(l->source, ring, log.len, v->log.offset, "the log", err);
        return rc < 0 ? rc : open_run(l, v, &log, err);
}
