/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as the stored tree of an archive's members: it is refused, or every folder that can be
 * read is a part of one tree, and all that it shows can be asked for.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/entry.h"
#include "index/members/members.h"
#include "tests/fixtures/members_fixture.h"
#include "tests/fuzz/fuzz.h"

static void look_at(const struct members *m, const struct members_node *n)
{
        struct entry_xattr *xattrs;
        struct entry e;

        fuzz_require(members_entry(m, n, &e, &xattrs) == 0);
        fuzz_require(strlen(e.name) < (size_t)1 << 20);
        fuzz_require(!S_ISLNK(n->mode) || strlen(e.target) == n->size);
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

/* Each name that the folder N shows is found in it. */
static void look_up(const struct members *m, const struct members_node *n)
{
        const struct members_names *names;
        const struct members_node *found;

        if (members_names(m, n, &names) < 0)
                return;
        for (uint64_t i = 0; i < n->count; i++)
                fuzz_require(members_find(m, n, members_shown(m, names, i, members_child(m, n, i)),
                                          &found) == 0);
}

/* No recursion: the tree may be as deep as it has nodes. Returns whether all of it can be read. */
static bool walk(const struct members *m)
{
        const struct members_node **todo = calloc(members_count(m) + 1, sizeof *todo);
        size_t count = 1, seen = 0;
        bool whole = true;

        fuzz_require(todo != NULL);
        todo[0] = members_get(m, MEMBERS_ROOT);
        fuzz_require(todo[0] != NULL);
        while (count) {
                const struct members_node *n = todo[--count], *child;

                fuzz_require(seen++ < members_count(m));
                look_at(m, n);
                if (!S_ISDIR(n->mode))
                        continue;
                look_up(m, n);
                for (uint64_t i = 0; i < n->count; i++) {
                        child = members_child(m, n, i);
                        whole = whole && child;
                        if (!child)
                                break;
                        fuzz_require(count < members_count(m));
                        todo[count++] = child;
                }
        }
        free(todo);
        return whole;
}

/* A tree that is read as a whole is refused if anything of it would be. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const char *bytes = (const char *)data;
        struct members *parts = NULL, *whole = NULL;
        bool chosen;
        int rc = members_of_bytes(bytes, &size, false, NULL, &chosen, &parts);
        int of_whole = members_of_bytes(bytes, &size, true, NULL, &chosen, &whole);

        fuzz_require(rc == 0 || rc == -EBADMSG || rc == -EINVAL || rc == -ENOTSUP || rc == -ENOMEM);
        fuzz_require(rc == 0 || of_whole == rc);
        if (rc == 0 && !walk(parts))
                fuzz_require(of_whole == -EINVAL);
        if (of_whole == 0)
                fuzz_require(walk(whole) && members_equal(whole, parts) == 1);
        members_free(parts);
        members_free(whole);
        return 0;
}
