/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fixture_sidecar.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "archive/bytes.h"
#include "archive/cleanup.h"
#include "archive/error.h"
#include "tests/vma_writer.h"

enum { PIECE = 65536 };

/* A fixture that cannot be made is no test result: stop. */
static void require(int ok, const char *what)
{
        if (ok)
                return;
        fprintf(stderr, "fixture: %s failed: %s\n", what, strerror(errno));
        abort();
}

void fixture_write(const char *path, const void *data, size_t len)
{
        cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        require(fd >= 0 && write(fd, data, len) == (ssize_t)len, path);
        require(fchmod(fd, 0600) == 0, path); /* it may have been condemned (location.h) */
}

struct bytes fixture_copy(struct bytes b)
{
        struct bytes copy = {.data = malloc(b.len + 1), .len = b.len};

        require(copy.data != NULL, "malloc");
        memcpy(copy.data, b.data, b.len);
        return copy;
}

/* Every other cluster first, as a live backup does. */
static void write_clusters(struct vma_writer *w, struct bytes disk)
{
        uint32_t count = (uint32_t)((disk.len + VMA_CLUSTER - 1) / VMA_CLUSTER);

        for (uint32_t i = 0; i < count; i++) {
                uint32_t number = i < (count + 1) / 2 ? i * 2 : (i - (count + 1) / 2) * 2 + 1;
                uint8_t cluster[VMA_CLUSTER] = {0};
                size_t at = (size_t)number * VMA_CLUSTER;

                memcpy(cluster, disk.data + at, min_u64(VMA_CLUSTER, disk.len - at));
                require(vma_writer_cluster(w, 1, number, vma_nonzero_mask(cluster), cluster) == 0,
                        "vma_writer_cluster");
        }
}

static struct bytes make_vma(const char *path, struct bytes disk)
{
        static const uint8_t uuid[16] = {7};
        struct vma_writer *w;
        cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        require(fd >= 0, path);
        require(vma_writer_open(fd, uuid, 1700000000, &w) == 0, "vma_writer_open");
        vma_writer_config(w, "qemu-server.conf", "name: x\n", 8);
        require(vma_writer_device(w, 1, "drive-scsi0", disk.len) == 0, "vma_writer_device");
        require(vma_writer_header(w, NULL) == 0, "vma_writer_header");
        write_clusters(w, disk);
        require(vma_writer_close(w) == 0, "vma_writer_close");
        return fixture_file(path);
}

/* Data with holes: every eighth cluster is zero. */
static struct bytes make_disk(size_t len)
{
        struct bytes disk = fixture_mixture(len, 5);

        for (size_t at = 3 * VMA_CLUSTER; at + VMA_CLUSTER <= len; at += 8 * VMA_CLUSTER)
                memset(disk.data + at, 0, VMA_CLUSTER);
        return disk;
}

static struct bytes compress(struct bytes vma, enum fixture_kind kind)
{
        switch (kind) {
        case FIXTURE_ZSTD:
                return fixture_compress(vma, 1, 18, 1, 1);
        case FIXTURE_GZIP:
                return fixture_pipe(vma, "gzip -1");
        case FIXTURE_LZOP:
                return fixture_pipe(vma, "lzop -1");
        default:
                return fixture_copy(vma);
        }
}

void sidecar_fixture_archive(struct sidecar_fixture *f, enum fixture_kind kind, size_t len)
{
        struct bytes vma, packed;

        *f = (struct sidecar_fixture){.disk = make_disk(len)};
        snprintf(f->dir, sizeof f->dir, "%s", "/tmp/vmafs-sidecar-XXXXXX");
        require(mkdtemp(f->dir) != NULL, "mkdtemp");
        snprintf(f->archive, sizeof f->archive, "%s/backup", f->dir);
        snprintf(f->index, sizeof f->index, "%s/index", f->dir);
        vma = make_vma(f->archive, f->disk);
        packed = compress(vma, kind);
        fixture_write(f->archive, packed.data, packed.len);
        free(packed.data);
        free(vma.data);
}

void sidecar_fixture_make(struct sidecar_fixture *f, enum fixture_kind kind, size_t len)
{
        char problem[400] = "";

        sidecar_fixture_archive(f, kind, len);
        require(sidecar_build(f, problem, sizeof problem) == 0 && !problem[0], problem);
        f->sidecar = fixture_file(f->index);
        require(f->sidecar.len > SC_HEADER, "the sidecar");
}

static void remove_all(const char *dir)
{
        DIR *d = opendir(dir);
        struct dirent *e;

        while (d && (e = readdir(d)))
                unlinkat(dirfd(d), e->d_name, 0);
        if (d)
                closedir(d);
        rmdir(dir);
}

void sidecar_fixture_free(struct sidecar_fixture *f)
{
        remove_all(f->dir);
        free(f->disk.data);
        free(f->sidecar.data);
}

size_t fixture_count(const char *dir)
{
        DIR *d = opendir(dir);
        struct dirent *e;
        size_t n = 0;

        require(d != NULL, dir);
        while ((e = readdir(d)))
                n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
        closedir(d);
        return n;
}

/* The hashes of the first disk's spans, as far as they are where they say. */
static void seal_spans(struct bytes *b)
{
        uint64_t disk = (uint64_t)(sidecar_disk(b) - b->data), at, span, len;
        uint32_t count;

        if (!range_within(disk, SC_DISK, b->len))
                return;
        at = load_le64(b->data + disk + SC_DISK_AT);
        count = load_le32(b->data + disk + SC_DISK_SPANS);
        span = disk + SC_DISK;
        for (uint32_t i = 0; i < count && range_within(span, SC_SPAN, b->len); i++) {
                len = load_le32(b->data + span + SC_SPAN_LEN);
                if (!range_within(at, len, b->len))
                        return;
                store_le64(b->data + span + SC_SPAN_HASH, XXH3_64bits(b->data + at, len));
                at += len;
                span += SC_SPAN;
        }
}

void sidecar_seal(struct bytes *b)
{
        uint64_t at = load_le64(b->data + SC_TABLES), len = load_le64(b->data + SC_TABLES_LEN);

        if (range_within(at, (uint64_t)sidecar_segments(b) * SC_SEGMENT, b->len))
                seal_spans(b);
        if (range_within(at, len, b->len))
                store_le64(b->data + SC_TABLES_HASH, XXH3_64bits(b->data + at, len));
        store_le64(b->data + SC_HEADER_HASH, XXH3_64bits(b->data, SC_HEADER_HASH));
}

uint32_t sidecar_segments(const struct bytes *b)
{
        return load_le32(b->data + SC_SEGMENTS);
}

uint8_t *sidecar_segment(struct bytes *b, uint32_t i)
{
        return b->data + load_le64(b->data + SC_TABLES) + (size_t)i * SC_SEGMENT;
}

uint8_t *sidecar_disk(struct bytes *b)
{
        return sidecar_segment(b, sidecar_segments(b));
}

uint8_t *sidecar_span(struct bytes *b)
{
        return sidecar_disk(b) + SC_DISK;
}

uint8_t *sidecar_extents(struct bytes *b)
{
        return b->data + load_le64(sidecar_disk(b) + SC_DISK_AT);
}

int sidecar_build(const struct sidecar_fixture *f, char *problem, size_t size)
{
        struct index_options options = {
            .sidecar = INDEX_SIDECAR_BUILD, .sidecar_path = f->index, .threads = 2};
        struct error err = {0};
        struct index *index;
        int rc = index_open(f->archive, &options, &index, &err);

        if (rc < 0) {
                snprintf(problem, size, "%s", err.text);
                return rc;
        }
        rc = index_scan(index, NULL, &err);
        snprintf(problem, size, "%s",
                 index_sidecar_state(index).problem ? index_sidecar_state(index).problem : "");
        index_close(index);
        return rc;
}

struct index *sidecar_open(const struct sidecar_fixture *f)
{
        struct index_options options = {
            .sidecar = INDEX_SIDECAR_USE, .sidecar_path = f->index, .threads = 1};
        struct error err = {0};
        struct index *index = NULL;
        int rc = index_open(f->archive, &options, &index, &err);

        require(rc == 0 || rc == -EEXIST, err.text);
        return rc == 0 ? index : NULL;
}

enum outcome sidecar_read(struct index *index, struct bytes disk)
{
        struct disk *d = index_disk(index, 0);
        enum outcome outcome = OUTCOME_RIGHT;
        uint8_t buf[PIECE];

        if (d->size != disk.len)
                return OUTCOME_WRONG;
        for (uint64_t at = 0; at < disk.len; at += PIECE) {
                ssize_t n = disk_read(d, buf, sizeof buf, at);

                if (n == -EIO)
                        outcome = OUTCOME_EIO;
                else if (n <= 0 || memcmp(buf, disk.data + at, (size_t)n) != 0)
                        return OUTCOME_WRONG;
                else if ((uint64_t)n < min_u64(PIECE, disk.len - at))
                        outcome = OUTCOME_EIO;
        }
        return outcome;
}

enum outcome sidecar_outcome(const struct sidecar_fixture *f, const void *data, size_t len)
{
        enum outcome outcome = OUTCOME_REFUSED;
        struct error err = {0};
        struct index *index;

        fixture_write(f->index, data, len);
        index = sidecar_open(f);
        if (!index)
                return memcmp(data, "VMAFSIDX", min_u64(len, 8)) == 0 && len >= 8 ? OUTCOME_WRONG
                                                                                  : OUTCOME_REFUSED;
        if (index_sidecar_state(index).loaded) {
                require(index_scan(index, NULL, &err) == 0, "index_scan");
                outcome = sidecar_read(index, f->disk);
        } else if (!index_sidecar_state(index).problem) {
                outcome = OUTCOME_WRONG; /* refused, and nobody is told */
        }
        index_close(index);
        return outcome;
}
