/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/read_image.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/format.h"
#include "index/index.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_disk.h"

enum { MAGIC = 4, DISKS_LOOKED_AT = 6 };

/* The sum of what was looked at twice must be the same. */
static void check_disks(struct index *index)
{
        size_t count = index_disk_count(index);

        for (size_t i = 0; i < count && i < DISKS_LOOKED_AT; i++) {
                struct disk *d = index_disk(index, i);

                check_disk(d, i + 1);
                fuzz_require(disk_digest(d) == disk_digest(d));
        }
}

/* What is told of a disk's parts covers it. */
static void check_extents(struct index *index)
{
        struct disk *d = index_disk(index, 0);
        uint64_t pos = 0;

        for (unsigned i = 0; i < 64 && pos < d->size; i++) {
                struct volume_extent e;

                fuzz_require(disk_extent(d, pos, d->size - pos, &e) == 0);
                fuzz_require(e.len > 0 && e.len <= d->size - pos);
                fuzz_require(e.kind != VOLUME_RAW || e.source);
                pos += e.len;
        }
}

void check_parts(const struct image_part *parts, size_t count)
{
        struct index_options options = {.unwatched = true};
        struct index *index = NULL;
        struct error err = {0};
        cleanup_close int fd = memfd_create("image", MFD_CLOEXEC);
        char path[64];
        int rc;

        fuzz_require(fd >= 0);
        for (size_t i = 0; i < count; i++)
                fuzz_require(pwrite(fd, parts[i].data, parts[i].len, (off_t)parts[i].at) ==
                             (ssize_t)parts[i].len);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        rc = index_open(path, &options, &index, &err);
        if (rc < 0) {
                fuzz_require(err.code == -rc && err.text[0]);
                return;
        }
        check_names(index);
        /* Any bytes may be something else than the target means: a tar, or compressed. */
        rc = index_scan(index, NULL, &err);
        fuzz_require(rc == 0 || (err.code == -rc && err.text[0]));
        check_disks(index);
        if (rc == 0 && index_disk_count(index) > 0)
                check_extents(index);
        index_close(index);
}

void check_image(const uint8_t *data, size_t size, const char *magic)
{
        const struct image_part parts[] = {{data, size, 0}, {magic, MAGIC, 0}};

        check_parts(parts, size >= MAGIC ? 2 : 1);
}
