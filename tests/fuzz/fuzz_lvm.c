/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any text as a group's metadata: each logical volume lies inside of the physical ones, or has a
 * problem. And the same bytes as a physical volume.
 */
#include <string.h>

#include "archive/bytes.h"
#include "archive/inside/lvm.h"
#include "archive/inside/lvm_volume.h"
#include "tests/fuzz/fuzz.h"

enum { SIZE = 1 << 20 };

struct disk {
        struct volume base;
        const uint8_t *bytes; /* NULL: all zeros */
};

static int disk_extent(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        fuzz_require(len > 0 && range_within(pos, len, v->size));
        *out = (struct volume_extent){.len = len, .kind = VOLUME_CODED};
        return 0;
}

static int disk_read(struct volume *v, void *buf, size_t len, uint64_t pos)
{
        const struct disk *d = (const struct disk *)v;

        fuzz_require(range_within(pos, len, v->size));
        memset(buf, 0, len);
        if (d->bytes)
                memcpy(buf, d->bytes + pos, len);
        return 0;
}

static const struct volume_ops disk_ops = {.extent = disk_extent, .read = disk_read};

static void check_logical(const struct lvm_group *g, const struct lvm_logical *l)
{
        struct lvm_volume v;
        uint64_t end = 0;
        char byte;

        for (size_t i = 0; i < l->pieces.count; end += l->pieces.items[i++].len)
                fuzz_require(l->pieces.items[i].start == end);
        if (!l->visible || l->problem[0])
                return;
        fuzz_require(end == l->size && end > 0);
        lvm_volume_init(&v, g, l);
        for (size_t i = 0; i < l->pieces.count; i++) {
                const struct lvm_piece *p = &l->pieces.items[i];

                fuzz_require(volume_read(&v.base, &byte, 1, p->start) == 0);
                fuzz_require(volume_read(&v.base, &byte, 1, p->start + p->len - 1) == 0);
        }
}

static void check_text(const uint8_t *data, size_t size)
{
        struct disk d = {.base = {.ops = &disk_ops, .size = SIZE}};
        char *text = malloc(size + 1);
        struct lvm_group *g;

        if (!text)
                return;
        memcpy(text, data, size);
        if (lvm_group_parse(text, size, &g) < 0)
                return;
        for (size_t i = 0; i < g->physical.count; i++)
                g->physical.items[i].volume = i % 4 == 3 ? NULL : &d.base;
        fuzz_require(lvm_group_lay_out(g) == 0);
        for (size_t i = 0; i < g->logical.count; i++)
                check_logical(g, &g->logical.items[i]);
        lvm_group_free(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct disk d = {.base = {.ops = &disk_ops, .size = size}, .bytes = data};
        struct lvm_label label;

        fuzz_require(lvm_label_read(&d.base, &label) == 0);
        fuzz_require(!label.text || label.found);
        lvm_label_fini(&label);
        check_text(data, size);
        return 0;
}
