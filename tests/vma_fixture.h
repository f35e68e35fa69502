/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VMA archive in memory: written, opened, scanned, and what must be in it. Each function fails
 * the test where what it does fails.
 */
#ifndef VMAFS_TESTS_VMA_FIXTURE_H
#define VMAFS_TESTS_VMA_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/error.h"

struct disk;
struct index;
struct vma_writer;

enum { BACKUP_BLOCK = 4096, BACKUP_CLUSTER = 65536, BACKUP_CTIME = 1700000000 };

extern const uint8_t backup_uuid[16];

struct backup {
        int fd;
        char path[64]; /* by which the program can open it */
        struct vma_writer *w;
        struct index *index;
        struct error err;
};

struct backup backup_start(void);
void backup_end(struct backup *f);

void backup_device(struct backup *f, uint8_t id, const char *name, uint64_t size);
void backup_header(struct backup *f);
/* A cluster with the writer's pattern in the blocks of MASK. */
void backup_cluster(struct backup *f, uint8_t dev, uint32_t number, uint16_t mask);
void backup_finish(struct backup *f);

/* As index_open, which may fail. */
int backup_open(struct backup *f, bool recover_zero);
/* Open and scan, which must work: the first disk. */
struct disk *backup_scan(struct backup *f);

/* The block at POS of the pattern's disk DEV. */
void backup_expect_pattern(struct disk *d, uint8_t dev, uint64_t pos);
void backup_expect_zero(struct disk *d, uint64_t pos);
void backup_expect_lost(struct disk *d, uint64_t pos);
/* The first damage is at archive byte OFFSET and its text holds WORD. */
void backup_expect_damage(const struct backup *f, uint64_t offset, const char *word);

#endif
