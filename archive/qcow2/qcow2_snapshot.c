/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The internal snapshots of a qcow2 image. Each has an L1 table of its own, and through it
 * everything; the state of the machine, where it was saved, lies after the disk's end.
 *
 *   | L1 table | id, name lengths | date, clock | state size | extra: state size, disk size … |
 *   | 8 + 4    | 2 + 2            | 4 + 4 + 8   | 4          | 4 + its length                 |
 *   | id | name | up to a multiple of 8 |   and the next one
 */
#include "archive/qcow2/qcow2_snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/entry.h"
#include "archive/error.h"
#include "archive/qcow2/qcow2_reader.h"
#include "archive/qcow2/qcow2_volume.h"
#include "archive/source/source.h"

enum {
        SNAPSHOTS_MAX = 4096, /* the most that are shown; QEMU makes up to 65536 */

        ENTRY = 40,
        AT_L1_ENTRIES = 8,
        AT_ID_LEN = 12,
        AT_NAME_LEN = 14,
        AT_STATE_SIZE = 32,
        AT_EXTRA_LEN = 36,

        EXTRA_STATE_SIZE = 0,
        EXTRA_DISK_SIZE = 8,
        EXTRA_KNOWN = 16,
        EXTRA_MAX = 1024, /* QEMU refuses more, too */
};

/* One entry of the table. */
struct snapshot {
        struct qcow2_table table;
        uint64_t state_size; /* bytes; 0: none was saved */
        size_t len;          /* of the entry */
        char *tag;           /* the name or, where it has none, the id */
};

static const char table_is_damaged[] = "the table of snapshots is damaged";

/* Read the strings after the entry at OFFSET, whose fixed part is P. */
static int read_tag(const struct qcow2_image *image, const uint8_t *p, uint64_t offset,
                    struct snapshot *s, struct error *err)
{
        size_t id_len = load_be16(p + AT_ID_LEN), name_len = load_be16(p + AT_NAME_LEN);
        size_t len = name_len ? name_len : id_len;

        offset += ENTRY + load_be32(p + AT_EXTRA_LEN) + (name_len ? id_len : 0);
        s->tag = calloc(1, len + 1);
        if (!s->tag)
                return error_set(err, ENOMEM, "out of memory");
        return len ? source_fetch(image->source, s->tag, len, offset, "the table of snapshots", err)
                   : 0;
}

static int read_snapshot(const struct qcow2_image *image, uint64_t offset, struct snapshot *s,
                         struct error *err)
{
        uint8_t fixed[ENTRY], extra[EXTRA_KNOWN];
        uint32_t extra_len;
        int rc =
            source_fetch(image->source, fixed, sizeof fixed, offset, "the table of snapshots", err);

        if (rc < 0)
                return rc;
        extra_len = load_be32(fixed + AT_EXTRA_LEN);
        if (extra_len > EXTRA_MAX)
                return error_set_at(err, EIO, offset + AT_EXTRA_LEN, "%s", table_is_damaged);
        s->table = (struct qcow2_table){.l1_offset = load_be64(fixed),
                                        .l1_entries = load_be32(fixed + AT_L1_ENTRIES),
                                        .size = image->size};
        s->state_size = load_be32(fixed + AT_STATE_SIZE);
        s->len = (size_t)round_up(ENTRY + extra_len + (size_t)load_be16(fixed + AT_ID_LEN) +
                                      load_be16(fixed + AT_NAME_LEN),
                                  8);
        if (extra_len) {
                size_t known = (size_t)min_u64(extra_len, sizeof extra);

                rc = source_fetch(image->source, extra, known, offset + ENTRY,
                                  "the table of snapshots", err);
                if (rc < 0)
                        return rc;
                if (known >= EXTRA_STATE_SIZE + 8)
                        s->state_size = load_be64(extra + EXTRA_STATE_SIZE);
                if (known >= EXTRA_DISK_SIZE + 8)
                        s->table.size = load_be64(extra + EXTRA_DISK_SIZE);
        }
        return read_tag(image, fixed, offset, s, err);
}

static int emit_folder(struct qcow2 *q, const char *name, uint32_t parent,
                       const struct archive_sink *sink, uint32_t *number)
{
        const struct entry folder = {
            .id = ++q->folder_count, .parent = parent, .name = name, .mode = S_IFDIR};

        *number = q->folder_count;
        return sink->entry(sink->ctx, &folder);
}

/* The state of the machine, after the end of the disk, at a multiple of what an L1 entry maps. */
static int emit_state(struct qcow2 *q, const struct snapshot *s, uint32_t folder, uint64_t offset,
                      const struct archive_sink *sink, struct error *err)
{
        struct qcow2_disk disk = {.table = s->table, .said_at = offset, .is_state = true};

        disk.table.base = round_up(s->table.size, qcow2_l2_span(&q->image));
        disk.table.size = s->state_size;
        return qcow2_add_disk(q, &disk, "vmstate.bin", folder, sink, err);
}

static int emit_snapshot(struct qcow2 *q, const struct snapshot *s, uint32_t parent,
                         const char *disk_name, uint64_t offset, const struct archive_sink *sink,
                         struct error *err)
{
        struct qcow2_disk disk = {.table = s->table, .said_at = offset};
        uint32_t folder;
        int rc;

        if (s->table.size > QCOW2_DISK_MAX || s->state_size > QCOW2_DISK_MAX)
                return error_set_at(err, EIO, offset, "%s", table_is_damaged);
        rc = emit_folder(q, s->tag, parent, sink, &folder);
        if (rc < 0)
                return error_set(err, -rc, "a snapshot cannot be shown: %s", strerror(-rc));
        rc = qcow2_add_disk(q, &disk, disk_name, folder, sink, err);
        if (rc == 0 && s->state_size)
                rc = emit_state(q, s, folder, offset, sink, err);
        return rc;
}

int qcow2_emit_snapshots(struct qcow2 *q, const char *disk_name, const struct archive_sink *sink,
                         struct error *err)
{
        uint32_t count = (uint32_t)min_u64(q->image.snapshot_count, SNAPSHOTS_MAX), parent;
        uint64_t offset = q->image.snapshots_offset;
        struct error failure = {0};
        int rc;

        if (!count)
                return 0;
        if (q->image.snapshot_count > SNAPSHOTS_MAX)
                qcow2_note(q, "it has too many snapshots: only the first 4096 are shown");
        rc = emit_folder(q, "snapshots", ENTRY_ROOT, sink, &parent);
        if (rc < 0)
                return error_set(err, -rc, "snapshots cannot be shown: %s", strerror(-rc));
        for (uint32_t i = 0; i < count && rc == 0; i++) {
                struct snapshot s = {0};

                rc = read_snapshot(&q->image, offset, &s, &failure);
                if (rc == 0)
                        rc = emit_snapshot(q, &s, parent, disk_name, offset, sink, &failure);
                free(s.tag);
                if (rc == 0)
                        offset += s.len;
        }
        if (rc == 0 && count == q->image.snapshot_count)
                q->image.snapshots_len = offset - q->image.snapshots_offset;
        /* The disk itself is there all the same: the scan says what is wrong. */
        if (rc == -EIO) {
                q->fault = table_is_damaged;
                q->fault_at = offset;
                return 0;
        }
        if (rc < 0 && err)
                *err = failure;
        return rc;
}
