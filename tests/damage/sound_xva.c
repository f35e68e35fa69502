/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A sound XVA of two disks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/damage/sound.h"
#include "tests/fixtures/xva_writer.h"

enum { BLOCK = 512, AT_SIZE = 124 };

/* Each member is a frame, and so is the end mark. */
static void add_frames(struct sound *s, struct bytes b)
{
        size_t at = 0;

        while (at < b.len && b.data[at]) {
                size_t size = strtoul((const char *)b.data + at + AT_SIZE, NULL, 8);
                size_t end = at + BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;

                sound_require(end <= b.len, "a member");
                sound_add_frame(s, at, BLOCK, end);
                at = end;
        }
        sound_add_frame(s, at, b.len - at, b.len);
}

/* Where the chunks of DISK lie, with the zeros in them. */
static void add_disk(struct sound *s, struct xva_out *x, const char *ref, struct bytes disk)
{
        char name[64];
        struct content *c;
        size_t start = x->file.len;

        xva_disk(x, ref, disk.data, disk.len);
        snprintf(name, sizeof name, "disk-Ref%s.raw", ref + 4);
        c = &s->contents[sound_add(s, name, disk)];
        c->linear = true;
        for (size_t at = start; at < x->file.len;) {
                const char *header = (const char *)x->file.data + at;
                size_t size = strtoul(header + AT_SIZE, NULL, 8);
                size_t first = strtoul(header + strlen(ref) + 1, NULL, 10) * (XVA_UNIT / BLOCK);

                for (size_t i = 0; !strchr(header, '.') && i * BLOCK < size; i++)
                        c->places[first + i][0] = (struct place_of){0, at + (1 + i) * BLOCK};
                at += BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
        }
}

void sound_xva(struct sound *s, size_t size)
{
        struct bytes disks[2] = {sound_disk(size + 3 * XVA_UNIT + 5 * SOUND_SECTOR, 51),
                                 sound_disk(size / 2 + XVA_UNIT, 52)};
        struct xva_out x = xva_start();
        struct bytes machine = {0};

        /* A chunk that is all zeros is not there. */
        memset(disks[0].data + XVA_UNIT, 0, XVA_UNIT);
        xva_describe(&x, "Ref:4", "root", disks[0].len);
        xva_describe(&x, "Ref:7", "data", disks[1].len);
        xva_begin(&x);
        machine.len = strtoul((const char *)x.file.data + AT_SIZE, NULL, 8);
        machine.data = malloc(machine.len + 1);
        sound_require(machine.data != NULL, "out of memory");
        memcpy(machine.data, x.file.data + BLOCK, machine.len);
        add_disk(s, &x, "Ref:4", disks[0]);
        add_disk(s, &x, "Ref:7", disks[1]);
        xva_finish(&x);
        add_frames(s, x.file);
        sound_add_linear(s, "ova.xml", machine, 0, BLOCK);
        sound_add_file(s, "a.xva", x.file);
        x.file = (struct bytes){0};
        xva_free(&x);
        s->has_digests = true;
}
