/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loading a stored tree. Its hash says that it is what was written, but not who wrote it: each number
 * is checked before it is followed. That the folders are a tree follows from this: whatever a folder
 * lists has that folder as its parent, and no folder lists the root.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "archive/source/source.h"
#include "index/content.h"
#include "index/members/members_internal.h"
#include "index/members/stored_bytes.h"

enum {
        XATTRS_MAX = 1 << 20, /* bytes of one member's attributes */
        NANOSECONDS = 1000000000,
};

/* No byte of a file or a stream is as far. */
#define FAR (UINT64_C(1) << 62)

struct stored_tree {
        struct members_source from;
        struct members_counts counts;
        struct stored_bytes *nodes, *extras, *runs, *children, *names, *blob;
};

void stored_tree_free(struct stored_tree *s)
{
        if (!s)
                return;
        stored_bytes_free(s->nodes);
        stored_bytes_free(s->extras);
        stored_bytes_free(s->runs);
        stored_bytes_free(s->children);
        stored_bytes_free(s->names);
        stored_bytes_free(s->blob);
        source_close(s->from.file);
        free(s);
}

void stored_tally(const struct members *m, struct members_counts *out)
{
        *out = m->stored->counts;
}

/* ---- checking ---- */

static int need(struct stored_bytes *bytes, uint64_t from, uint64_t count, size_t size)
{
        uint64_t at, len;

        if (!checked_mul(from, size, &at) || !checked_mul(count, size, &len))
                return -EBADMSG;
        return stored_bytes_need(bytes, at, len);
}

/* A text of LEN bytes at AT of the names, which a zero ends. */
static int need_text(const struct members *m, uint64_t at, uint64_t len)
{
        int rc = len < FAR ? stored_bytes_need(m->stored->names, at, len + 1) : -EBADMSG;

        return rc == 0 && m->names.items[at + len] != '\0' ? -EBADMSG : rc;
}

/*
 * Where the symbolic link NUMBER leads. A name may have a zero within, but a target's length is what
 * stat says. Other names of one link were given its target, which need not be looked at again.
 */
static int need_target(const struct members *m, uint32_t number)
{
        const struct members_node *n = &m->nodes.items[number];
        int rc = need_text(m, n->target, n->size);

        if (rc == 0 && n->same == number && strlen(m->names.items + n->target) != n->size)
                rc = -EBADMSG;
        return rc;
}

static bool is_kind(uint16_t mode)
{
        return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISCHR(mode) || S_ISBLK(mode) ||
               S_ISFIFO(mode) || S_ISSOCK(mode);
}

/* All that N says without another. */
static bool is_node(const struct members *m, const struct members_node *n)
{
        if (n->kind != CONTENT_MEMBER || !is_kind(n->mode) || n->flags > MEMBERS_FLAGS ||
            n->mtime_ns >= NANOSECONDS || n->parent >= m->nodes.count ||
            n->same >= m->nodes.count || n->extra > m->extras.count)
                return false;
        if (S_ISREG(n->mode))
                return n->size <= FAR && n->data <= FAR;
        return !S_ISDIR(n->mode) ||
               (n->count < m->nodes.count && range_within(n->first, n->count, m->child_count));
}

/* N, which may be another name of the node N->same. A folder has one name. */
static int need_same(const struct members *m, const struct members_node *n)
{
        const struct members_node *first = &m->nodes.items[n->same];
        int rc;

        if (first == n)
                return 0;
        rc = need(m->stored->nodes, n->same, 1, sizeof *first);
        if (rc < 0)
                return rc;
        return S_ISDIR(n->mode) || first->mode != n->mode || first->same != n->same ? -EBADMSG : 0;
}

static int need_node(const struct members *m, uint32_t number)
{
        const struct members_node *n = m->nodes.items + number;
        int rc = need(m->stored->nodes, number, 1, sizeof *n);

        if (rc == 0 && !is_node(m, n))
                rc = -EBADMSG;
        if (rc == 0)
                rc = need_text(m, n->name, n->name_len);
        if (rc == 0 && S_ISLNK(n->mode))
                rc = need_target(m, number);
        return rc < 0 ? rc : need_same(m, n);
}

/* What FOLDER has at POSITION: one of its own, and after those before it, so that none is twice. */
static int need_child(const struct members *m, const struct members_node *folder, uint64_t position)
{
        uint64_t at = folder->first + position, before = position ? at - 1 : at;
        const uint32_t *list = m->children;
        int rc = need(m->stored->children, before, at - before + 1, sizeof *list);

        if (rc < 0)
                return rc;
        if (list[at] == MEMBERS_ROOT || list[at] >= m->nodes.count ||
            (position && list[at] <= list[before]))
                return -EBADMSG;
        rc = need_node(m, list[at]);
        if (rc < 0)
                return rc;
        return m->nodes.items[list[at]].parent == members_number(m, folder) ? 0 : -EBADMSG;
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

/* ---- asking ---- */

static int told(const struct members *m, int rc)
{
        const struct members_source *from = &m->stored->from;

        if (rc < 0 && from->failed)
                from->failed(from->ctx, rc);
        return rc;
}

const struct members_node *stored_node(const struct members *m, uint32_t number)
{
        return told(m, need_node(m, number)) < 0 ? NULL : m->nodes.items + number;
}

const struct members_node *stored_child(const struct members *m, const struct members_node *folder,
                                        uint64_t position)
{
        if (told(m, need_child(m, folder, position)) < 0)
                return NULL;
        return m->nodes.items + m->children[folder->first + position];
}

/*
 * No two links share a target, unless they are one file: else few bytes could take hours to check.
 */
static int need_targets(const struct members *m)
{
        uint64_t left = m->names.count;
        int rc = need(m->stored->nodes, 0, m->nodes.count, sizeof *m->nodes.items);

        for (size_t i = 0; i < m->nodes.count && rc == 0; i++) {
                const struct members_node *n = &m->nodes.items[i];

                if (!S_ISLNK(n->mode) || n->same != i)
                        continue;
                if (n->size >= left)
                        return -EBADMSG;
                left -= n->size + 1;
        }
        return rc;
}

int stored_complete(const struct members *m)
{
        struct members_counts counts;
        int rc = need_targets(m);

        for (size_t i = 0; i < m->nodes.count && rc == 0; i++) {
                const struct members_node *n = &m->nodes.items[i];

                rc = need_node(m, (uint32_t)i);
                for (uint64_t k = 0; rc == 0 && S_ISDIR(n->mode) && k < n->count; k++)
                        rc = need_child(m, n, k);
        }
        /* Also what nothing refers to. */
        if (rc == 0)
                rc = need(m->stored->children, 0, m->child_count, sizeof *m->children);
        if (rc == 0)
                rc = stored_bytes_need(m->stored->names, 0, m->names.count);
        if (rc < 0)
                return rc;
        counts = m->stored->counts;
        members_count_all(m, &counts);
        return memcmp(&counts, &m->stored->counts, sizeof counts) == 0 ? 0 : -EBADMSG;
}

/* ---- loading ---- */

static uint64_t get64(const uint8_t *header, size_t at)
{
        uint64_t v;

        memcpy(&v, header + at, sizeof v);
        return v;
}

static uint32_t get32(const uint8_t *header, size_t at)
{
        uint32_t v;

        memcpy(&v, header + at, sizeof v);
        return v;
}

/* Where in a stored tree the next array is. */
struct cursor {
        struct stored_tree *tree;
        uint64_t done; /* bytes */
        XXH3_state_t *sum;
        int rc; /* once it has failed, nothing more is done */
};

/* The next COUNT elements of SIZE bytes, which are *BYTES: all of them in memory if WHOLE. */
static void *next(struct cursor *c, uint64_t count, size_t size, bool whole,
                  struct stored_bytes **bytes)
{
        const struct members_source *from = &c->tree->from;
        uint64_t len = 0;

        if (c->rc == 0 && (!checked_mul(count, size, &len) || len > from->len - c->done ||
                           len % sizeof(uint64_t)))
                c->rc = -EBADMSG;
        if (c->rc == 0)
                c->rc = stored_bytes_open(from->file, from->at + c->done, len, whole || from->whole,
                                          c->sum, bytes);
        if (c->rc < 0)
                return NULL;
        c->done += len;
        return stored_bytes_at(*bytes);
}

#define NEXT(c, array, whole, bytes)                                                               \
        next((c), (array)->count, sizeof *(array)->items, (whole), (bytes))

/* All arrays, in the file's order. What few members have is read at once. */
static void open_arrays(struct members *m, struct cursor *c)
{
        struct stored_tree *s = m->stored;

        m->nodes.count = get64(m->header, AT_NODES);
        m->nodes.items = NEXT(c, &m->nodes, false, &s->nodes);
        m->extras.count = get64(m->header, AT_EXTRAS);
        m->extras.items = NEXT(c, &m->extras, true, &s->extras);
        m->runs.count = get64(m->header, AT_RUNS);
        m->runs.items = NEXT(c, &m->runs, true, &s->runs);
        m->child_count = get64(m->header, AT_CHILDREN);
        m->children = next(c, m->child_count, sizeof *m->children, false, &s->children);
        m->names.count = get64(m->header, AT_NAMES);
        m->names.items = NEXT(c, &m->names, false, &s->names);
        m->blob.count = get64(m->header, AT_BLOB);
        m->blob.items = NEXT(c, &m->blob, true, &s->blob);
        if (c->rc == 0 && (c->done != s->from.len || XXH3_64bits_digest(c->sum) != s->from.hash))
                c->rc = -EBADMSG;
}

static void load_header(struct members *m, struct cursor *c)
{
        const struct members_source *from = &m->stored->from;

        if (from->len < MEMBERS_HEADER)
                c->rc = -EBADMSG;
        else
                c->rc = source_pread_all(from->file, m->header, sizeof m->header, from->at);
        if (c->rc < 0)
                return;
        stored_bytes_sum(m->header, sizeof m->header, c->sum);
        c->done = MEMBERS_HEADER;
        m->stored->counts = (struct members_counts){
            .files = get64(m->header, AT_FILES),
            .folders = get64(m->header, AT_FOLDERS),
            .links = get64(m->header, AT_LINKS),
            .others = get64(m->header, AT_OTHERS),
            .replaced = get64(m->header, AT_REPLACED),
            .unshown = get64(m->header, AT_UNSHOWN),
            .dropped = get64(m->header, AT_DROPPED),
            .bytes = get64(m->header, AT_BYTES),
        };
        if (get32(m->header, AT_ORDER) != MEMBERS_ORDER ||
            get32(m->header, AT_VERSION) != MEMBERS_VERSION)
                c->rc = -ENOTSUP;
}

/* What is in memory is checked now. */
static int check_loaded(struct members *m)
{
        int rc;

        if (!m->nodes.count || m->nodes.count >= MEMBERS_NONE || !are_extras(m))
                return -EBADMSG;
        rc = m->stored->from.whole ? stored_complete(m) : need_node(m, MEMBERS_ROOT);
        if (rc < 0)
                return rc;
        return S_ISDIR(m->nodes.items[MEMBERS_ROOT].mode) ? 0 : -EBADMSG;
}

static int load(struct members *m)
{
        struct cursor c = {.tree = m->stored, .sum = XXH3_createState()};
        int rc;

        if (!c.sum)
                return -ENOMEM;
        XXH3_64bits_reset(c.sum);
        load_header(m, &c);
        open_arrays(m, &c);
        XXH3_freeState(c.sum);
        if (c.rc < 0)
                return c.rc;
        rc = check_loaded(m);
        return rc == -EBADMSG ? -EINVAL : rc;
}

int members_load(const struct members_source *from, bool *chosen, struct members **out)
{
        struct members *m = calloc(1, sizeof *m);
        int rc = -ENOMEM;

        if (m)
                m->stored = calloc(1, sizeof *m->stored);
        if (!m || !m->stored) {
                source_close(from->file);
                free(m);
                return rc;
        }
        m->stored->from = *from;
        m->shown = shown_names_new();
        if (m->shown)
                rc = load(m);
        if (rc < 0) {
                members_free(m);
                return rc;
        }
        *chosen = get32(m->header, AT_FLAGS) & MEMBERS_CHOSEN;
        *out = m;
        return 0;
}
