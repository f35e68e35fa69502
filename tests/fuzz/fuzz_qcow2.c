/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a qcow2 image: header, tables, snapshots, bitmaps and compressed clusters, through
 * the index and its reads. An image whose magic number was lost is given it back.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "archive/archive.h"
#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "archive/source.h"
#include "index/index.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_disk.h"

enum { HEADER = 104, DISKS_LOOKED_AT = 6 };

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct index_options options = {0};
        struct index *index = NULL;
        struct error err = {0};
        cleanup_close int fd = memfd_create("image", MFD_CLOEXEC);
        char path[64];
        int rc;

        fuzz_require(fd >= 0);
        fuzz_require(pwrite(fd, data, size, 0) == (ssize_t)size);
        if (size >= 4)
                fuzz_require(pwrite(fd, "QFI\xfb", 4, 0) == 4);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        rc = index_open(path, &options, &index, &err);
        if (rc < 0) {
                fuzz_require(err.code == -rc && err.text[0]);
                return 0;
        }
        check_names(index);
        rc = index_scan(index, NULL, &err);
        fuzz_require(rc == 0);
        check_disks(index);
        check_details(index);
        index_close(index);
        return 0;
}

/* Now and then one of the numbers that a header, a table or an entry is made of. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
        static const uint64_t numbers[] = {0,
                                           1,
                                           2,
                                           3,
                                           0x1000,
                                           0x10000,
                                           0x20000,
                                           1 << 9,
                                           UINT64_C(1) << 62,
                                           UINT64_C(1) << 63,
                                           UINT64_C(1) << 47,
                                           UINT64_MAX,
                                           0xffffffff00000001};
        uint64_t v = numbers[seed / 8 % (sizeof numbers / sizeof *numbers)];
        size_t at = size >= 16 ? seed / 1024 % (size / 8 - 1) * 8 : 0;

        if (seed % 8 || size < HEADER)
                return LLVMFuzzerMutate(data, size, max_size);
        if (seed / 128 % 2)
                at %= HEADER;
        v = htobe64(v | (seed / 256 % 4 ? 0 : seed / 1024 % 16 << 9));
        memcpy(data + at, &v, sizeof v);
        return size;
}
