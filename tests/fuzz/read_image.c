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

/* What the format says of a disk's parts covers it, and only what it has is told. */
static void check_details(struct index *index)
{
        struct archive *a = index_archive(index);
        struct disk *d = index_disk(index, 0);
        uint64_t pos = 0;

        for (unsigned i = 0; i < 64 && pos < d->size; i++) {
                struct archive_detail detail;
                int rc = a->ops->detail(a, 0, pos, d->size - pos, &detail);

                fuzz_require(rc == 0 && detail.len > 0 && detail.len <= d->size - pos);
                pos += detail.len;
        }
}

void check_image(const uint8_t *data, size_t size, const char *magic)
{
        struct index_options options = {0};
        struct index *index = NULL;
        struct error err = {0};
        cleanup_close int fd = memfd_create("image", MFD_CLOEXEC);
        char path[64];
        int rc;

        fuzz_require(fd >= 0);
        fuzz_require(pwrite(fd, data, size, 0) == (ssize_t)size);
        if (size >= MAGIC)
                fuzz_require(pwrite(fd, magic, MAGIC, 0) == MAGIC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        rc = index_open(path, &options, &index, &err);
        if (rc < 0) {
                fuzz_require(err.code == -rc && err.text[0]);
                return;
        }
        check_names(index);
        rc = index_scan(index, NULL, &err);
        fuzz_require(rc == 0);
        check_disks(index);
        check_details(index);
        index_close(index);
}
