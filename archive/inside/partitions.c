/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/inside/partitions.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/inside/partitions_internal.h"
#include "archive/volume.h"

const char *partition_label_name(enum partition_label label)
{
        static const char *const names[] = {"none", "mbr", "gpt"};

        return names[label];
}

int partition_fetch(struct volume *v, void *buf, size_t len, uint64_t pos, const char *what,
                    struct error *err)
{
        int rc;

        if (!range_within(pos, len, v->size))
                return -ERANGE;
        rc = volume_read(v, buf, len, pos);
        if (rc < 0)
                error_fill(err, -rc, "%s at byte %" PRIu64 " of the disk cannot be read: %s", what,
                           pos, strerror(-rc));
        return rc;
}

int partition_table_add(struct partition_table *t, const struct volume *v, struct partition *p,
                        uint64_t end)
{
        if (t->list.count == PARTITIONS_MAX) {
                t->left_out++;
                return 0;
        }
        if (p->start >= v->size)
                p->problem = "begins past the end of the disk";
        else if (end <= p->start)
                p->problem = "ends before it begins";
        else if (end > v->size)
                p->problem = "ends past the end of the disk, and is cut there";
        p->len = min_u64(end, v->size);
        p->len -= min_u64(p->len, p->start);
        return array_add(&t->list, *p);
}

static bool overlap(const struct partition *a, const struct partition *b)
{
        return !a->extended && !b->extended && a->len && b->len && a->start < b->start + b->len &&
               b->start < a->start + a->len;
}

/* Each is a range of the disk all the same, so none is refused. */
static void find_overlaps(struct partition_table *t)
{
        for (size_t i = 0; i < t->list.count; i++)
                for (size_t k = 0; k < t->list.count && !t->list.items[i].overlaps; k++)
                        if (k != i && overlap(&t->list.items[i], &t->list.items[k]))
                                t->list.items[i].overlaps = t->list.items[k].number;
}

static bool says_gpt(const uint8_t *sector)
{
        for (unsigned i = 0; i < 4; i++)
                if (mbr_entry_load(sector, i).type == MBR_GPT)
                        return true;
        return false;
}

int partition_table_read(struct volume *v, struct partition_table *out, struct error *err)
{
        uint8_t sector[MBR_SECTOR];
        int rc;

        *out = (struct partition_table){.sector = MBR_SECTOR};
        rc = partition_fetch(v, sector, sizeof sector, 0, "the partition table", err);
        if (rc == -ERANGE || (rc == 0 && !mbr_is_one(sector)))
                return 0;
        if (rc == 0)
                rc = says_gpt(sector) ? gpt_read(v, out, err) : mbr_read(v, sector, out, err);
        if (rc == -ENOMEM)
                error_fill(err, ENOMEM, "out of memory");
        if (rc == 0)
                find_overlaps(out);
        return rc;
}

void partition_table_free(struct partition_table *t)
{
        array_free(&t->list);
}
