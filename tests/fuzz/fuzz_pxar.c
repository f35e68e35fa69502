/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a pxar archive, the second half of them as its payload where the first byte says so:
 * the walk ends, and shows no more nodes than there is room for.
 */
#include <string.h>
#include <sys/stat.h>

#include "archive/store/pbs/pxar.h"
#include "archive/store/pbs/pxar_internal.h"
#include "archive/volume.h"
#include "tests/fuzz/fuzz.h"

struct memory {
        struct volume base;
        const uint8_t *data;
};

static int memory_extent(struct volume *v, uint64_t pos, uint64_t len, struct volume_extent *out)
{
        fuzz_require(len > 0 && pos <= v->size && len <= v->size - pos);
        *out = (struct volume_extent){.len = len, .kind = VOLUME_CODED};
        return 0;
}

static int memory_read(struct volume *v, void *buf, size_t len, uint64_t pos)
{
        fuzz_require(pos <= v->size && len <= v->size - pos);
        memcpy(buf, ((struct memory *)v)->data + pos, len);
        return 0;
}

static const struct volume_ops ops = {.extent = memory_extent, .read = memory_read};

struct walk {
        struct pxar *pxar;
        uint64_t nodes, room;
        unsigned depth;
};

static int take(void *ctx, const struct pxar_entry *e);

static void list(struct walk *w, const struct pxar_folder *folder)
{
        uint64_t damaged;

        /* The real tree is entered one folder at a time, when it is asked for. */
        if (w->depth == 100)
                return;
        w->depth++;
        pxar_list(w->pxar, folder, take, w, &damaged, NULL);
        w->depth--;
}

/* All of it is there, which the sanitizer checks. */
static void look_at(const struct pxar_xattr *x)
{
        const uint8_t *value = x->value;
        uint64_t sum = 0;

        for (size_t i = 0; i < x->len; i++)
                sum += value[i];
        fuzz_require(x->name[0] && x->len < PXAR_ATTRIBUTES_MAX && sum <= 255 * x->len);
}

static int take(void *ctx, const struct pxar_entry *e)
{
        struct walk *w = ctx;
        char data[64];

        fuzz_require(e->name[0] && !strchr(e->name, '/') && e->id > 0 && e->same_as != e->id);
        fuzz_require(++w->nodes <= w->room);
        for (size_t i = 0; i < e->xattr_count; i++)
                look_at(&e->xattrs[i]);
        if (S_ISREG(e->mode)) {
                struct volume *v;

                if (pxar_content(w->pxar, e, &v) < 0)
                        return 0;
                if (v->size)
                        pxar_read(v, data, v->size < sizeof data ? v->size : sizeof data, 0, NULL);
                v->ops->close(v);
        }
        if (S_ISDIR(e->mode))
                list(w, &e->folder);
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        bool split = size > 0 && data[0] & 1;
        size_t half = split ? size / 2 : size;
        struct memory meta = {.base = {.ops = &ops, .size = half ? half - 1 : 0}, .data = data + 1};
        struct memory payload = {.base = {.ops = &ops, .size = size - half}, .data = data + half};
        struct walk w = {.room = size / 24};
        struct pxar_folder root;

        if (pxar_open(&meta.base, split ? &payload.base : NULL, &w.pxar, &root, NULL) < 0)
                return 0;
        list(&w, &root);
        pxar_free(w.pxar);
        return 0;
}
