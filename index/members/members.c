/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "index/members/members_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "index/content.h"

enum {
        SLOTS_MIN = 1024,
        NAME_MAX_BYTES =
            UINT16_MAX, /* of one name: more are cut, and no name that is shown is longer */
        PART_FOLDER = 0755,
};

/* A component of a path. */
struct part {
        const char *name;
        size_t len;
};

struct members *members_new(uint64_t limit)
{
        const struct members_node root = {
            .kind = CONTENT_MEMBER, .mode = S_IFDIR | PART_FOLDER, .flags = MEMBERS_IMPLIED};
        struct members *m = calloc(1, sizeof *m);

        if (!m)
                return NULL;
        m->limit = limit;
        m->last_folder = MEMBERS_NONE;
        if (getrandom(&m->seed, sizeof m->seed, 0) != sizeof m->seed)
                m->seed = (uint64_t)(uintptr_t)m;
        m->slots = malloc(SLOTS_MIN * sizeof *m->slots);
        if (!m->slots || array_add(&m->names, '\0') < 0 || array_add(&m->nodes, root) < 0) {
                members_free(m);
                return NULL;
        }
        m->slot_count = SLOTS_MIN;
        memset(m->slots, 0xff, SLOTS_MIN * sizeof *m->slots);
        return m;
}

void members_free(struct members *m)
{
        if (!m)
                return;
        if (!m->stored) {
                array_free(&m->nodes);
                array_free(&m->names);
                array_free(&m->extras);
                array_free(&m->blob);
                array_free(&m->runs);
                free(m->children);
        }
        array_free(&m->last_path);
        shown_names_free(m->shown);
        free(m->slots);
        stored_tree_free(m->stored);
        free(m);
}

uint64_t members_bytes(const struct members *m)
{
        return m->nodes.count * (sizeof *m->nodes.items + sizeof *m->children) + m->names.count +
               m->extras.count * sizeof *m->extras.items + m->blob.count +
               m->runs.count * sizeof *m->runs.items + m->slot_count * sizeof *m->slots;
}

static struct members_node *node_at(struct members *m, uint32_t number)
{
        struct members_node *n = array_at(&m->nodes, number);

        if (!n) /* never: for those who cannot see that the root is always there */
                abort();
        return n;
}

/* ---- names ---- */

static uint32_t hash_of(const struct members *m, uint32_t folder, const struct part *p)
{
        return (uint32_t)XXH3_64bits_withSeed(p->name, p->len, m->seed ^ folder);
}

static bool is_named(const struct members *m, uint32_t number, uint32_t folder,
                     const struct part *p)
{
        const struct members_node *n = &m->nodes.items[number];

        return n->parent == folder && n->name_len == p->len &&
               memcmp(m->names.items + n->name, p->name, p->len) == 0;
}

/* The slot of P in FOLDER, or the free one where it would be. */
static struct members_slot *slot_of(const struct members *m, uint32_t folder, const struct part *p)
{
        uint32_t hash = hash_of(m, folder, p);
        size_t mask = m->slot_count - 1, at = hash & mask;
        struct members_slot *slot = &m->slots[at];

        while (slot->number != MEMBERS_NONE &&
               (slot->hash != hash || !is_named(m, slot->number, folder, p))) {
                at = (at + 1) & mask;
                slot = &m->slots[at];
        }
        return slot;
}

static int grow_slots(struct members *m)
{
        size_t count = m->slot_count * 2;
        struct members_slot *slots;

        if (m->used * 3 < m->slot_count * 2)
                return 0;
        if (members_bytes(m) + m->slot_count * sizeof *slots > m->limit)
                return -E2BIG;
        slots = malloc(count * sizeof *slots);
        if (!slots)
                return -ENOMEM;
        memset(slots, 0xff, count * sizeof *slots);
        for (size_t i = 0; i < m->slot_count; i++) {
                size_t at = m->slots[i].hash & (count - 1);

                if (m->slots[i].number == MEMBERS_NONE)
                        continue;
                while (slots[at].number != MEMBERS_NONE)
                        at = (at + 1) & (count - 1);
                slots[at] = m->slots[i];
        }
        free(m->slots);
        m->slots = slots;
        m->slot_count = count;
        return 0;
}

/* Add LEN bytes of TEXT and a NUL to the names. Sets *AT. */
static int add_text(struct members *m, const char *text, size_t len, uint32_t *at)
{
        if (m->names.count + len + 1 > UINT32_MAX)
                return -E2BIG;
        if (array_reserve(&m->names, len + 1) < 0)
                return -ENOMEM;
        *at = (uint32_t)m->names.count;
        memcpy(m->names.items + *at, text, len);
        m->names.items[*at + len] = '\0';
        m->names.count += len + 1;
        return 0;
}

/* The next component of *PATH. Skips '/' and ".". False: there is none. */
static bool next_part(const char **path, struct part *out)
{
        for (;;) {
                while (**path == '/')
                        ++*path;
                if (!**path)
                        return false;
                out->name = *path;
                out->len = (size_t)(strchrnul(*path, '/') - *path);
                *path += out->len;
                if (out->len == 1 && out->name[0] == '.')
                        continue;
                out->len = min_u64(out->len, NAME_MAX_BYTES);
                return true;
        }
}

static bool is_last(const char *path)
{
        struct part p;

        return !next_part(&path, &p);
}

/* ---- adding ---- */

/* A new member P of FOLDER, into SLOT. Sets *NUMBER. */
static int make(struct members *m, uint32_t folder, const struct part *p, struct members_slot *slot,
                uint32_t *number)
{
        struct members_node n = {
            .kind = CONTENT_MEMBER, .parent = folder, .name_len = (uint16_t)p->len, .links = 1};
        bool is_new = slot->number == MEMBERS_NONE;
        int rc;

        if (members_bytes(m) > m->limit || m->nodes.count >= MEMBERS_NONE - 1)
                return -E2BIG;
        /* The same name need not be kept twice. */
        if (!is_new)
                n.name = node_at(m, slot->number)->name;
        rc = is_new ? add_text(m, p->name, p->len, &n.name) : 0;
        *number = n.same = (uint32_t)m->nodes.count;
        if (rc == 0)
                rc = array_add(&m->nodes, n);
        if (rc < 0)
                return rc;
        *slot = (struct members_slot){*number, hash_of(m, folder, p)};
        node_at(m, folder)->count += is_new;
        m->used += is_new;
        return is_new ? grow_slots(m) : 0;
}

/* A folder P of FOLDER that no member has told of, in SLOT. */
static int imply_folder(struct members *m, uint32_t folder, const struct part *p,
                        struct members_slot *slot, uint32_t *number)
{
        struct members_node *n;
        int rc;

        if (slot->number != MEMBERS_NONE)
                node_at(m, slot->number)->flags |= MEMBERS_GONE;
        rc = make(m, folder, p, slot, number);
        if (rc < 0)
                return rc;
        n = node_at(m, *number);
        n->mode = S_IFDIR | PART_FOLDER;
        n->flags = MEMBERS_IMPLIED;
        return 0;
}

/*
 * The folder of the last component of PATH, which is in *LAST; where something else than a folder
 * is on the way, a folder takes its place, so that no link leads anywhere.
 */
static int find_folder(struct members *m, const char *path, uint32_t *folder, struct part *last)
{
        size_t known = m->last_path.count;
        int rc = 0;

        *folder = MEMBERS_ROOT;
        if (known && m->last_folder != MEMBERS_NONE &&
            strncmp(path, m->last_path.items, known) == 0 && !is_last(path + known)) {
                *folder = m->last_folder;
                path += known;
        }
        while (next_part(&path, last) && !is_last(path) && rc == 0) {
                struct members_slot *slot = slot_of(m, *folder, last);

                if (slot->number != MEMBERS_NONE && S_ISDIR(node_at(m, slot->number)->mode))
                        *folder = slot->number;
                else
                        rc = imply_folder(m, *folder, last, slot, folder);
        }
        return rc;
}

/* What follows on a member of FOLDER is most often another one of it. */
static int remember_folder(struct members *m, const char *path, const struct part *last,
                           uint32_t folder)
{
        size_t len = (size_t)(last->name - path);

        m->last_folder = folder;
        if (m->last_path.items && m->last_path.count == len &&
            memcmp(m->last_path.items, path, len) == 0)
                return 0;
        m->last_path.count = 0;
        if (array_reserve(&m->last_path, len + 1) < 0)
                return -ENOMEM;
        memcpy(m->last_path.items, path, len);
        m->last_path.count = len;
        return 0;
}

/* The member PATH, or MEMBERS_NONE. */
static uint32_t find(const struct members *m, const char *path)
{
        uint32_t at = MEMBERS_ROOT;
        struct part p;

        while (at != MEMBERS_NONE && next_part(&path, &p))
                at = slot_of(m, at, &p)->number;
        return at;
}

/* ---- what few have ---- */

static bool has_xattrs(const struct members *m, uint32_t extra, const struct member *from)
{
        const struct members_extra *x = &m->extras.items[extra - 1];

        return from->xattrs && x->xattrs_len == from->xattrs_len && x->run_count == 0 &&
               memcmp(m->blob.items + x->xattrs, from->xattrs, from->xattrs_len) == 0;
}

static int add_bytes(struct members *m, const struct member *from, struct members_extra *x)
{
        x->xattrs = m->blob.count;
        if (!from->xattrs_len || !from->xattrs)
                return 0;
        x->xattrs_len = from->xattrs_len;
        if (array_reserve(&m->blob, from->xattrs_len) < 0)
                return -ENOMEM;
        memcpy(m->blob.items + m->blob.count, from->xattrs, from->xattrs_len);
        m->blob.count += from->xattrs_len;
        return 0;
}

static int add_runs(struct members *m, const struct member *from, struct members_extra *x)
{
        x->runs = m->runs.count;
        if (!from->run_count || !from->runs)
                return 0;
        x->run_count = from->run_count;
        if (array_reserve(&m->runs, from->run_count) < 0)
                return -ENOMEM;
        memcpy(m->runs.items + m->runs.count, from->runs, from->run_count * sizeof *from->runs);
        m->runs.count += from->run_count;
        return 0;
}

/* Attributes are most often those of many others: they are kept once. */
static int add_extra(struct members *m, const struct member *from, uint32_t *number)
{
        uint32_t *recent =
            &m->recent[XXH3_64bits(from->xattrs ? from->xattrs : "", from->xattrs_len) % RECENT];
        struct members_extra x = {0};
        int rc;

        *number = 0;
        if (!from->xattrs_len && !from->sparse)
                return 0;
        if (!from->sparse && *recent && has_xattrs(m, *recent, from)) {
                *number = *recent;
                return 0;
        }
        rc = add_bytes(m, from, &x);
        if (rc == 0)
                rc = add_runs(m, from, &x);
        if (rc == 0)
                rc = array_add(&m->extras, x);
        if (rc < 0)
                return rc;
        *number = (uint32_t)m->extras.count;
        if (!from->sparse)
                *recent = *number;
        return 0;
}

/* ---- members ---- */

static void describe(struct members_node *n, const struct member *from)
{
        n->mode = (uint16_t)from->mode;
        n->uid = from->uid;
        n->gid = from->gid;
        n->mtime = from->mtime.tv_sec;
        n->mtime_ns = (uint32_t)from->mtime.tv_nsec;
        if (S_ISREG(from->mode)) {
                n->size = from->size;
                n->data = from->data;
                n->flags |= (uint16_t)((from->lost ? MEMBERS_LOST : 0) |
                                       (from->sparse ? MEMBERS_SPARSE : 0));
        } else if (S_ISCHR(from->mode) || S_ISBLK(from->mode)) {
                n->rdev = from->rdev;
        }
}

/* N is another name of the member ORIGINAL, or of nothing. */
static void link_to(struct members *m, uint32_t number, uint32_t original)
{
        struct members_node *n = node_at(m, number);
        const struct members_node *o = original != MEMBERS_NONE ? node_at(m, original) : NULL;

        if (!o || S_ISDIR(o->mode)) {
                n->mode = S_IFREG | (n->mode & 07777);
                n->flags |= MEMBERS_BROKEN | MEMBERS_LOST;
                n->size = n->data = 0;
                return;
        }
        n->size = o->size;
        n->data = o->data;
        n->mode = o->mode;
        n->uid = o->uid;
        n->gid = o->gid;
        n->mtime = o->mtime;
        n->mtime_ns = o->mtime_ns;
        n->extra = o->extra;
        n->same = o->same;
        n->flags = (uint16_t)(o->flags & ~(MEMBERS_GONE | MEMBERS_IMPLIED));
}

/* The folder NUMBER is told of, for the first time or again. */
static int take_folder(struct members *m, uint32_t number, const struct member *from)
{
        struct members_node *n = node_at(m, number);
        int rc;

        n->flags = 0;
        describe(n, from);
        rc = add_extra(m, from, &n->extra);
        return rc;
}

/* The file NUMBER is told of, which is ORIGINAL if FROM is another name of it. */
static int take_other(struct members *m, uint32_t number, uint32_t original,
                      const struct member *from)
{
        uint32_t at = 0, extra = 0;
        int rc;

        if (from->same) {
                describe(node_at(m, number), from);
                link_to(m, number, original);
                return 0;
        }
        rc = add_extra(m, from, &extra);
        if (rc == 0 && S_ISLNK(from->mode))
                rc = add_text(m, from->target, strlen(from->target), &at);
        if (rc < 0)
                return rc;
        describe(node_at(m, number), from);
        node_at(m, number)->extra = extra;
        if (S_ISLNK(from->mode)) {
                node_at(m, number)->size = strlen(from->target);
                node_at(m, number)->target = at;
        }
        return 0;
}

/* FROM is P in FOLDER. */
static int take(struct members *m, uint32_t folder, const struct part *p, const struct member *from)
{
        struct members_slot *slot = slot_of(m, folder, p);
        uint32_t number = slot->number;
        bool was_folder = number != MEMBERS_NONE && S_ISDIR(node_at(m, number)->mode);
        uint32_t old = number, original = from->same ? find(m, from->same) : MEMBERS_NONE;
        int rc;

        if (S_ISDIR(from->mode) && was_folder)
                return take_folder(m, number, from);
        if (was_folder && node_at(m, number)->count) {
                m->unshown++;
                return 0;
        }
        if (was_folder && m->last_folder == number)
                m->last_folder = MEMBERS_NONE;
        /* A file that is linked to itself stays as it is. */
        if (original != MEMBERS_NONE && original == old)
                return 0;
        rc = make(m, folder, p, slot, &number);
        if (rc < 0)
                return rc;
        if (old != MEMBERS_NONE)
                node_at(m, old)->flags |= MEMBERS_GONE;
        return S_ISDIR(from->mode) ? take_folder(m, number, from)
                                   : take_other(m, number, original, from);
}

int members_add(struct members *m, const struct member *member)
{
        struct part last;
        uint32_t folder;
        int rc;

        m->dropped += member->dropped;
        if (is_last(member->path))
                return S_ISDIR(member->mode) ? take_folder(m, MEMBERS_ROOT, member) : 0;
        rc = find_folder(m, member->path, &folder, &last);
        if (rc == 0)
                rc = remember_folder(m, member->path, &last, folder);
        if (rc == 0)
                rc = take(m, folder, &last, member);
        if (rc == 0 && members_bytes(m) > m->limit)
                rc = -E2BIG;
        return rc;
}

int members_show_at_root(struct members *m, const char *path)
{
        struct part last = {strrchr(path, '/') + 1, strlen(strrchr(path, '/') + 1)};
        uint32_t original = find(m, path), number;
        struct members_slot *slot = slot_of(m, MEMBERS_ROOT, &last);
        struct members_node *n;
        int rc;

        if (original == MEMBERS_NONE || slot->number != MEMBERS_NONE ||
            !S_ISREG(node_at(m, original)->mode) || (node_at(m, original)->flags & MEMBERS_BROKEN))
                return 0;
        rc = make(m, MEMBERS_ROOT, &last, slot, &number);
        if (rc < 0)
                return rc;
        link_to(m, number, original);
        /* A file of its own, so that the first has the links that were recorded. */
        n = node_at(m, number);
        n->same = number;
        n->flags |= MEMBERS_ADDED;
        return 0;
}
