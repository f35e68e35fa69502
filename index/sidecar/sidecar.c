/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/sidecar/sidecar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/format.h"
#include "archive/source/source.h"
#include "archive/stream/restart_table.h"
#include "index/disk.h"
#include "index/members/members.h"
#include "index/owner.h"
#include "index/sidecar/location.h"
#include "index/sidecar/stored_map.h"
#include "index/sidecar/stored_table.h"
#include "index/sidecar/writer.h"
#include "index/verify/record.h"

enum {
        HEADER = 128,
        VERSION = 4,
        VERSION_RECORD = 1, /* the oldest version whose record can be read */
        NAME = STORED_NAME,
        MEMBERS = 24, /* where the tree is, its length and its hash: the end of the tables */
};

/*
 * Limits on memory for a hostile file, far above any real one: for the tables, the record, and the
 * extents of all disks together.
 */
#define TABLES_MAX (UINT64_C(1) << 30)

static const char magic[8] = LOCATION_MAGIC;

/* Offsets of the header's fields. */
enum {
        AT_VERSION = 8,
        AT_STAMP = 12,
        AT_IDENTITY = 16,
        AT_COMPRESSION = 56,
        AT_FORMAT = 64,
        AT_TABLES = 72,
        AT_TABLES_LEN = 80,
        AT_TABLES_HASH = 88,
        AT_STREAM_SIZE = 96,
        AT_SEGMENTS = 104,
        AT_DISKS = 108,
        AT_RECORD = 112,
        AT_HEADER_HASH = 120,
};

struct sidecar {
        struct source *file;
        int fd; /* the same file; negative: none */
        const struct location *place;
        enum location_where where; /* where it was found */
        uint64_t size;
        char compression[NAME + 1];
        char format[NAME + 1];
        uint64_t archive_size, stream_size;
        uint32_t segment_count, disk_count;
        uint64_t tables_hash;
        uint64_t record_at; /* 0: there is none */
        bool stamped;
        struct stamp stamp;
        uint8_t *tables;
        uint64_t tables_at, tables_len;
        uint64_t members_at, members_len, members_hash; /* a length of 0: there are none */
        struct restart_table *table;
        struct stored_stream *streams; /* stream_count of them */
        size_t stream_count;
        struct stored_map **disks; /* disk_count of them; NULL: given to its disk */
};

/* Close the memory stream OUT. True: everything was written. */
static bool close_memory(FILE *out)
{
        bool failed = ferror(out);

        return fclose(out) == 0 && !failed;
}

/* ---- writing ---- */

/* Append the disk's extents, and add their offset to the tables. */
static void write_disk(struct writer *w, const struct disk *d)
{
        cleanup_free char *extents = NULL;
        size_t len = 0;
        int rc;

        if (!disk_is_scanned(d)) {
                stored_map_write_total(d->size, d->totals.stored, w->tables);
                return;
        }
        rc = stored_map_write(d->own.map, w->at, w->tables, &extents, &len);
        w->extents += len;
        if (rc == 0 && w->extents > TABLES_MAX)
                rc = -EFBIG;
        if (rc == 0)
                writer_append(w, extents, len);
        else
                writer_fail(w, rc);
}

/* Append the tree of members, and where it is to the tables. */
static void write_members(struct writer *w, struct members *members, bool chosen)
{
        struct members_piece pieces[MEMBERS_PIECES];
        uint64_t at = w->at, hash = 0;
        uint8_t out[MEMBERS];
        int rc = members_store(members, chosen, pieces);

        if (rc == 0)
                rc = members_hash(pieces, &hash);
        if (rc < 0) {
                writer_fail(w, rc);
                return;
        }
        for (size_t i = 0; i < MEMBERS_PIECES; i++)
                writer_append(w, pieces[i].data, pieces[i].len);
        store_le64(out, at);
        store_le64(out + 8, w->at - at);
        store_le64(out + 16, hash);
        fwrite(out, sizeof out, 1, w->tables);
}

/* Write the record, if there is one, the tables, and the header. */
static void write_header(struct writer *w, const struct sidecar_contents *c,
                         const uint8_t identity[IDENTITY_LEN], const void *tables, size_t len)
{
        uint8_t h[HEADER] = {0};

        store_le64(h + AT_RECORD, c->record ? w->at : 0);
        if (c->record)
                writer_append(w, c->record->bytes, c->record->len);

        memcpy(h, magic, sizeof magic);
        store_le32(h + AT_VERSION, VERSION);
        store_le32(h + AT_STAMP, HEADER);
        memcpy(h + AT_IDENTITY, identity, IDENTITY_LEN);
        memcpy(h + AT_COMPRESSION, c->compression, strnlen(c->compression, NAME));
        memcpy(h + AT_FORMAT, c->format, strnlen(c->format, NAME));
        store_le64(h + AT_TABLES, w->at);
        store_le64(h + AT_TABLES_LEN, len);
        store_le64(h + AT_TABLES_HASH, XXH3_64bits(tables, len));
        store_le64(h + AT_STREAM_SIZE, c->stream_size);
        store_le32(h + AT_SEGMENTS, c->table ? (uint32_t)restart_count(c->table) : 0);
        store_le32(h + AT_DISKS, (uint32_t)c->disk_count);
        store_le64(h + AT_HEADER_HASH, XXH3_64bits(h, AT_HEADER_HASH));
        writer_append(w, tables, len);
        writer_put(w, h, sizeof h, 0);
}

/*
 * Write everything to the file W->fd. Sets AT[i] to the offset of segment i's history, and after
 * those of the archive's own stream come those of its members.
 */
static int write_all(struct writer *w, const struct sidecar_contents *c,
                     const uint8_t identity[IDENTITY_LEN], uint64_t *at)
{
        cleanup_free char *tables = NULL;
        size_t len = 0;
        size_t segments = c->table ? restart_count(c->table) : 0;
        uint8_t stamp[STAMP_LEN];

        w->tables = open_memstream(&tables, &len);
        if (!w->tables)
                return -ENOMEM;
        w->at = HEADER;
        stamp_store(&c->stamp, stamp);
        writer_append(w, stamp, sizeof stamp);
        if (c->table)
                stored_table_write(w, c->table, at);
        for (size_t i = 0; i < c->disk_count && w->error == 0; i++)
                write_disk(w, c->disks[i]);
        if (c->members && w->error == 0)
                write_members(w, c->members, c->chosen);
        stored_streams_write(w, c->streams, c->stream_count, at + segments);
        if (!close_memory(w->tables))
                writer_fail(w, -ENOMEM);
        if (len > TABLES_MAX || (c->record && c->record->len > TABLES_MAX))
                writer_fail(w, -EFBIG);
        if (w->error == 0)
                write_header(w, c, identity, tables, len);
        return w->error;
}

/*
 * From now on read the histories of the COUNT tables of LIST from the file. If that fails, they stay
 * in memory.
 */
static void move_histories(const struct stored_stream *list, size_t count, int fd,
                           const uint64_t *at)
{
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        struct source *store;

        if (copy >= 0 && source_open_fd(copy, &store, NULL) == 0) {
                source_set_verified(store);
                stored_streams_use_store(list, count, store, at);
        }
}

/* As what its member's are, the table of the archive's own stream; COUNT is 0 if it has none. */
static struct stored_stream own_stream(const struct sidecar_contents *c, size_t *count)
{
        *count = c->table ? 1 : 0;
        return (struct stored_stream){.table = c->table};
}

int sidecar_save(struct location *place, const struct sidecar_contents *contents, uint64_t *size,
                 struct error *err)
{
        size_t own_count;
        const struct stored_stream own = own_stream(contents, &own_count);
        size_t own_segments = stored_streams_segments(&own, own_count);
        size_t segments =
            own_segments + stored_streams_segments(contents->streams, contents->stream_count);
        cleanup_free uint64_t *at = calloc(segments + 1, sizeof *at);
        struct writer w = {0};
        int kept, rc;

        if (!at)
                return error_set(err, ENOMEM, "out of memory");
        w.fd = location_create(place, err);
        if (w.fd < 0)
                return w.fd;
        rc = write_all(&w, contents, location_identity(place), at);
        if (rc < 0) {
                error_fill(err, -rc, "its index cannot be kept as %s: %s",
                           location_path(place, LOCATION_OWN), strerror(-rc));
                location_abandon(place, w.fd);
                return rc;
        }
        *size = w.at;
        kept = fcntl(w.fd, F_DUPFD_CLOEXEC, 3);
        rc = location_commit(place, w.fd, err);
        if (rc == 0 && segments && kept >= 0) {
                move_histories(&own, own_count, kept, at);
                move_histories(contents->streams, contents->stream_count, kept, at + own_segments);
        }
        if (kept >= 0)
                close(kept);
        return rc;
}

/* ---- reading ---- */

static int refuse(struct error *err, const char *why)
{
        return error_set(err, EINVAL, "%s", why);
}

/*
 * What was read of S with RC is not what should be there, and WHY says so; unless it lies on a server
 * that did not give it, which is no damage.
 */
static int refuse_read(const struct sidecar *s, ssize_t rc, struct error *err, const char *why)
{
        struct error far = {0};

        if (rc == -EREMOTEIO || rc == -ESTALE)
                return error_set(err, EREMOTEIO, "%s",
                                 source_damage(s->file, &far) < 0 ? far.text
                                                                  : "it cannot be read now");
        return refuse(err, why);
}

static int load_stamp(struct sidecar *s, uint32_t at, struct error *err)
{
        uint8_t in[STAMP_LEN];
        int rc = -EINVAL;

        s->stamped = at != 0;
        if (!s->stamped)
                return 0;
        if (range_within(at, sizeof in, s->size))
                rc = source_pread_all(s->file, in, sizeof in, at);
        if (rc < 0 || !stamp_load(in, &s->stamp))
                return refuse_read(s, rc, err, "its stamp is damaged");
        return 0;
}

/* Check the header, which may be of any version from OLDEST on. */
static int load_header(struct sidecar *s, const uint8_t identity[IDENTITY_LEN], uint32_t oldest,
                       struct error *err)
{
        uint8_t h[HEADER];
        uint32_t version;
        ssize_t n = source_pread(s->file, h, sizeof h, 0);

        if (n != sizeof h || memcmp(h, magic, sizeof magic) != 0)
                return refuse_read(s, n, err, "it is not an index");
        version = load_le32(h + AT_VERSION);
        if (version < oldest || version > VERSION)
                return refuse(err, "it is of another version of vmafs");
        if (load_le64(h + AT_HEADER_HASH) != XXH3_64bits(h, AT_HEADER_HASH))
                return refuse(err, "its header is damaged");
        if (load_le64(h + AT_IDENTITY) != load_le64(identity))
                return refuse(err, "it belongs to another archive");
        if (memcmp(h + AT_IDENTITY, identity, IDENTITY_LEN) != 0)
                return error_set(err, ESTALE,
                                 "it belongs to another archive, or the first or the last 64 KiB "
                                 "of this one have changed");
        if (!stored_name_load(h + AT_COMPRESSION, s->compression) ||
            !stored_name_load(h + AT_FORMAT, s->format))
                return refuse(err, "its header is damaged");
        s->archive_size = load_le64(identity);
        s->tables_at = load_le64(h + AT_TABLES);
        s->tables_len = load_le64(h + AT_TABLES_LEN);
        s->tables_hash = load_le64(h + AT_TABLES_HASH);
        s->stream_size = load_le64(h + AT_STREAM_SIZE);
        s->segment_count = load_le32(h + AT_SEGMENTS);
        s->disk_count = load_le32(h + AT_DISKS);
        s->record_at = load_le64(h + AT_RECORD);
        if (s->tables_at < HEADER || s->tables_len > TABLES_MAX ||
            !range_within(s->tables_at, s->tables_len, s->size) ||
            s->tables_at + s->tables_len != s->size ||
            (uint64_t)s->segment_count * RESTART_RECORD_SIZE > s->tables_len)
                return refuse(err, "it was cut off");
        return load_stamp(s, load_le32(h + AT_STAMP), err);
}

static int load_tables(struct sidecar *s, struct error *err)
{
        ssize_t n;

        s->tables = malloc(s->tables_len + 1);
        if (!s->tables)
                return error_set(err, ENOMEM, "out of memory");
        n = source_pread(s->file, s->tables, s->tables_len, s->tables_at);
        if (n != (ssize_t)s->tables_len || XXH3_64bits(s->tables, s->tables_len) != s->tables_hash)
                return refuse_read(s, n, err, "its tables are damaged");
        return 0;
}

/* One more source of the file, for histories. */
static int open_store(const struct sidecar *s, struct source **out, struct error *err)
{
        int rc = location_source_again(s->place, s->fd, out, err);

        if (rc == 0)
                source_set_verified(*out);
        return rc;
}

/* What reading a table has returned: as sidecar_load. */
static int judge_tables(int rc, struct error *err)
{
        if (rc == -ENOMEM)
                return error_set(err, ENOMEM, "out of memory");
        return rc < 0 ? refuse(err, "its restart points contradict each other") : 0;
}

static int load_table(struct sidecar *s, struct stored_tables *in, struct error *err)
{
        struct source *store;
        int rc;

        if (strcmp(s->compression, "none") == 0)
                return s->segment_count == 0 && s->stream_size == s->archive_size
                           ? 0
                           : refuse(err, "its tables are damaged");
        rc = judge_tables(
            stored_table_load(in, s->segment_count, s->stream_size, s->archive_size, &s->table),
            err);
        if (rc == 0)
                rc = open_store(s, &store, err);
        if (rc == 0)
                restart_use_store(s->table, store, NULL);
        return rc;
}

/* Those of members, which come last. */
static int load_streams(struct sidecar *s, struct stored_tables *in, struct error *err)
{
        struct source *store;
        int rc = judge_tables(stored_streams_load(in, &s->streams, &s->stream_count), err);

        if (rc < 0 || !s->stream_count)
                return rc;
        rc = open_store(s, &store, err);
        if (rc == 0 && stored_streams_use_store(s->streams, s->stream_count, store, NULL) < 0)
                rc = error_set(err, ENOMEM, "out of memory");
        return rc;
}

static int load_disks(struct sidecar *s, struct stored_tables *in, struct error *err)
{
        const uint8_t *at = in->bytes + in->at;
        const uint8_t *end = in->bytes + in->len;
        cleanup_free void *window = malloc(STORED_MAP_WINDOW);
        uint64_t extents = 0;
        int rc = 0;

        if (s->disk_count > STORED_MAP_DISKS_MAX)
                return refuse(err, "its tables are damaged");
        s->disks = calloc((size_t)s->disk_count + 1, sizeof(*s->disks));
        if (!s->disks || !window)
                return error_set(err, ENOMEM, "out of memory");
        for (uint32_t i = 0; i < s->disk_count && rc == 0; i++) {
                rc = stored_map_load(s->file, s->tables_at, &at, end, &s->disks[i]);
                if (rc == 0)
                        extents += stored_map_extents(s->disks[i]);
                if (rc == 0 && extents > TABLES_MAX)
                        rc = -EFBIG;
                if (rc == 0)
                        rc = stored_map_check(s->disks[i], window);
        }
        if (rc == -ENOMEM)
                return error_set(err, ENOMEM, "out of memory");
        if (rc == 0 && end - at == MEMBERS) {
                s->members_at = load_le64(at);
                s->members_len = load_le64(at + 8);
                s->members_hash = load_le64(at + 16);
                at = end;
                if (s->members_len > MEMBERS_STORED_MAX ||
                    !range_within(s->members_at, s->members_len, s->tables_at))
                        rc = -EINVAL;
        }
        if (rc < 0)
                return refuse_read(s, rc == -EREMOTEIO ? rc : 0, err,
                                   "its tables or extents are damaged");
        in->at = (uint64_t)(at - in->bytes);
        return 0;
}

static int load_all(struct sidecar *s, uint64_t window, struct error *err)
{
        struct stored_tables in = {
            .len = s->tables_len, .file_end = s->tables_at, .window = window};
        int rc = load_tables(s, err);

        in.bytes = s->tables;
        if (rc == 0)
                rc = load_table(s, &in, err);
        if (rc == 0)
                rc = load_disks(s, &in, err);
        return rc == 0 ? load_streams(s, &in, err) : rc;
}

/* Open the file and check its header, of a version from OLDEST on. sidecar_free frees *OUT. */
static int load_start(struct location *place, enum location_where where, uint32_t oldest,
                      struct sidecar **out, struct error *err)
{
        struct sidecar *s = calloc(1, sizeof *s);
        int rc;

        if (!s)
                return error_set(err, ENOMEM, "out of memory");
        s->place = place;
        s->where = where;
        rc = location_source(place, where, &s->fd, &s->file, err);
        if (rc == 0) {
                /*
                 * Its name and mode may change while it is used, by location_commit and
                 * location_quarantine.
                 */
                source_set_verified(s->file);
                s->size = s->file->size;
                rc = load_header(s, location_identity(place), oldest, err);
        }
        if (rc < 0) {
                sidecar_free(s);
                return rc;
        }
        *out = s;
        return 0;
}

int sidecar_load(struct location *place, enum location_where where, uint64_t window,
                 struct sidecar **out, struct error *err)
{
        struct sidecar *s;
        int rc = load_start(place, where, VERSION, &s, err);

        if (rc < 0)
                return rc;
        if (location_is_quarantined(s->fd))
                rc = refuse(err, "its sticky bit is set: it was found to contradict itself");
        if (rc == 0)
                rc = load_all(s, window, err);
        if (rc < 0) {
                sidecar_free(s);
                return rc;
        }
        *out = s;
        return 0;
}

int sidecar_load_members(struct sidecar *s, struct members_source *from, struct members **out,
                         bool *chosen, struct error *err)
{
        int rc;

        *out = NULL;
        if (!s->members_len)
                return 0;
        rc = open_store(s, &from->file, err);
        if (rc < 0)
                return rc;
        from->at = s->members_at;
        from->len = s->members_len;
        from->hash = s->members_hash;
        /* Listing a folder should not wait for a server. */
        from->whole |= source_is_far(from->file);
        rc = members_load(from, chosen, out);
        if (rc == -ENOMEM)
                return error_set(err, ENOMEM, "out of memory");
        if (rc == -ENOTSUP)
                return refuse(err, "it is of another version of vmafs");
        if (rc == -EINVAL)
                return refuse(err, "its members contradict each other");
        return rc < 0 ? refuse_read(s, rc, err, "its members are damaged") : 0;
}

uint32_t sidecar_disk_count(const struct sidecar *s)
{
        return s->disk_count;
}

static int read_record(const struct sidecar *s, struct record **out, struct error *err)
{
        uint64_t len = s->tables_at - s->record_at;
        uint8_t *bytes;
        ssize_t n;
        int rc;

        if (s->record_at < HEADER || s->record_at > s->tables_at || len > TABLES_MAX)
                return error_set(err, EBADMSG, "what it has recorded is damaged");
        bytes = malloc(len + 1);
        if (!bytes)
                return error_set(err, ENOMEM, "out of memory");
        n = source_pread(s->file, bytes, len, s->record_at);
        rc = record_parse(bytes, n == (ssize_t)len ? len : 0, out);
        if (rc == -ENOMEM)
                return error_set(err, ENOMEM, "out of memory");
        if (n == -EREMOTEIO)
                return refuse_read(s, n, err, "it cannot be read now");
        return rc < 0 ? error_set(err, EBADMSG, "what it has recorded is damaged") : 0;
}

int sidecar_load_record(struct location *place, enum location_where where, struct record **out,
                        struct error *err)
{
        struct sidecar *s;
        int rc = load_start(place, where, VERSION_RECORD, &s, err);

        *out = NULL;
        if (rc < 0)
                return rc;
        if (s->record_at)
                rc = read_record(s, out, err);
        sidecar_free(s);
        return rc;
}

void sidecar_free(struct sidecar *s)
{
        if (!s)
                return;
        for (uint32_t i = 0; s->disks && i < s->disk_count; i++)
                stored_map_free(s->disks[i]);
        free(s->disks);
        restart_table_free(s->table);
        stored_streams_free(s->streams, s->stream_count);
        free(s->streams);
        source_close(s->file);
        if (s->fd >= 0)
                close(s->fd);
        free(s->tables);
        free(s);
}

struct restart_table *sidecar_take_table(struct sidecar *s)
{
        return steal_ptr(&s->table);
}

struct restart_table *sidecar_table(const struct sidecar *s)
{
        return s->table;
}

size_t sidecar_stream_count(const struct sidecar *s)
{
        return s->stream_count;
}

struct restart_table *sidecar_stream_table(const struct sidecar *s, uint64_t at, uint64_t size,
                                           const char *codec)
{
        const struct stored_stream *found =
            stored_streams_find(s->streams, s->stream_count, at, size, codec);

        return found ? found->table : NULL;
}

struct restart_table *sidecar_take_stream(struct sidecar *s, uint64_t at, uint64_t size,
                                          const char *codec)
{
        struct stored_stream *found =
            stored_streams_find(s->streams, s->stream_count, at, size, codec);

        return found ? steal_ptr(&found->table) : NULL;
}

const struct stamp *sidecar_stamp(const struct sidecar *s)
{
        return s->stamped ? &s->stamp : NULL;
}

const char *sidecar_compression(const struct sidecar *s)
{
        return s->compression;
}

const char *sidecar_format(const struct sidecar *s)
{
        return s->format;
}

uint64_t sidecar_size(const struct sidecar *s)
{
        return s->size;
}

struct source *sidecar_take_file(struct sidecar *s)
{
        return steal_ptr(&s->file);
}

enum location_where sidecar_where(const struct sidecar *s)
{
        return s->where;
}

int sidecar_quarantine(const struct sidecar *s)
{
        return location_quarantine(s->place, s->where);
}

const struct stored_map *sidecar_disk_stored_map(const struct sidecar *s, uint32_t number)
{
        return number < s->disk_count ? s->disks[number] : NULL;
}

/*
 * The archive answers for D, and K is what was counted of it: an index is stored of sound ones
 * alone.
 */
static int take_total(const struct stored_map *k, struct disk *d)
{
        if (stored_map_size(k) != d->size)
                return -EINVAL;
        d->totals = (struct map_totals){.stored = stored_map_stored(k)};
        d->counted = true;
        return 0;
}

int sidecar_fill(struct sidecar *s, size_t disk_count, struct disk *d)
{
        uint64_t size;
        int rc;

        if (s->disk_count != disk_count || !s->disks[d->number])
                return -EINVAL;
        if (stored_map_is_total(s->disks[d->number]) == disk_is_scanned(d))
                return -EINVAL;
        if (!disk_is_scanned(d))
                return take_total(s->disks[d->number], d);
        size = stored_map_size(s->disks[d->number]);
        /*
         * The stream names at most 59 clusters in 512 bytes, and those of a sparse disk not at all.
         */
        if (size > MAP_SIZE_MAX ||
            (map_gap(d->own.map) == MAP_GAP_LOST &&
             size / 65536 > (s->stream_size / 512 + 1) * 59) ||
            (size != d->size && !d->provisional_size))
                return -EINVAL;
        rc = map_resize(d->own.map, size);
        if (rc < 0)
                return rc;
        d->size = size;
        d->own.stored_map = steal_ptr(&s->disks[d->number]);
        return stored_map_attach(d->own.stored_map, d->own.map, s->stream_size);
}
