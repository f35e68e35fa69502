/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifdef VMAFS_XZ

#include "archive/stream/xz/xz_find.h"

#include <errno.h>
#include <stdlib.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/source/source.h"
#include "archive/stream/resync.h"
#include "archive/stream/xz/xz_reader.h"

/* What the indexes may take: 16 bytes a block or so. */
#define MAP_MEMORY (UINT64_C(64) << 20)
#define CHUNK      ((size_t)64 << 10)
/* What a search needs of a header. Those with a chain of filters may be longer, and are missed. */
enum { NEED = 64 };

void xz_map_fini(struct xz_map *m)
{
        lzma_index_end(m->index, NULL);
        *m = (struct xz_map){0};
}

/* Give Z the file's bytes where it wants them. */
static lzma_ret run(lzma_stream *z, struct source *in, uint8_t *buf)
{
        uint64_t at = 0;

        for (;;) {
                lzma_ret ret;

                if (z->avail_in == 0) {
                        ssize_t n = source_pread_partly(in, buf, CHUNK, at);

                        if (n <= 0)
                                return LZMA_DATA_ERROR;
                        z->next_in = buf;
                        z->avail_in = (size_t)n;
                        at += (uint64_t)n;
                }
                ret = lzma_code(z, LZMA_RUN);
                if (ret == LZMA_SEEK_NEEDED) {
                        at = z->seek_pos;
                        z->avail_in = 0;
                } else if (ret != LZMA_OK) {
                        return ret;
                }
        }
}

/* Read the indexes of IN. 0 or -ENOMEM. */
static int read_map(struct xz_map *m, struct source *in)
{
        cleanup_free uint8_t *buf = malloc(CHUNK);
        lzma_stream z = LZMA_STREAM_INIT;
        lzma_ret ret = buf ? LZMA_OK : LZMA_MEM_ERROR;

        m->tried = true;
        if (ret == LZMA_OK)
                ret = lzma_file_info_decoder(&z, &m->index, MAP_MEMORY, in->size);
        if (ret == LZMA_OK)
                ret = run(&z, in, buf);
        lzma_end(&z);
        if (ret != LZMA_STREAM_END)
                m->index = NULL;
        else
                lzma_index_iter_init(&m->at, m->index);
        return ret == LZMA_MEM_ERROR ? -ENOMEM : 0;
}

/* What the indexes say of the block at byte AT, which is after those looked up before. */
static bool look_up(struct xz_map *m, uint64_t at, struct xz_extent *out)
{
        lzma_index_iter *i = &m->at;

        if (!m->index)
                return false;
        while (!m->ended && i->block.compressed_file_offset < at)
                m->ended = lzma_index_iter_next(i, LZMA_INDEX_ITER_BLOCK);
        *out = (struct xz_extent){.end = at + i->block.total_size,
                                  .unpadded = i->block.unpadded_size,
                                  .uncompressed = i->block.uncompressed_size};
        return !m->ended && i->block.compressed_file_offset == at;
}

/* Does byte AT look like what follows a block: another one's header, or an index? */
static bool goes_on(struct source *in, uint64_t at, lzma_check check)
{
        uint8_t head[LZMA_BLOCK_HEADER_SIZE_MAX];
        ssize_t n = source_pread_partly(in, head, sizeof head, at);
        lzma_block b;

        return n > 0 && (head[0] == 0 || xz_load_header(head, (size_t)n, check, &b));
}

/* What the header of R's block says of its sizes, where it does. */
static bool by_header(const struct xz_reader *r, struct xz_extent *out)
{
        uint8_t head[LZMA_BLOCK_HEADER_SIZE_MAX];
        ssize_t n = source_pread_partly(r->in.source, head, sizeof head, r->block_at);
        lzma_block b;

        if (n <= 0 || !xz_load_header(head, (size_t)n, r->check, &b) ||
            b.compressed_size == LZMA_VLI_UNKNOWN || b.uncompressed_size == LZMA_VLI_UNKNOWN)
                return false;
        *out = (struct xz_extent){.end = r->block_at + lzma_block_total_size(&b),
                                  .unpadded = lzma_block_unpadded_size(&b),
                                  .uncompressed = b.uncompressed_size};
        return goes_on(r->in.source, out->end, r->check);
}

int xz_measure_block(struct xz_map *m, const struct xz_reader *r, struct xz_extent *out)
{
        int rc = m->tried ? 0 : read_map(m, r->in.source);

        if (rc < 0)
                return rc;
        return (look_up(m, r->block_at, out) || by_header(r, out)) &&
               out->uncompressed >= r->block_out;
}

struct search {
        const struct xz_reader *r;
        uint64_t aux;
};

static bool is_stream(const uint8_t *p)
{
        lzma_stream_flags flags;

        return xz_probe(p, NEED) && lzma_stream_header_decode(&flags, p) == LZMA_OK;
}

/* Few places pass the first line, so that little is hashed. */
static bool is_block(const struct search *s, const uint8_t *p)
{
        lzma_block b;

        return p[0] > 0 && p[0] < NEED / 4 && (p[1] & 0x3c) == 0 &&
               xz_load_header(p, NEED, s->r->check, &b);
}

static size_t find(void *ctx, const uint8_t *p, size_t n, uint64_t at)
{
        struct search *s = ctx;

        (void)at;
        for (size_t i = 0; i + NEED <= n; i++) {
                if (is_stream(p + i)) {
                        s->aux = 0;
                        return i;
                }
                if (is_block(s, p + i)) {
                        s->aux = xz_aux(s->r);
                        return i;
                }
        }
        return RESYNC_NONE;
}

int xz_find(const struct xz_reader *r, uint64_t from, uint64_t *at, uint64_t *aux)
{
        struct search s = {.r = r};
        int rc = resync_search(r->in.source, from, NEED, find, &s, at);

        *aux = s.aux;
        return rc;
}

#endif
