/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The scan: from one extent header to the next, and how much of each extent can be believed.
 *
 *   here                          next
 *   | header | stored blocks ... | header | ...
 *      ^ proves itself: MD5          ^ does the header above say where this one is?
 *
 * There is no sum over the blocks. What vouches for them is where they are: their header proves
 * itself, and at the very byte where they end by it, the next header stands. Where something else
 * stands there, a piece may be missing from the blocks, or have got in between them, of any
 * length, at any place, and what is behind that place would be read as the wrong blocks. Even a
 * distance to the next header that looks right says nothing: a missing piece of whole blocks
 * that takes a header with it leaves the same picture as a header that was overwritten where it
 * stood. So all blocks of such an extent are lost, though never its zeros, for which the header
 * alone stands. The loss is one extent, 59 clusters at most.
 *
 * Enough in place of the next header is: the end of the archive; a header that is damaged, as long
 * as the larger part of its magic and uuid shows that it is one; and a place that cannot be read,
 * since a bad sector moves nothing. An archive that ends inside an extent is taken for cut off,
 * and what is in front of the cut for good. (A piece missing from the last extent of all looks the
 * same, as one of exactly the length of whole extents looks like nothing at all.)
 *
 * A search takes whatever proves itself: magic, uuid and MD5. Another archive inside of a guest's
 * disk has another uuid. A second copy of this very one, or of a part of it, proves itself; then
 * its clusters are there twice, and the sink holds those for ambiguous.
 */
#include <errno.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/vma/vma_internal.h"

/* One slot of an extent header: a cluster of a device. Or several, of whole clusters in a row. */
struct slot {
        uint16_t mask;
        uint8_t device;
        uint32_t cluster;
        unsigned run; /* how many */
};

static struct slot load_slot(const unsigned char *header, unsigned i)
{
        uint64_t v = load_be64(header + EXTENT_SLOTS + 8 * (size_t)i);

        return (struct slot){.mask = (uint16_t)(v >> 48),
                             .device = (uint8_t)(v >> 32),
                             .cluster = (uint32_t)v,
                             .run = 1};
}

/* ---- what is found ---- */

/*
 * Most clusters are stored as a whole. For the others, what the compiler has on a processor that
 * need not be able to count bits is a call.
 */
static unsigned count_blocks(uint16_t mask)
{
        unsigned n = mask;

        if (mask == 0xffff)
                return CLUSTER_BLOCKS;
        n -= n >> 1 & 0x5555;
        n = (n & 0x3333) + (n >> 2 & 0x3333);
        n = (n + (n >> 4)) & 0x0f0f;
        return (n + (n >> 8)) & 0x1f;
}

static unsigned stored_blocks(const unsigned char *header)
{
        unsigned count = 0;

        for (unsigned i = 0; i < SLOTS; i++) {
                struct slot slot = load_slot(header, i);

                if (slot.device)
                        count += count_blocks(slot.mask);
        }
        return count;
}

const char *vma_fault(const struct proof *proof, unsigned char *h)
{
        if (memcmp(h, "VMAE", 4) != 0)
                return "no extent header is where one should be (wrong magic number)";
        if (memcmp(h + EXTENT_UUID, proof->uuid, UUID_LEN) != 0)
                return "an extent header carries the uuid of another archive";
        if (md5_check(&proof->md5, h, EXTENT_HEADER, EXTENT_MD5) < 0)
                return "an extent header is damaged (its MD5 sum is wrong)";
        if (load_be16(h + 4) != 0)
                return "an extent header is damaged (a reserved field is not 0)";
        if (load_be16(h + 6) != stored_blocks(h))
                return "an extent header is damaged (its block count and its masks differ)";
        return NULL;
}

uint64_t vma_next(uint64_t pos, const unsigned char *h)
{
        return pos + EXTENT_HEADER + (uint64_t)load_be16(h + 6) * BLOCK;
}

/*
 * Are the N bytes at H what is left of a header of this archive? A uuid is random: by chance, or in
 * the header of another archive, not even half of its bytes are right.
 */
static bool is_remains(const struct proof *proof, const unsigned char *h, size_t n)
{
        size_t known = 0, right = 0;

        for (size_t i = 0; i < 4 && i < n; i++, known++)
                right += h[i] == (unsigned char)"VMAE"[i];
        for (size_t i = 0; i < UUID_LEN && EXTENT_UUID + i < n; i++, known++)
                right += h[EXTENT_UUID + i] == proof->uuid[i];
        return right * 2 > known;
}

/* Find out what stands at byte POS. 0 or -errno that ends the scan. */
static int look(struct scan *s, uint64_t pos, struct place *p)
{
        ssize_t n;
        int rc = vma_reach(s, pos + EXTENT_HEADER);

        if (rc < 0)
                return rc;
        *p = (struct place){.pos = pos, .found = FOUND_END};
        if (s->end <= pos)
                return 0;
        n = vma_ahead_read(&s->ahead, s->vma, p->header,
                           (size_t)min_u64(EXTENT_HEADER, s->end - pos), pos);
        if (n < 0) {
                p->found = FOUND_UNREADABLE;
                p->fault = "an extent header cannot be read";
                return 0;
        }
        if (n < EXTENT_HEADER)
                p->fault = "the archive ends inside an extent header: it was cut off";
        else
                p->fault = vma_fault(&s->vma->proof, p->header);
        p->found = is_remains(&s->vma->proof, p->header, (size_t)n) ? FOUND_REMAINS : FOUND_JUNK;
        if (!p->fault)
                p->found = FOUND_HEADER;
        return 0;
}

static int report(const struct scan *s, uint64_t offset, const char *text)
{
        struct damage d = {.offset = offset, .disk = DISK_NONE, .text = text};

        return s->sink->damage(s->sink->ctx, &d);
}

/* The stream is broken at s->end: go on behind that, or note that it cannot be done. */
static int pass_break(struct scan *s)
{
        struct damage d = {.disk = DISK_NONE, .text = s->err->text};
        struct source_gap gap;
        int resumed, rc;

        d.offset = s->err->has_offset ? s->err->offset : s->end;
        rc = s->sink->damage(s->sink->ctx, &d);
        if (rc < 0)
                return rc;
        resumed = source_resume(s->vma->base.source, &gap, s->err);
        if (resumed < 0)
                return resumed;
        s->broken = resumed == 0;
        s->vma->base.source->resumes = !s->broken;
        if (gap.end > gap.start)
                rc = s->sink->gone(s->sink->ctx, gap.start, gap.end);
        return rc < 0 ? rc : s->sink->progress(s->sink->ctx, s->end);
}

int vma_reach(struct scan *s, uint64_t want)
{
        int rc = 0;

        while (rc == 0 && !s->broken) {
                rc = source_reach(s->vma->base.source, want, &s->end, s->err);
                if (rc != -EIO)
                        return rc;
                rc = pass_break(s);
        }
        return rc;
}

/* ---- the extent at hand ---- */

static int flush_batch(struct scan *s)
{
        int rc = 0;

        if (s->count)
                rc = s->sink->extents(s->sink->ctx, s->disk, s->batch, s->count, s->here->pos);
        s->count = 0;
        return rc;
}

/*
 * Merge what continues the last extent: a run of whole clusters becomes one. What is part of a
 * cluster is never merged with another's, since a map keeps a cluster that comes alone in 8 bytes.
 */
static void add_to_batch(struct scan *s, uint64_t start, uint64_t len, uint64_t addr, bool whole)
{
        struct extent *last = s->count ? &s->batch[s->count - 1] : NULL;
        struct extent e = {start, len, addr};
        bool mergeable = start % CLUSTER != 0 || (whole && last && last->start % CLUSTER == 0);

        if (last && mergeable && last->start + last->len == start && extent_continues(last, &e))
                last->len += len;
        else
                s->batch[s->count++] = e;
}

/* Can LEN bytes at ADDR be had and believed? */
static bool is_there(const struct scan *s, uint64_t addr, uint64_t len)
{
        return !s->doubtful && addr + len <= s->end;
}

/* How many blocks from number I on are stored if that one is, or are not if it is not. */
static unsigned blocks_alike(uint16_t mask, unsigned i)
{
        unsigned rest = (unsigned)mask >> i;

        if (rest & 1)
                rest = ~rest;
        return (unsigned)__builtin_ctz(rest | 1u << (CLUSTER_BLOCKS - i));
}

static void add_cluster(struct scan *s, const struct slot *slot, uint64_t size, uint64_t addr)
{
        uint64_t start = (uint64_t)slot->cluster * CLUSTER;
        uint64_t len = (uint64_t)slot->run * CLUSTER;
        uint64_t end = min_u64(start + len, round_up(size, BLOCK));

        if (slot->mask == 0) {
                add_to_batch(s, start, end - start, EXTENT_ZERO, true);
                return;
        }
        if (slot->mask == 0xffff && is_there(s, addr, len)) {
                add_to_batch(s, start, end - start, addr, true);
                return;
        }
        while (start < end) {
                unsigned i = (unsigned)(start % CLUSTER / BLOCK);
                uint64_t found = EXTENT_ZERO;

                len = min_u64((uint64_t)blocks_alike(slot->mask, i) * BLOCK, end - start);
                if (slot->mask >> i & 1) {
                        if (!is_there(s, addr, len))
                                len = BLOCK;
                        found = is_there(s, addr, len) ? addr : EXTENT_LOST;
                        addr += len;
                }
                add_to_batch(s, start, len, found, false);
                start += len;
        }
}

/* Where what DEV can hold ends. */
static uint64_t device_limit(const struct vma_device *dev)
{
        if (!dev->used)
                return 0;
        return dev->vmstate ? DEVICE_MAX : dev->size;
}

/*
 * The slot number I, whose stored blocks start at ADDR, with those behind it that go on with whole
 * clusters of its device: most do, and can be taken in together.
 */
static struct slot load_run(const struct scan *s, unsigned i, uint64_t addr)
{
        const unsigned char *words = s->here->header + EXTENT_SLOTS;
        struct slot slot = load_slot(s->here->header, i);
        uint64_t word = load_be64(words + 8 * (size_t)i);
        uint64_t limit = device_limit(&s->vma->devices[slot.device]);
        unsigned n = 1;

        if (slot.mask != 0xffff)
                return slot;
        while (i + n < SLOTS && load_be64(words + 8 * (size_t)(i + n)) == word + n &&
               ((uint64_t)slot.cluster + n) * CLUSTER < limit)
                n++;
        if (is_there(s, addr, (uint64_t)n * CLUSTER))
                slot.run = n;
        return slot;
}

/* Take in one slot whose stored blocks start at ADDR. */
static int take_slot(struct scan *s, const struct slot *slot, uint64_t addr)
{
        struct vma_device *dev = &s->vma->devices[slot->device];
        uint64_t start = (uint64_t)slot->cluster * CLUSTER;
        struct damage beyond = {.offset = s->here->pos,
                                .disk = dev->number,
                                .start = start,
                                .len = CLUSTER,
                                .text = "a cluster with data lies beyond its device's end"};
        uint64_t limit;
        int rc = 0;

        if (!dev->used)
                return report(s, s->here->pos, "a cluster belongs to no device of the archive");
        limit = device_limit(dev);
        if (start >= limit) {
                /* The genuine reader takes a zero cluster there without a word. */
                return slot->mask ? s->sink->damage(s->sink->ctx, &beyond) : 0;
        }
        if (s->disk != dev->number)
                rc = flush_batch(s);
        s->disk = dev->number;
        dev->stored = max_u64(dev->stored, start + (uint64_t)slot->run * CLUSTER);
        add_cluster(s, slot, limit, addr);
        return rc;
}

static int take_slots(struct scan *s)
{
        uint64_t addr = s->here->pos + EXTENT_HEADER;
        struct slot slot;

        for (unsigned i = 0; i < SLOTS; i += slot.run) {
                int rc;

                slot = load_run(s, i, addr);
                if (slot.device == 0)
                        continue;
                rc = take_slot(s, &slot, addr);
                if (rc < 0)
                        return rc;
                addr += (uint64_t)slot.run * count_blocks(slot.mask) * BLOCK;
        }
        return flush_batch(s);
}

/* The next header at or behind byte FROM into s->next, which is FOUND_END if there is none. */
static int search(struct scan *s, uint64_t from)
{
        int rc;

        s->next->found = FOUND_END;
        rc = vma_resync(s, from, s->next);
        return rc < 0 ? rc : 0;
}

/* Find out what vouches for the extent at hand, which should end at byte END. */
static int judge_extent(struct scan *s, uint64_t end)
{
        const char *doubt = "no extent header follows this extent, whose data may be displaced";
        const struct place *here = s->here;
        bool cut;
        int rc;

        vma_ahead_next(&s->ahead, s->vma->base.source, here->pos, end);
        rc = look(s, end, s->next);

        if (rc < 0)
                return rc;
        /* A piece may be missing from the last extent but one. */
        cut = s->next->found == FOUND_END && s->end < end;
        if (cut)
                rc = search(s, here->pos + EXTENT_HEADER);
        s->doubtful = s->next->found == FOUND_JUNK || (cut && s->next->found == FOUND_HEADER);
        if (rc == 0 && s->doubtful)
                return report(s, here->pos, doubt);
        if (rc == 0 && cut)
                return report(s, here->pos, "the archive ends inside this extent: it was cut off");
        return rc;
}

/* Take in the extent at hand. Afterwards s->next is what stands behind it. */
static int take_extent(struct scan *s)
{
        uint64_t end = vma_next(s->here->pos, s->here->header);
        int rc = judge_extent(s, end);

        if (rc == 0)
                rc = take_slots(s);
        /* The next header may stand within what this one claims. */
        if (s->doubtful)
                end = s->here->pos + EXTENT_HEADER;
        return rc < 0 ? rc : s->sink->progress(s->sink->ctx, min_u64(end, s->end));
}

/* ---- the chain ---- */

static void step(struct scan *s)
{
        struct place *done = s->here;

        s->here = s->next;
        s->next = done;
}

/* From what is not the header that should be here to the next one. */
static int step_over_damage(struct scan *s)
{
        int rc = report(s, s->here->pos, s->here->fault);

        if (rc == 0)
                rc = search(s, s->here->pos + 1);
        step(s);
        return rc;
}

static int step_over_extent(struct scan *s)
{
        uint64_t blocks = s->here->pos + EXTENT_HEADER;
        int rc = take_extent(s);

        step(s);
        if (rc < 0 || s->here->found != FOUND_JUNK)
                return rc;
        rc = search(s, blocks);
        /* Where the next header has come nearer, nothing is wrong with what has taken its place. */
        if (rc == 0 && !(s->next->found == FOUND_HEADER && s->next->pos < s->here->pos))
                rc = report(s, s->here->pos, s->here->fault);
        step(s);
        return rc;
}

/* The RAM state is a stream: what is stored beyond its declared size belongs to it. */
static int settle_sizes(const struct scan *s)
{
        for (unsigned i = 0; i < DEVICES; i++) {
                const struct vma_device *dev = &s->vma->devices[i];
                int rc;

                if (!dev->used || !dev->vmstate)
                        continue;
                rc = s->sink->size(s->sink->ctx, dev->number,
                                   dev->stored > round_up(dev->size, CLUSTER) ? dev->stored
                                                                              : dev->size);
                if (rc < 0)
                        return rc;
        }
        return 0;
}

int vma_scan(struct archive *a, const struct archive_sink *sink, struct error *err)
{
        struct error ignored = {0};
        struct place places[2];
        cleanup_free struct scan *s = calloc(1, sizeof *s);
        int rc;

        if (!s)
                return error_set(err, ENOMEM, "out of memory");
        s->vma = (struct vma *)a;
        s->sink = sink;
        s->err = err ? err : &ignored;
        s->here = &places[0];
        s->next = &places[1];
        a->source->resumes = true;
        rc = look(s, s->vma->first_extent, s->here);
        while (rc == 0 && s->here->found != FOUND_END)
                rc = s->here->found == FOUND_HEADER ? step_over_extent(s) : step_over_damage(s);
        a->source->resumes = false;
        vma_ahead_end(&s->ahead);
        free(s->window.bytes);
        return rc < 0 ? rc : settle_sizes(s);
}
