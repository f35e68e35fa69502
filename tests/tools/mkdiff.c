/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mkdiff vhd|vhdx CHILD.raw BASE.raw PARENT OUT
 *
 * A differencing image OUT, which no free tool writes: of the disk CHILD.raw it has the sectors in
 * which that differs from BASE.raw, the disk of the image PARENT, which it names as it is named here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "tests/fixtures/vhd_writer.h"
#include "tests/fixtures/vhdx_writer.h"

enum { BLOCK = 2 << 20, UUID_IN_FOOTER = 68, GUID_IN_HEADER = 32, SEQUENCE = 8 };

static struct bytes load(const char *path)
{
        struct bytes b = fixture_file(path);

        if (!b.data) {
                perror(path);
                exit(1);
        }
        return b;
}

static struct bytes make_vhd(struct bytes child, struct bytes base, const char *parent)
{
        struct vhd_wish wish = {.block = BLOCK, .parent = parent, .base = base};
        struct bytes file = load(parent), out;

        memset(wish.uuid, 0x42, sizeof wish.uuid);
        wish.uuid[0] = (uint8_t)strlen(parent);
        memcpy(wish.parent_uuid, file.data + file.len - VHD_FOOTER + UUID_IN_FOOTER, VHD_UUID);
        out = vhd_write(child, &wish);
        free(file.data);
        return out;
}

static struct bytes make_vhdx(struct bytes child, struct bytes base, const char *parent)
{
        struct vhdx_wish wish = {.parent = parent, .base = base};
        struct bytes file = load(parent), out;
        const uint8_t *first = file.data + VHDX_HEADER_1, *second = file.data + VHDX_HEADER_2;

        memset(wish.data_guid, 0x42, sizeof wish.data_guid);
        wish.data_guid[0] = (uint8_t)strlen(parent);
        if (load_le64(second + SEQUENCE) > load_le64(first + SEQUENCE))
                first = second;
        memcpy(wish.parent_guid, first + GUID_IN_HEADER, VHDX_GUID_LEN);
        out = vhdx_write(child, &wish);
        free(file.data);
        return out;
}

int main(int argc, char **argv)
{
        struct bytes child, base, out;
        FILE *f;

        if (argc != 6) {
                fprintf(stderr, "usage: mkdiff vhd|vhdx CHILD.raw BASE.raw PARENT OUT\n");
                return 2;
        }
        child = load(argv[2]);
        base = load(argv[3]);
        out = (strcmp(argv[1], "vhd") == 0 ? make_vhd : make_vhdx)(child, base, argv[4]);
        f = fopen(argv[5], "w");
        if (!f || fwrite(out.data, 1, out.len, f) != out.len || fclose(f) != 0) {
                perror(argv[5]);
                return 1;
        }
        free(child.data);
        free(base.data);
        free(out.data);
        return 0;
}
