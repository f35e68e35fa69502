/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/store/pbs/pxar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/store/pbs/pxar_internal.h"
#include "archive/volume.h"

enum {
        TABLE_ENTRY = 24, /* hash, distance, size */
        TABLE_MIN = PXAR_HEADER + TABLE_ENTRY,
        TABLE_MAX = 1 << 30, /* bytes: 44 million children */
        TABLE_PIECE = 2730,  /* entries that are read at once */
};

static const uint64_t tail_marker = UINT64_C(0xef5eed5b753e1555);

/* A child of a folder, by its table. */
struct child {
        uint64_t start; /* of its FILENAME */
        uint64_t size;  /* from there on; reliable only for folders */
};

struct table {
        struct child *children; /* by start */
        size_t count;
        uint64_t start; /* of the GOODBYE item */
};

static void cleanup_table_fn(struct table *t)
{
        free(t->children);
}

/* ---- a folder's table ---- */

/* Find the GOODBYE item of FOLDER by its tail. */
static int find_table(struct pxar *p, const struct pxar_folder *folder, uint64_t *start,
                      uint64_t *size, struct error *err)
{
        uint8_t tail[TABLE_ENTRY];
        struct pxar_item item;
        uint64_t distance;
        int rc;

        if (folder->end < folder->start + TABLE_MIN)
                return error_set_at(err, EIO, folder->end, "a folder has no table");
        rc = pxar_read(p->meta, tail, sizeof tail, folder->end - sizeof tail, err);
        if (rc < 0)
                return rc;
        *size = load_le64(tail + 16);
        distance = load_le64(tail + 8);
        if (load_le64(tail) != tail_marker || *size < TABLE_MIN || *size > TABLE_MAX ||
            *size > folder->end - folder->start || (*size - TABLE_MIN) % TABLE_ENTRY)
                return error_set_at(err, EIO, folder->end, "a folder's table is damaged");
        *start = folder->end - *size;
        rc = pxar_read_item(p->meta, *start, folder->end, &item, err);
        if (rc < 0)
                return rc;
        if (item.type != PXAR_GOODBYE || item.size != *size || distance != *start - folder->start)
                return error_set_at(err, EIO, *start, "a folder's table is damaged");
        return 0;
}

static int by_start(const void *a, const void *b)
{
        const struct child *x = a, *y = b;

        return x->start < y->start ? -1 : x->start > y->start;
}

/* Take N entries at P into T. False: they are impossible. */
static bool take_children(struct table *t, const struct pxar_folder *folder, const uint8_t *p,
                          size_t n)
{
        for (; n > 0; n--, p += TABLE_ENTRY) {
                uint64_t distance = load_le64(p + 8);
                struct child *c = &t->children[t->count++];

                if (distance == 0 || distance >= t->start - folder->start)
                        return false;
                *c = (struct child){.start = t->start - distance, .size = load_le64(p + 16)};
        }
        return true;
}

static int read_table(struct pxar *p, const struct pxar_folder *folder, struct table *t,
                      struct error *err)
{
        cleanup_free uint8_t *piece = NULL;
        uint64_t size, at, left;
        int rc = find_table(p, folder, &t->start, &size, err);

        if (rc < 0)
                return rc;
        left = (size - TABLE_MIN) / TABLE_ENTRY;
        piece = malloc(((size_t)min_u64(left, TABLE_PIECE) + 1) * TABLE_ENTRY);
        t->children = malloc((size_t)(left + 1) * sizeof *t->children);
        if (!piece || !t->children)
                return error_set(err, ENOMEM, "out of memory");
        for (at = t->start + PXAR_HEADER; left > 0;) {
                size_t n = (size_t)min_u64(left, TABLE_PIECE);

                rc = pxar_read(p->meta, piece, n * TABLE_ENTRY, at, err);
                if (rc < 0)
                        return rc;
                if (!take_children(t, folder, piece, n))
                        return error_set_at(err, EIO, at, "a folder's table leads out of it");
                at += n * TABLE_ENTRY;
                left -= n;
        }
        qsort(t->children, t->count, sizeof *t->children, by_start);
        return 0;
}

/* ---- opening ---- */

int pxar_open(struct volume *meta, struct volume *payload, struct pxar **out,
              struct pxar_folder *root, struct error *err)
{
        cleanup_free struct pxar *p = calloc(1, sizeof *p);
        struct pxar_item item;
        uint64_t start, size;
        int rc;

        if (!p)
                return error_set(err, ENOMEM, "out of memory");
        p->meta = meta;
        p->payload = payload;
        rc = pxar_read_item(meta, 0, meta->size, &item, err);
        if (rc < 0)
                return rc;
        if ((item.type == PXAR_FORMAT_VERSION) != (payload != NULL))
                return error_set(err, EIO,
                                 payload ? "is no pxar archive of version 2"
                                         : "its data are in a .ppxar that is not there");
        *root = (struct pxar_folder){.end = meta->size};
        rc = find_table(p, root, &start, &size, err);
        if (rc == 0)
                *out = steal_ptr(&p);
        return rc;
}

void pxar_free(struct pxar *p)
{
        free(p);
}

int pxar_root(struct pxar *p, const struct pxar_folder *root,
              int (*each)(void *ctx, const struct pxar_entry *entry), void *ctx, struct error *err)
{
        struct pxar_node node;
        uint64_t at = root->start;
        struct pxar_item item;
        int rc;

        /* Version 2 begins with its number, and what the client has put before the root. */
        do {
                rc = pxar_read_item(p->meta, at, root->end, &item, err);
                if (rc < 0)
                        return rc;
                if (item.type != PXAR_FORMAT_VERSION && item.type != PXAR_PRELUDE)
                        break;
                at += item.size;
        } while (true);
        rc = pxar_parse_root(p, at, root->end, &node, err);
        if (rc == 0) {
                node.entry.folder = *root;
                rc = each(ctx, &node.entry);
        }
        pxar_node_fini(&node);
        return rc;
}

/* ---- listing ---- */

/* Find the range of C, a folder. False: it is not where its parent allows. */
static bool place_folder(const struct child *c, const struct table *t, uint64_t entry_start,
                         uint64_t *taken, struct pxar_folder *out)
{
        *out = (struct pxar_folder){.start = entry_start, .end = c->start + c->size};
        if (c->size > t->start - c->start || out->end <= entry_start || c->start < *taken)
                return false;
        *taken = out->end;
        return true;
}

/* 0, what EACH returned, or -EIO for a child that is damaged, which ERR says; *FATAL: any other. */
static int list_child(struct pxar *p, const struct table *t, const struct child *c, uint64_t *taken,
                      int (*each)(void *ctx, const struct pxar_entry *entry), void *ctx,
                      bool *damaged, struct error *err)
{
        struct pxar_node node;
        int rc = pxar_parse_node(p, c->start, t->start, &node, err);

        *damaged = rc == -EIO;
        if (rc == 0 && S_ISDIR(node.entry.mode) &&
            !place_folder(c, t, node.entry_start, taken, &node.entry.folder)) {
                *damaged = true;
                rc = error_set_at(err, EIO, c->start, "a folder overlaps another one");
        }
        if (rc == 0)
                rc = each(ctx, &node.entry);
        pxar_node_fini(&node);
        return rc;
}

int pxar_list(struct pxar *p, const struct pxar_folder *folder,
              int (*each)(void *ctx, const struct pxar_entry *entry), void *ctx, uint64_t *damaged,
              struct error *err)
{
        __attribute__((cleanup(cleanup_table_fn))) struct table t = {0};
        uint64_t taken = folder->start;
        int rc = read_table(p, folder, &t, err);

        *damaged = 0;
        for (size_t i = 0; rc == 0 && i < t.count; i++) {
                bool is_damaged = i > 0 && t.children[i].start == t.children[i - 1].start;

                if (!is_damaged)
                        rc = list_child(p, &t, &t.children[i], &taken, each, ctx, &is_damaged, err);
                if (!is_damaged)
                        continue;
                ++*damaged;
                rc = 0;
        }
        return rc;
}
