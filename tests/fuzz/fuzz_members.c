/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as the stored tree of an archive's members: it is refused, or every folder is a part of
 * one tree, and all that it shows can be asked for.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/entry.h"
#include "index/members/members.h"
#include "tests/fuzz/fuzz.h"

static void look_at(const struct members *m, const struct members_node *n)
{
        struct entry_xattr *xattrs;
        struct entry e;

        fuzz_require(members_entry(m, n, &e, &xattrs) == 0);
        fuzz_require(strlen(e.name) < (size_t)1 << 20);
        for (size_t i = 0; i < e.xattr_count; i++)
                fuzz_require(strlen(e.xattrs[i].name) > 0);
        free(xattrs);
        if (S_ISREG(n->mode)) {
                struct members_volume open;
                struct volume_extent x;
                struct volume *v = members_open(m, n, NULL, &open);

                members_stored(m, n);
                if (v->size)
                        fuzz_require(v->ops->extent(v, v->size / 2, 1, &x) == 0 && x.len == 1);
        }
}

/* No recursion: the tree may be as deep as it has nodes. */
static void walk(const struct members *m)
{
        uint32_t *todo = calloc(members_count(m) + 1, sizeof *todo);
        size_t count = 1, seen = 0;

        fuzz_require(todo != NULL);
        while (count) {
                const struct members_node *n = members_get(m, todo[--count]);

                fuzz_require(seen++ < members_count(m));
                look_at(m, n);
                for (uint64_t i = 0; S_ISDIR(n->mode) && i < n->count; i++) {
                        fuzz_require(count < members_count(m));
                        todo[count++] = members_children(m, n)[i];
                }
        }
        free(todo);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct members *m = NULL;
        void *copy = malloc(size + 1);
        bool chosen;
        int rc;

        fuzz_require(copy != NULL);
        memcpy(copy, data, size);
        rc = members_load(copy, size, &chosen, &m);
        fuzz_require(rc == 0 || rc == -EINVAL || rc == -ENOMEM);
        if (rc == 0)
                walk(m);
        members_free(m);
        return 0;
}
