/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *   forge INDEX             make what a kept index says of the first span of its first disk impossible
 *   forge --hashes INDEX    make the hash of one MiB of each second segment wrong
 *   forge --members INDEX   make the last member of a tar of files one of no kind
 *
 * and make all other hashes of it right again, as somebody would who means ill.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "index/members/members.h"
#include "tests/fixtures/members_fixture.h"
#include "tests/fixtures/sidecar_fixture.h"

static void forge_span(struct bytes *b)
{
        memset(sidecar_extents(b), 0xff, load_le32(sidecar_span(b) + SC_SPAN_LEN));
}

static void forge_hashes(struct bytes *b)
{
        for (uint32_t i = 1; i < sidecar_segments(b); i += 2) {
                uint32_t count = load_le32(sidecar_segment(b, i) + SC_SEG_PARTS);
                uint8_t *hash = sidecar_parts(b, i) + (size_t)(count / 2) * SC_PART;

                if (count == 0)
                        continue;
                store_le64(hash, load_le64(hash) + 1);
                sidecar_seal_segment(b, i);
        }
}

/* The last thing in the tables of an index of a tree is where it is. */
static void forge_members(struct bytes *b)
{
        uint8_t *where =
            b->data + load_le64(b->data + SC_TABLES) + load_le64(b->data + SC_TABLES_LEN) - 24;
        char *tree = (char *)b->data + load_le64(where);
        uint64_t nodes = load_le64((uint8_t *)tree + 16);
        struct members_node *last = (struct members_node *)(tree + MEMBERS_HEADER) + nodes - 1;

        last->mode = 0;
        store_le64(where + 16, members_hash_of(tree, load_le64(where + 8)));
}

int main(int argc, char **argv)
{
        static const struct {
                const char *option;
                void (*forge)(struct bytes *b);
        } ways[] = {{"", forge_span}, {"--hashes", forge_hashes}, {"--members", forge_members}};
        const char *option = argc == 3 ? argv[1] : "";
        size_t way = 0;
        struct bytes b;

        while (way < 3 && strcmp(ways[way].option, option) != 0)
                way++;
        if (argc < 2 || argc > 3 || way == 3) {
                fprintf(stderr, "usage: forge [--hashes | --members] INDEX\n");
                return 2;
        }
        b = fixture_file(argv[argc - 1]);
        if (!b.data || b.len < SC_HEADER) {
                fprintf(stderr, "forge: %s is no index\n", argv[argc - 1]);
                return 1;
        }
        ways[way].forge(&b);
        sidecar_seal(&b);
        fixture_write(argv[argc - 1], b.data, b.len);
        free(b.data);
        return 0;
}
