/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as an archive, all the way: open, scan, read, keep the index and use it. The options
 * are drawn from a hash of the input, so that each input is an archive as it stands.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "index/index.h"
#include "tests/fixtures/stream_fixture.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate_vma.h"
#include "tests/fuzz/read_disk.h"

enum { PLAIN_MAX = 128 << 10 };

static char dir[] = "/dev/shm/vmafs-fuzz-XXXXXX", sidecar[64];

static void remove_dir(void)
{
        unlink(sidecar);
        rmdir(dir);
}

/* A folder for the sidecar, where fsync costs nothing. */
static void make_dir(void)
{
        if (sidecar[0])
                return;
        fuzz_require(mkdtemp(dir) != NULL);
        snprintf(sidecar, sizeof sidecar, "%s/index", dir);
        atexit(remove_dir);
}

static struct index *open_archive(const char *path, const struct index_options *o)
{
        struct index *index = NULL;
        struct error err = {0};
        int rc = index_open(path, o, &index, &err);

        fuzz_require(rc == 0 || (rc < 0 && index == NULL && err.text[0]));
        return index;
}

static void check_disks(struct index *index, uint64_t seed)
{
        for (size_t i = 0; i < index_disk_count(index); i++)
                check_disk(index_disk(index, i), seed + i);
}

/* What the kept index says is what the scan said. */
static void check_kept(const char *path, struct index_options o, struct index *scanned)
{
        struct index *index;
        struct error err = {0};

        o.sidecar = INDEX_SIDECAR_USE;
        index = open_archive(path, &o);
        fuzz_require(index && index_sidecar_state(index).loaded);
        fuzz_require(index_scan(index, NULL, &err) == 0);
        fuzz_require(index_disk_count(index) == index_disk_count(scanned));
        for (size_t i = 0; i < index_disk_count(index); i++)
                fuzz_require(disk_digest(index_disk(index, i)) ==
                             disk_digest(index_disk(scanned, i)));
        index_close(index);
}

static void use(const char *path, const struct index_options *o, uint64_t seed)
{
        struct index *index = open_archive(path, o);
        struct error err = {0};
        int rc;

        if (!index)
                return;
        check_names(index);
        rc = index_scan(index, NULL, &err);
        fuzz_require(rc == 0 || rc == -E2BIG || rc == -EFBIG || rc == -ENOTSUP);
        fuzz_require(rc == 0 || err.text[0]);
        fuzz_require(index_sealed(index) && index_percent(index) == 100);
        check_disks(index, seed);
        if (o->sidecar == INDEX_SIDECAR_BUILD && index_sidecar_state(index).size)
                check_kept(path, *o, index);
        index_close(index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint64_t hash = XXH3_64bits(data, size);
        struct index_options o = {
            .recover_zero = hash & 1,
            .cache_bytes = hash & 2 ? 1 << 20 : 0,
            .threads = 1 + (hash >> 2 & 1),
            .sidecar = hash & 8 ? INDEX_SIDECAR_BUILD : INDEX_SIDECAR_NONE,
            .sidecar_path = sidecar,
            .window = 1 << 23,
            .unwatched = true,
        };
        char path[32];
        int fd = memfd_create("archive", MFD_CLOEXEC);

        make_dir();
        fuzz_require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        use(path, &o, hash);
        close(fd);
        return 0;
}

/* ---- changing what is inside a compressed archive ---- */

static size_t gunzip(const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
        z_stream z = {.next_in = (uint8_t *)data, .avail_in = (uInt)size};

        fuzz_require(inflateInit2(&z, 15 + 16) == Z_OK);
        z.next_out = out;
        z.avail_out = (uInt)room;
        inflate(&z, Z_FINISH);
        room = z.total_out;
        inflateEnd(&z);
        return room;
}

static size_t gzip(const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
        z_stream z = {.next_in = (uint8_t *)data, .avail_in = (uInt)size};
        int rc;

        fuzz_require(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
        z.next_out = out;
        z.avail_out = (uInt)room;
        rc = deflate(&z, Z_FINISH);
        room = z.total_out;
        deflateEnd(&z);
        return rc == Z_STREAM_END ? room : 0;
}

/* The size of the changed archive; 0: it is not one that can be changed so. */
static size_t mutate_inside(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
        static uint8_t plain[PLAIN_MAX];
        bool zstd = size >= 4 && load_le32(data) == ZSTD_MAGICNUMBER;
        bool deflate = size >= 3 && data[0] == 0x1f && data[1] == 0x8b && data[2] == 8;
        size_t len = 0;

        if (zstd)
                len = ZSTD_decompress(plain, sizeof plain, data, size);
        else if (deflate)
                len = gunzip(data, size, plain, sizeof plain);
        if (len == 0 || ZSTD_isError(len) || !is_vma(plain, len))
                return 0;
        len = vma_mutate(plain, len, sizeof plain, seed);
        if (deflate)
                return gzip(plain, len, data, max_size);
        len = ZSTD_compress(data, max_size, plain, len, 1);
        return ZSTD_isError(len) ? 0 : len;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
        cleanup_free uint8_t *copy = malloc(size + 1);
        size_t changed = 0;

        if (is_vma(data, size))
                return vma_mutate(data, size, max_size, seed);
        fuzz_require(copy != NULL);
        memcpy(copy, data, size);
        if (seed % 4 != 3)
                changed = mutate_inside(data, size, max_size, seed / 4);
        if (changed)
                return changed;
        memcpy(data, copy, size);
        return LLVMFuzzerMutate(data, size, max_size);
}
