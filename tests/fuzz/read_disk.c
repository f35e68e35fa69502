/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/read_disk.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "archive/volume.h"
#include "index/index.h"
#include "index/members/members.h"
#include "index/names.h"
#include "index/tree/tree.h"
#include "tests/fixtures/stream_fixture.h"
#include "tests/fuzz/fuzz.h"

enum { LOOKS = 12, TREE_DEPTH = 100, PIECE = 3 * MAP_BLOCK };

static void check_part(const char *part, size_t len)
{
        fuzz_require(len > 0 && len <= NAME_LEN_MAX);
        fuzz_require(!(len == 1 && part[0] == '.') && !(len == 2 && memcmp(part, "..", 2) == 0));
}

/* A name, with the folders that it is in. */
static void check_name(const char *name)
{
        json_t *json = json_string(name); /* NULL for what is not UTF-8 */
        const char *slash;

        fuzz_require(json != NULL);
        for (; (slash = strchr(name, '/')); name = slash + 1)
                check_part(name, (size_t)(slash - name));
        check_part(name, strlen(name));
        json_decref(json);
}

static const char *name_at(struct index *index, size_t i)
{
        size_t disks = index_disk_count(index);

        return i < disks ? index_disk(index, i)->name : index_file(index, i - disks)->name;
}

void check_names(struct index *index)
{
        size_t count = index_disk_count(index) + index_file_count(index);

        for (size_t i = 0; i < count; i++) {
                check_name(name_at(index, i));
                for (size_t j = 0; j < i; j++)
                        fuzz_require(strcmp(name_at(index, i), name_at(index, j)) != 0);
        }
}

/* An offset of the disk, nearer to its ends than to the middle. */
static uint64_t choose(const struct disk *d, uint64_t *state)
{
        uint64_t r = fixture_random(state), at = fixture_random(state);

        if (d->size == 0)
                return 0;
        switch (r % 4) {
        case 0:
                return at % min_u64(d->size, 262144);
        case 1:
                return d->size - 1 - at % min_u64(d->size, 262144);
        case 2:
                return at % d->size / MAP_BLOCK * MAP_BLOCK;
        default:
                return at % d->size;
        }
}

static void check_block(struct disk *d, uint64_t pos, const uint8_t *bytes, size_t n)
{
        struct volume_extent e;

        fuzz_require(disk_extent(d, pos, n, &e) == 0);
        fuzz_require(e.len > 0 && e.len <= n && e.kind != VOLUME_UNKNOWN);
        fuzz_require(e.kind != VOLUME_LOST || index_recover_zero(d->index));
        if (e.kind == VOLUME_ZERO || e.kind == VOLUME_LOST)
                for (size_t i = 0; i < e.len; i++)
                        fuzz_require(bytes[i] == 0);
}

static void check_read(struct disk *d, uint64_t pos, size_t len)
{
        uint8_t first[PIECE], second[PIECE];
        ssize_t n = disk_read(d, first, len, pos), again;

        fuzz_require(n == -EIO || n == -ENOMEM || (n >= 0 && (uint64_t)n <= d->size - pos));
        again = disk_read(d, second, len, pos);
        fuzz_require(n == again);
        if (n <= 0)
                return;
        fuzz_require(memcmp(first, second, (size_t)n) == 0);
        check_block(d, pos, first, (size_t)min_u64((uint64_t)n, MAP_BLOCK - pos % MAP_BLOCK));
        /* A part of what was read whole is the same part. */
        again = disk_read(d, second, (size_t)n - (size_t)n / 2, pos + (size_t)n / 2);
        fuzz_require(again == n - n / 2);
        fuzz_require(memcmp(first + n / 2, second, (size_t)again) == 0);
}

/* Is all of the block at POS zeros? */
static bool is_hole(struct disk *d, uint64_t pos)
{
        uint64_t at = pos - pos % MAP_BLOCK, end = min_u64(at + MAP_BLOCK, d->size);
        struct volume_extent e;

        for (; at < end; at += e.len)
                if (disk_extent(d, at, end - at, &e) < 0 || e.kind != VOLUME_ZERO)
                        return false;
        return true;
}

static void check_seek(struct disk *d, uint64_t pos)
{
        uint64_t data, hole;
        int rc = disk_next_hole(d, pos, &hole);

        fuzz_require(rc == 0 && hole >= pos && hole <= d->size);
        rc = disk_next_data(d, pos, &data);
        fuzz_require(rc == -ENXIO || (rc == 0 && data >= pos && data < d->size));
        if (is_hole(d, pos))
                fuzz_require(hole == pos && (rc < 0 || data > pos));
        else
                fuzz_require(rc == 0 && data == pos && hole > pos);
}

void check_disk(struct disk *d, uint64_t seed)
{
        uint8_t byte;

        fuzz_require(disk_read(d, &byte, 1, d->size) == 0);
        for (unsigned i = 0; i < LOOKS && d->size > 0; i++) {
                uint64_t pos = choose(d, &seed);

                check_read(d, pos, 1 + fixture_random(&seed) % PIECE);
                check_seek(d, pos);
        }
}

uint64_t disk_digest(struct disk *d)
{
        uint8_t bytes[PIECE];
        uint64_t digest = d->size, seed = 7;

        for (unsigned i = 0; i < LOOKS && d->size > 0; i++) {
                uint64_t pos = choose(d, &seed);
                ssize_t n = disk_read(d, bytes, sizeof bytes, pos);

                digest = digest * 31 + (n < 0 ? (uint64_t)n : XXH3_64bits(bytes, (size_t)n));
        }
        return digest;
}

/* ---- trees ---- */

static void check_member(struct index *index, const struct node *n)
{
        const struct members_node *m = index_member_of(index, n);
        const struct node_extra *x = tree_extra(n);
        struct members_volume open;
        uint8_t bytes[64];
        uint32_t len;

        fuzz_require(m != NULL);
        for (size_t at = 0; x && at < x->xattrs_len; at += len) {
                at += strlen(x->xattrs + at) + 1;
                memcpy(&len, x->xattrs + at, sizeof len);
                at += sizeof len;
                fuzz_require(at + len <= x->xattrs_len);
        }
        if (S_ISREG(m->mode)) {
                struct volume *v = index_member_open(index, m, &open);
                size_t want = (size_t)min_u64(sizeof bytes, v->size);
                int rc = volume_read(v, bytes, want, v->size - want);

                fuzz_require(rc == 0 || rc == -EIO || rc == -ENOMEM);
                members_stored(index_members(index), m);
        }
}

static void check_folder(struct index *index, struct node *folder, unsigned depth, size_t *room)
{
        struct tree_cursor c = {0};
        struct node *n;

        if (depth == TREE_DEPTH)
                return;
        fuzz_require(tree_open(folder) == 0);
        while ((n = tree_next(folder, &c))) {
                check_part(c.name, strlen(c.name));
                fuzz_require((*room)-- > 0);
                check_member(index, n);
                if (node_is_folder(n))
                        check_folder(index, n, depth + 1, room);
                tree_release(n, 1);
        }
        tree_close(folder);
}

void check_tree(struct index *index)
{
        struct members_counts counts;
        size_t room = members_count(index_members(index));

        members_tally(index_members(index), &counts);
        check_folder(index, tree_root(index_tree(index)), 0, &room);
}

void check_archive(const uint8_t *data, size_t size)
{
        check_archive_as(data, size, VIEW_AUTO);
}

void check_archive_as(const uint8_t *data, size_t size, enum archive_view view)
{
        const struct index_options o = {.cache_bytes = 1 << 20,
                                        .threads = 1,
                                        .window = 1 << 23,
                                        .unwatched = true,
                                        .view = view};
        uint64_t seed = XXH3_64bits(data, size);
        struct index *index = NULL;
        struct error err = {0};
        char path[32];
        int rc, fd = memfd_create("archive", MFD_CLOEXEC);

        fuzz_require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        rc = index_open(path, &o, &index, &err);
        fuzz_require(rc == 0 || (rc < 0 && index == NULL && err.text[0]));
        if (rc == 0) {
                check_names(index);
                err = (struct error){0};
                rc = index_scan(index, NULL, &err);
                /* -ENOTSUP: a later frame of a stream needs what is not in it. */
                fuzz_require(rc == 0 ||
                             ((rc == -E2BIG || rc == -EFBIG || rc == -ENOTSUP) && err.text[0]));
                fuzz_require(index_sealed(index));
                for (size_t i = 0; i < index_disk_count(index); i++)
                        check_disk(index_disk(index, i), seed + i);
                if (index_members(index))
                        check_tree(index);
                index_close(index);
        }
        close(fd);
}
