/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A stored tree is its arrays, one after another. */
#include <errno.h>
#include <string.h>

#include "archive/checksum.h"
#include "index/members/members_internal.h"
#include "index/members/stored_bytes.h"

enum { NODES = 1 }; /* the piece of them */

_Static_assert(sizeof(struct members_node) == 64, "a node is stored as it is");
_Static_assert(sizeof(struct members_extra) == 32, "an extra is stored as it is");
_Static_assert(sizeof(struct member_run) == 24, "a run is stored as it is");

/* ---- storing ---- */

static void put32(struct members *m, size_t at, uint32_t v)
{
        memcpy(m->header + at, &v, sizeof v);
}

static void put64(struct members *m, size_t at, uint64_t v)
{
        memcpy(m->header + at, &v, sizeof v);
}

static void put_counts(struct members *m)
{
        struct members_counts c;

        members_tally(m, &c);
        put64(m, AT_UNSHOWN, c.unshown);
        put64(m, AT_DROPPED, c.dropped);
        put64(m, AT_FILES, c.files);
        put64(m, AT_FOLDERS, c.folders);
        put64(m, AT_LINKS, c.links);
        put64(m, AT_OTHERS, c.others);
        put64(m, AT_REPLACED, c.replaced);
        put64(m, AT_BYTES, c.bytes);
}

int members_store(struct members *m, bool chosen, struct members_piece pieces[MEMBERS_PIECES])
{
        int rc = m->stored ? stored_complete(m) : 0;

        if (rc < 0)
                return rc;
        memset(m->header, 0, sizeof m->header);
        put32(m, AT_ORDER, MEMBERS_ORDER);
        put32(m, AT_VERSION, MEMBERS_VERSION);
        put32(m, AT_FLAGS, chosen ? MEMBERS_CHOSEN : 0);
        put64(m, AT_NODES, m->nodes.count);
        put64(m, AT_EXTRAS, m->extras.count);
        put64(m, AT_RUNS, m->runs.count);
        put64(m, AT_CHILDREN, m->child_count);
        put64(m, AT_NAMES, m->names.count);
        put64(m, AT_BLOB, m->blob.count);
        put_counts(m);
        pieces[0] = (struct members_piece){m->header, sizeof m->header};
        pieces[NODES] =
            (struct members_piece){m->nodes.items, m->nodes.count * sizeof *m->nodes.items};
        pieces[2] =
            (struct members_piece){m->extras.items, m->extras.count * sizeof *m->extras.items};
        pieces[3] = (struct members_piece){m->runs.items, m->runs.count * sizeof *m->runs.items};
        pieces[4] = (struct members_piece){m->children, m->child_count * sizeof *m->children};
        pieces[5] = (struct members_piece){m->names.items, m->names.count};
        pieces[6] = (struct members_piece){m->blob.items, m->blob.count};
        return 0;
}

int members_hash(const struct members_piece pieces[MEMBERS_PIECES], uint64_t *hash)
{
        XXH3_state_t *sum = XXH3_createState();

        if (!sum)
                return -ENOMEM;
        XXH3_64bits_reset(sum);
        for (size_t i = 0; i < MEMBERS_PIECES; i++)
                stored_bytes_sum(pieces[i].data, pieces[i].len, sum);
        *hash = XXH3_64bits_digest(sum);
        XXH3_freeState(sum);
        return 0;
}

/* The time of a folder that no member is says when the archive's file was written to. */
static bool nodes_equal(const struct members *a, const struct members *b)
{
        for (size_t i = 0; i < a->nodes.count; i++) {
                struct members_node n = a->nodes.items[i];

                if (n.flags & MEMBERS_IMPLIED)
                        n.mtime = b->nodes.items[i].mtime;
                if (memcmp(&n, &b->nodes.items[i], sizeof n) != 0)
                        return false;
        }
        return true;
}

int members_equal(struct members *a, struct members *b)
{
        struct members_piece of_a[MEMBERS_PIECES], of_b[MEMBERS_PIECES];
        int rc = members_store(a, false, of_a);

        if (rc == 0)
                rc = members_store(b, false, of_b);
        if (rc < 0)
                return rc;
        for (size_t i = 0; i < MEMBERS_PIECES; i++)
                if (of_a[i].len != of_b[i].len ||
                    (i != NODES && of_a[i].len &&
                     memcmp(of_a[i].data, of_b[i].data, of_a[i].len) != 0))
                        return 0;
        return nodes_equal(a, b);
}
