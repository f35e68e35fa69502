/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The scan: from one extent header to the next, and how much of each extent can be believed.
 *
 *   here                          next
 *   | header | stored blocks ... | header | ...
 *      ^ proves itself: MD5          ^ does the header above say where this one is?
 *
 * There is no checksum over the blocks. Their position vouches for them: their header proves
 * itself, and the next header stands exactly where it says that the blocks end. If something else
 * stands there, a piece of any length may be missing from the blocks or have been inserted anywhere
 * in them, and everything after that point would be read as the wrong blocks. A plausible distance
 * to the next header proves nothing: a missing piece of whole blocks that includes a header looks
 * like a header that was overwritten. So all blocks of such an extent are lost, but not its zeros,
 * which the header alone describes. The loss is one extent, at most 59 clusters.
 *
 * In place of the next header, these are accepted: the end of the archive; a damaged header, if
 * most of its magic and uuid is right; an unreadable place, since a bad sector displaces nothing;
 * and anything at all once every cluster of every device has come, if no header follows, since the
 * archive then ended there, for instance on a tape or a block device. An archive that ends inside
 * an extent counts as cut off, and what is before the cut as good. (A piece missing from the very
 * last extent looks the same. A missing piece of exactly the length of whole extents leaves no
 * trace.)
 *
 * A search accepts whatever proves itself by magic, uuid and MD5. Another archive inside a guest's
 * disk has another uuid. A second copy of this archive, or of a part of it, does prove itself; then
 * its clusters come twice, and the sink treats them as ambiguous.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source/source.h"
#include "archive/vma/vma_internal.h"

int vma_progress(struct scan *s, uint64_t done)
{
        s->progress = max_u64(s->progress, done);
        return s->sink->progress(s->sink->ctx, s->progress);
}

/*
 * Proxmox's reader keeps a bitmap of clusters in 64-bit words. It ignores a cluster of zeros beyond
 * the device's end but within its last word, and fails at one beyond that.
 */
enum { GENUINE_UNIT = 64 };

/*
 * A slot of an extent header, which is a cluster of a device; or several slots, whole clusters in a
 * row.
 */
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
 * Most clusters are stored whole. The others need a bit count, which is a library call on a
 * processor that may lack the instruction.
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
 * Are the N bytes at H the remains of a header of this archive? A uuid is random: by chance, or in
 * another archive's header, not even half of its bytes are right.
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
        else if (n == EXTENT_HEADER)
                source_suspect(s->vma->base.source, pos + EXTENT_HEADER);
        return 0;
}

static int report(const struct scan *s, uint64_t offset, const char *text)
{
        struct damage d = {.offset = offset, .disk = DISK_NONE, .text = text};

        return s->sink->damage(s->sink->ctx, &d);
}

int vma_reach(struct scan *s, uint64_t want)
{
        return source_look_ahead(s->vma->base.source, want, &s->end, s->err);
}

/* ---- the current extent ---- */

static int flush_batch(struct scan *s)
{
        int rc = 0;

        if (s->count)
                rc = s->sink->extents(s->sink->ctx, s->disk, s->batch, s->count, s->here->pos);
        s->count = 0;
        return rc;
}

/*
 * Add an extent, merged with the last one if it continues that: a run of whole clusters becomes one
 * extent. Parts of different clusters are never merged, since a map stores a single cluster in 8
 * bytes.
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

/* Can the LEN bytes at ADDR be read and trusted? */
static bool is_there(const struct scan *s, uint64_t addr, uint64_t len)
{
        return !s->doubtful && addr + len <= s->end;
}

/* How many blocks from number I on are all stored, or all not stored. */
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

/* Where DEV's storable range ends. */
static uint64_t device_limit(const struct vma_device *dev)
{
        if (!dev->used)
                return 0;
        return dev->vmstate ? DEVICE_MAX : dev->size;
}

/*
 * Slot number I, whose stored blocks start at ADDR, together with the following slots that continue
 * it with whole clusters of its device. Most do, and can be handled as one.
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

static uint64_t cluster_count(const struct vma_device *dev)
{
        return round_up(dev->size, CLUSTER) / CLUSTER;
}

static void note_strange(const struct scan *s, struct vma_device *dev)
{
        if (dev->strange++ == 0)
                dev->strange_at = s->here->pos;
}

/* Emit a slot whose stored blocks start at ADDR. */
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

        limit = device_limit(dev);
        if (start >= limit) {
                if (dev->used && slot->mask)
                        return s->sink->damage(s->sink->ctx, &beyond);
                if (!dev->used || slot->cluster >= round_up(cluster_count(dev), GENUINE_UNIT))
                        note_strange(s, dev);
                return 0;
        }
        dev->seen += slot->run;
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

/* ---- where the archive ends ---- */

/* Have all clusters come, counting the current header's if HERE? */
static bool is_whole(const struct scan *s, bool here)
{
        uint64_t more[DEVICES] = {0};

        for (unsigned i = 0; here && i < SLOTS; i++) {
                struct slot slot = load_slot(s->here->header, i);

                if ((uint64_t)slot.cluster * CLUSTER < device_limit(&s->vma->devices[slot.device]))
                        more[slot.device]++;
        }
        for (unsigned i = 0; i < DEVICES; i++) {
                const struct vma_device *dev = &s->vma->devices[i];

                if (dev->used && !dev->vmstate && dev->seen + more[i] < cluster_count(dev))
                        return false;
        }
        return true;
}

/*
 * P is junk. Is it FOUND_REST, something after a whole archive? Not if a header follows byte FROM.
 */
static int judge_rest(struct scan *s, uint64_t from, struct place *p)
{
        struct archive_info *info = &s->vma->base.info;
        struct place later;
        int rc = vma_resync(s, from, &later);

        if (rc != 0)
                return rc < 0 ? rc : 0;
        p->found = FOUND_REST;
        snprintf(info->note, sizeof info->note,
                 "from byte %" PRIu64 " on something follows that is not of the archive", p->pos);
        return vma_progress(s, s->end);
}

/*
 * Find the next header at or after byte FROM, and put it into s->next, which is FOUND_END if there
 * is none.
 */
static int search(struct scan *s, uint64_t from)
{
        int rc;

        s->next->found = FOUND_END;
        rc = vma_resync(s, from, s->next);
        return rc < 0 ? rc : 0;
}

/* Find out what vouches for the current extent, which should end at byte END. */
static int judge_extent(struct scan *s, uint64_t end)
{
        const char *doubt = "no extent header follows this extent, whose data may be displaced";
        const struct place *here = s->here;
        bool cut;
        int rc;

        vma_ahead_next(&s->ahead, s->vma->base.source, here->pos, end);
        rc = look(s, end, s->next);
        if (rc == 0 && s->next->found == FOUND_JUNK && is_whole(s, true))
                rc = judge_rest(s, here->pos + EXTENT_HEADER, s->next);
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

/* Process the current extent. Afterwards s->next is what stands after it. */
static int take_extent(struct scan *s)
{
        uint64_t end = vma_next(s->here->pos, s->here->header);
        int rc = judge_extent(s, end);

        if (rc == 0)
                rc = take_slots(s);
        /* The next header may stand within the range that this one claims. */
        if (s->doubtful)
                end = s->here->pos + EXTENT_HEADER;
        return rc < 0 ? rc : vma_progress(s, min_u64(end, s->end));
}

/* ---- the chain ---- */

static void step(struct scan *s)
{
        struct place *done = s->here;

        s->here = s->next;
        s->next = done;
}

/* Go on to the next header from something that is not one. */
static int step_over_damage(struct scan *s)
{
        int rc = 0;

        if (s->here->found == FOUND_JUNK && is_whole(s, false))
                rc = judge_rest(s, s->here->pos, s->here);
        if (rc < 0 || s->here->found == FOUND_REST)
                return rc;
        rc = report(s, s->here->pos, s->here->fault);
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
        /* If the next header stands closer than it should, what is in its place is fine. */
        if (rc == 0 && !(s->next->found == FOUND_HEADER && s->next->pos < s->here->pos))
                rc = report(s, s->here->pos, s->here->fault);
        step(s);
        return rc;
}

/* The RAM state is a stream, so what is stored beyond its declared size belongs to it, too. */
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

/* One line for each device, however many clusters. */
static int report_strange(const struct scan *s)
{
        int rc = 0;

        for (unsigned i = 0; i < DEVICES && rc == 0; i++) {
                const struct vma_device *dev = &s->vma->devices[i];
                struct damage d = {.offset = dev->strange_at, .disk = DISK_NONE};
                char text[128];

                if (!dev->strange)
                        continue;
                if (dev->used)
                        snprintf(text, sizeof text,
                                 "zeros far beyond the end of device %u (clusters: %" PRIu64
                                 "): the genuine restore fails",
                                 i, dev->strange);
                else
                        snprintf(text, sizeof text,
                                 "clusters belong to no device of the archive (%" PRIu64
                                 " to number %u)",
                                 dev->strange, i);
                d.text = text;
                rc = s->sink->damage(s->sink->ctx, &d);
        }
        return rc;
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
        rc = look(s, s->vma->first_extent, s->here);
        while (rc == 0 && s->here->found != FOUND_END && s->here->found != FOUND_REST)
                rc = s->here->found == FOUND_HEADER ? step_over_extent(s) : step_over_damage(s);
        vma_ahead_end(&s->ahead);
        free(s->window.bytes);
        if (rc == 0)
                rc = report_strange(s);
        return rc < 0 ? rc : settle_sizes(s);
}
