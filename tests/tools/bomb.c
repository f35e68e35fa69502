/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bomb KIND FILE: a small file that claims much, and that no other tool would write.
 *
 *   vma    254 disks of 256 TiB with 60,000 clusters of zeros, each far from all others
 *   qcow2  128 TiB, whose tables are all the same one
 *   vmdk   1 PiB, whose grain tables are all the same one
 *   sesparse  a delta of a VMDK of 64 TiB, whose tables are all the same one
 *   lzop   three blocks of zeros of 64 MiB, which is the most, in a tar
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/bytes.h"
#include "archive/checksum.h"
#include "tests/fixtures/vma_writer.h"

#define TIB (UINT64_C(1) << 40)

static void check(bool good, const char *what)
{
        if (good)
                return;
        fprintf(stderr, "bomb: %s: %s\n", what, strerror(errno));
        exit(1);
}

static void put(FILE *out, const void *data, size_t len)
{
        check(fwrite(data, 1, len, out) == len, "the file");
}

static void put_be32(FILE *out, uint32_t v)
{
        uint8_t bytes[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

        put(out, bytes, sizeof bytes);
}

static void put_be64(FILE *out, uint64_t v)
{
        put_be32(out, (uint32_t)(v >> 32));
        put_be32(out, (uint32_t)v);
}

static void put_times(FILE *out, uint8_t byte, size_t n)
{
        while (n-- > 0)
                check(fputc(byte, out) != EOF, "the file");
}

/* ---- VMA ---- */

enum { DISKS = 254, CLUSTERS = 60000 };

static void make_vma(FILE *out)
{
        static const uint8_t uuid[16] = {1};
        struct vma_writer *w;
        char name[16];
        int rc = vma_writer_open(fileno(out), uuid, 0, &w);

        for (unsigned i = 1; i <= DISKS && rc == 0; i++) {
                snprintf(name, sizeof name, "d%u", i);
                rc = vma_writer_device(w, (uint8_t)i, name, 256 * TIB);
        }
        if (rc == 0)
                rc = vma_writer_header(w, NULL);
        /* A large odd number goes through all clusters in an order without neighbours. */
        for (uint32_t i = 0; i < CLUSTERS && rc == 0; i++)
                rc = vma_writer_cluster(w, (uint8_t)(i % DISKS + 1), i * 2654435761U, 0, NULL);
        if (rc == 0)
                rc = vma_writer_close(w);
        errno = -rc;
        check(rc == 0, "the archive");
}

/* ---- qcow2 ---- */

#define QCOW2_CLUSTER 65536
#define QCOW2_COPIED  (UINT64_C(1) << 63)

/* Header, L1, one L2, one cluster of data. */
static void make_qcow2(FILE *out)
{
        uint64_t l2_reach = (uint64_t)QCOW2_CLUSTER / 8 * QCOW2_CLUSTER;
        uint32_t l1_entries = (uint32_t)(128 * TIB / l2_reach);
        uint64_t l1 = QCOW2_CLUSTER, l2 = l1 + (uint64_t)l1_entries * 8, data = l2 + QCOW2_CLUSTER;

        put(out, "QFI\xfb", 4);
        put_be32(out, 2);
        put_times(out, 0, 12); /* no backing file */
        put_be32(out, 16);
        put_be64(out, 128 * TIB);
        put_be32(out, 0); /* not encrypted */
        put_be32(out, l1_entries);
        put_be64(out, l1);
        put_times(out, 0, QCOW2_CLUSTER - 48); /* no reference counts, no snapshots */
        for (uint32_t i = 0; i < l1_entries; i++)
                put_be64(out, l2 | QCOW2_COPIED);
        for (uint32_t i = 0; i < QCOW2_CLUSTER / 8; i++)
                put_be64(out, data | QCOW2_COPIED);
        put_times(out, 0xff, QCOW2_CLUSTER);
}

/* ---- VMDK ---- */

#define SECTOR 512

/* Header, descriptor, directory, one table, one grain, of 1 PiB in grains of 1 MiB. */
static void make_vmdk(FILE *out)
{
        enum { GRAIN = 2048, ENTRIES = 512, DIRECTORY = 2 };
        uint64_t capacity = 1024 * TIB / SECTOR;
        uint32_t tables = (uint32_t)(capacity / (GRAIN * (uint64_t)ENTRIES));
        uint64_t table = DIRECTORY + (uint64_t)tables * 4 / SECTOR;
        uint64_t data = table + ENTRIES * 4 / SECTOR;
        uint8_t header[SECTOR] = {'K', 'D', 'M', 'V'};
        char descriptor[SECTOR] = {0};

        snprintf(descriptor, sizeof descriptor,
                 "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"
                 "createType=\"monolithicSparse\"\nRW %llu SPARSE \"a.vmdk\"\n",
                 (unsigned long long)capacity);
        store_le32(header + 4, 1);
        store_le32(header + 8, 1); /* the newline test is right */
        store_le64(header + 12, capacity);
        store_le64(header + 20, GRAIN);
        store_le64(header + 28, 1);
        store_le64(header + 36, 1);
        store_le32(header + 44, ENTRIES);
        store_le64(header + 56, DIRECTORY);
        store_le64(header + 64, data);
        memcpy(header + 73, "\n \r\n", 4);
        put(out, header, sizeof header);
        put(out, descriptor, sizeof descriptor);
        for (uint32_t i = 0; i < tables + ENTRIES; i++) {
                uint8_t entry[4];

                store_le32(entry, (uint32_t)(i < tables ? table : data));
                put(out, entry, sizeof entry);
        }
        put_times(out, 0xff, GRAIN * (size_t)SECTOR);
}

/* Header, volatile header, directory, one table, one grain. */
static void make_sesparse(FILE *out)
{
        enum { GRAIN = 8, TABLE = 64, ENTRIES = 4096, DIRECTORY = 2 };
        uint64_t capacity = 64 * TIB / SECTOR;
        uint32_t tables = (uint32_t)(capacity / (GRAIN * ENTRIES));
        uint64_t table = DIRECTORY + (uint64_t)tables * 8 / SECTOR;
        uint8_t header[SECTOR] = {0}, second[SECTOR] = {0};

        store_le64(header, 0xcafebabe);
        store_le64(header + 8, UINT64_C(0x200000001));
        store_le64(header + 16, capacity);
        store_le64(header + 24, GRAIN);
        store_le64(header + 32, TABLE);
        store_le64(header + 80, 1);
        store_le64(header + 88, 1);
        store_le64(header + 128, DIRECTORY);
        store_le64(header + 136, table - DIRECTORY);
        store_le64(header + 144, table);
        store_le64(header + 152, TABLE);
        store_le64(header + 192, table + TABLE);
        store_le64(header + 200, GRAIN);
        put(out, header, sizeof header);
        store_le64(second, 0xcafecafe);
        put(out, second, sizeof second);
        for (uint32_t i = 0; i < tables + ENTRIES; i++) {
                uint8_t entry[8];

                store_le64(entry, UINT64_C(1) << 60 | (i < tables ? 0 : UINT64_C(1) << 61));
                put(out, entry, sizeof entry);
        }
        put_times(out, 0xff, GRAIN * (size_t)SECTOR);
}

/* ---- lzop ---- */

#define LZOP_BLOCK (UINT32_C(64) << 20)
#define BLOCKS     3

/* A block of LEN zeros: one literal, one match that goes on to the end, and the end. */
static void put_zeros(FILE *out, uint32_t len)
{
        uint32_t more = len - 1 - 33, zeros = (more - 1) / 255;

        put_be32(out, len);
        put_be32(out, 2 + 1 + zeros + 1 + 2 + 3);
        put(out, "\x12\0\x20", 3);
        put_times(out, 0, zeros);
        put_times(out, (uint8_t)(more - zeros * 255), 1);
        put(out, "\0\0\x11\0\0", 5);
}

/* The header of a tar's member a.raw of SIZE bytes. */
static void put_tar_header(FILE *out, uint64_t size)
{
        uint8_t h[512] = "a.raw";
        unsigned sum = 8 * ' ';

        memcpy(h + 100, "0000644", 8);
        snprintf((char *)h + 124, 12, "%011llo", (unsigned long long)size);
        memcpy(h + 136, "00000000000", 12);
        h[156] = '0';
        memcpy(h + 257, "ustar\00000", 8);
        for (size_t i = 0; i < sizeof h; i++)
                sum += h[i];
        snprintf((char *)h + 148, 8, "%06o", sum);
        h[155] = ' ';
        put(out, h, sizeof h);
}

static void make_lzop(FILE *out)
{
        /* Versions, method, level, flags, mode, times, no name. */
        static const uint8_t head[] = {0x10, 0x30, 0x20, 0xa0, 0x09, 0x40, 1, 5, 0, 0, 0, 0, 0,
                                       0,    0x81, 0xa4, 0,    0,    0,    0, 0, 0, 0, 0, 0};

        put(out, "\x89LZO\0\r\n\x1a\n", 9);
        put(out, head, sizeof head);
        put_be32(out, checksum_adler32(head, sizeof head));
        put_be32(out, 512);
        put_be32(out, 512);
        put_tar_header(out, BLOCKS * (uint64_t)LZOP_BLOCK);
        for (int i = 0; i < BLOCKS; i++)
                put_zeros(out, LZOP_BLOCK);
        put_zeros(out, 1024);
        put_be32(out, 0);
}

int main(int argc, char **argv)
{
        static const struct {
                const char *name;
                void (*make)(FILE *out);
        } kinds[] = {{"vma", make_vma},
                     {"qcow2", make_qcow2},
                     {"vmdk", make_vmdk},
                     {"sesparse", make_sesparse},
                     {"lzop", make_lzop}};
        FILE *out = argc == 3 ? fopen(argv[2], "w") : NULL;

        for (size_t i = 0; out && i < sizeof kinds / sizeof *kinds; i++) {
                if (strcmp(argv[1], kinds[i].name) != 0)
                        continue;
                kinds[i].make(out);
                check(fclose(out) == 0, argv[2]);
                return 0;
        }
        fprintf(stderr, "usage: bomb vma|qcow2|vmdk|lzop FILE\n");
        return 2;
}
