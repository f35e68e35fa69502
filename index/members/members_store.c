/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stored tree is its arrays, one after another, so that a million members are there again as soon
 * as they are read. What was read may be anything: each number is looked at once, in order. That the
 * folders are a tree follows from this: whatever a folder lists has that folder as its parent, and
 * the root is in none.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "index/content.h"
#include "index/members/members_internal.h"

enum {
        VERSION = 1,
        CHOSEN = 1,

        AT_ORDER = 0,
        AT_VERSION = 4,
        AT_FLAGS = 8,
        AT_NODES = 16,
        AT_EXTRAS = 24,
        AT_RUNS = 32,
        AT_CHILDREN = 40,
        AT_NAMES = 48,
        AT_BLOB = 56,
        AT_UNSHOWN = 64,
        AT_DROPPED = 72,

        NODES = 1, /* the piece of them */

        XATTRS_MAX = 1 << 20, /* bytes of one member's attributes */
        NANOSECONDS = 1000000000,
};

#define BYTE_ORDER_MARK UINT32_C(0x01020304)
#define FAR             (UINT64_C(1) << 62)

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

void members_store(struct members *m, bool chosen, struct members_piece pieces[MEMBERS_PIECES])
{
        memset(m->header, 0, sizeof m->header);
        put32(m, AT_ORDER, BYTE_ORDER_MARK);
        put32(m, AT_VERSION, VERSION);
        put32(m, AT_FLAGS, chosen ? CHOSEN : 0);
        put64(m, AT_NODES, m->nodes.count);
        put64(m, AT_EXTRAS, m->extras.count);
        put64(m, AT_RUNS, m->runs.count);
        put64(m, AT_CHILDREN, m->child_count);
        put64(m, AT_NAMES, m->names.count);
        put64(m, AT_BLOB, m->blob.count);
        put64(m, AT_UNSHOWN, m->unshown);
        put64(m, AT_DROPPED, m->dropped);
        pieces[0] = (struct members_piece){m->header, sizeof m->header};
        pieces[NODES] =
            (struct members_piece){m->nodes.items, m->nodes.count * sizeof *m->nodes.items};
        pieces[2] =
            (struct members_piece){m->extras.items, m->extras.count * sizeof *m->extras.items};
        pieces[3] = (struct members_piece){m->runs.items, m->runs.count * sizeof *m->runs.items};
        pieces[4] = (struct members_piece){m->children, m->child_count * sizeof *m->children};
        pieces[5] = (struct members_piece){m->names.items, m->names.count};
        pieces[6] = (struct members_piece){m->blob.items, m->blob.count};
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

bool members_equal(struct members *a, struct members *b)
{
        struct members_piece of_a[MEMBERS_PIECES], of_b[MEMBERS_PIECES];

        members_store(a, false, of_a);
        members_store(b, false, of_b);
        for (size_t i = 0; i < MEMBERS_PIECES; i++)
                if (of_a[i].len != of_b[i].len ||
                    (i != NODES && of_a[i].len &&
                     memcmp(of_a[i].data, of_b[i].data, of_a[i].len) != 0))
                        return false;
        return nodes_equal(a, b);
}

/* ---- checking ---- */

static bool is_kind(uint16_t mode)
{
        return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISCHR(mode) || S_ISBLK(mode) ||
               S_ISFIFO(mode) || S_ISSOCK(mode);
}

/* Is it the file that it says to be another name of? A folder has one name. */
static bool is_name_of(const struct members *m, const struct members_node *n)
{
        const struct members_node *first = &m->nodes.items[n->same];

        return first == n || (!S_ISDIR(n->mode) && first->mode == n->mode &&
                              first->same == members_number(m, first));
}

/* All that N itself says. */
static bool is_node(const struct members *m, const struct members_node *n)
{
        if (n->kind != CONTENT_MEMBER || !is_kind(n->mode) || n->flags > MEMBERS_FLAGS ||
            n->mtime_ns >= NANOSECONDS || n->parent >= m->nodes.count ||
            n->same >= m->nodes.count || n->extra > m->extras.count)
                return false;
        if ((uint64_t)n->name + n->name_len >= m->names.count ||
            m->names.items[n->name + n->name_len] != '\0')
                return false;
        if (!is_name_of(m, n))
                return false;
        if (S_ISREG(n->mode))
                return n->size <= FAR && n->data <= FAR;
        return !S_ISLNK(n->mode) || n->target < m->names.count;
}

static bool are_children(const struct members *m, const struct members_node *folder)
{
        uint32_t number = members_number(m, folder), last = MEMBERS_ROOT;

        if (!range_within(folder->first, folder->count, m->child_count))
                return false;
        for (uint64_t i = 0; i < folder->count; i++) {
                uint32_t child = m->children[folder->first + i];

                /* In order, so that none is there twice. */
                if (child <= last || child >= m->nodes.count ||
                    m->nodes.items[child].parent != number)
                        return false;
                last = child;
        }
        return true;
}

/* Are they LEN bytes of attributes? */
static bool are_xattrs(const char *at, uint64_t len)
{
        while (len) {
                const char *end = memchr(at, '\0', len);
                uint32_t value;
                uint64_t head;

                if (!end || end == at)
                        return false;
                head = (uint64_t)(end - at) + 1 + sizeof value;
                if (head > len)
                        return false;
                memcpy(&value, end + 1, sizeof value);
                if (value > len - head)
                        return false;
                at += head + value;
                len -= head + value;
        }
        return true;
}

static bool are_runs(const struct member_run *run, uint64_t count)
{
        uint64_t at = 0;

        for (; count; count--, run++) {
                if (run->start < at || run->start > FAR || run->len > FAR || run->offset > FAR)
                        return false;
                at = run->start + run->len;
        }
        return true;
}

/* Each has what follows on that of the one before, so that nothing is looked at twice. */
static bool are_extras(const struct members *m)
{
        uint64_t xattrs = 0, runs = 0;

        for (size_t i = 0; i < m->extras.count; i++) {
                const struct members_extra *x = &m->extras.items[i];

                if (x->xattrs != xattrs || x->runs != runs || x->xattrs_len > XATTRS_MAX ||
                    !range_within(xattrs, x->xattrs_len, m->blob.count) ||
                    !range_within(runs, x->run_count, m->runs.count) ||
                    !are_xattrs(m->blob.items + xattrs, x->xattrs_len) ||
                    !are_runs(m->runs.items + runs, x->run_count))
                        return false;
                xattrs += x->xattrs_len;
                runs += x->run_count;
        }
        return true;
}

static bool is_tree(const struct members *m)
{
        if (!S_ISDIR(m->nodes.items[0].mode) || m->names.items[m->names.count - 1] != '\0')
                return false;
        for (size_t i = 0; i < m->nodes.count; i++) {
                const struct members_node *n = &m->nodes.items[i];

                if (!is_node(m, n) || (S_ISDIR(n->mode) && !are_children(m, n)))
                        return false;
        }
        return are_extras(m);
}

/* ---- loading ---- */

/* The next COUNT elements of SIZE bytes. NULL: there are not so many. */
static void *next(char **at, size_t *left, uint64_t count, size_t size)
{
        void *here = *at;
        uint64_t bytes;

        if (!checked_mul(count, size, &bytes) || bytes > *left || bytes % sizeof(uint64_t))
                return NULL;
        *at += bytes;
        *left -= bytes;
        return here;
}

static uint64_t get64(const char *data, size_t at)
{
        uint64_t v;

        memcpy(&v, data + at, sizeof v);
        return v;
}

static uint32_t get32(const char *data, size_t at)
{
        uint32_t v;

        memcpy(&v, data + at, sizeof v);
        return v;
}

#define TAKE(array, at_count)                                                                      \
        ((array)->count = get64(data, at_count),                                                   \
         (array)->items = next(&at, &left, (array)->count, sizeof *(array)->items))

/* Point into DATA of LEN bytes, at least a header. False: it does not have what it says. */
static bool spread(struct members *m, char *data, size_t len)
{
        char *at = data + MEMBERS_HEADER;
        size_t left = len - MEMBERS_HEADER;

        if (get32(data, AT_ORDER) != BYTE_ORDER_MARK || get32(data, AT_VERSION) != VERSION)
                return false;
        m->child_count = get64(data, AT_CHILDREN);
        m->unshown = get64(data, AT_UNSHOWN);
        m->dropped = get64(data, AT_DROPPED);
        if (!TAKE(&m->nodes, AT_NODES) || !TAKE(&m->extras, AT_EXTRAS) || !TAKE(&m->runs, AT_RUNS))
                return false;
        m->children = next(&at, &left, m->child_count, sizeof *m->children);
        if (!m->children || !TAKE(&m->names, AT_NAMES) || !TAKE(&m->blob, AT_BLOB))
                return false;
        return left == 0 && m->nodes.count && m->nodes.count < MEMBERS_NONE && m->names.count;
}

int members_load(void *take_data, size_t len, bool *chosen, struct members **out)
{
        struct members *m = calloc(1, sizeof *m);

        if (!m) {
                free(take_data);
                return -ENOMEM;
        }
        m->loaded = take_data;
        m->shown = shown_names_new();
        if (!m->shown) {
                members_free(m);
                return -ENOMEM;
        }
        if (len < MEMBERS_HEADER || !spread(m, take_data, len) || !is_tree(m)) {
                members_free(m);
                return -EINVAL;
        }
        *chosen = get32(take_data, AT_FLAGS) & CHOSEN;
        *out = m;
        return 0;
}
