/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as the delta of a VMDK snapshot: as the header, the directory and a table of COWD or
 * SESparse, and as the descriptor, which can name as its parent a flat disk, or itself.
 *
 *   1: which | 512: the header | 64: the directory | 256: a table | the descriptor, or nothing
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/error.h"
#include "index/index.h"
#include "index/site.h"
#include "tests/fixtures/esx_writer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_disk.h"

enum {
        HEADER = 512,
        DIRECTORY = 64,
        TABLE = 256,
        HEAD = 1 + HEADER + DIRECTORY + TABLE,
        DISK = 1 << 20,
        FLAT = 64 << 10,
        TEXT_MAX = 1 << 14,
};

static const char usual[] = "# Disk DescriptorFile\nCID=2\nparentCID=1\n"
                            "parentFileNameHint=\"parent.vmdk\"\nRW 2048 SESPARSE \"delta\"\n";
static const char parent[] = "# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\n"
                             "RW 128 VMFS \"flat\"\n";

/* The files that there are. */
struct files {
        const char *text; /* of the child */
        size_t text_len;
        struct bytes delta;
};

static int open_bytes(const void *data, size_t len)
{
        int fd = memfd_create("file", MFD_CLOEXEC);

        fuzz_require(fd >= 0 && pwrite(fd, data, len, 0) == (ssize_t)len);
        return fd;
}

static int open_file(const struct neighbours *n, const char *name, enum neighbour_reach reach)
{
        static uint8_t flat[FLAT];
        const struct files *f = n->helper;

        fuzz_require(reach <= n->farthest);
        memset(flat, 'f', sizeof flat);
        if (strcmp(name, "delta") == 0)
                return open_bytes(f->delta.data, f->delta.len);
        if (strcmp(name, "child.vmdk") == 0)
                return open_bytes(f->text, f->text_len);
        if (strcmp(name, "parent.vmdk") == 0)
                return open_bytes(parent, strlen(parent));
        return strcmp(name, "flat") == 0 ? open_bytes(flat, sizeof flat) : -ENOENT;
}

/* A delta with a few grains, of which the parts in DATA are as they are there. */
static struct bytes make_delta(const uint8_t *data)
{
        static struct esx_file made[2];
        static uint8_t *file;
        bool sesparse = data[0] & 1;
        struct esx_file *e = &made[sesparse];
        size_t directory = sesparse ? SE_DIRECTORY : COWD_DIRECTORY, table;

        if (!e->bytes.data) {
                static uint8_t disk[DISK];
                const struct esx_wish wish = {.sesparse = sesparse, .grain = 8, .seed = 1};

                for (size_t at = 0; at < DISK; at += DISK / 8)
                        memset(disk + at, (int)(at / (DISK / 8)) + 1, SE_GRAIN);
                *e = esx_write((struct bytes){disk, DISK}, &wish);
        }
        free(file);
        file = malloc(e->bytes.len);
        fuzz_require(file != NULL);
        memcpy(file, e->bytes.data, e->bytes.len);
        table = sesparse ? e->tables : (size_t)load_le32(file + directory) * ESX_SECTOR;
        memcpy(file, data + 1, HEADER);
        memcpy(file + directory, data + 1 + HEADER, DIRECTORY);
        memcpy(file + table, data + 1 + HEADER + DIRECTORY, TABLE);
        return (struct bytes){file, e->bytes.len};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct index_options options = {
            .cache_bytes = 1 << 20, .threads = 1, .unwatched = true, .backing = NEIGHBOUR_BELOW};
        struct files files = {.text = usual, .text_len = strlen(usual)};
        struct index *index = NULL;
        struct site *site = NULL;
        struct error err = {0};
        char path[32];
        int fd, rc;

        if (size < HEAD)
                return 0;
        if (size > HEAD) {
                files.text = (const char *)data + HEAD;
                files.text_len = (size_t)min_u64(size - HEAD, TEXT_MAX);
        }
        files.delta = make_delta(data);
        fd = open_bytes(files.text, files.text_len);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        fuzz_require(site_open(path, &options, &site, &err) == 0);
        close(site->neighbours.folder);
        site->neighbours.folder = -EBADF;
        site->neighbours.open = open_file;
        site->neighbours.helper = &files;
        rc = index_open_site(site, &options, &index, &err);
        fuzz_require(rc == 0 || (index == NULL && err.text[0]));
        if (rc == 0) {
                check_names(index);
                fuzz_require(index_scan(index, NULL, &err) == 0);
                for (size_t i = 0; i < index_disk_count(index); i++)
                        check_disk(index_disk(index, i), i + 1);
                index_close(index);
        }
        site_close(site);
        close(fd);
        return 0;
}

/* Nothing is looked at after a wrong magic number. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
        size = LLVMFuzzerMutate(data, size, max_size);
        if (size < HEAD || seed % 16 == 0)
                return size;
        if (data[0] & 1) {
                store_le64(data + 1, UINT64_C(0xcafebabe));
                store_le64(data + 1 + 8, UINT64_C(0x200000001));
        } else {
                memcpy(data + 1, "COWD\1\0\0\0", 8);
        }
        return size;
}
